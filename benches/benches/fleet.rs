//! Distribution with many tenants: real processes on loopback, beside which this program takes its share of the
//! cores. Not a criterion bench: each figure is one number of one run, printed.
//!
//! `cargo bench -p tenantry-benches --bench fleet -- 1000000` for another number of tenants than 100,000.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this program measures and prints"
)]

#[path = "support/connection.rs"]
mod connection;
#[path = "support/import.rs"]
mod import;
#[path = "support/times.rs"]
mod times;

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use connection::Connection;
use import::import;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tenantry_api::Client;
use tenantry_test_support::{ControlPlane, Edge, EdgeOptions, Origin};
use times::print;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

const TENANTS: u64 = 100_000;
/// Tenants of one import, which may name only so many things.
const ONE_IMPORT: usize = 250_000;
/// Changes whose way to the proxy is timed, one after the other.
const CHANGES: u64 = 400;
/// Proxies that only read, on one control plane.
const STREAMS: usize = 100;
/// Requests a second through the proxy, over so many connections.
const RATE: u64 = 2_000;
const CONNECTIONS: u64 = 20;
/// For how long requests are sent with and without changes, in turn.
const PERIOD: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;

fn host(number: u64) -> String {
    format!("t{number}.example")
}

fn slug(number: u64) -> String {
    format!("t{number}")
}

/// How a request for a host is answered.
async fn status(connection: &mut Connection, host: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let (_, answer) = connection.exchange(&request).await;
    std::str::from_utf8(answer.get(9..12).unwrap()).unwrap().parse().unwrap()
}

/// Who changes tenants, and asks the proxy.
struct World {
    control_plane: ControlPlane,
    edge: Edge,
    api: Client,
    clients: SocketAddr,
    tenants: u64,
    random: StdRng,
}

impl World {
    fn any(&mut self) -> u64 {
        self.random.random_range(0..self.tenants)
    }

    /// From the answer of the API to the first request that is answered by the new state.
    async fn propagation(&mut self, proxy: &mut Connection) -> Duration {
        let tenant = self.any();
        let (host, slug) = (host(tenant), slug(tenant));
        assert_eq!(status(proxy, &host).await, 200);
        self.api.tenants().suspend(&slug, "measured").await.unwrap();
        let begun = Instant::now();
        while status(proxy, &host).await != 403 {}
        let taken = begun.elapsed();
        self.api.tenants().resume(&slug).await.unwrap();
        while status(proxy, &host).await != 200 {}
        taken
    }
}

fn lines(numbers: &[u64]) -> String {
    let mut lines = String::new();
    for number in numbers {
        let (slug, host) = (slug(*number), host(*number));
        writeln!(
            lines,
            r#"{{"slug":"{slug}","name":"{slug}","plan":"pro","auth":"none","domains":["{host}"],"key":{{"name":"ci","digest":"{number:064x}"}}}}"#
        )
        .unwrap();
    }
    lines
}

/// A platform with so many tenants, each with a domain and a key, made by import.
async fn platform(directory: &Path, tenants: u64, origin: &Origin) -> ControlPlane {
    let settings = [("API_REQUESTS_PER_SECOND", "1000000"), ("API_REQUESTS_BURST", "1000000")];
    let data = directory.join("data");
    let control_plane = ControlPlane::start(&data, &settings).await;
    let api = control_plane.api();
    for (path, body) in [
        ("/upstreams", json!({"id": "main", "endpoints": [{"address": origin.address()}]})),
        ("/routes", json!({"id": "all", "upstream": "main"})),
        (
            "/plans",
            json!({"id": "pro", "name": "Pro", "limits": {
            "requests": [{"name": "burst", "quota": 1_000_000, "window_seconds": 1}]}}),
        ),
    ] {
        api.raw("POST", path, Some(&body)).await.unwrap();
    }
    let (file, begun) = (directory.join("tenants.ndjson"), Instant::now());
    let numbers: Vec<u64> = (0..tenants).collect();
    for part in numbers.chunks(ONE_IMPORT) {
        fs::write(&file, lines(part)).unwrap();
        import(&control_plane, &data, &file);
    }
    println!("imported in {:.1} s", begun.elapsed().as_secs_f64());
    control_plane
}

