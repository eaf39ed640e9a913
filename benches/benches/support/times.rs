//! What is said of many times.
#![expect(clippy::cast_precision_loss, reason = "figures of some digits")]

use std::time::Duration;

/// Prints how often something was done, and how long it took.
pub(crate) fn print(what: &str, mut times: Vec<Duration>, over: Duration) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 1000).unwrap().as_secs_f64() * 1000.0;
    let rate = times.len() as f64 / over.as_secs_f64();
    println!(
        "{what}: {rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        at(500),
        at(990),
        at(999)
    );
}
