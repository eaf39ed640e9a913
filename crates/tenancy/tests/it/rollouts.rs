//! Staged roll-outs: begun, released, taken back, one at a time, and ended after a crash.

use std::sync::Arc;

use serde_json::{Value, json};
use tenantry_model::{ResourceKind, ResourceRef, RolloutId};
use tenantry_store::{Revision, Store};
use tenantry_tenancy::{
    Caller, ChosenBy, Error, Idempotency, MassRemoval, NewRollout, PageRequest, RolloutRecord,
    RolloutState, RolloutTerms, Transition, Versioned, layout, projection, rollout::staged,
};

use crate::{
    desired::{apply, tenant},
    platform::{Platform, caller, named},
};

fn plan(name: &str) -> Value {
    json!({"kind": "plan", "id": "pro", "name": name})
}

/// For the proxy `edge-1`.
fn new(platform: &Platform, documents: &[Value]) -> NewRollout {
    let nodes = ["edge-1".parse().unwrap()];
    NewRollout {
        id: platform.tenancy.rollout_id(),
        nodes: nodes.clone().into(),
        chosen_by: ChosenBy::Nodes(nodes.into()),
        terms: RolloutTerms::default(),
        documents: documents.to_vec(),
        answered: std::collections::BTreeMap::new(),
    }
}

pub(crate) async fn start(
    platform: &Platform,
    documents: &[Value],
) -> Result<Versioned<RolloutRecord>, Error> {
    platform.tenancy.start_rollout(&caller(), new(platform, documents)).await
}

async fn name_of_pro(platform: &Platform) -> String {
    let id = "pro".parse().unwrap();
    platform.tenancy.get::<tenantry_model::Plan>(&id).await.unwrap().value.resource.name
}

fn pro() -> ResourceRef {
    ResourceRef { kind: ResourceKind::Plan, id: "pro".to_owned() }
}

async fn state(platform: &Platform, id: RolloutId) -> RolloutState {
    platform.tenancy.rollout(id).await.unwrap().value.state
}

async fn is_over(platform: &Platform, id: RolloutId) -> bool {
    let rows = platform.rows().await;
    let left = rows
        .iter()
        .any(|(key, _)| key == layout::ROLLOUT_ACTIVE || *key == format!("rolloutbody/{id}"));
    !left && staged(platform.store.as_ref(), None).await.unwrap().is_none()
}

#[tokio::test]
async fn what_is_staged_is_what_proxies_are_sent_once_it_is_released() {
    let platform = Platform::new().await;
    apply(&platform, &[tenant("acme", "pro")]).await.unwrap();
    platform.create_route().await.unwrap();
    let mut acme = tenant("acme", "big");
    acme["domains"] = json!(["new.example"]);
    let documents = [
        plan("Pro+"),
        json!({"kind": "plan", "id": "big", "name": "Big", "limits": {"concurrent_requests": 7}}),
        acme,
        json!({"kind": "route", "id": "api", "tenant": "acme", "upstream": "main"}),
    ];
    let before = platform.store.status().await.head;
    let started = start(&platform, &documents).await.unwrap();
    assert_eq!(started.revision.as_u64(), before.as_u64() + 1, "one commit");
    assert_eq!(name_of_pro(&platform).await, "A plan", "nothing is changed yet");
    let found = staged(platform.store.as_ref(), None).await.unwrap().unwrap();
    assert_eq!((found.id, found.revision), (started.value.id, started.revision));
    assert_eq!(found.nodes, started.value.nodes);
    let id = platform.tenancy.tenant(&named("acme")).await.unwrap().value.resource.id;
    let changed: Vec<_> = found.changes.iter().map(|(resource, _)| resource.to_string()).collect();
    let acme = format!("tenant/{id}");
    let expected =
        ["domain/acme.example", "domain/new.example", "plan/big", "plan/pro", "route/api", &acme];
    assert_eq!(changed, expected);
    assert_eq!(found.changes[0].1, None, "a domain goes");
    assert_eq!(staged(platform.store.as_ref(), Some(before)).await.unwrap(), None);

    let released = platform.tenancy.release_rollout(&caller(), found.id).await.unwrap();
    assert_eq!(released.value.state, RolloutState::Released);
    assert_eq!(released.started(), started.revision);
    assert!(released.value.ended_at.is_some() && is_over(&platform, found.id).await);
    for (resource, json) in &found.changes {
        let key = layout::record(resource.kind, &resource.id);
        let (_, row) = platform.store.get(key.as_bytes(), None).await.unwrap();
        let sent = row.map(|row| projection::resource_json(&row.value).unwrap().get().to_owned());
        assert_eq!(sent, *json, "{resource}: byte for byte");
    }
    let done = platform.tenancy.diff(&documents, None).await.unwrap();
    assert_eq!(done, []);
    let audit = platform.audit().await;
    let actions: Vec<_> = audit.iter().map(|entry| entry.value.action.as_str()).collect();
    assert_eq!(actions[0], "rollout.released");
    assert!(actions.contains(&"rollout.start") && actions.contains(&"rollout.release"));
}

