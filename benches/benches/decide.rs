//! `decide` by host, API key and cached JWT, and applying a delta of one tenant, or of the plan or a route that all
//! share, by number of tenants.
//!
//! Tenants are visited in a random order, so that at a million of them nearly every look-up misses
//! the processor's caches: the case of a platform whose traffic is spread evenly, which is the worst.
//! The request itself is in the caches, as it is when a proxy has just parsed it.
#![expect(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench reads the clock, and one that cannot be set up has no figures"
)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tenantry_benches::{
    bearer, facts, host, now, one_tenant_delta, plan_delta, route_delta, secret, table_of,
};
use tenantry_engine::{Change, Decision, RequestFacts, Table, decide};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
/// Requests decided between two looks at the clock.
const CHUNK: usize = 50;
/// Requests prepared per size; more than fit the processor's caches.
const REQUESTS: u32 = 200_000;
/// Tokens prepared: signing takes long, and this is what the token cache is sized for.
const TOKENS: u32 = 20_000;

/// A full-cycle walk over the tenants in an order that no prefetcher follows.
fn walk(tenants: u32, count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |index| {
        u32::try_from(u64::from(index) * 2_654_435_761 % u64::from(tenants)).unwrap()
    })
}

fn forward(table: &Table, facts: &RequestFacts<'_>) {
    match decide(table, facts, now(), &mut ()) {
        Decision::Forward(forward) => drop(std::hint::black_box(forward)),
        other => panic!("{other:?}"),
    }
}

struct Request {
    host: String,
    key: Option<String>,
    authorization: Option<String>,
}

impl Request {
    fn facts(&self) -> RequestFacts<'_> {
        facts(&self.host, self.key.as_deref(), self.authorization.as_deref())
    }
}

fn by_host(tenants: u32) -> Vec<Request> {
    let even = walk(tenants / 2, REQUESTS).map(|number| number * 2);
    even.map(|number| Request { host: host(number), key: None, authorization: None }).collect()
}

fn by_key(tenants: u32) -> Vec<Request> {
    walk(tenants, REQUESTS)
        .map(|number| Request {
            host: "api.example.com".into(),
            key: Some(secret(number)),
            authorization: None,
        })
        .collect()
}

fn by_jwt(tenants: u32) -> Vec<Request> {
    walk(tenants, TOKENS.min(tenants))
        .map(|number| Request {
            host: "api.example.com".into(),
            key: None,
            authorization: Some(bearer(number).unwrap()),
        })
        .collect()
}

/// Reads the requests once, so that they are as near as parsed ones, and then decides them.
fn timed(table: &Table, requests: &[Request]) -> Duration {
    for request in requests {
        let texts = [Some(&request.host), request.key.as_ref(), request.authorization.as_ref()];
        let sum: u32 =
            texts.into_iter().flatten().flat_map(|text| text.bytes()).map(u32::from).sum();
        std::hint::black_box(sum);
    }
    let started = Instant::now();
    requests.iter().for_each(|request| forward(table, &request.facts()));
    started.elapsed()
}

fn benches(criterion: &mut Criterion) {
    for tenants in SIZES {
        let table = table_of(tenants).unwrap();
        let mut group = criterion.benchmark_group("decide");
        group.throughput(Throughput::Elements(1));
        for (name, requests) in
            [("host", by_host(tenants)), ("key", by_key(tenants)), ("jwt", by_jwt(tenants))]
        {
            // Once through, so that limiter state exists and tokens are remembered.
            requests.iter().for_each(|request| forward(&table, &request.facts()));
            let mut chunks = requests.chunks_exact(CHUNK).cycle();
            group.bench_function(BenchmarkId::new(name, tenants), |bencher| {
                bencher.iter_custom(|iterations| {
                    let rounds = iterations.div_ceil(CHUNK as u64);
                    let spent: Duration =
                        (0..rounds).map(|_| timed(&table, chunks.next().unwrap())).sum();
                    spent.mul_f64(iterations as f64 / (rounds * CHUNK as u64) as f64)
                });
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group("apply");
        let mut round = 0;
        group.bench_function(BenchmarkId::new("one_tenant_delta", tenants), |bencher| {
            let mut current = table.clone();
            bencher.iter(|| {
                round += 1;
                let number = u32::try_from(round * 7_919 % u64::from(tenants)).unwrap();
                current = current.apply([one_tenant_delta(number, round).unwrap()]).table;
            });
        });
        let mut shared = |name: &str, delta: &dyn Fn(u64) -> Change| {
            let mut current = table.clone();
            group.bench_function(BenchmarkId::new(name, tenants), |bencher| {
                bencher.iter(|| {
                    round += 1;
                    current = current.apply([delta(round)]).table;
                });
            });
        };
        shared("one_plan_delta", &|round| plan_delta(round).unwrap());
        shared("one_route_delta", &|round| route_delta(round).unwrap());
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
