//! Run with `cargo fuzz run --fuzz-dir tests/fuzz jwt`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::jwt(bytes));
