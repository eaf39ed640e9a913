//! History, and the way back.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tenantry_credentials::sealing::MasterKeys;
use tenantry_model::{KeySpec, Plan, ResourceKind, TenantState};
use tenantry_store::{Revision, Store as _};
use tenantry_tenancy::{
    AuditFilter, Caller, Error, Idempotency, MassRemoval, PageRequest, Precondition, RolledBack,
    Tenancy, Terms, Transition,
};

use crate::{
    desired::{apply, exported, tenant, text},
    platform::{Platform, caller, named, new_tenant, parsed},
};

const ANY: Precondition = Precondition::None;
const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

async fn head(platform: &Platform) -> u64 {
    platform.store.status().await.head.as_u64()
}

async fn back(platform: &Platform, to: u64) -> RolledBack {
    platform.tenancy.rollback(&caller(), to, false, MassRemoval::Meant).await.unwrap()
}

async fn rename_plan(platform: &Platform, name: &str) {
    let pro = "pro".parse().unwrap();
    let patch = json!({"name": name});
    platform.tenancy.patch::<Plan>(&caller(), &pro, &patch, &ANY).await.unwrap();
}

#[tokio::test]
async fn a_tenant_that_was_deleted_comes_back_with_its_keys_and_a_revoked_key_stays_revoked() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    let made = platform.create_tenant("acme").await.value.resource.id;
    let key = async |name: &str| {
        let spec: KeySpec = parsed(json!({"name": name}));
        let made = tenancy.create_key(&caller(), &named("acme"), spec).await.unwrap();
        made.value.record.resource.id
    };
    let (kept, revoked) = (key("kept").await, key("revoked").await);
    let then = (head(&platform).await, text(&exported(&platform).await));
    tenancy.revoke_key(&caller(), &named("acme"), revoked, &ANY).await.unwrap();
    let later = key("later").await;
    let patch = json!({"slug": "globex", "name": "Globex"});
    tenancy.patch_tenant(&caller(), &named("acme"), &patch, &ANY).await.unwrap();
    let delete = Transition::Delete { retention_days: None };
    tenancy.move_tenant(&caller(), &named("globex"), &delete, &ANY).await.unwrap();
    platform.create_tenant("initech").await;
    let done = back(&platform, then.0).await;
    assert_eq!((done.chunks, done.kept.len(), done.lost.len()), (1, 0, 0));
    assert_eq!(text(&exported(&platform).await), then.1);
    assert_eq!(tenancy.tenant(&named("acme")).await.unwrap().value.resource.id, made);
    // What came since can be brought back.
    let initech = tenancy.tenant(&named("initech")).await.unwrap().value;
    assert_eq!(initech.resource.state, TenantState::Deleting);
    let page = PageRequest::new(None, None).unwrap();
    let keys = tenancy.keys(&named("acme"), &page).await.unwrap().items;
    let mut ids: Vec<_> = keys.iter().map(|key| key.value.resource.id).collect();
    ids.sort();
    let mut expected = [kept, later];
    expected.sort();
    assert_eq!(ids, expected);
    // Each change has its entry, which says what it was a part of.
    let entries = platform.audit().await;
    let parts: Vec<_> = entries.iter().filter(|it| it.value.rollback_to.is_some()).collect();
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|it| it.value.rollback_to == Some(Revision::new(then.0))));
    // Going back is a revision like any other: one can go back behind it.
    let before = parts[0].revision.as_u64() - 1;
    back(&platform, before).await;
    for (slug, state) in [("acme", TenantState::Deleting), ("initech", TenantState::Active)] {
        let found = tenancy.tenant(&named(slug)).await.unwrap().value.resource.state;
        assert_eq!(found, state, "{slug}");
    }
}

