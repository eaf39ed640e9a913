//! Room under quotas: given once, given back, and never lost.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tenantry_model::{MeterName, Plan};
use tenantry_tenancy::{
    Error, Precondition, QuotaAction, QuotaOutcome, QuotaState, Transition, Versioned,
};

use crate::platform::{Platform, caller, named, parsed};

fn devices() -> MeterName {
    "devices".parse().unwrap()
}

async fn platform(max: &str) -> Platform {
    let platform = Platform::new().await;
    let max: serde_json::Value = serde_json::from_str(max).unwrap();
    let plan: Plan = parsed(
        serde_json::json!({"id": "pro", "name": "Pro", "limits": {"quotas": {"devices": max}}}),
    );
    platform.tenancy.replace(&caller(), plan, &Precondition::None).await.unwrap();
    platform.create_tenant("acme").await;
    platform
}

async fn act(platform: &Platform, action: QuotaAction) -> Result<QuotaOutcome, Error> {
    let done = platform.tenancy.quota_action(&caller(), &named("acme"), &devices(), &action).await;
    done.map(|Versioned { value, .. }| value)
}

async fn state(platform: &Platform) -> QuotaState {
    let states = platform.tenancy.quotas(&named("acme")).await.unwrap();
    states.into_iter().find(|state| state.meter == devices()).unwrap()
}

