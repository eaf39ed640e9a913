//! The stream as a proxy sees it, read by the proxy's own code.

use serde_json::json;
use tenantry_api::DeleteTenantQuery;
use tenantry_distribution::{
    Assembler, Decoder, Event, Position, Refusal, RemovalBrake, ResourceName, StatusReport, Update,
    UpdateKind,
};
use tenantry_model::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::server::{Server, exchange};

/// A subscription over HTTP/1.0, whose body needs no unwrapping.
pub(crate) struct Proxy {
    stream: TcpStream,
    decoder: Decoder,
    pub(crate) assembler: Assembler,
}

impl Proxy {
    pub(crate) async fn connect(server: &Server, mut assembler: Assembler) -> Self {
        assembler.restart();
        let mut stream = TcpStream::connect(server.running.distribution).await.unwrap();
        let position = assembler.resume().map_or(String::new(), |held| {
            format!("&epoch={}&revision={}&hash={}", held.epoch, held.revision, held.hash)
        });
        let token = server.running.node_token.expose();
        let request = format!(
            "GET /distribution/v1/stream?node=edge-1{position} HTTP/1.0\r\nHost: x\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&head));
        Self { stream, decoder: Decoder::new(), assembler }
    }

    async fn event(&mut self) -> Event {
        loop {
            if let Some(frame) = self.decoder.next() {
                match self.assembler.push(frame.unwrap()).unwrap() {
                    Event::Pending | Event::Opened => {}
                    event => return event,
                }
            } else {
                let mut chunk = [0; 4096];
                let length = self.stream.read(&mut chunk).await.unwrap();
                assert!(length > 0, "the stream ended");
                self.decoder.push(chunk.get(..length).unwrap());
            }
        }
    }

    async fn update(&mut self) -> Update {
        loop {
            if let Event::Update(update) = self.event().await {
                return update;
            }
        }
    }

    /// Reads on until this revision is held: the stream may have begun a moment before it.
    pub(crate) async fn until(&mut self, revision: u64) {
        while self.assembler.held().is_none_or(|held| held.revision.as_u64() < revision) {
            self.event().await;
        }
    }

    fn held(&self) -> Position {
        self.assembler.held().unwrap()
    }

    /// Says what it enforces, and what it refuses.
    pub(crate) async fn report(&self, server: &Server, refused: &[(&str, &str)]) {
        let held = self.held();
        let refusal = |(kind, id): &(&str, &str)| {
            let resource = ResourceName { kind: (*kind).to_owned(), id: (*id).to_owned() };
            Refusal { resource, reason: "no".to_owned() }
        };
        let report = StatusReport {
            node: "edge-1".parse().unwrap(),
            version: "0.1.0".to_owned(),
            region: Some("eu-1".parse().unwrap()),
            epoch: held.epoch,
            revision: held.revision,
            hash: held.hash,
            applied_at: Timestamp::from_unix_ms(1),
            tenants: 1,
            refused: refused.iter().map(refusal).collect(),
            refused_total: refused.len() as u64,
            keys_used: Vec::new(),
        };
        let (to, node) = (server.running.distribution, server.running.node_token.expose());
        let json = serde_json::to_string(&report).unwrap();
        let headers = format!("Authorization: Bearer {node}\r\nContent-Type: application/json\r\n");
        let sent = exchange(to, "POST /distribution/v1/status", &headers, &json).await;
        assert_eq!(sent.status, 204, "{}", sent.body);
    }
}

pub(crate) fn fresh() -> Assembler {
    Assembler::new(RemovalBrake::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_then_each_change_then_signs_of_life() {
    let server = Server::with_acme().await;
    let mut proxy = Proxy::connect(&server, fresh()).await;
    let full = proxy.update().await;
    assert_eq!(full.kind, UpdateKind::Full);
    let acme = server.client.tenants().get("acme").await.unwrap();
    proxy.until(acme.revision).await;
    assert_eq!(proxy.assembler.tenants(), 1);
    let patch = json!({"auth": "jwt"});
    let patched = server.client.tenants().patch("acme", &patch, None).await.unwrap();
    let mut delta = proxy.update().await;
    while delta.to.as_u64() < patched.revision {
        delta = proxy.update().await;
    }
    assert_eq!((delta.kind, delta.to.as_u64()), (UpdateKind::Delta, patched.revision));
    assert!(delta.changes[0].json().unwrap().as_str().contains("jwt"));
    for _ in 0..2 {
        assert_eq!(proxy.event().await, Event::Confirmed);
    }
    server.client.tenants().delete("acme", &DeleteTenantQuery::default(), None).await.unwrap();
    let delta = proxy.update().await;
    assert!(delta.changes[0].json().unwrap().as_str().contains("deleting"));

    // What was missed comes as deltas; what is held already is only confirmed.
    let held = proxy.assembler;
    drop(proxy.stream);
    server.create_tenant("globex", &["globex.example.com"]).await;
    let mut proxy = Proxy::connect(&server, held).await;
    let missed = proxy.update().await;
    assert_eq!((missed.kind, missed.changes.len()), (UpdateKind::Delta, 2));
    let mut proxy = Proxy::connect(&server, proxy.assembler).await;
    assert_eq!(proxy.event().await, Event::Confirmed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_seen_with_what_it_says() {
    let server = Server::with_acme().await;
    let acme = server.client.tenants().get("acme").await.unwrap();
    let mut proxy = Proxy::connect(&server, fresh()).await;
    proxy.until(acme.revision).await;
    let held = proxy.held();
    proxy.report(&server, &[("plan", "pro")]).await;
    let to = server.running.distribution;
    let proxies = server.client.proxies().await.unwrap().items;
    let seen = proxies.first().unwrap();
    assert!(seen.connected);
    assert_eq!(seen.revision, Some(held.revision.as_u64()));
    assert_eq!((seen.lag, seen.refused[0].id.as_str()), (Some(0), "pro"));
    assert_eq!(seen.region.as_ref().unwrap().as_str(), "eu-1");
    assert_eq!(seen.hash_expected, seen.hash);
    assert_eq!(seen.config_age_seconds, Some(0));

    let root = server.running.root_token.expose();
    for token in ["", "x", root] {
        let headers = format!("Authorization: Bearer {token}\r\n");
        let path = "GET /distribution/v1/stream?node=edge-2";
        assert_eq!(exchange(to, path, &headers, "").await.status, 401);
    }
    // Asked to stop, the process does not wait for proxies to leave.
    server.running.stop().await;
}
