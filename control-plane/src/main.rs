//! `tenantry-control-plane`: reads the bootstrap config, starts, and stops when it is told to.

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use rand::rngs::StdRng;
use tenantry_control_plane::{App, Arguments, Bootstrap, Random};
use tenantry_model::Timestamp;
use tenantry_tenancy::Clock;
use tokio::signal::unix::{SignalKind, signal};

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
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "logging may not be set up yet")]
            {
                eprintln!("tenantry-control-plane: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let bootstrap = Bootstrap::load(&Arguments::parse(), std::env::vars())?;
    tenantry_telemetry::init_tracing(&bootstrap.log_filter, bootstrap.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let random = Random::new(rand::make_rng::<StdRng>());
        let running = App::start(bootstrap, Arc::new(SystemClock), random).await?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        running.stop().await;
        Ok(())
    })
}
