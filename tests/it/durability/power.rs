//! The power fails under load, ten times over: what was acknowledged is on the disk, not only in the
//! memory of the system.
//!
//! The data is on a file system of its own. The control plane is stopped where it is, the disk is copied
//! as it is, and the copy is what the next one starts on. Each round shows that the power was really
//! cut: a file that was written and not synced must not be there. Where somebody else has synced the
//! whole machine at that moment, the round shows nothing, and does not count.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use tenantry_test_support::{ControlPlane, Disk};

use super::{
    account::Account,
    load::{NO_RETENTION, Writer, work_until},
};

const ROUNDS: usize = 10;
/// Rounds that show nothing are made up for, up to this many in all.
const MOST_ROUNDS: usize = 30;
const MIB: u64 = 96;
/// More than is kept in an inode.
static BYTES: [u8; 64 * 1024] = [7; 64 * 1024];

#[tokio::test]
async fn ten_power_cuts_under_load_lose_and_halve_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (image, mounted) = (directory.path().join("image"), directory.path().join("mounted"));
    let mut disk = match Disk::in_file(&image, MIB, &mounted) {
        Ok(disk) => disk,
        Err(why) => return super::skipped("power cuts", &why),
    };
    let data = mounted.join("data");
    let mut control_plane = ControlPlane::start(&data, &[NO_RETENTION]).await;
    Writer::prepare(&control_plane.api()).await;
    let (mut writers, mut account) = (Writer::all(), Account::default());
    let (mut rounds, mut shown) = (0, 0);
    while shown < ROUNDS {
        assert!(rounds < MOST_ROUNDS, "only {shown} of {rounds} rounds lost what was not synced");
        let copy = directory.path().join("copy");
        let cut = async |control_plane: &mut ControlPlane| {
            write(&mounted.join("synced")).sync_all().unwrap();
            drop(write(&mounted.join("unsynced")));
            control_plane.process().freeze();
            disk.copy_as_it_is(&copy);
            control_plane.kill();
        };
        let refused = work_until(&mut control_plane, &mut writers, 5 + rounds * 9, cut).await;
        assert_eq!(refused, [], "round {rounds}");
        drop(disk);
        fs::rename(&copy, &image).unwrap();
        disk = Disk::of_file(&image, &mounted).unwrap();
        assert_eq!(length(&mounted.join("synced")), BYTES.len(), "what was synced is there");
        shown += usize::from(length(&mounted.join("unsynced")) < BYTES.len());
        for file in ["synced", "unsynced"] {
            let _ = fs::remove_file(mounted.join(file));
        }
        control_plane.start_again().await;
        account.take(&control_plane, &mut writers).await;
        rounds += 1;
    }
    account.take_of_all(&control_plane, &mut writers).await;
}

fn write(file: &Path) -> File {
    let mut file = File::create(file).unwrap();
    file.write_all(&BYTES).unwrap();
    file
}

fn length(file: &Path) -> usize {
    fs::read(file).map_or(0, |bytes| bytes.len())
}
