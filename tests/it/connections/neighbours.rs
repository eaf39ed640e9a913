//! One client does its worst, and another is served as if it were alone.
//!
//! Times on a machine that does other things say little, so each is held against one of the same run, with
//! much room: what is kept out made everybody wait for seconds.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tenantry_test_support::{DEADLINE, Platform, RawConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::Instant,
};

use super::frames::{PREFACE, frame};

const FLOODERS: u64 = 4;
/// Of 16 KiB, sent on each connection: more than anybody's buffers hold.
const PIECES: usize = 4000;

async fn platform(settings: &[(&str, &str)]) -> Platform {
    let settings = [&[("HTTP2__PLAINTEXT", "true")], settings].concat();
    let platform = Platform::start_with(&settings).await;
    platform.tenant("open", json!({"auth": "none"})).await;
    platform
}

/// A whole request for a host that nobody has, in the fewest bytes.
fn request(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, b"\x82\x86\x84\x01\x01x")
}

fn per_stream(bytes: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..20_000).flat_map(|number| bytes(2 * number + 1)).collect()
}

/// What is sent on each connection, as fast as it is taken.
fn floods() -> [(&'static str, Vec<u8>); 7] {
    let continuations = frame(9, 0, 1, b"").repeat(100_000);
    [
        ("SETTINGS", frame(4, 0, 0, &[]).repeat(100_000)),
        ("PING", frame(6, 0, 0, &[0; 8]).repeat(100_000)),
        ("PRIORITY", per_stream(|stream| frame(2, 0, stream, &[0, 0, 0, 0, 16])).repeat(5)),
        ("WINDOW_UPDATE", frame(8, 0, 0, &[0, 0, 0, 1]).repeat(100_000)),
        ("CONTINUATION", [frame(1, 0, 1, &[0x82]), continuations].concat()),
        ("requests", per_stream(request)),
        (
            "resets",
            per_stream(|stream| [request(stream), frame(3, 0, stream, &[0, 0, 0, 8])].concat()),
        ),
    ]
}

async fn connect(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// Sends a flood again and again, on a new connection whenever one is closed.
async fn flood(to: SocketAddr, bytes: Arc<Vec<u8>>, connections: Arc<AtomicU64>) {
    loop {
        let Ok(stream) = connect([127, 0, 0, 2].into(), to).await else { continue };
        connections.fetch_add(1, Relaxed);
        let (mut read, mut write) = stream.into_split();
        let pour = async {
            write.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat()).await?;
            for piece in bytes.chunks(16 * 1024).cycle().take(PIECES) {
                write.write_all(piece).await?;
            }
            write.shutdown().await
        };
        let drain = async {
            let mut scrap = [0; 16 * 1024];
            while read.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
        };
        // What was taken off our hands is not looked at yet: it waits until it is, or is refused.
        let _ = tokio::join!(pour, drain);
    }
}

/// A client that asks for one thing after the other.
struct Healthy(SendRequest<Empty<Bytes>>);

impl Healthy {
    async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    async fn wait(&mut self) -> Duration {
        let began = Instant::now();
        let request = Request::get("http://open.example/").body(Empty::new()).unwrap();
        let response = tokio::time::timeout(DEADLINE, self.0.send_request(request)).await;
        let response = response.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        began.elapsed()
    }

    /// How long requests take: the one in the middle of those of a while.
    async fn median(&mut self) -> Duration {
        let times = self.times().await;
        times[times.len() / 2]
    }

    /// How long requests take: the one that all but a hundredth are faster than.
    async fn p99(&mut self) -> Duration {
        let times = self.times().await;
        times[times.len() * 99 / 100]
    }

    async fn times(&mut self) -> Vec<Duration> {
        let (began, mut times) = (Instant::now(), Vec::new());
        while times.len() < 20 || began.elapsed() < Duration::from_millis(500) {
            times.push(self.wait().await);
        }
        times.sort_unstable();
        times
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_far_above_its_limit_takes_nothing_from_another() {
    const GET: &str = "GET / HTTP/1.1\r\nHost: loud.example\r\n\r\n";
    let platform = platform(&[]).await;
    let limits = json!({"requests": [{"name": "narrow", "quota": 10, "window_seconds": 1}]});
    platform.tenant("loud", json!({"auth": "none", "limits": limits})).await;
    let to = platform.clients();
    let mut healthy = Healthy::connect(to).await;
    healthy.p99().await;
    let alone = healthy.p99().await;
    let (asked, admitted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut loud = JoinSet::new();
    for _ in 0..4 {
        let (asked, admitted) = (Arc::clone(&asked), Arc::clone(&admitted));
        loud.spawn(async move {
            let mut connection = RawConnection::open(to).await;
            loop {
                let status = connection.send(GET).await.answer().await.unwrap().status;
                assert!(status == 200 || status == 429, "{status}");
                asked.fetch_add(1, Relaxed);
                admitted.fetch_add(u64::from(status == 200), Relaxed);
            }
        });
    }
    // The tenant asks for fifty times what it may have, at least.
    let mut beside = healthy.p99().await;
    while asked.load(Relaxed) < 50 * admitted.load(Relaxed) {
        beside = healthy.p99().await;
    }
    assert!(loud.try_join_next().is_none(), "the loud ones were at it all the time");
    let most = (20 * alone).max(Duration::from_millis(250));
    assert!(beside <= most, "alone {alone:?}, beside the loud one {beside:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_do_not_hold_up_others() {
    // With one thread there is nobody else to serve the others.
    let platform = platform(&[("THREADS", "1")]).await;
    let to = platform.clients();
    let mut healthy = Healthy::connect(to).await;
    healthy.median().await;
    for (name, bytes) in floods() {
        let alone = healthy.median().await;
        let (bytes, connections) = (Arc::new(bytes), Arc::new(AtomicU64::new(0)));
        let mut flooders = JoinSet::new();
        for _ in 0..FLOODERS {
            flooders.spawn(flood(to, Arc::clone(&bytes), Arc::clone(&connections)));
        }
        tenantry_test_support::eventually("each flood is shut out again and again", async || {
            (connections.load(Relaxed) > 3 * FLOODERS).then_some(())
        })
        .await;
        let beside = healthy.median().await;
        flooders.shutdown().await;
        let bound = (20 * alone).max(Duration::from_millis(250));
        assert!(beside < bound, "{name}: {alone:?} alone, {beside:?} beside the flood");
    }
}
