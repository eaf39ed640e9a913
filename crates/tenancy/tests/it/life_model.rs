//! Random lives of a few tenants, held against a model that knows nothing of rows.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use tenantry_model::TenantState;
use tenantry_tenancy::{Error, Precondition, TenantRef, Transition};
use tenantry_test_support::eventually;

use crate::platform::{Platform, caller, named, new_tenant};

const DAY: Duration = Duration::from_secs(86_400);
const SLUGS: [&str; 3] = ["acme", "globex", "initech"];

#[derive(Debug, Clone)]
enum Step {
    Create(&'static str),
    Move(&'static str, Transition),
    Rename(&'static str, &'static str),
    Purge(&'static str),
    /// Days go by, and what is due is done.
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let slug = prop::sample::select(&SLUGS);
    let transition = prop_oneof![
        Just(Transition::Suspend { reason: "unpaid".to_owned() }),
        Just(Transition::Resume),
        Just(Transition::Delete { retention_days: None }),
        Just(Transition::Delete { retention_days: Some(3) }),
        Just(Transition::Undelete),
        Just(Transition::Activate),
    ];
    let step = prop_oneof![
        2 => slug.clone().prop_map(Step::Create),
        6 => (slug.clone(), transition).prop_map(|(slug, to)| Step::Move(slug, to)),
        2 => (slug.clone(), slug.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => slug.prop_map(Step::Purge),
        2 => (0..20_u32).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..40)
}

/// What a tenant is, as far as its life goes.
#[derive(Debug, Clone, PartialEq)]
struct Modelled {
    /// Which of all tenants ever made it is.
    number: usize,
    state: TenantState,
    before: TenantState,
    purge_day: u32,
}

/// Who has a slug, or had it and until which day nobody else can take it.
#[derive(Debug, Clone, PartialEq)]
enum Holder {
    Tenant(Modelled),
    Reserved { number: usize, until: u32 },
}

#[derive(Debug, Default)]
struct Model {
    day: u32,
    made: usize,
    slugs: BTreeMap<&'static str, Holder>,
}

impl Model {
    fn tenant(&mut self, slug: &str) -> Option<&mut Modelled> {
        match self.slugs.get_mut(slug) {
            Some(Holder::Tenant(tenant)) => Some(tenant),
            _ => None,
        }
    }

    fn leave(&mut self, slug: &'static str, number: usize) {
        self.slugs.insert(slug, Holder::Reserved { number, until: self.day + 30 });
    }

    /// Whether the step is done.
    fn step(&mut self, step: &Step) -> bool {
        match step {
            Step::Create(slug) => {
                let is_free = !self.slugs.contains_key(slug);
                if is_free {
                    let tenant = Modelled {
                        number: self.made,
                        state: TenantState::Active,
                        before: TenantState::Active,
                        purge_day: 0,
                    };
                    self.slugs.insert(*slug, Holder::Tenant(tenant));
                    self.made += 1;
                }
                is_free
            }
            Step::Move(slug, to) => {
                let day = self.day;
                self.tenant(slug).is_some_and(|tenant| tenant.go(to, day))
            }
            Step::Rename(from, to) => {
                let Some(tenant) = self.tenant(from).cloned() else { return false };
                if tenant.state == TenantState::Deleting {
                    return false;
                }
                let is_open = from == to
                    || match self.slugs.get(to) {
                        None => true,
                        Some(Holder::Tenant(_)) => false,
                        Some(Holder::Reserved { number, .. }) => *number == tenant.number,
                    };
                if is_open && from != to {
                    self.leave(from, tenant.number);
                    self.slugs.insert(*to, Holder::Tenant(tenant));
                }
                is_open
            }
            Step::Purge(slug) => {
                let deleted = self.tenant(slug).filter(|t| t.state == TenantState::Deleting);
                let number = deleted.map(|tenant| tenant.number);
                number.inspect(|number| self.leave(slug, *number)).is_some()
            }
            Step::Wait(days) => {
                self.day += days;
                let due = |holder: &Holder| matches!(holder, Holder::Tenant(tenant) if tenant.state == TenantState::Deleting);
                let ended: Vec<_> = self
                    .slugs
                    .iter()
                    .filter(|(_, holder)| due(holder))
                    .filter_map(|(slug, holder)| match holder {
                        Holder::Tenant(tenant) if tenant.purge_day <= self.day => {
                            Some((*slug, tenant.number))
                        }
                        _ => None,
                    })
                    .collect();
                let today = self.day;
                self.slugs.retain(
                    |_, holder| !matches!(holder, Holder::Reserved { until, .. } if *until <= today),
                );
                for (slug, number) in ended {
                    self.leave(slug, number);
                }
                true
            }
        }
    }
}

impl Modelled {
    fn go(&mut self, to: &Transition, day: u32) -> bool {
        use TenantState::{Active, Deleting, Suspended};
        let next = match (to, self.state) {
            (Transition::Suspend { .. }, Active) => Suspended,
            (Transition::Resume, Suspended) => Active,
            (Transition::Delete { retention_days }, Active | Suspended) => {
                self.before = self.state;
                self.purge_day = day + retention_days.unwrap_or(30);
                Deleting
            }
            (Transition::Undelete, Deleting) => self.before,
            _ => return false,
        };
        self.state = next;
        true
    }
}

async fn perform(platform: &Platform, step: &Step) -> bool {
    let (tenancy, caller, any) = (&platform.tenancy, caller(), Precondition::None);
    let outcome = match step {
        Step::Create(slug) => tenancy.create_tenant(&caller, new_tenant(slug, &[])).await.map(drop),
        Step::Move(slug, to) => {
            tenancy.move_tenant(&caller, &named(slug), to, &any).await.map(drop)
        }
        Step::Rename(from, to) => {
            let patch = serde_json::json!({"slug": to});
            tenancy.patch_tenant(&caller, &named(from), &patch, &any).await.map(drop)
        }
        Step::Purge(slug) => {
            tenancy.purge_tenant(&caller, &named(slug), slug, &any).await.map(drop)
        }
        Step::Wait(days) => {
            platform.clock.pass(DAY * *days);
            let reconciled = tenancy.reconcile().await.unwrap();
            assert!(reconciled.failed.is_empty(), "{reconciled:?}");
            Ok(())
        }
    };
    match outcome {
        Ok(()) => true,
        Err(Error::NotFound { .. } | Error::SlugTaken(_) | Error::InvalidState { .. }) => false,
        Err(other) => panic!("{step:?}: {other:?}"),
    }
}

async fn live(steps: &[Step]) {
    let platform = Platform::new().await;
    let mut model = Model::default();
    for step in steps {
        let rows = platform.rows().await;
        let done = perform(&platform, step).await;
        assert_eq!(done, model.step(step), "{step:?} in {model:?}");
        if !done {
            assert_eq!(platform.rows().await, rows, "{step:?}: what is refused leaves nothing");
        }
        for text in SLUGS {
            let found = platform.tenancy.tenant(&named(text)).await.ok();
            let expected = model.tenant(text).map(|tenant| tenant.state);
            assert_eq!(found.map(|found| found.value.resource.state), expected, "{text}");
        }
    }
    // In the end everything is deleted and purged, and nothing of it is left but what should be.
    for text in SLUGS {
        let gone = Transition::Delete { retention_days: Some(1) };
        let _ =
            platform.tenancy.move_tenant(&caller(), &named(text), &gone, &Precondition::None).await;
    }
    for _ in 0..2 {
        platform.clock.pass(DAY * 40);
        platform.tenancy.reconcile().await.unwrap();
    }
    let kept = ["audit/", "history/", "purged/", "plan/"];
    let left: Vec<_> = platform.rows().await.into_iter().map(|(key, _)| key).collect();
    let left: Vec<_> =
        left.into_iter().filter(|key| !kept.iter().any(|kept| key.starts_with(kept))).collect();
    assert_eq!(left, [""; 0]);
    let purged = platform.rows().await.iter().filter(|(key, _)| key.starts_with("purged/")).count();
    assert_eq!(purged, model.made);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_life_goes_as_the_model_says(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(live(&steps));
    }
}

#[tokio::test]
async fn a_purge_that_is_cut_off_goes_on_and_leaves_no_row_of_the_tenant() {
    let platform = Platform::new().await;
    let hosts: Vec<_> = (0..32).map(|number| format!("h{number}.example.com")).collect();
    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    let (tenancy, caller, any) = (&platform.tenancy, caller(), Precondition::None);
    let id = tenancy.create_tenant(&caller, new_tenant("acme", &hosts)).await.unwrap();
    let id = id.value.record.resource.id;
    let deleted = Transition::Delete { retention_days: Some(1) };
    tenancy.move_tenant(&caller, &named("acme"), &deleted, &any).await.unwrap();
    let wrong = tenancy.purge_tenant(&caller, &named("acme"), "globex", &any).await.unwrap_err();
    assert!(
        matches!(wrong, Error::Invalid { ref pointer, .. } if pointer == "/confirm"),
        "{wrong:?}"
    );
    // A purge is many commits. Dropped after any number of them, it is finished by whoever comes next.
    let by_id = TenantRef::Id(id);
    for _ in 0..3 {
        let purge = tenancy.purge_tenant(&caller, &by_id, "acme", &any);
        let _ = tokio::time::timeout(Duration::ZERO, purge).await;
    }
    // What was sent to the store before the drop is still done, whenever that is.
    let certificate = eventually("the purge is over", async || {
        tenancy.reconcile().await.unwrap();
        tenancy.deletion_certificate(id).await.ok()
    })
    .await;
    assert_eq!(certificate.value.removed, BTreeMap::from([("domain".to_owned(), 32)]));
    platform.clock.pass(DAY * 31);
    tenancy.reconcile().await.unwrap();
    let kept = ["audit/", "history/", "purged/"];
    for (key, value) in platform.rows().await {
        let about = key.contains(&id.to_string())
            || String::from_utf8_lossy(&value).contains(&id.to_string());
        assert!(!about || kept.iter().any(|kept| key.starts_with(kept)), "{key}");
    }
    let again = tenancy.purge_tenant(&caller, &by_id, "acme", &any).await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
}

#[tokio::test]
async fn what_is_undeleted_is_byte_for_byte_what_it_was() {
    let platform = Platform::new().await;
    let (tenancy, caller, any) = (&platform.tenancy, caller(), Precondition::None);
    tenancy.create_tenant(&caller, new_tenant("acme", &["www.acme.com"])).await.unwrap();
    let resources = async || {
        let rows =
            platform.rows().await.into_iter().filter(|(key, _)| {
                !["audit/", "history/"].iter().any(|other| key.starts_with(other))
            });
        let json = |value: Vec<u8>| {
            let resource = tenantry_tenancy::projection::resource_json(&value);
            resource.map(|json| json.get().to_owned()).unwrap_or_default()
        };
        rows.map(|(key, value)| (key, json(value))).collect::<Vec<_>>()
    };
    for suspended in [false, true] {
        if suspended {
            let suspend = Transition::Suspend { reason: "unpaid".to_owned() };
            tenancy.move_tenant(&caller, &named("acme"), &suspend, &any).await.unwrap();
        }
        let before = resources().await;
        let delete = Transition::Delete { retention_days: None };
        tenancy.move_tenant(&caller, &named("acme"), &delete, &any).await.unwrap();
        assert_ne!(resources().await, before);
        let undelete = Transition::Undelete;
        tenancy.move_tenant(&caller, &named("acme"), &undelete, &any).await.unwrap();
        assert_eq!(resources().await, before);
    }
}

#[tokio::test]
async fn a_slug_that_is_given_up_twice_is_reserved_from_the_second_time() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let rename = async |from: &str, to: &str| {
        let patch = serde_json::json!({ "slug": to });
        let any = Precondition::None;
        platform.tenancy.patch_tenant(&caller(), &named(from), &patch, &any).await.unwrap();
    };
    rename("acme", "globex").await;
    platform.clock.pass(DAY * 10);
    rename("globex", "acme").await;
    rename("acme", "initech").await;
    platform.clock.pass(DAY * 25);
    platform.tenancy.reconcile().await.unwrap();
    let early = platform.tenancy.create_tenant(&caller(), new_tenant("acme", &[])).await;
    assert_eq!(early.unwrap_err(), Error::SlugTaken("acme".to_owned()));
    platform.clock.pass(DAY * 6);
    platform.tenancy.reconcile().await.unwrap();
    platform.create_tenant("acme").await;
}
