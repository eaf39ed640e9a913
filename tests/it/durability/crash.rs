//! The control plane is killed under load, fifty times over.

use tenantry_test_support::ControlPlane;

use super::{
    account::Account,
    load::{NO_RETENTION, Writer, work_until},
};

const ROUNDS: usize = 50;

#[tokio::test]
async fn fifty_kills_under_load_lose_and_halve_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut control_plane = ControlPlane::start(directory.path(), &[NO_RETENTION]).await;
    Writer::prepare(&control_plane.api()).await;
    let (mut writers, mut account) = (Writer::all(), Account::default());
    for round in 0..ROUNDS {
        // Every number of operations in a row, so that the kill meets each of them in each stage.
        let enough = 1 + round % 17;
        let kill = async |control_plane: &mut ControlPlane| control_plane.kill();
        let refused = work_until(&mut control_plane, &mut writers, enough, kill).await;
        assert_eq!(refused, [], "round {round}");
        if round % 5 == 4 {
            // Once more, while it does what was left to be done.
            control_plane.launch().await;
            control_plane.kill();
        }
        control_plane.start_again().await;
        account.take(&control_plane, &mut writers).await;
    }
    account.take_of_all(&control_plane, &mut writers).await;
}
