//! Run with `cargo fuzz run --fuzz-dir tests/fuzz proxy_header`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::proxy_header(bytes));
