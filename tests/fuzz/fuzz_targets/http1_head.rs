//! Run with `cargo fuzz run --fuzz-dir tests/fuzz http1_head`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::http1_head(bytes));
