//! Requests in great number, and what they cost.
//!
//! Two questions need two kinds of load. *What does a request cost, and how many are possible?* A number of clients
//! that each send their next request when the one before is answered. *How long does an answer take?* Requests at
//! times that were fixed before, and time is counted from then, whether or not a connection was free: if the proxy
//! stands still, those that should have been sent meanwhile are late as well.

mod http2;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustls::ClientConfig;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::sleep,
};

use crate::exchange::{Connection, connect, secure};

/// Clients that wait for answers at the same time.
pub(crate) const CLIENTS: usize = 64;
/// How much of the load may fail before its figures say nothing: one in so many.
const ONE_FAILED_IN: u64 = 1000;
const SEED: u64 = 6;

/// One request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Call {
    host: String,
    path: String,
    proof: (String, String),
    bytes: Vec<u8>,
}

impl Call {
    pub(crate) fn new(host: &str, path: &str, proof_name: &str, proof: &str) -> Self {
        let bytes = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n{proof_name}: {proof}\r\n\r\n"
        );
        Self {
            host: host.to_owned(),
            path: path.to_owned(),
            proof: (proof_name.to_owned(), proof.to_owned()),
            bytes: bytes.into_bytes(),
        }
    }
}

/// What is sent, where to, and how.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) to: SocketAddr,
    pub(crate) calls: Arc<[Call]>,
    /// How TLS is spoken, if it is.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Whether each request has a connection of its own.
    pub(crate) is_fresh: bool,
    /// Whether it is HTTP/2.
    pub(crate) is_http2: bool,
}

/// What came of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) requests: u64,
    pub(crate) over: Duration,
    /// What the proxy's processes used meanwhile.
    pub(crate) processor_time: Duration,
}

impl Served {
    pub(crate) fn per_second(&self) -> f64 {
        as_f64(self.requests) / self.over.as_secs_f64()
    }

    /// Microseconds of a core for each request.
    pub(crate) fn cost(&self) -> f64 {
        self.processor_time.as_secs_f64() * 1e6 / as_f64(self.requests.max(1))
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[derive(Debug, Default)]
struct Counters {
    served: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
}

impl Counters {
    fn count(&self, is_good: bool) {
        let counter = if is_good { &self.served } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }
}

/// As many requests as there can be: after a while of warming up, for so long.
pub(crate) async fn saturate(
    load: &Load,
    warm_up: Duration,
    duration: Duration,
    processor_time: impl Fn() -> Duration,
) -> anyhow::Result<Served> {
    let counters = Arc::new(Counters::default());
    let mut clients = JoinSet::new();
    if load.is_http2 {
        http2::spawn(load, &counters, &mut clients);
    } else {
        for number in 0..CLIENTS {
            clients.spawn(client(load.clone(), number, Arc::clone(&counters)));
        }
    }
    sleep(warm_up).await;
    let now = || (Instant::now(), counters.served.load(Ordering::Relaxed), processor_time());
    let (began, before, used_before) = now();
    sleep(duration).await;
    let (ended, after, used_after) = now();
    counters.is_over.store(true, Ordering::Relaxed);
    clients.abort_all();
    while clients.join_next().await.is_some() {}
    let failed = counters.failed.load(Ordering::Relaxed);
    anyhow::ensure!(after > before, "nothing was answered with 200, and {failed} failed");
    anyhow::ensure!(failed * ONE_FAILED_IN <= after, "{failed} failed and {after} did not");
    Ok(Served {
        requests: after - before,
        over: ended - began,
        processor_time: used_after.saturating_sub(used_before),
    })
}

/// A client that sends its next request when the one before is answered.
async fn client(load: Load, number: usize, counters: Arc<Counters>) {
    let mut connection = None;
    // Each client begins with another tenant.
    let mut turn = number * load.calls.len() / CLIENTS;
    while counters.goes_on() {
        // A TLS connection is for one host, and so for one tenant.
        if load.tls.is_none() || load.is_fresh {
            turn += 1;
        }
        let Some(call) = load.calls.get(turn % load.calls.len()) else { return };
        let is_good = ask(&load, call, &mut connection).await.unwrap_or(false);
        counters.count(is_good);
        if !is_good {
            connection = None;
            // Whoever is refused at once must not keep the others from the core.
            tokio::task::yield_now().await;
        }
    }
}

/// Whether a request is answered as it should be.
async fn ask(
    load: &Load,
    call: &Call,
    connection: &mut Option<Connection>,
) -> anyhow::Result<bool> {
    let connected = match connection {
        Some(connected) => connected,
        None => connection.insert(open(load, call).await?),
    };
    let head = connected.exchange(&call.bytes).await?;
    if load.is_fresh || !head.is_kept {
        *connection = None;
    }
    Ok(head.status == 200)
}

async fn open(load: &Load, call: &Call) -> anyhow::Result<Connection> {
    Ok(match &load.tls {
        None => Connection::new(connect(load.to, Ipv4Addr::UNSPECIFIED).await?),
        Some(tls) => Connection::new(secure(load.to, &call.host, tls).await?),
    })
}

/// How long each answer took, at so many requests a second whose times were drawn before: evenly random ones, as
/// many clients that know nothing of each other make.
pub(crate) async fn at_rate(
    load: &Load,
    rate: u32,
    warm_up: Duration,
    duration: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let (send, receive) = mpsc::unbounded_channel();
    let receive = Arc::new(Mutex::new(receive));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(punctual(load.clone(), number, Arc::clone(&receive)));
    }
    let begins = Instant::now();
    let (counts_from, ends) = (begins + warm_up, begins + warm_up + duration);
    let mut random = StdRng::seed_from_u64(SEED);
    let mut due = begins;
    while due < ends {
        let share: f64 = random.random();
        due += Duration::from_secs_f64(-(1.0 - share).ln() / f64::from(rate));
        // Timers of the runtime are good to a millisecond. The origin and the clients have their turns meanwhile.
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        send.send(due)?;
    }
    drop(send);
    let mut times = Vec::new();
    while let Some(of_one) = clients.join_next().await {
        let of_one = of_one??;
        times.extend(of_one.iter().filter(|(due, _)| *due >= counts_from).map(|(_, time)| *time));
    }
    Ok(times)
}

/// A client that sends what is due, and says how long after that it was answered.
async fn punctual(
    load: Load,
    number: usize,
    due: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>,
) -> anyhow::Result<Vec<(Instant, Duration)>> {
    let mut times = Vec::new();
    let mut connection = None;
    let mut turn = number * load.calls.len() / CLIENTS;
    loop {
        let Some(due) = due.lock().await.recv().await else { return Ok(times) };
        turn += 1;
        let Some(call) = load.calls.get(turn % load.calls.len()) else { return Ok(times) };
        if !ask(&load, call, &mut connection).await.unwrap_or(false) {
            // The server may have ended the connection at that moment. Time goes on for the request.
            connection = None;
            let is_good = ask(&load, call, &mut connection).await?;
            anyhow::ensure!(is_good, "a request at a modest rate was refused");
        }
        times.push((due, due.elapsed()));
    }
}
