//! What was acknowledged is there after every fault, whole; what was not is there whole or not at all.

mod account;
mod crash;
mod full;
mod load;
mod power;

/// Says so, where a machine does not allow a test.
#[expect(clippy::print_stderr, reason = "whoever reads the output must see what was not tested")]
fn skipped(what: &str, why: &str) {
    eprintln!("SKIPPED: {what} were not tested here: {why}");
}
