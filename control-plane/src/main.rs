//! `tenantry-control-plane`: reads the bootstrap config, starts, and stops when it is told to, or when
//! only another start can go on.

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Parser as _;
use rand::rngs::StdRng;
use tenantry_control_plane::{App, Arguments, Bootstrap, Random, StartError};
use tenantry_model::Timestamp;
use tenantry_tenancy::Clock;
use tokio::signal::unix::{SignalKind, signal};

/// The exit status that asks to be started again (`EX_TEMPFAIL` of sysexits.h): a full disk interrupted
/// a write or kept the store from being opened, and nothing else is wrong.
const AGAIN: u8 = 75;

/// How long what a failed store holds on to is waited for at the end.
const LAST_GRACE: Duration = Duration::from_secs(5);

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the composition root passes the clock in")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "logging may not be set up yet")]
            {
                eprintln!("tenantry-control-plane: {error}");
            }
            match error.downcast_ref::<StartError>() {
                Some(error) if error.is_temporary() => ExitCode::from(AGAIN),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let bootstrap = Bootstrap::load(&Arguments::parse(), std::env::vars())?;
    tenantry_telemetry::init_tracing(&bootstrap.log_filter, bootstrap.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let random = Random::new(rand::make_rng::<StdRng>());
        let running = App::start(bootstrap, Arc::new(SystemClock), random).await?;
        let code = tokio::select! {
            _ = terminate.recv() => ExitCode::SUCCESS,
            _ = interrupt.recv() => ExitCode::SUCCESS,
            () = running.interrupted() => {
                tracing::warn!("the store must be opened again: this process ends, to be started again");
                ExitCode::from(AGAIN)
            }
        };
        running.stop().await;
        Ok::<_, Box<dyn std::error::Error>>(code)
    });
    runtime.shutdown_timeout(LAST_GRACE);
    code
}
