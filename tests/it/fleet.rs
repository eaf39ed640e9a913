//! Several proxies on one control plane, while everything changes and everything crashes once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tenantry_api::Client;
use tenantry_test_support::{Clients, ControlPlane, Edge, EdgeOptions, Origin, eventually};
use tokio::time::{MissedTickBehavior, interval};

use crate::nodes::seeded;

const EDGES: usize = 3;
/// About a hundred a second, and not more of them than this.
const CHANGES: u64 = 400;
const PACE: Duration = Duration::from_millis(10);

async fn edges(control_plane: &ControlPlane) -> Vec<Edge> {
    let mut edges = Vec::new();
    for number in 1..=EDGES {
        let options = EdgeOptions {
            node: format!("edge-{number}"),
            distribution: format!("http://{}", control_plane.distribution()),
            token: control_plane.node_token(),
            settings: Vec::new(),
        };
        edges.push(Edge::start(options).await);
    }
    edges
}

/// Sends requests to one proxy, one after the other, until it is told to stop; how many were answered.
async fn traffic(clients: Clients, stop: Arc<AtomicBool>) -> u64 {
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        // A proxy that was crashed answers nothing; one that answers is never wrong, but it may have been started
        // a moment ago, and not have read its file yet.
        let Ok(answer) = clients.get("acme.example", "/").try_send().await else { continue };
        assert!(answer.status == 200 || answer.problem() == "overloaded", "{}", answer.body);
        answered += u64::from(answer.status == 200);
    }
    answered
}

/// Changes one tenant again and again; how many changes were made.
async fn changes(api: Client, made: Arc<AtomicU64>) -> u64 {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0..CHANGES {
        pace.tick().await;
        let labels = json!({"labels": {"number": number.to_string()}, "access": {
            "mode": "allowlist", "allow": [format!("10.0.{}.0/24", number % 256)]}});
        if api.tenants().patch("busy", &labels, None).await.is_ok() {
            made.fetch_add(1, Ordering::Relaxed);
        }
    }
    made.load(Ordering::Relaxed)
}

async fn at_least(made: &AtomicU64, share: u64) {
    eventually("changes go on", async || {
        (made.load(Ordering::Relaxed) >= CHANGES * share / 10).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_is_killed_once_under_load_and_all_end_alike() {
    let directory = tempfile::tempdir().unwrap();
    let mut control_plane = ControlPlane::start(&directory.path().join("data"), &[]).await;
    let (api, origin) = (control_plane.api(), Origin::start().await);
    let revision = seeded(&api, &origin).await;
    let busy = json!({"slug": "busy", "name": "Busy", "plan": "pro", "auth": "none", "domains": ["busy.example"]});
    api.raw("POST", "/tenants", Some(&busy)).await.unwrap();
    let mut edges = edges(&control_plane).await;
    for edge in &edges {
        edge.enforced(revision).await;
    }
    let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = edges
        .iter()
        .map(|edge| tokio::spawn(traffic(edge.reached_by(), Arc::clone(&stop))))
        .collect();
    let changing = tokio::spawn(changes(api.clone(), Arc::clone(&made)));

    for (turn, edge) in edges.iter_mut().enumerate() {
        at_least(&made, turn as u64 + 1).await;
        edge.kill();
        edge.start_again().await;
    }
    at_least(&made, 5).await;
    control_plane.kill();
    control_plane.start_again().await;

    assert!(changing.await.unwrap() > CHANGES / 2, "most changes are made");
    let last = api.tenants().suspend("busy", "test").await.unwrap();
    for edge in &edges {
        edge.enforced(last.revision).await;
        let refused = edge.get("busy.example", "/").send().await;
        assert_eq!(refused.problem(), "tenant-suspended", "{}", refused.body);
    }
    stop.store(true, Ordering::Relaxed);
    for load in load {
        assert!(load.await.unwrap() > 0, "each proxy had answered");
    }
    eventually("all say that they hold the same", async || {
        let proxies = api.proxies().await.unwrap().items;
        let first = proxies.first()?.hash.clone();
        let alike = |proxy: &&tenantry_api::ProxyBody| {
            proxy.connected && proxy.lag == Some(0) && proxy.hash == first && first.is_some()
        };
        (proxies.iter().filter(alike).count() == EDGES).then_some(())
    })
    .await;
}
