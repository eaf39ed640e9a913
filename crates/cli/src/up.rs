//! `tenantry up`: control plane and proxy on this machine, with one data directory.
//!
//! Both run as child processes, each in a process group of its own, so that Ctrl-C reaches only this
//! command, which then stops them in good order. A child dies with this process however it ends:
//! see [`child`]; one that ends by itself is started again: see [`supervise`].

mod child;
mod data_dir;
mod demo;
mod error;
mod log;
mod processes;
mod progress;
mod signals;
mod start;
mod supervise;

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use clap::Args;
use tokio::time::timeout;

pub(crate) use child::{RunChild, run_child};
pub(crate) use error::UpError;

use crate::{args::Connection, session::ADDRESSES};
use data_dir::DataDir;
use demo::{Demo, Guide};
use processes::Processes;
use progress::Progress;
use signals::Signals;
use start::Addresses;
use supervise::Launch;

/// All of it must be ready by then, or something is wrong.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// Where to listen; what is not given comes from `TENANTRY_*` or the defaults of each process.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Add a small origin server and demo tenants, and print requests to try
    #[arg(long)]
    demo: bool,
    /// Where clients connect; port 0 takes a free one [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDRESS")]
    proxy_addr: Option<SocketAddr>,
    /// Where clients that speak TLS connect [default: 0.0.0.0:8443]
    #[arg(long, value_name = "ADDRESS")]
    proxy_tls_addr: Option<SocketAddr>,
    /// Where the proxy serves metrics, health and explain [default: 127.0.0.1:7080]
    #[arg(long, value_name = "ADDRESS")]
    proxy_admin_addr: Option<SocketAddr>,
    /// Where the API listens [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS")]
    api_addr: Option<SocketAddr>,
    /// Where distribution to proxies listens [default: 127.0.0.1:7071]
    #[arg(long, value_name = "ADDRESS")]
    distribution_addr: Option<SocketAddr>,
}

/// What one run works with.
struct Running<'a> {
    up: &'a Up,
    token: Option<&'a str>,
    directory: &'a DataDir,
    now: u64,
}

/// Runs until it is told to stop, or until a child cannot be kept running. `now` is in seconds since 1970.
pub(crate) async fn run(up: &Up, connection: &Connection, now: u64) -> Result<(), UpError> {
    let directory = DataDir::open(&connection.data_dir)?;
    let mut signals = Signals::listen().map_err(UpError::Signals)?;
    let mut processes = Processes::new(&directory, connection.token.as_deref())?;
    let mut progress = Progress::default();
    let token = connection.token.as_deref();
    let running = Running { up, token, directory: &directory, now };
    let ended = tokio::select! {
        biased;
        () = signals.received() => Ok(()),
        failed = serve(running, &mut processes, &mut progress) => failed.map(|never| match never {}),
    };
    if let Err(UpError::Ended(ended) | UpError::GaveUp { ended, .. }) = &ended {
        progress.tail(&ended.log, &ended.last_lines);
    }
    directory.forget_addresses();
    progress.begin("stopping");
    match timeout(processes::GRACE * 2, processes.stop(signals.received())).await {
        Ok(()) => progress.end("done"),
        Err(_) => progress.end("gave up waiting"),
    }
    demo::expire(&directory);
    ended
}

/// Ends only by a failure.
async fn serve(
    running: Running<'_>,
    processes: &mut Processes,
    progress: &mut Progress,
) -> Result<Infallible, UpError> {
    let log_dir = running.directory.path();
    let started = timeout(START_DEADLINE, start(&running, processes, progress)).await;
    let (addresses, guide) =
        started.map_err(|_| UpError::Slow { log_dir: log_dir.to_owned() })??;
    progress.ready(log_dir, &addresses, guide.as_ref());
    let master_key = running.directory.master_key()?;
    let launch = Launch { data_dir: log_dir, master_key: &master_key, addresses: &addresses };
    Err(supervise::supervise(&launch, processes, progress).await)
}

/// The addresses are written last: whoever waits for the file finds everything in place.
async fn start(
    running: &Running<'_>,
    processes: &mut Processes,
    progress: &mut Progress,
) -> Result<(Addresses, Option<Guide>), UpError> {
    let Running { up, token, directory, now } = *running;
    let addresses = start::start(up, directory, processes, progress).await?;
    let mut guide = None;
    if up.demo {
        let demo = Demo { addresses: &addresses, directory, token, now };
        guide = Some(processes.while_alive(demo.set_up(progress)).await??);
    }
    directory.write(ADDRESSES, &addresses)?;
    Ok((addresses, guide))
}
