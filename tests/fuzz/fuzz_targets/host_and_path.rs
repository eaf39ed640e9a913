//! Run with `cargo fuzz run --fuzz-dir tests/fuzz host_and_path`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::host_and_path(bytes));
