//! Tenantry beside other proxies that are given the same policy: `make bench-gateway`.
//!
//! Each proxy has one worker on one core, unless it is given more; the load and the server behind the proxies are on another. What each is told
//! is in `peers`, what it must answer in `answers`, how it is loaded in `load`, and what comes of it in `results`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this program measures time and prints"
)]

mod policy;

mod credentials;
mod variant;

mod process;

mod account;

mod exchange;
mod origin;

mod answers;
mod load;
mod peers;

mod campaign;
mod statistics;

mod plot;
mod report;
mod results;

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context as _;
use campaign::{Campaign, Options};
use clap::Parser;
use peers::{Peer, Programs};
use variant::Variant;

/// Tenantry beside other proxies that are given the same policy
#[derive(Debug, Parser)]
struct Arguments {
    /// How many tenants are loaded; three more are there to be asked what is refused
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=i64::from(policy::MOST)))]
    tenants: u32,
    /// How often each proxy has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each turn
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Requests a second where it is measured how long answers take
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    /// Which proxies, all by default; ratios need nginx
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Which kinds of load, all by default
    #[arg(long, value_enum, value_delimiter = ',')]
    variants: Vec<Variant>,
    /// The cores of the proxies, each of which has as many workers; the load's may be among them
    #[arg(long, value_delimiter = ',', default_value = "0")]
    cores: Vec<usize>,
    /// The core of everything else
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// One round of a second each: to see whether everything works
    #[arg(long)]
    quick: bool,
    /// Where Envoy is
    #[arg(long, default_value = "envoy")]
    envoy: PathBuf,
    /// Tenantry's proxy, the one beside this program by default
    #[arg(long)]
    proxy: Option<PathBuf>,
    /// Where files go
    #[arg(long, default_value = "target/gateway")]
    output: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    pin(arguments.load_core)?;
    fs::create_dir_all(&arguments.output)?;
    let output = arguments.output.canonicalize()?;
    let ours = std::env::current_exe()?;
    let ours = ours.parent().context("a program is in a directory")?.to_owned();
    let proxy = arguments.proxy.clone().unwrap_or_else(|| ours.join("tenantry-proxy"));
    let programs = Programs { ours, proxy: proxy.canonicalize()?, envoy: arguments.envoy.clone() };
    // Load, origin and whatever waits share one thread: they take turns, and nobody waits for the kernel's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let campaign = Campaign::new(options(&arguments, output.join("run")), programs)?;
    let results = runtime.block_on(campaign.run())?;
    let table = report::table(&results);
    fs::write(output.join("results.json"), serde_json::to_string_pretty(&results)?)?;
    fs::write(output.join("results.md"), &table)?;
    fs::write(output.join("results.svg"), plot::svg(&results))?;
    println!("\n{table}\nresults.json, results.md and results.svg are in {}", output.display());
    Ok(())
}

fn options(arguments: &Arguments, directory: PathBuf) -> Options {
    let or_all = |given: &[Variant], all: &[Variant]| {
        if given.is_empty() { all.to_vec() } else { given.to_vec() }
    };
    let peers = if arguments.peers.is_empty() { &Peer::ALL[..] } else { &arguments.peers };
    Options {
        tenants: arguments.tenants,
        rounds: if arguments.quick { 1 } else { arguments.rounds.max(1) },
        seconds: if arguments.quick { 1.0 } else { arguments.seconds.clamp(0.1, 60.0) },
        rate: arguments.rate.max(1),
        peers: peers.to_vec(),
        variants: or_all(&arguments.variants, &Variant::ALL),
        cores: arguments.cores.clone(),
        load_core: arguments.load_core,
        directory,
    }
}

/// Before there are other threads: those that come have the same core.
fn pin(core: usize) -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-cp", &core.to_string(), &pid]).output()?;
    anyhow::ensure!(pinned.status.success(), "this program cannot be kept on core {core}");
    Ok(())
}