#[tokio::test]
async fn taken_back_it_leaves_nothing_but_what_is_said_of_it() {
    let platform = Platform::new().await;
    let started = start(&platform, &[plan("Pro+")]).await.unwrap();
    let (id, tenancy) = (started.value.id, &platform.tenancy);
    let reason = |text: &str| text.to_owned();
    for bad in ["", &"x".repeat(1001)] {
        let refused = tenancy.take_back_rollout(&caller(), id, reason(bad)).await;
        assert!(matches!(refused, Err(Error::Invalid { pointer, .. }) if pointer == "/reason"));
    }
    let ended = tenancy.take_back_rollout(&caller(), id, reason("it was slow")).await.unwrap();
    assert_eq!(ended.value.state, RolloutState::TakenBack);
    assert_eq!(ended.value.reason.as_deref(), Some("it was slow"));
    assert!(is_over(&platform, id).await);
    assert_eq!(name_of_pro(&platform).await, "A plan");
    let again = tenancy.take_back_rollout(&caller(), id, reason("again")).await.unwrap_err();
    assert_eq!(again, Error::RolloutEnded(RolloutState::TakenBack));
    let late = tenancy.release_rollout(&caller(), id).await.unwrap_err();
    assert_eq!(late, Error::RolloutEnded(RolloutState::TakenBack));
    let unknown = tenancy.release_rollout(&caller(), tenancy.rollout_id()).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })));
    // Another one can begin.
    start(&platform, &[plan("Pro+")]).await.unwrap();
}

#[tokio::test]
async fn there_is_one_at_a_time() {
    let platform = Platform::new().await;
    let first = start(&platform, &[plan("Pro+")]).await.unwrap().value.id;
    let second = start(&platform, &[plan("Pro++")]).await.unwrap_err();
    assert_eq!(second, Error::RolloutUnderWay(first));
    assert!(second.to_string().contains(&first.to_string()));
    platform.tenancy.release_rollout(&caller(), first).await.unwrap();
    // Many at once: one of them begins.
    let many = (0..8).map(|seed| {
        let (other, rollout) = (platform.beside(10 + seed), new(&platform, &[plan("More")]));
        async move { other.start_rollout(&caller(), rollout).await }
    });
    let outcomes = futures::future::join_all(many).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(refused.clone().all(|error| matches!(error, Error::RolloutUnderWay(_))));
}

