//! Whatever was done: after going back, an export is what it was then, byte for byte.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};
use tenantry_model::{Group, Plan, ResourceKind, Route, RouteId, TenantState, Upstream};
use tenantry_tenancy::{
    Error, Exported, Left, MassRemoval, NewIssuer, PageRequest, Precondition, TenantRef,
    Transition, desired::Written,
};

use crate::{
    desired::{documents, exported, text},
    platform::{Platform, caller, named, new_tenant, parsed},
};

const SLUGS: [&str; 3] = ["acme", "globex", "initech"];
const PLANS: [&str; 3] = ["pro", "gold", "free"];
const HOSTS: [&str; 3] = ["a.example", "b.example", "*.c.example"];
const ROUTES: [&str; 2] = ["one", "two"];
const UPSTREAMS: [&str; 2] = ["main", "spare"];
const ISSUERS: [&str; 2] = ["https://one.example/", "https://two.example/"];

#[derive(Debug, Clone)]
enum Step {
    Create(&'static str, &'static str),
    Move(&'static str, Transition),
    Patch(&'static str, Value),
    Purge(&'static str),
    Join(&'static str, &'static str),
    Leave(&'static str, &'static str),
    Subscribe(&'static str, Option<u16>),
    Plan(&'static str, Option<u8>),
    Group(Option<u8>),
    Upstream(&'static str, Option<u8>),
    Route(&'static str, Option<(Option<&'static str>, &'static str)>),
    Issue(Option<&'static str>, &'static str, u8),
    Distrust(Option<&'static str>),
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let slug = || prop::sample::select(&SLUGS);
    let plan = || prop::sample::select(&PLANS);
    let host = || prop::sample::select(&HOSTS);
    let upstream = || prop::sample::select(&UPSTREAMS);
    let owner = || prop::option::of(slug());
    let number = || prop::option::weighted(0.7, 0..3_u8);
    let transition = prop_oneof![
        1 => Just(Transition::Suspend { reason: "unpaid".to_owned() }),
        1 => Just(Transition::Resume),
        2 => Just(Transition::Delete { retention_days: None }),
        2 => Just(Transition::Undelete),
    ];
    let patch = prop_oneof![
        slug().prop_map(|to| json!({"slug": to})),
        plan().prop_map(|plan| json!({"plan": plan})),
        number().prop_map(|group| json!({"group": group.map(|_| "eu")})),
        (0..3_u8).prop_map(|n| json!({"name": format!("N{n}"), "labels": {"n": n.to_string()}})),
    ];
    let step = prop_oneof![
        4 => (slug(), plan()).prop_map(|(slug, plan)| Step::Create(slug, plan)),
        5 => (slug(), transition).prop_map(|(slug, to)| Step::Move(slug, to)),
        5 => (slug(), patch).prop_map(|(slug, patch)| Step::Patch(slug, patch)),
        1 => slug().prop_map(Step::Purge),
        4 => (slug(), host()).prop_map(|(slug, host)| Step::Join(slug, host)),
        2 => (slug(), host()).prop_map(|(slug, host)| Step::Leave(slug, host)),
        2 => (slug(), prop::option::of(0..3_u16)).prop_map(|(s, days)| Step::Subscribe(s, days)),
        3 => (plan(), number()).prop_map(|(plan, n)| Step::Plan(plan, n)),
        2 => number().prop_map(Step::Group),
        3 => (upstream(), number()).prop_map(|(id, n)| Step::Upstream(id, n)),
        4 => (prop::sample::select(&ROUTES), prop::option::weighted(0.7, (owner(), upstream())))
            .prop_map(|(id, route)| Step::Route(id, route)),
        3 => (owner(), prop::sample::select(&ISSUERS), 0..3_u8)
            .prop_map(|(owner, issuer, n)| Step::Issue(owner, issuer, n)),
        1 => owner().prop_map(Step::Distrust),
        1 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..50)
}

async fn perform(platform: &Platform, step: &Step) {
    let (tenancy, caller, any) = (&platform.tenancy, caller(), Precondition::None);
    let outcome = match step {
        Step::Create(slug, plan) => {
            let mut tenant = new_tenant(slug, &[]);
            tenant.spec.plan = plan.parse().unwrap();
            tenancy.create_tenant(&caller, tenant).await.map(drop)
        }
        Step::Move(slug, to) => {
            tenancy.move_tenant(&caller, &named(slug), to, &any).await.map(drop)
        }
        Step::Patch(slug, patch) => {
            tenancy.patch_tenant(&caller, &named(slug), patch, &any).await.map(drop)
        }
        Step::Purge(slug) => {
            tenancy.purge_tenant(&caller, &named(slug), slug, &any).await.map(drop)
        }
        Step::Join(slug, host) => {
            tenancy.add_domain(&caller, &named(slug), host.parse().unwrap()).await.map(drop)
        }
        Step::Leave(slug, host) => {
            tenancy.remove_domain(&caller, &named(slug), &host.parse().unwrap(), &any).await
        }
        Step::Subscribe(slug, Some(grace_days)) => {
            let period = parsed(json!({"unit": "month", "count": 1}));
            let (anchor, auto_renew, grace_days) = (None, true, *grace_days);
            let spec =
                tenantry_tenancy::SubscriptionSpec { period, anchor, auto_renew, grace_days };
            tenancy.put_subscription(&caller, &named(slug), &spec, &any).await.map(drop)
        }
        Step::Subscribe(slug, None) => {
            tenancy.delete_subscription(&caller, &named(slug), &any).await
        }
        Step::Plan(id, number) => {
            let name = number.map(|n| format!("P{n}"));
            let plan = name.map(|name| parsed::<Plan>(json!({"id": id, "name": name})));
            write(platform, &id.parse().unwrap(), plan).await
        }
        Step::Group(number) => {
            let name = number.map(|n| format!("G{n}"));
            let group = name.map(|name| parsed::<Group>(json!({"id": "eu", "name": name})));
            write(platform, &"eu".parse().unwrap(), group).await
        }
        Step::Upstream(id, number) => {
            let address = number.map(|n| format!("127.0.0.1:{}", 1 + u16::from(n)));
            let upstream = address.map(|address| {
                parsed::<Upstream>(json!({"id": id, "endpoints": [{"address": address}]}))
            });
            write(platform, &id.parse().unwrap(), upstream).await
        }
        Step::Route(id, None) => {
            let id: RouteId = id.parse().unwrap();
            tenancy.delete::<Route>(&caller, &id, &any).await
        }
        Step::Route(id, Some((owner, upstream))) => {
            let mut tenant = Value::Null;
            if let Some(owner) = owner {
                let Ok(owner) = tenancy.tenant(&named(owner)).await else { return };
                tenant = owner.value.resource.id.to_string().into();
            }
            let route = json!({"id": id, "upstream": upstream, "tenant": tenant});
            write(platform, &id.parse().unwrap(), Some(parsed::<Route>(route))).await
        }
        Step::Issue(owner, issuer, number) => {
            let owner = owner.map(named);
            let new = new_issuer(issuer, *number, owner.is_none());
            tenancy.create_issuer(&caller, owner.as_ref(), new).await.map(drop)
        }
        Step::Distrust(owner) => distrust(platform, owner.map(named)).await,
        Step::Wait => {
            platform.clock.pass(Duration::from_secs(86_400));
            Ok(())
        }
    };
    match outcome {
        Ok(())
        | Err(
            Error::NotFound { .. }
            | Error::SlugTaken(_)
            | Error::DomainTaken { .. }
            | Error::InvalidState { .. }
            | Error::InUse { .. }
            | Error::Invalid { .. },
        ) => {}
        Err(other) => panic!("{step:?}: {other:?}"),
    }
}

fn new_issuer(issuer: &str, number: u8, is_shared: bool) -> NewIssuer {
    NewIssuer {
        issuer: issuer.to_owned(),
        audiences: [format!("a{number}")].into(),
        algorithms: parsed(json!(["RS256"])),
        tenant_claim: is_shared.then(|| "tenant".to_owned()),
        scope_claim: None,
        roles_claim: None,
        jwks: None,
        jwks_url: Some("https://keys.example/jwks".to_owned()),
    }
}

/// Creates, replaces or deletes a document.
async fn write<D: tenantry_tenancy::Document>(
    platform: &Platform,
    id: &D::Id,
    document: Option<D>,
) -> Result<(), Error> {
    let (tenancy, any) = (&platform.tenancy, Precondition::None);
    match document {
        None => tenancy.delete::<D>(&caller(), id, &any).await,
        Some(document) => match tenancy.create(&caller(), document.clone()).await {
            Err(Error::IdTaken { .. }) => {
                tenancy.replace(&caller(), document, &any).await.map(drop)
            }
            made => made.map(drop),
        },
    }
}

async fn distrust(platform: &Platform, owner: Option<TenantRef>) -> Result<(), Error> {
    let (tenancy, any) = (&platform.tenancy, Precondition::None);
    let page = PageRequest::new(None, None).unwrap();
    let issuers = tenancy.issuers(owner.as_ref(), &page).await?.items;
    let Some(first) = issuers.first() else { return Ok(()) };
    let id = first.value.resource.id();
    tenancy.delete_issuer(&caller(), owner.as_ref(), id, &any).await
}

/// Documents but for those that are named.
fn without(exported: &Exported, left: &[Left]) -> Vec<Written> {
    let left: BTreeSet<_> = left.iter().map(|left| (left.kind, left.name.clone())).collect();
    let name = |document: &Written| {
        let text = |field: &str| document.fields.get(field).unwrap().as_str().unwrap().to_owned();
        let owner = || document.fields.get("tenant").and_then(Value::as_str).unwrap_or("-");
        match document.kind {
            ResourceKind::Tenant => text("slug"),
            ResourceKind::Issuer => format!("{}/{}", owner(), text("issuer")),
            _ => text("id"),
        }
    };
    let stays = |document: &&Written| !left.contains(&(document.kind, name(document)));
    exported.documents.iter().filter(stays).cloned().collect()
}

/// Purges what is deleted, so that it needs nothing any more.
async fn purge_deleted(platform: &Platform) {
    for slug in SLUGS {
        let Ok(found) = platform.tenancy.tenant(&named(slug)).await else { continue };
        if found.value.resource.state == TenantState::Deleting {
            let any = Precondition::None;
            platform.tenancy.purge_tenant(&caller(), &named(slug), slug, &any).await.unwrap();
        }
    }
}

async fn live(steps: &[Step], back_to: prop::sample::Index) {
    let platform = Platform::new().await;
    let mut past = Vec::new();
    for step in steps {
        perform(&platform, step).await;
        let revision = tenantry_store::Store::status(&*platform.store).await.head.as_u64();
        past.push((revision, exported(&platform).await));
    }
    let (revision, expected) = back_to.get(&past);
    let foreseen = {
        let rows = platform.rows().await;
        let caller = tenantry_tenancy::Caller { is_rehearsal: true, ..caller() };
        let foreseen =
            platform.tenancy.rollback(&caller, *revision, true, MassRemoval::Meant).await.unwrap();
        assert_eq!(platform.rows().await, rows, "a dry run changes nothing");
        foreseen
    };
    let told = platform.tenancy.diff_revisions(past.last().unwrap().0, *revision).await.unwrap();
    let strict = platform.tenancy.rollback(&caller(), *revision, false, MassRemoval::Meant).await;
    let done = match strict {
        Ok(done) => done,
        Err(Error::NotRestorable(lost)) => {
            assert_eq!(lost.len(), foreseen.lost.len());
            assert_eq!(text(&exported(&platform).await), text(&past.last().unwrap().1));
            platform.tenancy.rollback(&caller(), *revision, true, MassRemoval::Meant).await.unwrap()
        }
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(done, foreseen);
    if done.lost.is_empty() && done.kept.is_empty() {
        assert_eq!(done.changes, told);
    }
    let left: Vec<_> = done.kept.iter().chain(&done.lost).cloned().collect();
    let now = exported(&platform).await;
    assert_eq!(without(&now, &left), without(expected, &left), "{left:?}");
    if left.is_empty() {
        assert_eq!(text(&now), text(expected));
    }
    let again =
        platform.tenancy.rollback(&caller(), *revision, true, MassRemoval::Meant).await.unwrap();
    assert_eq!((again.chunks, &again.lost), (0, &done.lost), "{again:?}");
    // What stays is what tenants need that can still be brought back.
    purge_deleted(&platform).await;
    let last =
        platform.tenancy.rollback(&caller(), *revision, true, MassRemoval::Meant).await.unwrap();
    assert_eq!(last.kept, [], "{last:?}");
    let now = exported(&platform).await;
    assert_eq!(without(&now, &last.lost), without(expected, &last.lost));
    if last.lost.is_empty() {
        assert_eq!(text(&now), text(expected));
    }
    // Nothing else was broken by it: what is there can be written as it is, and be taken away.
    let all = documents(&now);
    assert_eq!(platform.tenancy.diff(&all, None).await.unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn going_back_makes_the_export_what_it_was(steps in steps(), back_to: prop::sample::Index) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(live(&steps, back_to));
    }
}
