use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// An upstream with endpoints of these weights, and more fields.
fn upstream(weights: &[u16], fields: &Value) -> Upstream {
    let endpoints: Vec<_> = weights
        .iter()
        .enumerate()
        .map(|(index, weight)| json!({"address": format!("10.0.0.{index}:80"), "weight": weight}))
        .collect();
    let mut json = json!({"id": "a", "endpoints": endpoints});
    for (name, value) in fields.as_object().unwrap() {
        json[name] = value.clone();
    }
    serde_json::from_value(json).unwrap()
}

fn compiled(weights: &[u16], fields: &Value) -> CompiledUpstream {
    let names = Arc::new(UpstreamNames::new(1));
    CompiledUpstream::new(upstream(weights, fields), None, &names).unwrap()
}

const START: Duration = Duration::from_secs(1000);

fn pick_at(upstream: &CompiledUpstream, now: Duration, seed: u64) -> Option<Picked> {
    let hash = CompiledUpstream::hash(&seed.to_le_bytes());
    upstream.pick(&Pick { now, hash, random: seed, avoid: &[] })
}

fn pick(upstream: &CompiledUpstream, seed: u64) -> Option<Picked> {
    pick_at(upstream, START, seed)
}

fn shares(upstream: &CompiledUpstream, picks: u64) -> Vec<u64> {
    let mut shares = vec![0; upstream.states().len()];
    for seed in 0..picks {
        shares[pick(upstream, seed).unwrap().index()] += 1;
    }
    shares
}

fn fail(upstream: &CompiledUpstream, index: usize, now: Duration) -> Option<Duration> {
    let picked = Picked::new(index, &upstream.states()[index]);
    upstream.report(&picked, Outcome::ConnectFailed, now)
}

fn bad() -> Checked {
    Checked::Bad("closed".to_owned())
}

#[test]
fn every_policy_keeps_shares_by_weight() {
    for (policy, tolerance) in
        [("round_robin", 1), ("least_requests", 150), ("consistent_hash", 1200)]
    {
        let upstream = compiled(&[3, 2, 1], &json!({"balance": {"policy": policy}}));
        for (share, expected) in shares(&upstream, 6_000).into_iter().zip([3_000, 2_000, 1_000]) {
            assert!(share.abs_diff(expected) <= tolerance, "{policy}: {share} of {expected}");
        }
    }
}

#[test]
fn those_who_are_left_keep_their_shares() {
    for policy in ["round_robin", "least_requests", "consistent_hash"] {
        let fields = json!({"balance": {"policy": policy},
            "health_check": {"type": "tcp", "unhealthy_after": 1}});
        let upstream = compiled(&[1, 1, 1], &fields);
        upstream.checked(&upstream.states()[1], bad());
        let shares = shares(&upstream, 6_000);
        assert_eq!(shares[1], 0, "{policy}");
        assert!(shares[0].abs_diff(shares[2]) < 1_200, "{policy}: {shares:?}");
    }
}

#[test]
fn the_less_busy_of_two_is_taken() {
    let upstream = compiled(&[1, 1], &json!({"balance": {"policy": "least_requests"}}));
    let held: Vec<_> = (0..1_000).map(|seed| pick(&upstream, seed).unwrap()).collect();
    let first = held.iter().filter(|picked| picked.index() == 0).count();
    assert!(first.abs_diff(500) <= 2, "in progress at the end: {first}");
    // One that is slow, and so has much in progress, gets nothing more until the other has as much.
    let upstream = compiled(&[1, 1], &json!({"balance": {"policy": "least_requests"}}));
    let _slow: Vec<_> = (0..20).map(|_| Picked::new(0, &upstream.states()[0])).collect();
    assert_eq!(shares(&upstream, 100), [0, 100]);
    // Twice the weight carries twice as much.
    let upstream = compiled(&[2, 1], &json!({"balance": {"policy": "least_requests"}}));
    let held: Vec<_> = (0..900).map(|seed| pick(&upstream, seed).unwrap()).collect();
    let first = held.iter().filter(|picked| picked.index() == 0).count();
    assert!(first.abs_diff(600) <= 3, "in progress at the end: {first}");
}

#[test]
fn what_was_tried_is_tried_again_only_if_there_is_no_other() {
    for policy in ["round_robin", "least_requests", "consistent_hash"] {
        let upstream = compiled(&[1, 1, 1], &json!({"balance": {"policy": policy}}));
        for seed in 0..100 {
            let mut tried = Vec::new();
            for _ in 0..3 {
                let ask = Pick { now: START, hash: seed, random: seed, avoid: &tried };
                let index = upstream.pick(&ask).unwrap().index();
                assert!(!tried.contains(&index), "{policy}: {index} of {tried:?}");
                tried.push(index);
            }
            let ask = Pick { now: START, hash: seed, random: seed, avoid: &tried };
            assert!(upstream.pick(&ask).is_some());
        }
    }
}