fn reserve(amount: u64, lease: Option<u64>) -> QuotaAction {
    QuotaAction::Reserve { amount, lease: lease.map(Duration::from_secs) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_that_want_a_hundred_places_a_hundred_get_one() {
    let platform = Arc::new(platform("100").await);
    let wishes = (0..200).map(|number| {
        let platform = Arc::clone(&platform);
        let lease = (number % 2 == 0).then_some(60);
        tokio::spawn(async move { act(&platform, reserve(1, lease)).await })
    });
    let outcomes: Vec<_> =
        join_all(wishes).await.into_iter().map(|outcome| outcome.unwrap()).collect();
    let given = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(given, 100);
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(matches!(error, Error::QuotaExceeded { max: 100, current: 100, .. }), "{error:?}");
    }
    let found = state(&platform).await;
    assert_eq!((found.count.current(), found.left()), (100, Some(0)));
    let leases = outcomes.into_iter().flatten().filter_map(|outcome| outcome.reservation).count();
    assert_eq!(u64::try_from(leases).unwrap(), found.count.leased);
    // Leases that nobody confirmed come back.
    platform.clock.pass(Duration::from_secs(61));
    platform.tenancy.reconcile().await.unwrap();
    let left = state(&platform).await;
    assert_eq!((left.count.leased, left.count.confirmed), (0, found.count.confirmed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_do_not_wait_for_each_other_get_no_place_twice_either() {
    let platform = platform("10").await;
    let wishes = (0..20).map(|number| {
        let tenancy = platform.beside(number);
        tokio::spawn(async move {
            loop {
                let wish = reserve(1, None);
                match tenancy.quota_action(&caller(), &named("acme"), &devices(), &wish).await {
                    Err(Error::ConcurrentChange) => {}
                    outcome => return outcome.is_ok(),
                }
            }
        })
    });
    let given = join_all(wishes).await.into_iter().filter(|given| *given.as_ref().unwrap());
    assert_eq!(given.count(), 10);
    assert_eq!(state(&platform).await.count.confirmed, 10);
}

#[tokio::test]
async fn a_lease_is_that_of_its_tenant_and_its_meter() {
    let platform = platform("3").await;
    platform.create_tenant("globex").await;
    let lease = act(&platform, reserve(1, Some(60))).await.unwrap().reservation.unwrap().id;
    let users = "users".parse().unwrap();
    for (tenant, meter) in [("globex", &devices()), ("acme", &users)] {
        for action in [
            QuotaAction::Confirm { reservation: lease },
            QuotaAction::Cancel { reservation: lease },
        ] {
            let tenancy = &platform.tenancy;
            let foreign = tenancy.quota_action(&caller(), &named(tenant), meter, &action).await;
            assert!(matches!(foreign, Err(Error::NotFound { .. })), "{tenant} {meter} {foreign:?}");
        }
    }
    let leased = act(&platform, QuotaAction::Release { amount: 1 }).await;
    assert!(matches!(leased, Err(Error::Invalid { .. })), "what is leased is not released");
    act(&platform, QuotaAction::Confirm { reservation: lease }).await.unwrap();
}

#[tokio::test]
async fn a_lease_is_kept_given_back_or_lost_and_counted_once() {
    let platform = platform("3").await;
    let lease =
        async || act(&platform, reserve(1, Some(60))).await.unwrap().reservation.unwrap().id;
    let (kept, back, lost) = (lease().await, lease().await, lease().await);
    assert!(matches!(act(&platform, reserve(1, None)).await, Err(Error::QuotaExceeded { .. })));
    act(&platform, QuotaAction::Confirm { reservation: kept }).await.unwrap();
    act(&platform, QuotaAction::Cancel { reservation: back }).await.unwrap();
    for over in [kept, back] {
        for action in
            [QuotaAction::Confirm { reservation: over }, QuotaAction::Cancel { reservation: over }]
        {
            let again = act(&platform, action).await;
            assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
        }
    }
    let count = state(&platform).await.count;
    assert_eq!((count.confirmed, count.leased), (1, 1));
    platform.clock.pass(Duration::from_secs(61));
    platform.tenancy.reconcile().await.unwrap();
    let count = state(&platform).await.count;
    assert_eq!((count.confirmed, count.leased), (1, 0));
    let late = act(&platform, QuotaAction::Confirm { reservation: lost }).await;
    assert!(matches!(late, Err(Error::NotFound { .. })), "{late:?}");
    let few = act(&platform, QuotaAction::Release { amount: 2 }).await.unwrap_err();
    assert!(matches!(few, Error::Invalid { ref pointer, .. } if pointer == "/amount"), "{few:?}");
    act(&platform, QuotaAction::Release { amount: 1 }).await.unwrap();
    let rows = platform.rows().await;
    let left = rows.iter().filter(|(key, _)| key.starts_with("count/") || key.starts_with("due/"));
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn nothing_and_more_than_is_counted_is_refused_with_the_place() {
    let platform = platform("\"unlimited\"").await;
    let day = 86_400;
    for (action, expected) in [
        (reserve(0, None), "/amount"),
        (QuotaAction::Release { amount: 0 }, "/amount"),
        (reserve((1 << 53) + 1, None), "/amount"),
        (QuotaAction::Set { current: (1 << 53) + 1 }, "/amount"),
        (reserve(1, Some(0)), "/lease_seconds"),
        (reserve(1, Some(day + 1)), "/lease_seconds"),
    ] {
        let refused = act(&platform, action.clone()).await.unwrap_err();
        let Error::Invalid { pointer, .. } = refused else { panic!("{action:?}: {refused:?}") };
        assert_eq!(pointer, expected, "{action:?}");
    }
    act(&platform, reserve(1, Some(day))).await.unwrap();
}

#[tokio::test]
async fn a_lowered_maximum_takes_nothing_away_and_none_is_no_end() {
    let platform = platform("\"unlimited\"").await;
    act(&platform, reserve(50, None)).await.unwrap();
    assert_eq!(state(&platform).await.left(), None);
    let own = serde_json::json!({"limits": {"quotas": {"devices": 10}}});
    let any = Precondition::None;
    platform.tenancy.patch_tenant(&caller(), &named("acme"), &own, &any).await.unwrap();
    let found = state(&platform).await;
    assert_eq!((found.count.current(), found.max, found.left()), (50, Some(10), Some(0)));
    assert!(matches!(act(&platform, reserve(1, None)).await, Err(Error::QuotaExceeded { .. })));
    act(&platform, QuotaAction::Set { current: 9 }).await.unwrap();
    act(&platform, reserve(1, None)).await.unwrap();
}

#[tokio::test]
async fn a_deleted_tenant_gets_no_room_and_its_leases_end_and_are_purged() {
    let platform = platform("10").await;
    act(&platform, reserve(2, Some(60))).await.unwrap();
    act(&platform, reserve(3, None)).await.unwrap();
    let delete = Transition::Delete { retention_days: None };
    let any = Precondition::None;
    platform.tenancy.move_tenant(&caller(), &named("acme"), &delete, &any).await.unwrap();
    let refused = act(&platform, reserve(1, None)).await;
    assert!(matches!(refused, Err(Error::InvalidState { .. })), "{refused:?}");
    platform.clock.pass(Duration::from_secs(61));
    let reconciled = platform.tenancy.reconcile().await.unwrap();
    assert!(reconciled.failed.is_empty(), "{reconciled:?}");
    assert_eq!(state(&platform).await.count.current(), 3);
    platform.tenancy.purge_tenant(&caller(), &named("acme"), "acme", &any).await.unwrap();
    let rows = platform.rows().await;
    assert!(
        !rows.iter().any(|(key, _)| key.starts_with("count/") || key.starts_with("reservation/"))
    );
}

#[tokio::test]
async fn meters_that_nobody_named_are_bounded_and_all_are_listed() {
    let platform = platform("5").await;
    let set = async |meter: String| {
        let meter = meter.parse().unwrap();
        let action = QuotaAction::Set { current: 1 };
        platform.tenancy.quota_action(&caller(), &named("acme"), &meter, &action).await.map(drop)
    };
    for number in 0..100 {
        set(format!("m{number}")).await.unwrap();
    }
    assert!(matches!(set("one-more".to_owned()).await, Err(Error::Invalid { .. })));
    set("m7".to_owned()).await.unwrap();
    act(&platform, reserve(1, None)).await.unwrap();
    let listed = platform.tenancy.quotas(&named("acme")).await.unwrap();
    assert_eq!(listed.len(), 101, "and the one of the plan");
}
