use serde_json::json;
use tenantry_credentials::sealing::MasterKeys;
use tenantry_engine::{Runtime, RuntimeOptions, Table};
use tenantry_model::{Resource, ResourceKind};

use super::*;
use crate::{
    bootstrap::{Bootstrap, Flags},
    secrets::Secrets,
};

const UPSTREAMS: usize = 10_000;
const AT_ONCE: usize = 3;

fn table() -> Table {
    let runtime = Runtime::new(RuntimeOptions {
        named_tenants: 1,
        token_cache_bytes: 1024,
        limited_subjects: 1,
        max_in_flight: 1,
        seed: 1,
    });
    let upstreams = (0..UPSTREAMS).map(|number| {
        let upstream = json!({
            "id": format!("u{number}"), "endpoints": [{"address": "127.0.0.1:1"}],
            "health_check": {"type": "tcp", "interval_ms": 10_000},
        });
        Resource::from_json(ResourceKind::Upstream, upstream.to_string().as_bytes()).unwrap()
    });
    Table::new(Arc::new(runtime), 1).replace(upstreams).table
}

/// How many checks fall into the fullest twentieth of a time.
fn fullest(queue: &Queue, from: Duration, within: Duration) -> usize {
    let mut slots = [0; 20];
    for (at, _) in queue.due.keys() {
        let slot = (at.saturating_sub(from).as_nanos() * 20 / within.as_nanos()).min(19);
        slots[slot as usize] += 1;
    }
    slots.into_iter().max().unwrap()
}

#[test]
fn first_checks_are_spread_and_what_does_not_change_keeps_its_time() {
    let (table, mut queue, now) = (table(), Queue::default(), Duration::from_secs(7));
    queue.follow(table.upstreams(), now);
    assert_eq!((queue.due.len(), queue.known.len()), (UPSTREAMS, UPSTREAMS));
    assert!(queue.due.keys().all(|(at, _)| (now..=now + FIRST_WITHIN).contains(at)));
    // An even share is 500; 700 would be nine standard deviations away.
    assert!(fullest(&queue, now, FIRST_WITHIN) < 700);
    let before: Vec<_> = queue.due.clone().into_keys().collect();
    queue.follow(table.upstreams(), now + FIRST_WITHIN);
    assert_eq!(before, queue.due.keys().copied().collect::<Vec<_>>());
    queue.follow(std::iter::empty(), now);
    assert!(queue.due.is_empty() && queue.known.is_empty());
}

/// Tasks do not run before this one waits, so what was started is still in progress.
#[tokio::test]
async fn no_more_checks_run_at_once_than_there_is_room_for() {
    let (table, mut queue) = (table(), Queue::default());
    let bootstrap = Bootstrap::load(&Flags::default()).unwrap();
    let secrets = Arc::new(Secrets::new(MasterKeys::none()));
    let active =
        Active::new(Table::new(Arc::clone(table.runtime()), 1), 1, secrets, Clock::start());
    let (clock, active) = (Clock::start(), Arc::new(active));
    let resolver = Arc::new(Resolver::new(&bootstrap.upstream, clock));
    let connector = Arc::new(Connector::new(bootstrap.upstream, 1, clock, Arc::clone(&resolver)));
    let prober = Arc::new(Prober::new(connector, resolver, active, clock, AT_ONCE));
    queue.follow(table.upstreams(), Duration::ZERO);
    let now = Duration::from_secs(60);
    prober.start_due(&mut queue, now);
    assert_eq!(prober.room.available_permits(), 0);
    // Those that were started are due again after an interval; the others still are.
    let again = queue.due.keys().filter(|(at, _)| *at > now).count();
    assert_eq!((again, queue.due.len()), (AT_ONCE, UPSTREAMS));
    prober.start_due(&mut queue, now);
    assert_eq!(queue.due.keys().filter(|(at, _)| *at > now).count(), AT_ONCE);
}
