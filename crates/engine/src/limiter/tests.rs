use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

fn limit(name: &str, quota: u32, window_seconds: u32, burst: u32) -> CompiledRateLimit {
    let json = serde_json::json!({"name": name, "quota": quota, "window_seconds": window_seconds, "burst": burst});
    CompiledRateLimit::new(&serde_json::from_value(json).unwrap()).unwrap()
}

fn of_tenant(limits: &[CompiledRateLimit]) -> impl Iterator<Item = (&CompiledRateLimit, Bucket)> {
    limits.iter().map(|limit| (limit, Bucket::Tenant))
}

fn charge(
    limiters: &RateLimiters,
    limits: &[CompiledRateLimit],
    now: Duration,
) -> Result<Levels, Limited> {
    limiters.charge(of_tenant(limits), &Budget::new(1), now, || Some(())).map(
        |(admitted, levels)| {
            admitted.unwrap();
            levels
        },
    )
}

const AT: fn(u64) -> Duration = |ms| Duration::from_secs(1_000) + Duration::from_millis(ms);

#[test]
fn a_burst_then_the_rate() {
    let limiters = RateLimiters::default();
    let limits = [limit("a", 10, 1, 3)];
    for remaining in [2, 1, 0] {
        assert_eq!(charge(&limiters, &limits, AT(0)).unwrap()[0].unwrap().remaining, remaining);
    }
    let limited = charge(&limiters, &limits, AT(0)).unwrap_err();
    assert_eq!(limited.retry_after, Duration::from_millis(100));
    assert_eq!(
        limited.levels[0].unwrap(),
        Level { remaining: 0, reset: Duration::from_millis(300) }
    );
    assert!(charge(&limiters, &limits, AT(99)).is_err());
    assert!(charge(&limiters, &limits, AT(100)).is_ok());
    assert!(charge(&limiters, &limits, AT(199)).is_err());
    for _ in 0..3 {
        assert!(charge(&limiters, &limits, AT(500)).is_ok());
    }
    assert!(charge(&limiters, &limits, AT(500)).is_err());
}

#[test]
fn a_refused_request_is_charged_to_no_limit() {
    let limiters = RateLimiters::default();
    let limits = [limit("wide", 1, 60, 5), limit("narrow", 1, 60, 2)];
    for _ in 0..2 {
        charge(&limiters, &limits, AT(0)).unwrap();
    }
    for _ in 0..10 {
        let limited = charge(&limiters, &limits, AT(0)).unwrap_err();
        assert_eq!(limited.retry_after, Duration::from_secs(60));
    }
    // Refused by `admit` costs nothing either.
    assert!(
        limiters
            .charge(of_tenant(&limits[..1]), &Budget::new(1), AT(0), || None::<()>)
            .unwrap()
            .0
            .is_none()
    );
    assert_eq!(charge(&limiters, &limits[..1], AT(0)).unwrap()[0].unwrap().remaining, 2);
}

#[test]
fn a_changed_limit_keeps_what_was_spent() {
    let limiters = RateLimiters::default();
    for _ in 0..10 {
        charge(&limiters, &[limit("a", 10, 3600, 10)], AT(0)).unwrap();
    }
    assert!(charge(&limiters, &[limit("a", 10, 3600, 10)], AT(0)).is_err());
    // Raised to a hundred: ten are spent, this is the eleventh.
    let levels = charge(&limiters, &[limit("a", 100, 3600, 100)], AT(0)).unwrap();
    assert_eq!(levels[0].unwrap().remaining, 89);
    // Lowered again: more is spent than it allows.
    assert!(charge(&limiters, &[limit("a", 10, 3600, 10)], AT(0)).is_err());
    // Taken away and put back: still spent.
    charge(&limiters, &[], AT(0)).unwrap();
    assert!(charge(&limiters, &[limit("a", 10, 3600, 10)], AT(0)).is_err());
}

#[test]
fn state_of_renamed_limits_is_bounded() {
    let limiters = RateLimiters::default();
    for round in 0..1_000_u64 {
        charge(&limiters, &[limit(&format!("n{round}"), 1, 1, 1)], AT(round * 5_000)).unwrap();
    }
    assert!(limiters.0.lock().of_tenant.len() <= 2 * MAX_RATE_LIMITS);
}

/// More limits than are kept without clean-up, all new at once: each is charged in its own place.
#[test]
fn many_limits_at_once_do_not_share_a_place() {
    let limiters = RateLimiters::default();
    for round in 0..20_u64 {
        charge(&limiters, &[limit(&format!("old{round}"), 1, 1, 1)], AT(0)).unwrap();
    }
    let limits: Vec<_> = (0..16).map(|number| limit(&format!("n{number}"), 1, 3600, 1)).collect();
    charge(&limiters, &limits, AT(60_000)).unwrap();
    for limit in &limits {
        assert!(charge(&limiters, std::slice::from_ref(limit), AT(60_000)).is_err(), "{limit:?}");
    }
}

/// Eight threads, one limiter, a clock that only moves forward: exactly the burst and what the time
/// that passed earned, whatever the interleaving.
#[test]
fn exact_under_eight_threads() {
    let limiters = RateLimiters::default();
    let limits = [limit("a", 1_000, 1, 100)];
    let clock_us = AtomicU64::new(0);
    let end_us = 500_000;
    let admitted: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut admitted = 0_u64;
                    loop {
                        let now_us = clock_us.fetch_add(7, Ordering::Relaxed);
                        if now_us > end_us {
                            return admitted;
                        }
                        let now = AT(0) + Duration::from_micros(now_us);
                        admitted += u64::from(charge(&limiters, &limits, now).is_ok());
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    // Threads may use their time a little late; what they then miss is bounded by the threads.
    let bound = 100 + end_us / 1_000;
    assert!(admitted <= bound, "{admitted} of {bound}");
    assert!(admitted >= bound - 8, "{admitted} of {bound}");
}

proptest! {
    /// Against the definition: over any stretch of time at most `burst + elapsed / interval`.
    #[test]
    fn never_more_than_burst_and_rate(
        quota in 1_u32..50, window in 1_u32..10, burst in 1_u32..20,
        steps_ms in proptest::collection::vec(0_u64..400, 1..200),
    ) {
        let limits = [limit("a", quota, window, burst)];
        let interval = limits[0].interval_ns;
        let limiters = RateLimiters::default();
        let (mut now_ms, mut admitted) = (0, Vec::new());
        for step in steps_ms {
            now_ms += step;
            match charge(&limiters, &limits, AT(now_ms)) {
                Ok(_) => admitted.push(now_ms),
                // A refusal is honest: it is admitted after the wait, and not a nanosecond before.
                Err(limited) => {
                    let fresh = || {
                        let copy = RateLimiters::default();
                        copy.0.lock().of_tenant.extend(limiters.0.lock().of_tenant.iter().cloned());
                        copy
                    };
                    let at = AT(now_ms) + limited.retry_after;
                    prop_assert!(charge(&fresh(), &limits, at).is_ok());
                    prop_assert!(charge(&fresh(), &limits, at.checked_sub(Duration::from_nanos(1)).unwrap()).is_err());
                }
            }
        }
        for (index, from) in admitted.iter().enumerate() {
            for (later, to) in admitted.iter().enumerate().skip(index) {
                let allowed = u64::from(burst) + (to - from) * 1_000_000 / interval;
                prop_assert!((later - index + 1) as u64 <= allowed);
            }
        }
    }
}
