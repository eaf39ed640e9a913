//! Nodes with tokens of their own.

use serde_json::json;
use tenantry_test_support::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::server::{Server, exchange};

const STREAM: &str = "GET /distribution/v1/stream?node=";

async fn enrolled(server: &Server, name: &str) -> (String, String) {
    let node = server.send("POST /api/v1/nodes", "", &json!({"name": name}).to_string()).await;
    assert_eq!(node.status, 201, "{}", node.body);
    let node = node.json();
    (node["id"].as_str().unwrap().to_owned(), node["secret"].as_str().unwrap().to_owned())
}

/// An open stream, of which the first bytes have come.
async fn subscribed(server: &Server, name: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.running.distribution).await.unwrap();
    let request =
        format!("{STREAM}{name} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.0 200");
    stream
}

#[tokio::test]
async fn a_node_subscribes_with_its_own_token_until_that_is_revoked() {
    let server = Server::with_acme().await;
    let (id, token) = enrolled(&server, "edge-1").await;
    let (_, other) = enrolled(&server, "edge-2").await;
    let mut stream = subscribed(&server, "edge-1", &token).await;
    let mut beside = subscribed(&server, "edge-2", &other).await;

    // It is good for that node, and for nothing else.
    let to = server.running.distribution;
    let headers = format!("Authorization: Bearer {token}\r\n");
    let foreign = exchange(to, &format!("{STREAM}edge-2"), &headers, "").await;
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    assert!(foreign.body.contains("edge-1"), "{}", foreign.body);
    let report = json!({
        "node": "edge-2", "version": "1", "epoch": "0".repeat(32), "revision": 1, "hash": "0".repeat(32),
        "applied_at": "2026-01-01T00:00:00Z", "tenants": 0, "refused": [], "refused_total": 0,
    });
    let json = format!("{headers}Content-Type: application/json\r\n");
    let status = "POST /distribution/v1/status";
    let foreign = exchange(to, status, &json, &report.to_string()).await;
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    let api = exchange(server.running.api, "GET /api/v1/plans", &headers, "").await;
    assert_eq!(api.status, 401);

    let revoked = server.send(&format!("DELETE /api/v1/nodes/{id}"), "", "").await;
    assert_eq!(revoked.status, 204, "{}", revoked.body);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(exchange(to, &format!("{STREAM}edge-1"), &headers, "").await.status, 401);
    // The other one goes on.
    server.create_tenant("globex", &[]).await;
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("globex") {
        assert!(beside.read_buf(&mut seen).await.unwrap() > 0, "the stream ended");
    }
    eventually("the node is seen", async || {
        let proxies = server.client.proxies().await.unwrap().items;
        proxies.iter().any(|proxy| proxy.node == "edge-2" && proxy.connected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_said_of_a_node_is_checked_and_kept() {
    let server = Server::with_acme().await;
    for wrong in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "a b"}),
        json!({"name": "edge-1", "region": "not a region"}),
        json!({"name": "edge-1", "expires_at": "2001-01-01T00:00:00Z"}),
        json!({"name": "edge-1", "colour": "red"}),
    ] {
        let answer = server.send("POST /api/v1/nodes", "", &wrong.to_string()).await;
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.body);
    }
    let node = json!({"name": "edge-1", "region": "eu", "labels": {"ring": "canary"}});
    let made = server.send("POST /api/v1/nodes", "", &node.to_string()).await.json();
    let line = format!("GET /api/v1/nodes/{}", made["id"].as_str().unwrap());
    let found = server.send(&line, "", "").await.json();
    assert_eq!((&found["region"], &found["labels"]["ring"]), (&json!("eu"), &json!("canary")));
    assert!(found.get("secret").is_none() && found.get("digest").is_none(), "{found}");
}
