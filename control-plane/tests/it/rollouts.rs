//! Staged roll-outs over HTTP: chosen, watched by what proxies report, released and taken back.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use tenantry_distribution::{Assembler, RemovalBrake};
use tenantry_model::Timestamp;
use tenantry_tenancy::Clock;
use tenantry_test_support::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    distribution::Proxy,
    server::{Answer, Server, exchange},
};

struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::Relaxed))
    }
}

/// A control plane that two proxies follow.
struct World {
    server: Server,
    clock: Arc<ManualClock>,
    epoch: String,
    _edges: (Proxy, TcpStream),
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock(AtomicU64::new(1_800_000_000_000)));
        let server = Server::clocked(Arc::<ManualClock>::clone(&clock)).await.and_acme().await;
        let assembler = Assembler::new(RemovalBrake::default());
        let mut first = Proxy::connect(&server, assembler).await;
        first.until(1).await;
        let epoch = first.assembler.held().unwrap().epoch.to_string();
        let second = follow(&server, "edge-2").await;
        Self { server, clock, epoch, _edges: (first, second) }
    }

    fn pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    async fn start(&self, query: &str) -> Answer {
        let body = json!({"documents": [{"kind": "plan", "id": "pro", "name": "Pro+"}]});
        let line = format!("POST /api/v1/rollouts?{query}");
        self.server.send(&line, "", &body.to_string()).await
    }

    async fn started(&self, query: &str) -> Value {
        let answer = self.start(query).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let body = answer.json();
        let location = format!("/api/v1/rollouts/{}", body["id"].as_str().unwrap());
        assert_eq!(answer.header("location"), Some(location.as_str()));
        body
    }

    async fn shown(&self, rollout: &Value) -> Value {
        let line = format!("GET /api/v1/rollouts/{}", rollout["id"].as_str().unwrap());
        self.server.send(&line, "", "").await.json()
    }

    async fn plan(&self) -> String {
        let plan = self.server.send("GET /api/v1/plans/pro", "", "").await.json();
        plan["name"].as_str().unwrap().to_owned()
    }

    /// Once a roll-out is in this state.
    async fn reaches(&self, rollout: &Value, state: &str) -> Value {
        eventually(state, async || {
            Some(self.shown(rollout).await).filter(|shown| shown["state"] == state)
        })
        .await
    }

    /// A proxy says that it holds what it is to hold since the roll-out began, what it refuses, and how many requests it
    /// has answered with how many 5xx.
    async fn report(&self, node: &str, rollout: &Value, refused: &[&str], traffic: (u64, u64)) {
        let refused: Vec<_> = refused
            .iter()
            .map(|id| json!({"resource": {"kind": "plan", "id": id}, "reason": "too small"}))
            .collect();
        let mut report = json!({
            "node": node, "version": "0.1.0", "epoch": self.epoch,
            "revision": rollout["started_revision"], "hash": "0".repeat(32),
            "applied_at": "2027-01-01T00:00:00Z", "tenants": 1, "refused_total": refused.len(),
            "refused": refused,
        });
        if rollout["nodes"].as_array().is_some_and(|nodes| nodes.contains(&json!(node))) {
            // The hash of a state that has not begun yet is not known.
            report["hash"] = eventually("the state with the change", async || {
                self.send(&report).await;
                self.expected(node).await
            })
            .await;
        }
        report["traffic"] = json!({
            "since": "2027-01-01T00:00:00Z", "requests": traffic.0,
            "server_errors": traffic.1, "denied": 0,
        });
        self.send(&report).await;
    }

    /// The hash that a proxy is to report at its revision, if that is a state it was sent.
    async fn expected(&self, node: &str) -> Option<Value> {
        let proxies = self.server.send("GET /api/v1/proxies", "", "").await.json();
        let mut items = proxies["items"].as_array().unwrap().iter();
        let hash = &items.find(|item| item["node"] == node)?["hash_expected"];
        hash.is_string().then(|| hash.clone())
    }

    async fn send(&self, report: &Value) {
        let running = &self.server.running;
        let token = running.node_token.expose();
        let headers =
            format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        let line = "POST /distribution/v1/status";
        let sent = exchange(running.distribution, line, &headers, &report.to_string()).await;
        assert_eq!(sent.status, 204, "{}", sent.body);
    }
}

