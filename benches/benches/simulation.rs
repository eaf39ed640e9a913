//! The simulation of distribution over many seeds: not a measurement but a search. Of the seeds that fail, the
//! first few are named, and the exit status says whether there were any.
//!
//! `cargo bench -p tenantry-benches --bench simulation` runs 10,000 seeds; `-- 1000000` runs as many as it says,
//! and `SEED=n` runs that one alone.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this program measures and prints"
)]

use std::{env, process::ExitCode, time::Instant};

use tenantry_simulation::{Options, Tally, run};

const SEEDS: u64 = 10_000;
/// How many failures are named before the search is given up.
const SHOWN: usize = 10;

fn main() -> ExitCode {
    let one = env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    // Cargo adds `--bench`.
    let count = env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(SEEDS);
    let seeds: std::ops::Range<u64> = one.map_or(0..count, |seed| seed..seed + 1);
    let started = Instant::now();
    let (mut tally, mut failures, mut runs) = (Tally::default(), 0, 0_u64);
    for seed in seeds {
        runs += 1;
        match run(seed, Options::default()) {
            Ok(one) => tally = tally.plus(one),
            Err(failure) => {
                println!("{failure}");
                failures += 1;
            }
        }
        if failures == SHOWN {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{runs} seeds in {seconds:.1} s, {failures} failed");
    println!("{tally:?}");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
