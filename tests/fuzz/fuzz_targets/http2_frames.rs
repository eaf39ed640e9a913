//! Run with `cargo fuzz run --fuzz-dir tests/fuzz http2_frames`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::http2_frames(bytes));