#[tokio::test]
async fn what_was_purged_is_named_and_nothing_is_written_unless_that_is_asked_for() {
    let platform = Platform::new().await;
    let route = json!({"kind": "route", "id": "r", "tenant": "acme", "redirect": {"path": "/"}});
    apply(&platform, &[tenant("acme", "pro"), tenant("globex", "pro"), route]).await.unwrap();
    let then = head(&platform).await;
    let delete = Transition::Delete { retention_days: None };
    platform.tenancy.move_tenant(&caller(), &named("acme"), &delete, &ANY).await.unwrap();
    platform.tenancy.purge_tenant(&caller(), &named("acme"), "acme", &ANY).await.unwrap();
    rename_plan(&platform, "Other").await;
    let rows = platform.rows().await;
    let refused =
        platform.tenancy.rollback(&caller(), then, false, MassRemoval::Meant).await.unwrap_err();
    let Error::NotRestorable(lost) = refused else { panic!("{refused:?}") };
    let details: Vec<_> = lost.iter().map(|fault| fault.detail.as_str()).collect();
    assert_eq!(details.len(), 2);
    assert!(details[0].starts_with("tenant acme: ten_"), "{details:?}");
    assert_eq!(details[1], "route r: its tenant was purged");
    assert_eq!(platform.rows().await, rows);
    let done = platform.tenancy.rollback(&caller(), then, true, MassRemoval::Meant).await.unwrap();
    let changed: Vec<_> = done.changes.iter().map(|it| (it.kind, it.name.as_str())).collect();
    assert_eq!(changed, [(ResourceKind::Plan, "pro")]);
    let lost: Vec<_> = done.lost.iter().map(|it| (it.kind, it.name.as_str())).collect();
    assert_eq!(lost, [(ResourceKind::Tenant, "acme"), (ResourceKind::Route, "r")]);
}

#[tokio::test]
async fn what_is_too_much_for_one_commit_goes_back_in_several_and_users_go_before_what_they_use() {
    let platform = Platform::new().await;
    let then = (head(&platform).await, text(&exported(&platform).await));
    let mut many: Vec<_> = (0..60).map(|number| tenant(&format!("t{number}"), "new")).collect();
    many.push(json!({"kind": "plan", "id": "new", "name": "New"}));
    many.push(json!({"kind": "upstream", "id": "u", "endpoints": [{"address": "127.0.0.1:1"}]}));
    many.extend((0..60).map(|number| {
        let (id, tenant) = (format!("r{number}"), format!("t{number}"));
        json!({"kind": "route", "id": id, "tenant": tenant, "upstream": "u"})
    }));
    apply(&platform, &many).await.unwrap();
    let between = (head(&platform).await, text(&exported(&platform).await));
    let dry = Caller { is_rehearsal: true, ..caller() };
    let foreseen =
        platform.tenancy.rollback(&dry, then.0, false, MassRemoval::Meant).await.unwrap();
    assert_eq!(text(&exported(&platform).await), between.1);
    let done = back(&platform, then.0).await;
    assert!(done.chunks > 1);
    assert_eq!(done, foreseen);
    let entries = platform.audit().await;
    let parts = entries.iter().filter(|it| it.value.rollback_to == Some(Revision::new(then.0)));
    assert_eq!(parts.count(), 121);
    // The tenants can still be brought back, and so their plan stays.
    let kept: Vec<_> = done.kept.iter().map(|it| (it.kind, it.name.as_str())).collect();
    assert_eq!(kept, [(ResourceKind::Plan, "new")]);
    let now = exported(&platform).await;
    let names: Vec<_> = now.documents.iter().map(|it| it.fields["id"].as_str()).collect();
    assert_eq!(names, [Some("new"), Some("pro")]);
    back(&platform, between.0).await;
    assert_eq!(text(&exported(&platform).await), between.1);
}

#[tokio::test]
async fn what_a_deleted_tenant_was_given_since_is_not_brought_back_with_it() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    let route = |id: &str, tenant: Option<&str>| json!({"kind": "route", "id": id, "tenant": tenant, "redirect": {"path": "/"}});
    let issuer = json!({
        "kind": "issuer", "tenant": "acme", "issuer": "https://a.example/", "audiences": ["a"],
        "algorithms": ["RS256"], "jwks_url": "https://a.example/jwks",
    });
    let both = [tenant("acme", "pro"), tenant("globex", "pro"), route("old", Some("globex"))];
    apply(&platform, &both).await.unwrap();
    let delete = Transition::Delete { retention_days: None };
    let undelete = Transition::Undelete;
    tenancy.move_tenant(&caller(), &named("globex"), &delete, &ANY).await.unwrap();
    let then = (head(&platform).await, text(&exported(&platform).await));
    // A route of a deleted tenant becomes one that is seen, and others come with what will be seen again.
    apply(&platform, &[route("old", None), route("new", Some("acme")), issuer]).await.unwrap();
    tenancy.move_tenant(&caller(), &named("acme"), &delete, &ANY).await.unwrap();
    tenancy.move_tenant(&caller(), &named("globex"), &undelete, &ANY).await.unwrap();
    let done = back(&platform, then.0).await;
    assert_eq!((done.chunks, done.kept, done.lost), (1, Vec::new(), Vec::new()));
    assert_eq!(text(&exported(&platform).await), then.1);
    // It is the deleted tenant's again.
    tenancy.move_tenant(&caller(), &named("globex"), &undelete, &ANY).await.unwrap();
    let now = exported(&platform).await;
    let old = now.documents.iter().find(|it| it.fields.get("id") == Some(&json!("old")));
    assert_eq!(old.unwrap().fields["tenant"], "globex");
}

