//! Run with `cargo fuzz run --fuzz-dir tests/fuzz trace_context`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::trace_context(bytes));
