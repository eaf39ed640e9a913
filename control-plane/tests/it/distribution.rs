//! The stream as a proxy sees it, read by the proxy's own code.

use bytes::Bytes;
use serde_json::json;
use tenantry_api::DeleteTenantQuery;
use tenantry_distribution::{
    Assembler, Encoding, Event, FrameReader, Position, Refusal, RemovalBrake, ResourceName,
    StatusReport, Update, UpdateKind,
};
use tenantry_model::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::server::{Server, exchange};

mod crowd;
mod regions;

/// A subscription over HTTP/1.0, whose body needs no unwrapping.
pub(crate) struct Proxy {
    stream: TcpStream,
    reader: FrameReader,
    pub(crate) assembler: Assembler,
    /// What it proves itself with.
    token: String,
}

/// Asks for a stream, and answers with the head of the answer.
async fn ask(server: &Server, query: &str, headers: &str) -> (TcpStream, String) {
    ask_as(server, server.running.node_token.expose(), query, headers).await
}

async fn ask_as(server: &Server, token: &str, query: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.running.distribution).await.unwrap();
    let request = format!(
        "GET /distribution/v1/stream?{query} HTTP/1.0\r\nHost: x\r\n\
         Authorization: Bearer {token}\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap().to_ascii_lowercase())
}

fn is_ok(head: &str) -> bool {
    head.starts_with("http/1.0 200")
}

impl Proxy {
    pub(crate) async fn connect(server: &Server, assembler: Assembler) -> Self {
        Self::connect_with(server, assembler, Encoding::Plain).await
    }

    async fn connect_with(server: &Server, assembler: Assembler, encoding: Encoding) -> Self {
        let token = server.running.node_token.expose();
        Self::connect_as(server, token, assembler, encoding).await
    }

    async fn connect_as(
        server: &Server,
        token: &str,
        mut assembler: Assembler,
        encoding: Encoding,
    ) -> Self {
        assembler.restart();
        let position = assembler.resume().map_or(String::new(), |held| {
            format!("&epoch={}&revision={}&hash={}", held.epoch, held.revision, held.hash)
        });
        let accepts = match encoding {
            Encoding::Plain => "",
            Encoding::Zstd => "Accept-Encoding: gzip, zstd\r\n",
        };
        let query = format!("node=edge-1{position}");
        let (stream, head) = ask_as(server, token, &query, accepts).await;
        assert!(is_ok(&head), "{head}");
        let is_zstd = head.contains("\r\ncontent-encoding: zstd\r\n");
        assert_eq!(is_zstd, encoding == Encoding::Zstd, "{head}");
        let (reader, token) = (FrameReader::new(encoding).unwrap(), token.to_owned());
        Self { stream, reader, assembler, token }
    }

    async fn event(&mut self) -> Event {
        loop {
            if let Some(frame) = self.reader.next() {
                match self.assembler.push(frame.unwrap()).unwrap() {
                    Event::Pending | Event::Opened => {}
                    event => return event,
                }
            } else {
                let mut chunk = [0; 4096];
                let length = self.stream.read(&mut chunk).await.unwrap();
                assert!(length > 0, "the stream ended");
                self.reader.push(Bytes::copy_from_slice(chunk.get(..length).unwrap()));
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
            traffic: None,
        };
        let (to, node) = (server.running.distribution, &self.token);
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
    for encoding in [Encoding::Plain, Encoding::Zstd] {
        follow_changes(encoding).await;
    }
}

async fn follow_changes(encoding: Encoding) {
    let server = Server::with_acme().await;
    let mut proxy = Proxy::connect_with(&server, fresh(), encoding).await;
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
    let mut proxy = Proxy::connect_with(&server, held, encoding).await;
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