proptest! {
    /// Who was on an endpoint that stays, stays; the others are spread over those that are left.
    #[test]
    fn few_move_on_the_ring(endpoints in 2_usize..24, gone in 0_usize..24) {
        let gone = gone % endpoints;
        let ring = json!({"balance": {"policy": "consistent_hash"}});
        let before = compiled(&vec![1; endpoints], &ring);
        let mut left = upstream(&vec![1; endpoints], &ring);
        let mut list = left.endpoints.as_slice().to_vec();
        list.remove(gone);
        left.endpoints = list.try_into().unwrap();
        let names = Arc::new(UpstreamNames::new(1));
        let after = CompiledUpstream::new(left, Some(&before), &names).unwrap();
        let address = |upstream: &CompiledUpstream, seed| {
            let index = pick(upstream, seed).unwrap().index();
            upstream.spec().endpoints.as_slice()[index].address.to_string()
        };
        let gone = before.spec().endpoints.as_slice()[gone].address.to_string();
        let mut moved = 0;
        for seed in 0..1_000 {
            let was = address(&before, seed);
            if was == gone {
                moved += 1;
            } else {
                prop_assert_eq!(was, address(&after, seed));
            }
        }
        let share = 1_000 / endpoints;
        prop_assert!(moved < share * 2 + 50, "{} of 1000 with {} endpoints", moved, endpoints);
    }

    #[test]
    fn picks_are_always_usable(weights in prop::collection::vec(1_u16..500, 1..12), down in any::<u16>(), seed in any::<u64>()) {
        for policy in ["round_robin", "least_requests", "consistent_hash"] {
            let upstream = compiled(&weights, &json!({"balance": {"policy": policy},
                "health_check": {"type": "tcp", "unhealthy_after": 1}}));
            let is_down = |index: usize| down >> index & 1 == 1;
            for (index, state) in upstream.states().iter().enumerate().filter(|(index, _)| is_down(*index)) {
                prop_assert_eq!(upstream.checked(state, bad()), Some(Standing::Unhealthy), "{}", index);
            }
            let picked = pick(&upstream, seed).map(|picked| picked.index());
            let all_down = (0..weights.len()).all(is_down);
            prop_assert_eq!(picked.is_none(), all_down);
            prop_assert!(!picked.is_some_and(is_down));
            prop_assert!(upstream.states().iter().all(|state| state.in_flight() == 0));
        }
    }
}

#[test]
fn a_ring_is_bounded_whatever_the_weights() {
    let weights: Vec<_> = (0..256).map(|index| if index % 2 == 0 { 65_535 } else { 1 }).collect();
    let ring = Ring::new(upstream(&weights, &json!({})).endpoints.as_slice());
    assert!(ring.walk(0).count() <= 256 * 161);
    assert_eq!(ring.walk(7).collect::<BTreeSet<_>>().len(), 256, "each has a point");
}

#[test]
fn checks_have_thresholds() {
    let fields = json!({"health_check": {"type": "tcp", "healthy_after": 2, "unhealthy_after": 3}});
    let upstream = compiled(&[1], &fields);
    let state = &upstream.states()[0];
    let check = |checked: Checked| upstream.checked(state, checked);
    assert_eq!([check(bad()), check(bad())], [None, None]);
    assert_eq!(check(Checked::Good), None, "the row is broken");
    assert_eq!([check(bad()), check(bad())], [None, None]);
    assert_eq!(check(bad()), Some(Standing::Unhealthy));
    assert_eq!(check(bad()), None, "told once");
    assert!(pick(&upstream, 1).is_none());
    assert_eq!(check(Checked::Good), None);
    assert_eq!(check(Checked::Good), Some(Standing::Healthy));
    assert!(pick(&upstream, 1).is_some());
}

#[test]
fn an_ejection_ends_and_grows() {
    let fields = json!({"outlier": {"consecutive_failures": 2, "eject_ms": 1000}});
    let upstream = compiled(&[1, 1], &fields);
    let seconds = Duration::from_secs;
    assert_eq!(fail(&upstream, 0, START), None);
    upstream.states()[0].succeeded();
    assert_eq!(fail(&upstream, 0, START), None, "an answer ends the row");
    assert_eq!(fail(&upstream, 0, START), Some(seconds(1)));
    let on = |now: Duration| -> BTreeSet<_> {
        (0..10).map(|seed| pick_at(&upstream, now, seed).unwrap().index()).collect()
    };
    assert_eq!(on(START), [1].into());
    let back = START + seconds(1);
    assert_eq!(on(back), [0, 1].into());
    fail(&upstream, 0, back);
    assert_eq!(fail(&upstream, 0, back), Some(seconds(2)), "it did not last");
    let back = back + seconds(2 + 2) + Duration::from_millis(1);
    fail(&upstream, 0, back);
    assert_eq!(fail(&upstream, 0, back), Some(seconds(1)), "it worked for a while");
}

