//! What a control plane with many tenants answers, and how soon: the real process over HTTP on
//! loopback, beside which this program takes its share of the cores. Not a criterion bench: each
//! figure is one number of one run, printed.
//!
//! Writers make all tenants first, then readers and writers work side by side, each sending its next
//! request when the one before is answered.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this program measures and prints"
)]

#[path = "support/connection.rs"]
mod connection;
#[path = "support/times.rs"]
mod times;

use std::{
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
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tenantry_test_support::Process;
use times::print;
use tokio::task::JoinSet;

const TENANTS: u64 = 100_000;
const CREATORS: u64 = 16;
const READERS: u64 = 50;
const WRITERS: u64 = 10;
/// For how long readers of one kind are measured.
const PERIOD: Duration = Duration::from_secs(10);

/// What readers ask for.
type Asked = fn(&mut StdRng) -> String;

const QUESTIONS: [(&str, Asked); 7] = [
    ("get by slug", |random| format!("/api/v1/tenants/{}", slug(any(random)))),
    ("page of 20 in order of name, from anywhere", |random| {
        format!(
            "/api/v1/tenants?limit=20&order_by=name&filter=name%3A%22{:02}%22",
            any(random) % 100
        )
    }),
    ("page of 100", |_| "/api/v1/tenants".to_owned()),
    ("page of 100 of one plan and label", |random| {
        format!("/api/v1/tenants?plan=pro&label=tier%3Dt{}&order_by=slug", any(random) % 10)
    }),
    ("search for a whole slug", |random| format!("/api/v1/tenants?q={}", slug(any(random)))),
    ("search for three digits, page of 20", |random| {
        format!("/api/v1/tenants?limit=20&q={:03}", any(random) % 1000)
    }),
    ("filter that one in a thousand passes", |random| {
        let one = any(random) % 1000;
        format!(
            "/api/v1/tenants?limit=20&filter=labels.thousandth%3D{one}+AND+NOT+state%3Ddeleting"
        )
    }),
];

fn any(random: &mut StdRng) -> u64 {
    random.random_range(0..TENANTS)
}

fn slug(number: u64) -> String {
    format!("customer-{number:06}")
}

fn tenant(number: u64) -> String {
    let (tier, thousandth) = (number % 10, number % 1000);
    format!(
        r#"{{"slug": "{}", "name": "Customer {number:06} Ltd", "plan": "pro", "domains": ["{}.example.com"],
            "labels": {{"tier": "t{tier}", "thousandth": "{thousandth}"}}, "metadata": {{"crm": "{number}"}}}}"#,
        slug(number),
        slug(number)
    )
}

/// Whoever asks the API.
struct Asking {
    connection: Connection,
    token: Arc<str>,
}

impl Asking {
    async fn open(to: SocketAddr, token: &Arc<str>) -> Self {
        Self { connection: Connection::open(to).await, token: Arc::clone(token) }
    }

    /// How long a request took, which must be answered as expected.
    async fn ask(&mut self, method: &str, path: &str, body: &str, expected: &str) -> Duration {
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let (taken, answer) = self.connection.exchange(&request).await;
        let is_expected = answer.starts_with(format!("HTTP/1.1 {expected}").as_bytes());
        assert!(is_expected, "{path}: {}", String::from_utf8_lossy(answer));
        taken
    }
}

/// A control plane with a plan, and limits that are not what is measured.
async fn control_plane(directory: &Path) -> (Process, SocketAddr, Arc<str>) {
    let any = "127.0.0.1:0".to_owned();
    let data = directory.join("data");
    let arguments = [
        "--data-dir".to_owned(),
        data.display().to_string(),
        "--api-addr".to_owned(),
        any.clone(),
        "--distribution-addr".to_owned(),
        any,
    ];
    let env = [
        ("TENANTRY_API_REQUESTS_PER_SECOND", "1000000"),
        ("TENANTRY_API_REQUESTS_BURST", "1000000"),
    ];
    let process = Process::start("tenantry-control-plane", &arguments, &env, directory);
    let published = data.join("control-plane.addresses.json");
    let api = tenantry_test_support::eventually("the control plane listens", async || {
        let text = fs::read_to_string(&published).ok()?;
        let addresses: serde_json::Value = serde_json::from_str(&text).ok()?;
        addresses.get("api")?.as_str()?.parse::<SocketAddr>().ok()
    })
    .await;
    let token: Arc<str> = fs::read_to_string(data.join("root-token")).unwrap().trim().into();
    let mut connection = Asking::open(api, &token).await;
    connection.ask("POST", "/api/v1/plans", r#"{"id": "pro", "name": "Pro"}"#, "201").await;
    (process, api, token)
}

async fn create_all(api: SocketAddr, token: &Arc<str>) {
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut creators = JoinSet::new();
    for _ in 0..CREATORS {
        let (next, token) = (Arc::clone(&next), Arc::clone(token));
        creators.spawn(async move {
            let mut connection = Asking::open(api, &token).await;
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= TENANTS {
                    return times;
                }
                let taken = connection.ask("POST", "/api/v1/tenants", &tenant(number), "201").await;
                times.push(taken);
            }
        });
    }
    let times = creators.join_all().await.concat();
    print(&format!("creating, {CREATORS} writers"), times, begun.elapsed());
}

async fn write(
    api: SocketAddr,
    token: Arc<str>,
    writer: u64,
    stop: Arc<AtomicBool>,
) -> Vec<Duration> {
    let mut connection = Asking::open(api, &token).await;
    let mut random = StdRng::seed_from_u64(1000 + writer);
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        // Each writer has tenants of its own, so none has to be asked again.
        let number = any(&mut random) / WRITERS * WRITERS + writer;
        let body = format!(r#"{{"labels": {{"tier": "t{}"}}}}"#, number % 10);
        let path = format!("/api/v1/tenants/{}", slug(number));
        times.push(connection.ask("PATCH", &path, &body, "200").await);
    }
    times
}

async fn read(
    api: SocketAddr,
    token: Arc<str>,
    reader: u64,
    asked: Asked,
    stop: Arc<AtomicBool>,
) -> Vec<Duration> {
    let mut connection = Asking::open(api, &token).await;
    let mut random = StdRng::seed_from_u64(reader);
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        times.push(connection.ask("GET", &asked(&mut random), "", "200").await);
    }
    times
}

async fn read_and_write(api: SocketAddr, token: &Arc<str>, what: &str, asked: Asked) {
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    for reader in 0..READERS {
        readers.spawn(read(api, Arc::clone(token), reader, asked, Arc::clone(&stop)));
    }
    for writer in 0..WRITERS {
        writers.spawn(write(api, Arc::clone(token), writer, Arc::clone(&stop)));
    }
    tokio::time::sleep(PERIOD).await;
    stop.store(true, Ordering::Relaxed);
    let over = begun.elapsed();
    print(what, readers.join_all().await.concat(), over);
    print("    and changing meanwhile", writers.join_all().await.concat(), over);
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let (process, api, token) = control_plane(directory.path()).await;
    let before = process.memory_kib();
    create_all(api, &token).await;
    println!(
        "{TENANTS} tenants with a domain each: {} bytes of memory per tenant, {} MiB on disk",
        (process.memory_kib() - before) * 1024 / TENANTS,
        tree_bytes(&directory.path().join("data")) >> 20,
    );
    for (what, asked) in QUESTIONS {
        read_and_write(api, &token, what, asked).await;
    }
    println!("{} MiB of memory at the end", process.memory_kib() >> 10);
}

fn tree_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => tree_bytes(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}