#[tokio::test]
async fn what_cannot_be_rolled_out_is_refused_with_its_place() {
    let platform = Platform::new().await;
    apply(&platform, &[tenant("acme", "pro")]).await.unwrap();
    let rows = platform.rows().await;
    let mut moved = tenant("acme", "pro");
    moved["region"] = json!("eu");
    let issuer = json!({"kind": "issuer", "tenant": "acme", "issuer": "https://a/",
        "audiences": ["a"], "algorithms": ["RS256"], "jwks_url": "https://a/j"});
    let mut labelled = tenant("acme", "pro");
    labelled["labels"] = json!({"only": "people care"});
    let many: Vec<_> = (0..=1000)
        .map(|number| json!({"kind": "feature", "id": format!("f{number}"), "default": false}))
        .collect();
    let large: Vec<_> = (0..300)
        .map(|number| json!({"kind": "plan", "id": format!("p{number}"), "name": "x".repeat(1000)}))
        .collect();
    for (documents, pointer, text) in [
        (vec![plan("A plan")], "/documents", "change nothing"),
        (vec![labelled], "/documents", "change nothing"),
        (vec![], "/documents", "change nothing"),
        (vec![plan("Pro+"), tenant("new", "pro")], "/documents/1", "apply it first"),
        (vec![issuer], "/documents/0", "apply it first"),
        (vec![moved], "/documents/0/region", "region"),
        (vec![json!({"kind": "plan", "id": "pro"})], "/documents/0/name", "missing"),
        (many, "/documents", "1001 resources"),
        (large, "/documents", "bytes"),
    ] {
        let refused = start(&platform, &documents).await.unwrap_err();
        let Error::Faults(faults) = &refused else { panic!("{refused:?}") };
        assert_eq!(faults[0].pointer, pointer, "{faults:?}");
        assert!(faults[0].detail.contains(text), "{faults:?}");
    }
    for terms in [
        RolloutTerms { watch_seconds: 0, ..RolloutTerms::default() },
        RolloutTerms { watch_seconds: 86_401, ..RolloutTerms::default() },
        RolloutTerms { max_server_errors: 101, ..RolloutTerms::default() },
        RolloutTerms { max_denied: 101, ..RolloutTerms::default() },
        RolloutTerms { min_requests: 0, ..RolloutTerms::default() },
    ] {
        let rollout = NewRollout { terms, ..new(&platform, &[plan("Pro+")]) };
        let refused = platform.tenancy.start_rollout(&caller(), rollout).await;
        assert!(matches!(refused, Err(Error::InvalidQuery { .. })), "{refused:?}");
    }
    assert_eq!(platform.rows().await, rows);
}

