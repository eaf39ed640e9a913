//! What a million tenants cost: memory per tenant, time to compile them all, and allocations on the
//! forward path. Not a criterion bench: each figure is one number, printed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this program measures and prints"
)]

use std::time::Instant;

use tenantry_benches::{bearer, facts, host, now, secret, table_of};
use tenantry_engine::{Decision, RequestFacts, Table, decide};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const TENANTS: u32 = 1_000_000;

fn main() {
    let profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().curr_bytes;
    let started = Instant::now();
    let table = table_of(TENANTS).unwrap();
    let elapsed = started.elapsed();
    let kept = dhat::HeapStats::get().curr_bytes - before;
    println!(
        "table of {TENANTS} tenants: {} bytes per tenant, compiled in {:.1} s (with a counting allocator)",
        kept / TENANTS as usize,
        elapsed.as_secs_f64()
    );

    let (host, secret, bearer) = (host(4), secret(4), bearer(4).unwrap());
    let by_host = facts(&host, None, None);
    let by_key = facts("api.example.com", Some(&secret), None);
    let by_jwt = facts("api.example.com", None, Some(&bearer));
    for (name, facts) in [("host", by_host), ("key", by_key), ("jwt", by_jwt)] {
        forward(&table, &facts);
        let before = dhat::HeapStats::get().total_blocks;
        (0..1000).for_each(|_| forward(&table, &facts));
        let allocations = dhat::HeapStats::get().total_blocks - before;
        println!("decide by {name}: {allocations} allocations in 1000 requests");
    }
    drop(profiler);
}

fn forward(table: &Table, facts: &RequestFacts<'_>) {
    assert!(matches!(decide(table, facts, now(), &mut ()), Decision::Forward(_)));
}
