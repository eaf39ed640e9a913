//! The proxy ends, and another takes its place, and no client notices.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use serde_json::json;
use tenantry_test_support::{DEADLINE, Platform, RawConnection, eventually};
use tokio::{net::TcpStream, task::JoinSet};

const GET: &str = "GET / HTTP/1.1\r\nHost: open.example\r\n\r\n";
const GRACE: [(&str, &str); 1] = [("SHUTDOWN_GRACE_SECONDS", "30")];

async fn platform(settings: &[(&str, &str)]) -> Platform {
    let platform = Platform::start_with(settings).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform
}

/// Sends half of a request, and the rest when told to.
async fn half(platform: &Platform) -> RawConnection {
    let mut connection = RawConnection::open(platform.clients()).await;
    let head = "POST / HTTP/1.1\r\nHost: open.example\r\nContent-Length: 10\r\n\r\n";
    connection.send(head).await.send("01234").await;
    // It has begun once the gateway counts it.
    eventually("the request is in progress", async || {
        let in_flight = "tenantry_in_flight_requests{tenant=\"open\"}";
        platform.metric(in_flight).await.filter(|count| *count >= 1)
    })
    .await;
    connection
}

#[tokio::test]
async fn what_is_in_progress_is_finished_and_nothing_new_is_taken() {
    let settings = [GRACE.as_slice(), &[("SHUTDOWN_DELAY_SECONDS", "1")]].concat();
    let mut platform = platform(&settings).await;
    let mut in_progress = half(&platform).await;
    let mut process = platform.take_proxy();
    process.ask_to_end();
    eventually("it is not ready any more", async || {
        (platform.admin_get("/readyz").await.0 == 503).then_some(())
    })
    .await;
    // Load balancers have not noticed yet: it still serves.
    assert_eq!(platform.get("open.example", "/").status().await, 200);
    eventually("nothing new is accepted", async || {
        TcpStream::connect(platform.clients()).await.err()
    })
    .await;
    assert!(!process.has_ended());
    let answer = in_progress.send("56789").await.answer().await.unwrap();
    assert_eq!((answer.status, answer.headers["connection"].as_str()), (200, "close"));
    assert!(process.exit().await.success());
}

#[tokio::test]
async fn the_deadline_is_kept() {
    let mut platform = platform(&[("SHUTDOWN_GRACE_SECONDS", "1")]).await;
    let mut in_progress = half(&platform).await;
    assert!(platform.take_proxy().terminate().await.success());
    assert_eq!(in_progress.answer().await, None);
}

#[tokio::test]
async fn an_upgrade_under_load_fails_no_request() {
    let mut platform = platform(&GRACE).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = JoinSet::new();
    for keeps_connection in [true, true, false, false] {
        let (stop, served, to) = (Arc::clone(&stop), Arc::clone(&served), platform.clients());
        clients.spawn(async move {
            let mut connection = RawConnection::open(to).await;
            while !stop.load(Relaxed) {
                let answer = connection.send(GET).await.answer().await;
                let answer = answer.expect("every request is answered");
                assert_eq!(answer.status, 200);
                served.fetch_add(1, Relaxed);
                let is_closed = answer.headers.get("connection").is_some_and(|it| it == "close");
                if is_closed || !keeps_connection {
                    connection = RawConnection::open(to).await;
                }
            }
        });
    }
    let more = async |than: u64| {
        let goal = served.load(Relaxed) + than;
        eventually("requests are served", async || (served.load(Relaxed) > goal).then_some(()))
            .await;
    };
    more(100).await;
    let mut in_progress = half(&platform).await;
    for _ in 0..2 {
        let mut predecessor = platform.upgrade_proxy().await;
        more(100).await;
        assert_eq!(in_progress.send("56789").await.answer().await.unwrap().status, 200);
        assert!(predecessor.exit().await.success());
        more(100).await;
        in_progress = half(&platform).await;
    }
    stop.store(true, Relaxed);
    tokio::time::timeout(DEADLINE, async {
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_upgrade_without_a_predecessor_says_what_to_do() {
    let mut platform = platform(&[]).await;
    platform.kill_proxy();
    let directory = platform.path("data/proxy").display().to_string();
    let arguments = ["--upgrade", "--proxy-data-dir", &directory, "--node-token-file"];
    let token = platform.path("data/node-token").display().to_string();
    let arguments: Vec<String> =
        arguments.into_iter().chain([token.as_str()]).map(str::to_owned).collect();
    let mut process = tenantry_test_support::Process::start(
        "tenantry-proxy",
        &arguments,
        &[],
        &platform.path("."),
    );
    assert!(!process.exit().await.success());
    let printed = process.printed();
    assert!(printed.contains("start without --upgrade"), "{printed}");
}
