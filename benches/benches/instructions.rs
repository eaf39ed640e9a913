//! How many instructions a request takes: of the decision alone, and of all that the proxy does for it. The kernel's
//! are not counted, nor is waiting for memory, so the figures are next to the same from run to run. What the process
//! does beside requests is counted with them, which is more the longer they take: an overloaded machine adds some.
//!
//! The proxy is the real one, run by valgrind's callgrind, and asked one request after the other over loopback.
//! `make bench-check` holds what is counted against `instructions.json`; `... -- --record` writes that file.
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

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use connection::Connection;
use import::import;
use serde_json::json;
use tenantry_benches::{bearer, digest, facts, host, now, secret, table_of};
use tenantry_engine::{Decision, decide};
use tenantry_test_support::{ControlPlane, Edge, EdgeOptions, Origin, Process};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANTS: u32 = 100;
/// Requests before counting begins: connections are made, counters and limiters are there.
const WARM_UP: u32 = 300;
const COUNTED: u32 = 2_000;
/// How much more than what was recorded is too much, in thousandths.
const MOST_PER_MILLE: u64 = 30;

/// Instructions for one request, by what is asked.
type Counts = BTreeMap<String, u64>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, credential, ..] = arguments.as_slice()
        && flag == "--decide"
    {
        decided(credential);
        return ExitCode::SUCCESS;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut counts = decisions(directory.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    counts.extend(runtime.block_on(requests(directory.path())));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    if arguments.iter().any(|argument| argument == "--record") {
        fs::write(&file, serde_json::to_string_pretty(&counts).unwrap() + "\n").unwrap();
    }
    let recorded: Counts = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    if check(&counts, &recorded) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints what was counted, and says whether it is what was recorded, or less.
fn check(counts: &Counts, recorded: &Counts) -> bool {
    println!("{:<44} {:>10} {:>10} {:>8}", "instructions for a request", "counted", "recorded", "");
    let mut is_good = counts.len() == recorded.len();
    for (name, counted) in counts {
        let known = recorded.get(name).copied().unwrap_or(0);
        let is_more = counted * 1_000 > known * (1_000 + MOST_PER_MILLE);
        is_good &= !is_more;
        let word = if is_more { "TOO MANY" } else { "" };
        println!("{name:<44} {counted:>10} {known:>10} {word:>8}");
    }
    is_good
}

/// The decision alone, in a process of its own that counts between the calls of one function.
fn decisions(directory: &Path) -> Counts {
    let mut counts = Counts::new();
    for credential in ["host", "key", "token"] {
        let file = directory.join(credential);
        let mut valgrind = Command::new("valgrind");
        valgrind.args([
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=*counted_decision*",
        ]);
        valgrind.arg(format!("--callgrind-out-file={}", file.display()));
        valgrind.arg(std::env::current_exe().unwrap()).args(["--decide", credential]);
        let run = valgrind.output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        counts.insert(format!("decide by {credential}"), total(&file) / u64::from(COUNTED));
    }
    counts
}

fn decided(credential: &str) {
    let table = table_of(TENANTS).unwrap();
    let nobodys = || "api.example.com".to_owned();
    // Half of the tenants need no credential.
    let request = |number: u32| match credential {
        "host" => (host(number / 2 * 2), None, None),
        "key" => (nobodys(), Some(secret(number)), None),
        _ => (nobodys(), None, Some(bearer(number).unwrap())),
    };
    let requests: Vec<_> = (0..TENANTS).map(request).collect();
    // Tokens are remembered, and limiters are there.
    for (host, key, token) in &requests {
        let facts = facts(host, key.as_deref(), token.as_deref());
        assert!(matches!(decide(&table, &facts, now(), &mut ()), Decision::Forward(_)));
    }
    for (host, key, token) in requests.iter().cycle().take(usize::try_from(COUNTED).unwrap()) {
        let facts = facts(host, key.as_deref(), token.as_deref());
        assert!(matches!(counted_decision(&table, &facts), Decision::Forward(_)));
    }
}

#[inline(never)]
fn counted_decision(
    table: &tenantry_engine::Table,
    facts: &tenantry_engine::RequestFacts<'_>,
) -> Decision {
    std::hint::black_box(decide(table, facts, now(), &mut ()))
}

/// All that the proxy does, for several kinds of requests.
async fn requests(directory: &Path) -> Counts {
    let (origin, control_plane) = (Origin::start().await, platform(directory).await);
    set_up(directory, &control_plane, &origin).await;
    let dumps = directory.join("callgrind.out");
    let tool = ["valgrind", "--tool=callgrind"].map(str::to_owned);
    let out = format!("--callgrind-out-file={}", dumps.display());
    let edge = Edge::start_under(
        tool.into_iter().chain([out]).collect(),
        EdgeOptions {
            node: "edge-1".to_owned(),
            distribution: format!("http://{}", control_plane.distribution()),
            token: control_plane.node_token(),
            settings: vec![(
                "CONNECTIONS__REQUESTS_PER_CONNECTION".to_owned(),
                "1000000".to_owned(),
            )],
        },
    )
    .await;
    let head = control_plane.api().tenants().get("tenant-0").await.unwrap().revision;
    edge.patiently_enforced(head).await;
    let mut connection = Connection::open(edge.clients()).await;
    let mut counts = Counts::new();
    for (dump, (name, lines, status)) in (1..).zip(KINDS) {
        let mut send = async |count: u32| {
            for number in (0..TENANTS).cycle().take(usize::try_from(count).unwrap()) {
                let (host, key) = (host(number / 2 * 2), secret(number / 2 * 2));
                let lines = lines.replace("KEY", &key);
                let request =
                    format!("GET /reports/2026?page=2 HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
                let (_, answer) = connection.exchange(&request).await;
                assert!(answer.starts_with(status.as_bytes()), "{name}");
            }
        };
        send(WARM_UP).await;
        control(edge.process(), "--zero");
        send(COUNTED).await;
        control(edge.process(), "--dump");
        let dumped = PathBuf::from(format!("{}.{dump}", dumps.display()));
        counts.insert(name.to_owned(), total(&dumped) / u64::from(COUNTED));
    }
    counts
}

/// What is asked: a name, header lines besides the host, and how the answer begins.
const KINDS: [(&str, &str, &str); 4] = [
    (
        "request with a key, relayed",
        "X-API-Key: KEY\r\nAccept: */*\r\nUser-Agent: bench\r\n",
        "HTTP/1.1 200",
    ),
    (
        "request as a browser sends it, relayed",
        "X-API-Key: KEY\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.5\r\nCookie: session=0123456789abcdef\r\n\
         Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n",
        "HTTP/1.1 200",
    ),
    (
        "request with a key, by pingora",
        "X-API-Key: KEY\r\nTE: trailers\r\nAccept: */*\r\n",
        "HTTP/1.1 200",
    ),
    ("request with a bad key, refused", "X-API-Key: wrong\r\nAccept: */*\r\n", "HTTP/1.1 401"),
];

async fn platform(directory: &Path) -> ControlPlane {
    ControlPlane::start(&directory.join("data"), &[]).await
}

async fn set_up(directory: &Path, control_plane: &ControlPlane, origin: &Origin) {
    let api = control_plane.api();
    let limits = json!({"requests": [{"name": "burst", "quota": 1_000_000, "window_seconds": 1}]});
    for (path, body) in [
        ("/upstreams", json!({"id": "main", "endpoints": [{"address": origin.address()}]})),
        ("/routes", json!({"id": "all", "upstream": "main"})),
        ("/plans", json!({"id": "pro", "name": "Pro", "limits": limits})),
    ] {
        api.raw("POST", path, Some(&body)).await.unwrap();
    }
    let mut lines = String::new();
    for number in 0..TENANTS {
        let line = json!({
            "slug": format!("tenant-{number}"), "name": "A tenant", "plan": "pro", "domains": [host(number)],
            "key": {"name": "ci", "digest": digest(number).unwrap()},
        });
        writeln!(lines, "{line}").unwrap();
    }
    let file = directory.join("tenants.ndjson");
    fs::write(&file, lines).unwrap();
    import(control_plane, &directory.join("data"), &file);
}

/// Tells callgrind to begin counting anew, or to write down what it counted.
fn control(process: &Process, word: &str) {
    let pid = process.id().to_string();
    let told = Command::new("callgrind_control").args([word, &pid]).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

/// The instructions in a file that callgrind wrote.
fn total(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let total = |line: &str| -> Option<u64> {
        let number = line.strip_prefix("totals: ").or(line.strip_prefix("summary: "))?;
        number.trim().parse().ok()
    };
    text.lines().rev().find_map(total).unwrap()
}