/// Opens a stream that nobody reads.
async fn follow(server: &Server, node: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.running.distribution).await.unwrap();
    let token = server.running.node_token.expose();
    let request = format!(
        "GET /distribution/v1/stream?node={node} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_released_when_its_time_is_over() {
    let world = World::new().await;
    let before = json!({"started_revision": 1});
    for node in ["edge-1", "edge-2"] {
        world.report(node, &before, &[], (1000, 0)).await;
    }
    let rollout = world.started("node=edge-1&watch_seconds=10").await;
    assert_eq!(rollout["state"], "watching");
    assert_eq!(rollout["nodes"], json!(["edge-1"]));
    assert_eq!(rollout["chosen_by"], json!({"nodes": ["edge-1"]}));
    let change = json!([{"action": "update", "kind": "plan", "id": "pro"}]);
    assert_eq!(rollout["changes"], change);
    assert_eq!(world.plan().await, "Pro");
    let second = world.start("percentage=10").await;
    assert_eq!(second.status, 409);
    assert_eq!(second.json()["type"], "urn:tenantry:problem:rollout-under-way");
    assert!(second.body.contains(rollout["id"].as_str().unwrap()), "{}", second.body);

    world.report("edge-1", &rollout, &[], (1000, 0)).await;
    let watch = eventually("the proxy has it", async || {
        let shown = world.shown(&rollout).await;
        Some(shown["watch"].clone()).filter(|watch| watch["proxies"][0]["enforces"] == true)
    })
    .await;
    assert_eq!((&watch["ready"], &watch["reference_of"]), (&json!(false), &json!("before")));
    // Others answer just as badly.
    world.report("edge-2", &rollout, &[], (1200, 100)).await;
    world.report("edge-1", &rollout, &[], (1200, 100)).await;
    world.pass(10);
    let released = world.reaches(&rollout, "released").await;
    assert_eq!((&released["watch"], &released["changes"]), (&Value::Null, &change));
    assert_eq!(world.plan().await, "Pro+");
    let listed = world.server.send("GET /api/v1/rollouts", "", "").await.json();
    assert_eq!(listed["items"][0]["id"], rollout["id"]);
    assert_eq!(listed["items"][0]["started_revision"], rollout["started_revision"]);
    let late = format!("POST /api/v1/rollouts/{}/release", rollout["id"].as_str().unwrap());
    assert_eq!(
        world.server.send(&late, "", "").await.json()["type"],
        "urn:tenantry:problem:rollout-ended"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_refuses_or_answers_badly_takes_it_back() {
    let world = World::new().await;
    let node = json!({"name": "edge-1", "labels": {"ring": "canary", "zone": "1"}}).to_string();
    assert_eq!(world.server.send("POST /api/v1/nodes", "", &node).await.status, 201);
    let rollout = world.started("label=ring%3Dcanary,zone%3D1").await;
    assert_eq!(rollout["nodes"], json!(["edge-1"]));
    // What it refuses of something else is no reason.
    world.report("edge-1", &rollout, &["other"], (0, 0)).await;
    world.report("edge-1", &rollout, &["other", "pro"], (0, 0)).await;
    let ended = world.reaches(&rollout, "taken_back").await;
    assert_eq!(ended["reason"], "edge-1 refuses plan/pro: too small");

    let rollout = world.started("node=edge-1&min_requests=50").await;
    world.report("edge-1", &rollout, &[], (49, 49)).await;
    world.report("edge-1", &rollout, &[], (100, 49)).await;
    let ended = world.reaches(&rollout, "taken_back").await;
    let reason = "of 100 requests at the chosen proxies 49.0 % were answered 5xx, against 0.0 % as it should be";
    assert!(ended["reason"].as_str().unwrap().starts_with(reason), "{ended}");
    assert_eq!(world.plan().await, "Pro");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_takes_it_back() {
    let world = World::new().await;
    let rollout = world.started("percentage=1").await;
    assert_eq!(rollout["nodes"].as_array().unwrap().len(), 1);
    let line = "PATCH /api/v1/plans/pro";
    assert_eq!(world.server.send(line, "", r#"{"name":"Mine"}"#).await.status, 200);
    let ended = world.reaches(&rollout, "taken_back").await;
    assert_eq!(ended["reason"], "plan/pro was changed by somebody else");
    assert_eq!(world.plan().await, "Mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_have_it_at_the_end_takes_it_back() {
    let world = World::new().await;
    let rollout = world.started("percentage=100&watch_seconds=5").await;
    assert_eq!(rollout["nodes"], json!(["edge-1", "edge-2"]));
    world.report("edge-1", &rollout, &[], (0, 0)).await;
    world.pass(5);
    let ended = world.reaches(&rollout, "taken_back").await;
    assert_eq!(ended["reason"], "not in force at the end: edge-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_releases_it_or_takes_it_back() {
    let world = World::new().await;
    let query = "node=edge-1&watch_seconds=5&release=manual";
    for (verb, body, state, reason) in [
        ("take-back", "{}", "taken_back", json!("an operator has taken it back")),
        ("take-back", r#"{"reason":"not today"}"#, "taken_back", json!("not today")),
        ("release", "", "released", Value::Null),
    ] {
        let rollout = world.started(query).await;
        world.report("edge-1", &rollout, &[], (0, 0)).await;
        world.pass(5);
        eventually("it waits", async || {
            (world.shown(&rollout).await["watch"]["ready"] == true).then_some(())
        })
        .await;
        let path = format!("POST /api/v1/rollouts/{}/{verb}", rollout["id"].as_str().unwrap());
        let rehearsed = world.server.send(&format!("{path}?dry_run=true"), "", body).await;
        assert_eq!(rehearsed.json()["state"], state, "{}", rehearsed.body);
        assert_eq!(world.shown(&rollout).await["state"], "watching");
        let ended = world.server.send(&path, "", body).await;
        assert_eq!(ended.status, 200, "{}", ended.body);
        let ended = ended.json();
        assert_eq!((&ended["state"], &ended["reason"]), (&json!(state), &reason));
    }
    assert_eq!(world.plan().await, "Pro+");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_it_first_is_said_in_one_way_and_is_there() {
    let world = World::new().await;
    for (query, status, pointer) in [
        ("", 400, "?node"),
        ("node=edge-1&percentage=10", 400, "?node"),
        ("percentage=0", 400, "?percentage"),
        ("percentage=101", 400, "?percentage"),
        ("label=ring", 400, "?label"),
        ("node=a%20b", 400, "?node"),
        ("node=edge-1,edge-9", 422, "?node"),
        ("label=ring%3Dcanary", 422, "?label"),
        ("percentage=10&watch_seconds=0", 400, "?watch_seconds"),
        ("percentage=10&min_requests=0", 400, "?min_requests"),
        ("percentage=10&release=later", 400, "?release"),
    ] {
        let answer = world.start(query).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{query}");
    }
    let nothing = json!({"documents": [{"kind": "plan", "id": "pro", "name": "Pro"}]}).to_string();
    let answer = world.server.send("POST /api/v1/rollouts?percentage=10", "", &nothing).await;
    assert_eq!(
        (answer.status, &answer.json()["errors"][0]["pointer"]),
        (422, &json!("/documents"))
    );
    let rehearsed = world.start("percentage=100&dry_run=true").await;
    assert_eq!((rehearsed.status, rehearsed.header("dry-run")), (201, Some("true")));
    assert_eq!(rehearsed.json()["nodes"], json!(["edge-1", "edge-2"]));
    let listed = world.server.send("GET /api/v1/rollouts", "", "").await.json();
    assert_eq!(listed["items"], json!([]));
    let line = "GET /api/v1/rollouts/rol_1";
    assert_eq!(world.server.send(line, "", "").await.status, 404);
    // With none that follows, there is nobody to choose.
    let alone = Server::with_acme().await;
    let body = json!({"documents": [{"kind": "plan", "id": "pro", "name": "Pro+"}]}).to_string();
    let answer = alone.send("POST /api/v1/rollouts?percentage=100", "", &body).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("no proxy that is connected"), "{}", answer.body);
}
