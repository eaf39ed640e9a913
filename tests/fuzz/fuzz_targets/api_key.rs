//! Run with `cargo fuzz run --fuzz-dir tests/fuzz api_key`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::api_key(bytes));