#[tokio::test]
async fn the_same_named_way_back_is_gone_once() {
    let platform = Platform::new().await;
    let then = head(&platform).await;
    rename_plan(&platform, "Other").await;
    let named = |key: &str| Caller {
        idempotency: Some(Idempotency::new("root", key, &[b"rollback"])),
        ..caller()
    };
    let done =
        platform.tenancy.rollback(&named("one"), then, false, MassRemoval::Meant).await.unwrap();
    assert_eq!((done.chunks, done.changes.len()), (1, 1));
    rename_plan(&platform, "Third").await;
    let again = named("one");
    assert_eq!(
        platform.tenancy.rollback(&again, then, false, MassRemoval::Meant).await.unwrap(),
        done
    );
    assert!(again.idempotency.unwrap().is_replayed());
    let plan = platform.tenancy.get::<Plan>(&"pro".parse().unwrap()).await.unwrap();
    assert_eq!(plan.value.resource.name, "Third");
    // One that has nothing to do is remembered, too.
    back(&platform, then).await;
    let nothing =
        platform.tenancy.rollback(&named("two"), then, false, MassRemoval::Meant).await.unwrap();
    assert_eq!((nothing.chunks, nothing.changes.len()), (0, 0));
    rename_plan(&platform, "Fourth").await;
    assert_eq!(
        platform.tenancy.rollback(&named("two"), then, false, MassRemoval::Meant).await.unwrap(),
        nothing
    );
}

fn upstream(tls: &Value) -> tenantry_model::Upstream {
    parsed(json!({"id": "main", "endpoints": [{"address": "127.0.0.1:1"}], "tls": tls}))
}

#[tokio::test]
async fn shared_secrets_do_not_come_back_and_keys_towards_servers_do() {
    let platform = Platform::new().await;
    let keys = MasterKeys::parse(MASTER_KEY).unwrap();
    let tenancy = platform.sealing(keys);
    let authority = tenantry_test_support::Authority::new("test");
    let (one, other) = (authority.server(&["one.example"]), authority.server(&["two.example"]));
    let tls = |issued: &tenantry_test_support::Issued| json!({"client_certificate_pem": issued.certificate_pem, "client_key_pem": issued.key_pem});
    let key = async |tenancy: &Tenancy| {
        let id = "main".parse().unwrap();
        let found = tenancy.get::<tenantry_model::Upstream>(&id).await.unwrap().value.resource;
        let context = tenantry_model::Upstream::sealing_context(&found.id);
        match found.client_key().unwrap() {
            tenantry_model::upstream::ClientKey::Sealed(sealed) => {
                let keys = MasterKeys::parse(MASTER_KEY).unwrap();
                String::from_utf8_lossy(&keys.open(sealed, &context).unwrap()).into_owned()
            }
            tenantry_model::upstream::ClientKey::Clear(_) => panic!("it is not sealed"),
        }
    };
    tenancy.create(&caller(), upstream(&tls(&one))).await.unwrap();
    let new = tenantry_tenancy::NewIssuer {
        issuer: "https://a.example/".to_owned(),
        audiences: ["a".to_owned()].into(),
        algorithms: parsed(json!(["HS256"])),
        tenant_claim: Some("tenant".to_owned()),
        scope_claim: None,
        roles_claim: None,
        jwks: Some(json!({"keys": [{
            "kty": "oct", "kid": "1", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA",
        }]})),
        jwks_url: None,
    };
    let issuer = tenancy.create_issuer(&caller(), None, new).await.unwrap().value.resource.id();
    let then = head(&platform).await;
    tenancy.replace(&caller(), upstream(&tls(&other)), &ANY).await.unwrap();
    assert_eq!(key(&tenancy).await, other.key_pem);
    tenancy.rollback(&caller(), then, false, MassRemoval::Meant).await.unwrap();
    assert_eq!(key(&tenancy).await, one.key_pem);
    tenancy.delete_issuer(&caller(), None, issuer, &ANY).await.unwrap();
    let refused = tenancy.rollback(&caller(), then, false, MassRemoval::Meant).await.unwrap_err();
    let Error::NotRestorable(lost) = refused else { panic!("{refused:?}") };
    assert!(lost[0].detail.contains("no secret is stored for this key"), "{lost:?}");
}

