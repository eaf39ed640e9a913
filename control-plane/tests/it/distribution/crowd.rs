//! Many at once: proxies that come back together, proxies that take nothing, changes in a burst.

use std::collections::BTreeSet;

use axum::body::Body;
use futures::future::join_all;
use hyper::{Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tenantry_distribution::{Event, UpdateKind};
use tenantry_test_support::eventually;
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::{Proxy, ask, fresh, is_ok};
use crate::{import::import, server::Server};

/// What was missed while nobody was there to remember it.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_control_plane_a_proxy_gets_one_delta() {
    let server = Server::with_acme().await;
    let acme = server.client.tenants().get("acme").await.unwrap();
    let mut proxy = Proxy::connect(&server, fresh()).await;
    proxy.until(acme.revision).await;
    let held = proxy.assembler;
    for name in ["one", "two", "three"] {
        server.create_tenant(name, &[&format!("{name}.example.com")]).await;
        let patch = json!({"name": "Changed once more"});
        server.client.tenants().patch(name, &patch, None).await.unwrap();
    }
    let Server { running, directory, .. } = server;
    running.stop().await;

    let server = Server::start_in(directory).await;
    let from = held.held().unwrap().revision;
    let mut proxy = Proxy::connect(&server, held).await;
    let missed = proxy.update().await;
    assert_eq!((missed.kind, missed.from), (UpdateKind::Delta, from));
    let names: BTreeSet<_> = missed.changes.iter().map(|it| (it.kind(), it.id())).collect();
    assert_eq!((missed.changes.len(), names.len()), (6, 6), "each resource once: {names:?}");
    // The hash at its end was right, and nothing is missing.
    assert_eq!(proxy.event().await, Event::Confirmed);
    assert_eq!(proxy.assembler.tenants(), 4);
    server.client.tenants().patch("one", &json!({"auth": "jwt"}), None).await.unwrap();
    assert_eq!(proxy.update().await.kind, UpdateKind::Delta);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_changes_is_few_deltas_with_the_last_form_of_each() {
    let server = Server::configured(&[("TENANTRY_DEBOUNCE_MS", "1000")]).await.and_acme().await;
    let acme = server.client.tenants().get("acme").await.unwrap();
    let mut proxy = Proxy::connect(&server, fresh()).await;
    proxy.until(acme.revision).await;
    let denied =
        |number| json!({"access": {"mode": "public", "deny": [format!("10.0.0.{number}/32")]}});
    let patches: Vec<_> = (0..40).map(|number| denied(number).to_string()).collect();
    let changes =
        patches.iter().map(|patch| server.sending("PATCH /api/v1/tenants/acme", "", patch));
    for answer in join_all(changes).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let acme = server.client.tenants().get("acme").await.unwrap();
    let mut deltas = Vec::new();
    while proxy.held().revision.as_u64() < acme.revision {
        deltas.push(proxy.update().await);
    }
    assert!(deltas.len() < 20, "{} deltas for 40 changes", deltas.len());
    let last = deltas.last().unwrap();
    assert_eq!((last.to.as_u64(), last.changes.len()), (acme.revision, 1));
    let access = serde_json::to_value(&acme.spec.access).unwrap();
    let denied = access["deny"][0].as_str().unwrap();
    assert!(last.changes[0].json().unwrap().as_str().contains(denied), "{denied}");
}

/// A proxy that opens its stream and then reads nothing, over HTTP/2 as proxies do.
async fn stuck(server: &Server) -> Option<Response<Incoming>> {
    let stream = TcpStream::connect(server.running.distribution).await.unwrap();
    let (mut client, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(65_535)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let token = server.running.node_token.expose();
    let request = Request::get("http://localhost/distribution/v1/stream?node=stuck")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    // Whoever had the place may just be leaving.
    (response.status() == 200).then_some(response)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_takes_nothing_keeps_its_place_for_a_while_and_is_then_dropped() {
    let environment = [("TENANTRY_FULL_STATES", "1"), ("TENANTRY_STALLED_SECONDS", "1")];
    let server = Server::configured(&environment).await.and_acme().await;
    let line = |number| {
        let networks: Vec<_> = (0..8).map(|last| format!("10.0.{last}.0/24")).collect();
        json!({
            "slug": format!("t-{number}"), "name": "T", "plan": "pro",
            "domains": [format!("t-{number}.example")],
            "access": {"mode": "public", "deny": networks},
        })
        .to_string()
    };
    let lines: Vec<_> = (0..4_000).map(line).collect();
    let events = import(&server, "", &lines.join("\n")).await;
    let summary = events.last().unwrap();
    assert_eq!(summary["created"], 4_000, "{summary}");
    let mut proxy = Proxy::connect(&server, fresh()).await;
    while proxy.assembler.tenants() < 4_001 {
        proxy.event().await;
    }
    let held = proxy.assembler;

    drop(proxy.stream);

    let _stuck = eventually("there is a place for it", async || stuck(&server).await).await;
    let (_, head) = ask(&server, "node=fresh", "").await;
    assert!(head.starts_with("http/1.0 503"), "{head}");
    let retry_after = head.lines().find_map(|line| line.strip_prefix("retry-after: "));
    let retry_after: u64 = retry_after.unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    // Who is up to date needs no place.
    let mut proxy = Proxy::connect(&server, held).await;
    assert_eq!(proxy.event().await, Event::Confirmed);

    eventually("the one that takes nothing is dropped", async || {
        let proxies = server.client.proxies().await.unwrap().items;
        let stuck = proxies.iter().find(|proxy| proxy.node == "stuck").unwrap();
        (!stuck.connected).then_some(())
    })
    .await;
    let (_stream, head) = ask(&server, "node=fresh", "").await;
    assert!(is_ok(&head), "its place is free: {head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_may_be_one_protocol_apart() {
    let server = Server::with_acme().await;
    for query in ["node=edge-1", "node=edge-1&protocol=1", "node=edge-1&protocol=2"] {
        let (_stream, head) = ask(&server, query, "").await;
        assert!(is_ok(&head), "{query}: {head}");
    }
    for (protocol, who) in [("0", "upgrade the proxy"), ("3", "upgrade the control plane")] {
        let (mut stream, head) =
            ask(&server, &format!("node=edge-1&protocol={protocol}"), "").await;
        assert!(head.starts_with("http/1.0 409"), "{head}");
        let mut problem = String::new();
        stream.read_to_string(&mut problem).await.unwrap();
        assert!(problem.contains("no-common-protocol") && problem.contains(who), "{problem}");
    }
}