#[test]
fn only_a_part_is_ejected() {
    let check = |endpoints: usize, percent: u64, expected: usize| {
        let fields =
            json!({"outlier": {"consecutive_failures": 1, "max_ejected_percent": percent}});
        let upstream = compiled(&vec![1; endpoints], &fields);
        let ejected = (0..endpoints).filter(|index| fail(&upstream, *index, START).is_some());
        assert_eq!(ejected.count(), expected, "{percent} % of {endpoints}");
    };
    check(1, 50, 0);
    check(1, 100, 1);
    check(2, 50, 1);
    check(3, 10, 1);
    check(10, 50, 5);
    check(4, 100, 4);
}

#[test]
fn an_applications_own_error_is_not_the_servers() {
    let upstream = compiled(&[1, 1], &json!({"outlier": {"consecutive_failures": 1}}));
    let picked = pick(&upstream, 1).unwrap();
    assert_eq!(upstream.report(&picked, Outcome::ServerError, START), None);
    assert!(upstream.report(&picked, Outcome::GatewayError, START).is_some());
    assert_eq!(upstream.named_counts().unwrap().of(Outcome::ServerError), 1);
}

#[test]
fn retries_have_a_budget() {
    let upstream = compiled(&[1], &json!({}));
    let retries = Retries::default();
    let held: Vec<_> = (0..100).filter_map(|_| upstream.retry(&retries)).collect();
    assert_eq!(held.len() as u64, LEAST_RETRIES);
    let _requests: Vec<_> = (0..100).map(|_| upstream.enter().unwrap()).collect();
    let more: Vec<_> = (0..100).filter_map(|_| upstream.retry(&retries)).collect();
    assert_eq!(held.len() + more.len(), 20, "a fifth of a hundred");
    drop(held);
    assert!(upstream.retry(&retries).is_some());
}

#[test]
fn caps_hold_and_places_are_given_back() {
    let upstream = compiled(&[1], &json!({"max_requests": 2, "max_connections": 1}));
    let first = upstream.enter();
    let _second = upstream.enter();
    assert!(first.is_some() && upstream.enter().is_none());
    drop(first);
    assert!(upstream.enter().is_some());
    let connection = upstream.connect();
    assert!(connection.is_some() && upstream.connect().is_none());
    drop(connection);
    assert!(upstream.connect().is_some());
    assert_eq!((upstream.in_flight(), upstream.connections()), (1, 0));
}

#[test]
fn what_is_known_of_an_endpoint_outlives_a_change() {
    let fields = json!({"health_check": {"type": "tcp", "unhealthy_after": 1}});
    let before = compiled(&[1, 1, 1], &fields);
    before.checked(&before.states()[2], bad());
    let _in_progress = Picked::new(1, &before.states()[1]);
    let mut changed = upstream(&[5, 1, 1], &fields);
    let mut list = changed.endpoints.as_slice().to_vec();
    list.remove(0);
    changed.endpoints = list.try_into().unwrap();
    let names = Arc::new(UpstreamNames::new(1));
    let after = CompiledUpstream::new(changed, Some(&before), &names).unwrap();
    assert_eq!(after.states()[0].in_flight(), 1);
    assert_eq!((0..10).map(|seed| pick(&after, seed).unwrap().index()).max(), Some(0));
    // Without a check nothing is known to be down.
    let unchecked = CompiledUpstream::new(upstream(&[1, 1, 1], &json!({})), Some(&after), &names);
    assert_eq!(shares(&unchecked.unwrap(), 30), [10, 10, 10]);
}

#[test]
fn so_many_upstreams_have_a_name() {
    let names = Arc::new(UpstreamNames::new(1));
    let new = || CompiledUpstream::new(upstream(&[1], &json!({})), None, &names).unwrap();
    let (first, second) = (new(), new());
    assert!(first.named_counts().is_some() && second.named_counts().is_none());
    second.report(&pick(&second, 1).unwrap(), Outcome::Answered, START);
    assert_eq!(names.others.of(Outcome::Answered), 1);
    drop(first);
    assert!(new().named_counts().is_some(), "a name is given back");
}

#[test]
fn requests_that_take_turns_at_once_all_find_the_endpoint_that_is_left() {
    let upstream =
        compiled(&[1, 1], &json!({"health_check": {"type": "tcp", "unhealthy_after": 1}}));
    upstream.checked(&upstream.states()[1], bad()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for seed in 0..20_000 {
                    assert_eq!(pick(&upstream, seed).map(|picked| picked.index()), Some(0));
                }
            });
        }
    });
}