/// A stream that is read and thrown away; it says of each commit that it has come.
async fn stream(
    to: SocketAddr,
    token: String,
    position: String,
    node: usize,
    seen: Arc<AtomicU64>,
) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let request = format!(
        "GET /distribution/v1/stream?node=read-{node}{position} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    loop {
        if stream.read_buf(&mut rest).await.unwrap() == 0 {
            return;
        }
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if line.starts_with(b"{\"commit\"") {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn many_streams(world: &mut World) {
    let node = world.edge.node().to_owned();
    let proxies = world.api.proxies().await.unwrap().items;
    let at = proxies.into_iter().find(|proxy| proxy.node == node).unwrap();
    let position = format!(
        "&epoch={}&revision={}&hash={}",
        at.epoch.unwrap(),
        at.revision.unwrap(),
        at.hash.unwrap()
    );
    let seen: Vec<_> = (0..STREAMS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut streams = JoinSet::new();
    let (to, token) = (world.control_plane.distribution(), world.control_plane.node_token());
    for (node, seen) in seen.iter().enumerate() {
        streams.spawn(stream(to, token.clone(), position.clone(), node, Arc::clone(seen)));
    }
    tenantry_test_support::eventually("all are connected", async || {
        let proxies = world.api.proxies().await.unwrap().items;
        (proxies.iter().filter(|proxy| proxy.connected).count() > STREAMS).then_some(())
    })
    .await;
    let mut times = Vec::new();
    let begun = Instant::now();
    for number in 1..=CHANGES {
        let tenant = slug(world.any());
        let patch =
            json!({"access": {"mode": "public", "deny": [format!("10.0.{}.0/24", number % 256)]}});
        world.api.tenants().patch(&tenant, &patch, None).await.unwrap();
        let answered = Instant::now();
        while seen.iter().any(|seen| seen.load(Ordering::Relaxed) < number) {
            tokio::task::yield_now().await;
        }
        times.push(answered.elapsed());
    }
    print(
        &format!("from an answer of the API to the last of {STREAMS} streams"),
        times,
        begun.elapsed(),
    );
    streams.shutdown().await;
}

/// Requests at a fixed rate, each timed from when it was to be sent: a proxy that holds one up is charged with all
/// that wait behind it.
async fn load(clients: SocketAddr, tenants: u64) -> Vec<Duration> {
    let mut connections = JoinSet::new();
    for number in 0..CONNECTIONS {
        connections.spawn(async move {
            let mut connection = Connection::open(clients).await;
            let mut random = StdRng::seed_from_u64(number);
            let every = Duration::from_secs(1) * u32::try_from(CONNECTIONS).unwrap()
                / u32::try_from(RATE).unwrap();
            let mut pace = interval(every);
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (begun, mut times) = (Instant::now(), Vec::new());
            while begun.elapsed() < PERIOD {
                let due = pace.tick().await;
                status(&mut connection, &host(random.random_range(0..tenants))).await;
                times.push(due.elapsed());
            }
            times
        });
    }
    connections.join_all().await.concat()
}

/// A hundred changes a second, of tenants that nobody asks for more than for others.
async fn changes(api: Client, tenants: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut pace = interval(Duration::from_millis(10));
    let (mut random, mut made) = (StdRng::seed_from_u64(7), 0_u64);
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let tenant = slug(random.random_range(0..tenants));
        let patch =
            json!({"access": {"mode": "public", "deny": [format!("10.1.{}.0/24", made % 256)]}});
        api.tenants().patch(&tenant, &patch, None).await.unwrap();
        made += 1;
    }
    made
}

async fn traffic_under_changes(world: &World) {
    for round in 1..=ROUNDS {
        let quiet = load(world.clients, world.tenants).await;
        print(&format!("round {round}: requests"), quiet, PERIOD);
        let stop = Arc::new(AtomicBool::new(false));
        let changing = tokio::spawn(changes(world.api.clone(), world.tenants, Arc::clone(&stop)));
        let busy = load(world.clients, world.tenants).await;
        stop.store(true, Ordering::Relaxed);
        let made = changing.await.unwrap();
        print(&format!("round {round}: requests beside {made} changes"), busy, PERIOD);
    }
}

#[tokio::main]
async fn main() {
    let tenants = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(TENANTS);
    println!("{tenants} tenants, each with a domain and a key");
    let (directory, origin) = (tempfile::tempdir().unwrap(), Origin::start().await);
    let mut control_plane = platform(directory.path(), tenants, &origin).await;
    println!("control plane: {} MiB of memory", control_plane.process().memory_kib() >> 10);
    let begun = Instant::now();
    control_plane.kill();
    control_plane.launch().await;
    // However long that takes.
    while control_plane.get("/readyz").await.is_none_or(|(status, _)| status != 200) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("control plane: ready {:.1} s after a crash", begun.elapsed().as_secs_f64());
    println!("control plane: {} MiB of memory then", control_plane.process().memory_kib() >> 10);

    let api = control_plane.api();
    let head = api.tenants().patch("t0", &json!({"name": "First"}), None).await.unwrap().revision;
    let begun = Instant::now();
    let mut edge = Edge::start(EdgeOptions {
        node: "edge-1".to_owned(),
        distribution: format!("http://{}", control_plane.distribution()),
        token: control_plane.node_token(),
        // This program asks again and again on one connection until it hears the new state.
        settings: vec![(
            "CONNECTIONS__REQUESTS_PER_CONNECTION".to_owned(),
            "4000000000".to_owned(),
        )],
    })
    .await;
    edge.patiently_enforced(head).await;
    println!("proxy: full state enforced {:.1} s after its start", begun.elapsed().as_secs_f64());
    println!("proxy: {} bytes of memory per tenant", edge.memory_kib() * 1024 / tenants);
    edge.patiently_recorded(head).await;
    println!(
        "last-known-good file: {} MiB",
        fs::metadata(edge.file("last-known-good.ndjson")).unwrap().len() >> 20
    );
    edge.kill();
    let begun = Instant::now();
    edge.start_again().await;
    edge.patiently_enforced(head).await;
    println!(
        "proxy: enforces what its file holds {:.1} s after its start",
        begun.elapsed().as_secs_f64()
    );
    println!("proxy: {} bytes of memory per tenant then", edge.memory_kib() * 1024 / tenants);

    let clients = edge.clients();
    let random = StdRng::seed_from_u64(1);
    let mut world = World { control_plane, edge, api, clients, tenants, random };
    let mut proxy = Connection::open(clients).await;
    let (mut times, begun) = (Vec::new(), Instant::now());
    for _ in 0..CHANGES {
        times.push(world.propagation(&mut proxy).await);
    }
    print("from an answer of the API to enforcement", times, begun.elapsed());
    traffic_under_changes(&world).await;
    many_streams(&mut world).await;
}
