//! Run with `cargo fuzz run --fuzz-dir tests/fuzz answer`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::answer(bytes));