#[tokio::test]
async fn as_much_as_is_allowed_fits_one_commit() {
    let platform = Platform::new().await;
    let many: Vec<_> = (0..1000)
        .map(|number| {
            json!({"kind": "feature", "id": format!("f{number}"), "default": false,
                "description": "x".repeat(100)})
        })
        .collect();
    let nodes: Vec<_> = (0..500).map(|number| format!("edge-{number}").parse().unwrap()).collect();
    let idempotency = Some(Idempotency::new("root", "many", &[]));
    let named = Caller { idempotency, ..caller() };
    let rollout = NewRollout { nodes: nodes.into_iter().collect(), ..new(&platform, &many) };
    let started = platform.tenancy.start_rollout(&named, rollout.clone()).await.unwrap();
    assert_eq!(started.value.changes.len(), 1000);
    let again = platform.tenancy.start_rollout(&named, rollout).await.unwrap();
    assert_eq!(again.value, started.value, "under its name it is begun once");
    // What does not fit one commit is applied in several.
    platform.tenancy.release_rollout(&caller(), started.value.id).await.unwrap();
    assert!(platform.tenancy.diff(&many, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_others_change_is_not_released() {
    let platform = Platform::new().await;
    apply(&platform, &[tenant("acme", "pro")]).await.unwrap();
    platform.create_plan("big").await;
    let documents = [plan("Pro+"), tenant("acme", "big")];
    let started = start(&platform, &documents).await.unwrap();
    let tenancy = &platform.tenancy;
    // What does not concern it does not concern it.
    platform.create_plan("other").await;
    assert_eq!(tenancy.rollout_outdated(&started.value).await.unwrap(), None);
    let suspend = Transition::Suspend { reason: "unpaid".to_owned() };
    let none = tenantry_tenancy::Precondition::None;
    tenancy.move_tenant(&caller(), &named("acme"), &suspend, &none).await.unwrap();
    let id = tenancy.tenant(&named("acme")).await.unwrap().value.resource.id;
    let acme = ResourceRef { kind: ResourceKind::Tenant, id: id.to_string() };
    assert_eq!(tenancy.rollout_outdated(&started.value).await.unwrap(), Some(acme.clone()));
    let refused = tenancy.release_rollout(&caller(), started.value.id).await.unwrap_err();
    assert_eq!(refused, Error::RolloutOutdated(acme));
    let ended = tenancy.rollout(started.value.id).await.unwrap().value;
    assert_eq!(ended.state, RolloutState::TakenBack);
    assert!(ended.reason.unwrap().contains("was changed"), "and it says why");
    assert!(is_over(&platform, started.value.id).await);
    assert_eq!(name_of_pro(&platform).await, "A plan");

    // What was not there, and others made; what was there, and others removed.
    let big = json!({"kind": "plan", "id": "huge", "name": "Huge"});
    let started = start(&platform, &[big]).await.unwrap();
    platform.create_plan("huge").await;
    let outdated = tenancy.rollout_outdated(&started.value).await.unwrap();
    assert_eq!(outdated.unwrap().to_string(), "plan/huge");
    tenancy.take_back_rollout(&caller(), started.value.id, "x".to_owned()).await.unwrap();
    let other = json!({"kind": "plan", "id": "other", "name": "Other"});
    let started = start(&platform, &[other]).await.unwrap();
    let id = "other".parse().unwrap();
    tenancy.delete::<tenantry_model::Plan>(&caller(), &id, &none).await.unwrap();
    let outdated = tenancy.rollout_outdated(&started.value).await.unwrap();
    assert_eq!(outdated.unwrap().to_string(), "plan/other");
}

/// As where all documents there are are sent, and one of them is new.
#[tokio::test]
async fn what_documents_only_repeat_is_not_released() {
    let platform = Platform::new().await;
    apply(&platform, &[tenant("acme", "pro"), tenant("other", "pro")]).await.unwrap();
    let tenancy = &platform.tenancy;
    let mut acme = tenant("acme", "pro");
    acme["domains"] = json!(["acme.example", "new.example"]);
    let documents = [plan("Pro+"), acme, tenant("other", "pro")];
    let started = start(&platform, &documents).await.unwrap();
    let lock = async |slug: &str| {
        let patch = json!({"auth": "api_key"});
        let none = tenantry_tenancy::Precondition::None;
        tenancy.patch_tenant(&caller(), &named(slug), &patch, &none).await.unwrap();
    };
    let auth = async |slug: &str| tenancy.tenant(&named(slug)).await.unwrap().value.resource.auth;
    let locked = tenantry_model::AuthRequirement::ApiKey;
    lock("other").await;
    assert_eq!(tenancy.rollout_unfit(&started.value).await.unwrap(), None);
    let released = tenancy.release_rollout(&caller(), started.value.id).await.unwrap();
    assert_eq!(released.value.state, RolloutState::Released);
    assert_eq!(auth("other").await, locked, "nobody asked for it to be undone");

    // Where a document does change something, others' changes to the rest of what it says end it.
    let mut acme = tenant("acme", "pro");
    acme["domains"] = json!(["acme.example", "newer.example"]);
    let started = start(&platform, &[acme]).await.unwrap();
    lock("acme").await;
    assert_eq!(tenancy.rollout_outdated(&started.value).await.unwrap(), None);
    let reason = tenancy.rollout_unfit(&started.value).await.unwrap().unwrap();
    assert!(reason.contains("tenant/"), "{reason}");
    let refused = tenancy.release_rollout(&caller(), started.value.id).await.unwrap_err();
    assert!(matches!(refused, Error::RolloutOutdated(_)), "{refused:?}");
    assert_eq!(state(&platform, started.value.id).await, RolloutState::TakenBack);
    assert_eq!(auth("acme").await, locked);
}

#[tokio::test]
async fn what_cannot_be_applied_any_more_is_taken_back() {
    let platform = Platform::new().await;
    apply(&platform, &[tenant("acme", "pro")]).await.unwrap();
    let route = json!({"kind": "route", "id": "api", "upstream": "main"});
    platform.create_route().await.unwrap();
    let started = start(&platform, &[route]).await.unwrap();
    let (all, main) = ("all".parse().unwrap(), "main".parse().unwrap());
    let none = tenantry_tenancy::Precondition::None;
    let tenancy = &platform.tenancy;
    tenancy.delete::<tenantry_model::Route>(&caller(), &all, &none).await.unwrap();
    tenancy.delete::<tenantry_model::Upstream>(&caller(), &main, &none).await.unwrap();
    let refused = tenancy.release_rollout(&caller(), started.value.id).await;
    assert!(matches!(refused, Err(Error::Faults(_))), "{refused:?}");
    let ended = tenancy.rollout(started.value.id).await.unwrap().value;
    assert_eq!(ended.state, RolloutState::TakenBack);
    assert!(ended.reason.unwrap().contains("cannot be applied any more"));
    assert!(is_over(&platform, started.value.id).await);
}

/// The process ends between the commit that says `releasing` and any other one: the pointer's row tells how far it had
/// come.
#[tokio::test]
async fn a_release_that_was_cut_off_is_ended_by_whoever_finds_it() {
    for already_applied in [false, true] {
        let platform = Platform::new().await;
        let documents = [plan("Pro+")];
        let started = start(&platform, &documents).await.unwrap();
        let id = started.value.id;
        // Watched still, there is nothing to go on with.
        let waiting = platform.tenancy.finish_rollout(id).await.unwrap();
        assert_eq!(waiting.value.state, RolloutState::Watching);
        // As the release would have left it.
        let mut record = started.value.clone();
        record.state = RolloutState::Releasing;
        record.started_revision = Some(started.revision);
        let key = format!("rollout/{id}");
        let batch = tenantry_store::Batch::new().put(key, serde_json::to_vec(&record).unwrap());
        platform.store.commit(batch).await.unwrap();
        if already_applied {
            let (tenancy, removal) = (&platform.tenancy, MassRemoval::Refused);
            tenancy.apply(&caller(), &documents, None, removal, false).await.unwrap();
        }
        let refused =
            platform.tenancy.take_back_rollout(&caller(), id, "x".to_owned()).await.unwrap_err();
        assert_eq!(refused, Error::RolloutEnded(RolloutState::Releasing));
        assert!(staged(platform.store.as_ref(), None).await.unwrap().is_some());
        // A new process.
        let ended = platform.beside(5).finish_rollout(id).await.unwrap();
        assert_eq!(ended.value.state, RolloutState::Released);
        assert_eq!(name_of_pro(&platform).await, "Pro+");
        assert!(is_over(&platform, id).await);
        // And one that comes late.
        platform.beside(6).finish_rollout(id).await.unwrap();
        assert_eq!(state(&platform, id).await, RolloutState::Released);
    }
}

#[tokio::test]
async fn a_dry_run_and_a_name_are_as_everywhere() {
    let platform = Platform::new().await;
    let rehearsing = Caller { is_rehearsal: true, ..caller() };
    let tenancy = &platform.tenancy;
    let rows = platform.rows().await;
    let rollout = new(&platform, &[plan("Pro+")]);
    let foreseen = tenancy.start_rollout(&rehearsing, rollout).await.unwrap().value;
    assert_eq!(foreseen.changes[0].resource, pro());
    assert_eq!(platform.rows().await, rows);
    let id = start(&platform, &[plan("Pro+")]).await.unwrap().value.id;
    let rows = platform.rows().await;
    let released = tenancy.release_rollout(&rehearsing, id).await.unwrap();
    assert_eq!(released.value.state, RolloutState::Released);
    let back = tenancy.take_back_rollout(&rehearsing, id, "x".to_owned()).await.unwrap();
    assert_eq!(back.value.state, RolloutState::TakenBack);
    assert_eq!(platform.rows().await, rows);
    let idempotency = || Some(Idempotency::new("root", "release", &[]));
    let named = Caller { idempotency: idempotency(), ..caller() };
    let first = tenancy.release_rollout(&named, id).await.unwrap();
    let named = Caller { idempotency: idempotency(), ..caller() };
    let second = tenancy.release_rollout(&named, id).await.unwrap();
    assert_eq!(first, second);
    assert!(named.idempotency.unwrap().is_replayed());
}

#[tokio::test]
async fn the_latest_hundred_are_remembered_newest_first() {
    let platform = Platform::new().await;
    let mut ids = Vec::new();
    for number in 0..103 {
        let id = start(&platform, &[plan(&format!("Pro {number}"))]).await.unwrap().value.id;
        platform.tenancy.take_back_rollout(&caller(), id, "x".to_owned()).await.unwrap();
        ids.insert(0, id);
    }
    ids.truncate(100);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let request = PageRequest::new(Some(40), cursor).unwrap();
        let page = platform.tenancy.rollouts(&request).await.unwrap();
        found.extend(page.items.into_iter().map(|item| item.value.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ids);
    let foreign = PageRequest::new(None, Some("nonsense".to_owned())).unwrap();
    assert!(matches!(platform.tenancy.rollouts(&foreign).await, Err(Error::InvalidCursor(_))));
    let store: Arc<dyn Store> = Arc::<tenantry_store::SledStore>::clone(&platform.store);
    assert_eq!(staged(store.as_ref(), Some(Revision::new(1))).await.unwrap(), None);
}
