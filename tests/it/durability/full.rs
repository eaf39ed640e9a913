//! The disk fills up under load: changes are refused and nothing else, and go on when there is space.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use serde_json::json;
use tenantry_api::{AuditQuery, Problem, ProblemKind, TenantQuery, VerifyAuditQuery};
use tenantry_test_support::{ControlPlane, Disk, eventually};

use super::{
    account::Account,
    load::{NO_RETENTION, Writer, work_until},
};

const DISK_MIB: u32 = 64;
const RESERVE: (&str, &str) = ("STORE_RESERVE_MIB", "16");

/// Together these leave less than the reserve, and still some of it.
const FIRST_MIB: usize = 40;
const SECOND_MIB: usize = 14;

#[tokio::test]
async fn a_full_disk_refuses_changes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mounted = directory.path().join("mounted");
    let _disk = match Disk::in_memory(&mounted, DISK_MIB) {
        Ok(disk) => disk,
        Err(why) => return super::skipped("full disks", &why),
    };
    let mut control_plane =
        ControlPlane::start(&mounted.join("data"), &[RESERVE, NO_RETENTION]).await;
    Writer::prepare(&control_plane.api()).await;
    let (mut writers, mut account) = (Writer::all(), Account::default());
    fill(&mounted.join("first"), FIRST_MIB).unwrap();

    let fill_up = async |_: &mut ControlPlane| fill(&mounted.join("second"), SECOND_MIB).unwrap();
    let refused = work_until(&mut control_plane, &mut writers, 40, fill_up).await;
    assert_eq!(refused.len(), writers.len());
    refused.iter().for_each(says_what_to_do);
    reads_go_on_and_changes_do_not(&control_plane, &writers).await;
    // A start needs a little space, and finds it in the reserve.
    control_plane.kill();
    control_plane.start_again().await;
    reads_go_on_and_changes_do_not(&control_plane, &writers).await;
    assert!(fill(&mounted.join("third"), 1024).is_err(), "now there is nothing left at all");
    reads_go_on_and_changes_do_not(&control_plane, &writers).await;

    for file in ["first", "second", "third"] {
        fs::remove_file(mounted.join(file)).unwrap();
    }
    assert_eq!(control_plane.get("/readyz").await.unwrap(), (200, "ok\n".to_owned()));
    account.take_of_all(&control_plane, &mut writers).await;
    assert!(!control_plane.process().has_ended(), "it is the one that met the full disk");
    let kill = async |control_plane: &mut ControlPlane| control_plane.kill();
    assert_eq!(work_until(&mut control_plane, &mut writers, 40, kill).await, []);
    control_plane.start_again().await;
    account.take_of_all(&control_plane, &mut writers).await;
}

fn says_what_to_do(problem: &Problem) {
    assert!(problem.is(ProblemKind::StorageFull), "{problem:?}");
    assert_eq!(problem.status, 507);
    assert!(problem.detail.contains("make space"), "{problem:?}");
    assert!(problem.request_id.is_some() && problem.instance.is_some(), "{problem:?}");
}

async fn reads_go_on_and_changes_do_not(control_plane: &ControlPlane, writers: &[Writer]) {
    let api = control_plane.api();
    let tenants = api.tenants().list(&TenantQuery::default()).await.unwrap().items;
    assert!(tenants.len() >= writers.len());
    for tenant in &tenants {
        assert_eq!(&api.tenants().get(tenant.spec.slug.as_str()).await.unwrap(), tenant);
        let error = api.plans().patch("pro", &json!({"name": "No"}), None).await.unwrap_err();
        says_what_to_do(error.problem().unwrap());
    }
    assert!(!api.audit(&AuditQuery::default()).await.unwrap().items.is_empty());
    assert!(api.verify_audit(&VerifyAuditQuery::default()).await.unwrap().intact);
    assert!(!control_plane.resources().await.is_empty());

    assert_eq!(control_plane.get("/healthz").await.unwrap().0, 200);
    let (status, said) = control_plane.get("/readyz").await.unwrap();
    assert_eq!(status, 200);
    assert!(said.starts_with("read-only: the disk is full"), "{said}");
    eventually("metrics say it", async || {
        let (_, page) = control_plane.get("/metrics").await?;
        page.contains("tenantry_control_plane_store_writable 0\n").then_some(())
    })
    .await;
}

fn fill(file: &Path, mib: usize) -> std::io::Result<()> {
    let (mut file, chunk) = (File::create(file)?, vec![7; 1 << 20]);
    for _ in 0..mib {
        file.write_all(&chunk)?;
    }
    Ok(())
}