#[tokio::test]
async fn a_domain_that_a_certificate_names_stays_and_is_named() {
    let platform = Platform::new().await;
    let tenancy = platform.sealing(MasterKeys::parse(MASTER_KEY).unwrap());
    platform.create_tenant("acme").await;
    let then = head(&platform).await;
    for host in ["a.example", "b.example"] {
        tenancy.add_domain(&caller(), &named("acme"), host.parse().unwrap()).await.unwrap();
    }
    let issued = tenantry_test_support::Authority::new("test").server(&["a.example"]);
    let spec = tenantry_tenancy::CertificateSpec {
        domains: BTreeSet::new(),
        chain: parsed(json!(issued.certificate_pem)),
        key_pem: issued.key_pem,
        default: false,
    };
    tenancy.create_certificate(&caller(), Some(&named("acme")), &spec).await.unwrap();
    let done = tenancy.rollback(&caller(), then, false, MassRemoval::Meant).await.unwrap();
    let kept: Vec<_> = done.kept.iter().map(|it| (it.kind, it.name.as_str())).collect();
    assert_eq!(kept, [(ResourceKind::Domain, "a.example")]);
    assert_eq!((done.chunks, done.changes.len()), (1, 1));
    assert_eq!(done.changes[0].after.as_ref().unwrap().fields["domains"], json!(["a.example"]));
    // What stays is no difference any more.
    let again = tenancy.rollback(&caller(), then, false, MassRemoval::Meant).await.unwrap();
    assert_eq!((again.chunks, again.changes), (0, Vec::new()));
    assert_eq!(again.kept, done.kept);
}

#[tokio::test]
async fn what_somebody_else_has_by_now_does_not_come_back() {
    let platform = Platform::new().await;
    let slug_reserve = Duration::ZERO;
    let terms = Terms { slug_reserve, ..Terms::default() };
    let tenancy = platform.beside(3).with_terms(terms);
    platform.create_tenant("acme").await;
    let then = head(&platform).await;
    let patch = json!({"slug": "globex", "name": "Globex"});
    tenancy.patch_tenant(&caller(), &named("acme"), &patch, &ANY).await.unwrap();
    tenancy.create_tenant(&caller(), new_tenant("acme", &[])).await.unwrap();
    let refused = tenancy.rollback(&caller(), then, false, MassRemoval::Meant).await.unwrap_err();
    let Error::NotRestorable(lost) = refused else { panic!("{refused:?}") };
    assert!(lost[0].detail.starts_with("tenant acme: the slug acme is taken"), "{lost:?}");
    let done = tenancy.rollback(&caller(), then, true, MassRemoval::Meant).await.unwrap();
    assert_eq!((done.chunks, done.lost.len()), (1, 1));
    // All else of it does, and what came since has gone.
    let globex = tenancy.tenant(&named("globex")).await.unwrap().value;
    assert_eq!(globex.spec().name, "Acme");
    let acme = tenancy.tenant(&named("acme")).await.unwrap().value;
    assert_eq!(acme.resource.state, TenantState::Deleting);
}

