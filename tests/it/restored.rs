//! A control plane that was put back to an earlier day, and proxies that remember the days after it.

use std::{fs, path::Path};

use serde_json::json;
use tenantry_api::{EnrollNode, ProxyBody};
use tenantry_test_support::{ControlPlane, Edge, EdgeOptions, Origin, eventually, json as body};

use crate::nodes::seeded;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

async fn edge(control_plane: &ControlPlane, node: &str, token: String) -> Edge {
    Edge::start(EdgeOptions {
        node: node.to_owned(),
        distribution: format!("http://{}", control_plane.distribution()),
        token,
        settings: Vec::new(),
    })
    .await
}

async fn status(edge: &Edge, expected: u16) {
    eventually(&format!("{} answers {expected}", edge.node()), async || {
        let answered = edge.get("acme.example", "/").send().await.status;
        (answered == expected).then_some(())
    })
    .await;
}

/// What both say that they hold, once that is one and the same.
async fn agreed(control_plane: &ControlPlane) -> ProxyBody {
    eventually("both hold the same", async || {
        let proxies = control_plane.api().proxies().await.ok()?.items;
        let [one, other] = proxies.try_into().ok()?;
        let alike = |proxy: &ProxyBody| proxy.connected && proxy.lag == Some(0);
        let same = (&one.epoch, &one.hash) == (&other.epoch, &other.hash);
        (alike(&one) && alike(&other) && same).then_some(one)
    })
    .await
}

#[tokio::test]
async fn proxies_follow_a_control_plane_that_was_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let (data, backup) = (directory.path().join("data"), directory.path().join("backup"));
    let mut control_plane = ControlPlane::start(&data, &[]).await;
    let origin = Origin::start().await;
    let revision = seeded(&control_plane.api(), &origin).await;
    // The first to come back is one that sees a part only. Here that part is all there is.
    let node = json!({"name": "edge-1", "region": "eu"});
    let enrolled = control_plane.api().nodes().create(&body::<EnrollNode>(node)).await.unwrap();
    let one = edge(&control_plane, "edge-1", enrolled.secret.unwrap()).await;
    let mut other = edge(&control_plane, "edge-2", control_plane.node_token()).await;
    one.enforced(revision).await;
    other.enforced(revision).await;

    control_plane.stop().await;
    copy(&data, &backup);
    control_plane.start_again().await;
    let api = control_plane.api();
    for number in 0..20 {
        api.tenants()
            .patch("acme", &json!({"name": format!("Acme {number}")}), None)
            .await
            .unwrap();
    }
    let suspended = api.tenants().suspend("acme", "test").await.unwrap().revision;
    one.enforced(suspended).await;
    other.enforced(suspended).await;
    let before = agreed(&control_plane).await;
    other.kill();

    // The day before, with all that belongs to it: nothing in it says that it is old.
    control_plane.stop().await;
    fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    control_plane.start_again().await;
    status(&one, 200).await;
    // One that comes later, with what it had, is brought to it as well.
    other.start_again().await;
    status(&other, 200).await;
    let after = agreed(&control_plane).await;
    assert_ne!(after.epoch, before.epoch);
    assert!(after.revision < before.revision);
    let metrics = control_plane.get("/metrics").await.unwrap().1;
    assert!(metrics.contains("tenantry_control_plane_epochs_begun_total 1\n"), "{metrics}");

    // It stays so, and changes are followed.
    control_plane.kill();
    control_plane.start_again().await;
    control_plane.api().tenants().suspend("acme", "test").await.unwrap();
    status(&one, 403).await;
    status(&other, 403).await;
    assert_eq!(agreed(&control_plane).await.epoch, after.epoch);
}
