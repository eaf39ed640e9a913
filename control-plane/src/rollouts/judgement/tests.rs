//! Each rule, and what it must not be taken for.

use super::*;

const START: u64 = 1_000_000;

fn traffic(since: u64, requests: u64, server_errors: u64, denied: u64) -> Traffic {
    Traffic { since: Timestamp::from_unix_ms(since), requests, server_errors, denied }
}

/// With so many requests, 5xx and denials since the roll-out began, and before.
fn measured(since: (u64, u64, u64), before: (u64, u64, u64)) -> Measured {
    let start = traffic(1, before.0, before.1, before.2);
    let now = traffic(1, before.0 + since.0, before.1 + since.1, before.2 + since.2);
    Measured { start: Some(start), now: Some(now) }
}

fn chosen(name: &str, measured: Measured) -> Chosen {
    Chosen {
        node: name.parse().unwrap(),
        is_connected: true,
        enforces: true,
        refusals: Vec::new(),
        measured,
    }
}

/// At so many seconds, with one chosen proxy and one other.
fn at(seconds: u64, here: Measured, there: Measured) -> Seen {
    Seen {
        started_at: Timestamp::from_unix_ms(START),
        now: Timestamp::from_unix_ms(START + seconds * 1000),
        terms: RolloutTerms::default(),
        is_settling: false,
        has_passed: false,
        chosen: vec![chosen("edge-1", here)],
        others: vec![there],
    }
}

const QUIET: (u64, u64, u64) = (0, 0, 0);