#[tokio::test]
async fn every_revision_says_who_and_what() {
    let platform = Platform::new().await;
    let tenancy = &platform.tenancy;
    let first = head(&platform).await;
    let acme = platform.create_tenant("acme").await.value.resource.id;
    rename_plan(&platform, "Other").await;
    let renamed = head(&platform).await;
    apply(&platform, &[tenant("one", "pro"), tenant("two", "pro")]).await.unwrap();
    // The platform's own bookkeeping is no change that anybody made.
    tenancy.seal_audit(Revision::ZERO).await.unwrap();
    let list = async |filter: AuditFilter, limit| {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = PageRequest::new(Some(limit), cursor).unwrap();
            let page = tenancy.revisions(&filter, &page).await.unwrap();
            all.extend(
                page.items.into_iter().map(|it| (it.revision.as_u64(), it.value.entries.len())),
            );
            cursor = page.next_cursor;
            if cursor.is_none() {
                return all;
            }
        }
    };
    let all = [(renamed + 1, 2), (renamed, 1), (renamed - 1, 1), (first, 1)];
    for limit in [1, 2, 3, 4, 100] {
        assert_eq!(list(AuditFilter::default(), limit).await, all, "{limit}");
    }
    let of = |filter: AuditFilter| list(filter, 10);
    let action = Some("plan.*".to_owned());
    let plans = of(AuditFilter { action, ..AuditFilter::default() }).await;
    assert_eq!(plans, [(renamed, 1), (first, 1)]);
    let tenant = of(AuditFilter { tenant: Some(acme), ..AuditFilter::default() }).await;
    assert_eq!(tenant, [(renamed - 1, 1)]);
    let target = Some("plan/pro".to_owned());
    assert_eq!(of(AuditFilter { target, ..AuditFilter::default() }).await, plans);
    let actor = Some("nobody".to_owned());
    assert_eq!(of(AuditFilter { actor, ..AuditFilter::default() }).await, []);

    let shown = tenancy.revision(renamed).await.unwrap();
    assert_eq!((shown.summary.actor.as_str(), shown.summary.request_id.as_str()), ("root", "test"));
    assert_eq!(shown.changes.len(), 1);
    let field = &shown.changes[0].fields;
    assert_eq!(field.len(), 1);
    assert_eq!(field[0].pointer, "/resource/name");
    let texts = (field[0].before.as_ref().unwrap(), field[0].after.as_ref().unwrap());
    assert_eq!(texts, (&json!("A plan"), &json!("Other")));
    let made = tenancy.revision(renamed + 1).await.unwrap();
    let mut kinds: Vec<_> = made.changes.iter().map(|it| it.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["domain", "domain", "tenant", "tenant"]);
    assert!(made.changes.iter().all(|it| it.after.is_some() && it.before.is_none()));
    let quiet = tenancy.revision(head(&platform).await).await;
    assert!(matches!(quiet, Err(Error::NotFound { .. })), "{quiet:?}");
    let later = tenancy.revision(head(&platform).await + 1).await;
    assert!(matches!(later, Err(Error::NotFound { .. })), "{later:?}");
}

#[tokio::test]
async fn what_is_forgotten_is_said_to_be_and_the_rest_is_there() {
    let platform = Platform::new().await;
    for number in 0..20 {
        rename_plan(&platform, &format!("P{number}")).await;
    }
    let head = head(&platform).await;
    platform.store.compact(Revision::new(head - 5)).await.unwrap();
    let tenancy = &platform.tenancy;
    for (revision, oldest) in [(3, head - 5), (head - 6, head - 5)] {
        for refused in [
            tenancy.rollback(&caller(), revision, false, MassRemoval::Meant).await.map(drop),
            tenancy.diff_revisions(revision, head).await.map(drop),
        ] {
            assert_eq!(refused, Err(Error::RevisionForgotten { revision, oldest }));
        }
    }
    let refused = tenancy.revision(head - 5).await.map(drop);
    let (revision, oldest) = (head - 5, head - 4);
    assert_eq!(refused, Err(Error::RevisionForgotten { revision, oldest }));
    assert_eq!(tenancy.revision(head - 4).await.unwrap().changes.len(), 1);
    let page = PageRequest::new(None, None).unwrap();
    let listed = tenancy.revisions(&AuditFilter::default(), &page).await.unwrap().items;
    assert_eq!(listed.len(), 5);
    let changes = tenancy.diff_revisions(head - 5, head).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].before.as_ref().unwrap().fields["name"], "P14");
    back(&platform, head - 5).await;
    assert_eq!(tenancy.diff_revisions(head - 5, head + 1).await.unwrap(), []);
}

#[tokio::test]
async fn a_renamed_tenant_takes_its_routes_and_issuers_along_in_a_diff() {
    let platform = Platform::new().await;
    let route = json!({"kind": "route", "id": "r", "tenant": "acme", "redirect": {"path": "/"}});
    let issuer = json!({
        "kind": "issuer", "tenant": "acme", "issuer": "https://a.example/", "audiences": ["a"],
        "algorithms": ["RS256"], "jwks_url": "https://a.example/jwks",
    });
    apply(&platform, &[tenant("acme", "pro"), route, issuer]).await.unwrap();
    let then = head(&platform).await;
    let patch = json!({"slug": "globex"});
    platform.tenancy.patch_tenant(&caller(), &named("acme"), &patch, &ANY).await.unwrap();
    let differing = async |from, to| {
        let changes = platform.tenancy.diff_revisions(from, to).await.unwrap();
        changes.into_iter().map(|it| it.name).collect::<Vec<_>>()
    };
    let (acme, globex) = ("acme/https://a.example/", "globex/https://a.example/");
    assert_eq!(differing(then, then + 1).await, ["globex", "r", globex, acme, "acme"]);
    assert_eq!(differing(then + 1, then).await, ["acme", "r", acme, globex, "globex"]);
    assert_eq!(differing(then, then).await, Vec::<String>::new());
}