fn taken_back(seen: &Seen) -> String {
    match seen.judged() {
        Verdict::TakeBack(reason) => reason,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_refusal_takes_it_back_at_once() {
    let mut seen = at(0, Measured::default(), Measured::default());
    assert_eq!(seen.judged(), Verdict::GoOn);
    seen.chosen[0].refusals = vec![(
        ResourceName { kind: "plan".to_owned(), id: "pro".to_owned() },
        "no such feature".to_owned(),
    )];
    assert_eq!(taken_back(&seen), "edge-1 refuses plan/pro: no such feature");
}

#[test]
fn shares_are_compared_with_the_others_of_the_same_time() {
    let check = |here, there, is_bad: bool| {
        let seen = at(10, measured(here, QUIET), measured(there, QUIET));
        assert_eq!(seen.judged() != Verdict::GoOn, is_bad, "{here:?} {there:?}");
    };
    // Too few to say anything, however bad.
    check((99, 99, 99), (1000, 0, 0), false);
    // One percentage point of 5xx is allowed, more is not.
    check((100, 1, 0), (1000, 0, 0), false);
    check((1000, 11, 0), (1000, 0, 0), true);
    check((1000, 10, 0), (1000, 0, 0), false);
    // What is wrong everywhere is no fault of the roll-out.
    check((1000, 500, 0), (1000, 495, 0), false);
    check((1000, 500, 0), (1000, 489, 0), true);
    // Fewer of them are never bad.
    check((1000, 0, 0), (1000, 500, 500), false);
    // Denials have a bound of their own.
    check((1000, 0, 50), (1000, 0, 0), false);
    check((1000, 0, 51), (1000, 0, 0), true);
    check((1000, 0, 351), (1000, 0, 300), true);
    // Numbers that no proxy will reach.
    check((u64::MAX / 4, u64::MAX / 4, 0), (u64::MAX / 4, 0, 0), true);
}

#[test]
fn the_reference_is_the_others_or_their_own_past_or_nothing() {
    let with = |here: Measured, there: Measured| at(10, here, there);
    let bad = (1000, 20, 0);
    // The others had enough requests: the past does not count.
    let seen = with(measured(bad, (1000, 500, 0)), measured((100, 0, 0), QUIET));
    assert!(matches!(seen.reference(), Reference::Others(others) if others.requests == 100));
    assert_eq!(
        taken_back(&seen),
        "of 1000 requests at the chosen proxies 2.0 % were answered 5xx, against 0.0 % at the others; \
         1 percentage points more are allowed"
    );
    // They had not: what it was before is what it is now.
    let seen = with(measured(bad, (1000, 15, 0)), measured((99, 0, 0), QUIET));
    assert!(matches!(seen.reference(), Reference::Before(before) if before.requests == 1000));
    assert_eq!(seen.judged(), Verdict::GoOn);
    let seen = with(measured(bad, (1000, 0, 0)), measured((99, 0, 0), QUIET));
    assert!(taken_back(&seen).contains("against 0.0 % before"));
    // Nobody knows.
    let seen = with(measured(bad, (99, 99, 0)), measured((99, 0, 0), QUIET));
    assert_eq!(seen.reference(), Reference::Nothing);
    assert!(taken_back(&seen).contains("as it should be"));
}

#[test]
fn a_proxy_that_began_anew_counts_from_zero_and_one_that_is_silent_for_nothing() {
    let restarted =
        Measured { start: Some(traffic(1, 5000, 4000, 0)), now: Some(traffic(2, 200, 100, 0)) };
    let seen = at(10, restarted, Measured::default());
    assert_eq!(seen.at_chosen(), Requests { requests: 200, server_errors: 100, denied: 0 });
    // It had no such requests before, or had them: the totals before are those of the process before.
    assert_eq!(seen.judged(), Verdict::GoOn);
    let healthy =
        Measured { start: Some(traffic(1, 5000, 0, 0)), now: Some(traffic(2, 200, 100, 0)) };
    assert!(taken_back(&at(10, healthy, Measured::default())).contains("50.0 %"));
    let silent = Measured { start: Some(traffic(1, 5000, 4000, 0)), now: None };
    assert_eq!(at(10, silent, Measured::default()).at_chosen(), Requests::default());
}

#[test]
fn at_the_end_all_of_them_must_enforce_it() {
    let good = || measured((10, 0, 0), QUIET);
    let seen = at(299, good(), good());
    assert_eq!(seen.judged(), Verdict::GoOn);
    assert_eq!(at(300, good(), good()).judged(), Verdict::Release);
    let mut away = at(299, good(), good());
    away.chosen.push(chosen("edge-2", Measured::default()));
    away.chosen[1].is_connected = false;
    away.chosen[1].enforces = false;
    assert_eq!(away.judged(), Verdict::GoOn, "only the end counts");
    away.now = Timestamp::from_unix_ms(START + 300_000);
    assert_eq!(taken_back(&away), "not connected at the end: edge-2");
    away.is_settling = true;
    assert_eq!(away.judged(), Verdict::GoOn, "it may not be back yet");
    away.is_settling = false;
    away.chosen[1].is_connected = true;
    assert_eq!(taken_back(&away), "not in force at the end: edge-2");
    away.chosen[1].enforces = true;
    assert_eq!(away.judged(), Verdict::Release);
    for name in ["a", "b", "c", "d", "e", "f"] {
        away.chosen.push(Chosen { enforces: false, ..chosen(name, Measured::default()) });
    }
    assert_eq!(taken_back(&away), "not in force at the end: a, b, c, d, e and 1 more");
}

#[test]
fn an_operator_has_a_day_to_release_what_has_passed() {
    let good = || measured((10, 0, 0), QUIET);
    let manual = |seconds| {
        let mut seen = at(seconds, good(), good());
        seen.terms.release = Release::Manual;
        seen
    };
    assert_eq!(manual(299).judged(), Verdict::GoOn);
    assert_eq!(manual(300).judged(), Verdict::Ready);
    assert_eq!(manual(300 + 86_399).judged(), Verdict::Ready);
    assert_eq!(taken_back(&manual(300 + 86_400)), "nobody has released it within a day");
    // One that leaves after it has passed is no reason; one that answers badly still is.
    let mut seen = manual(1000);
    seen.has_passed = true;
    seen.chosen[0].is_connected = false;
    assert_eq!(seen.judged(), Verdict::Ready);
    seen.chosen[0].measured = measured((1000, 500, 0), QUIET);
    assert!(taken_back(&seen).contains("50.0 %"));
}
