//! Desired states: exported, compared, applied.

use serde_json::{Value, json};
use tenantry_model::{Plan, TenantState};
use tenantry_store::Store as _;
use tenantry_tenancy::{Applied, Error, Exported, Fault, LabelSelector, MassRemoval};

use crate::platform::{Platform, caller, named};

pub(crate) async fn apply(platform: &Platform, documents: &[Value]) -> Result<Applied, Error> {
    platform.tenancy.apply(&caller(), documents, None, MassRemoval::Refused, false).await
}

pub(crate) async fn exported(platform: &Platform) -> Exported {
    platform.tenancy.export(None).await.unwrap()
}

pub(crate) fn text(exported: &Exported) -> String {
    serde_json::to_string_pretty(&exported.documents).unwrap()
}

pub(crate) fn documents(exported: &Exported) -> Vec<Value> {
    let Value::Array(documents) = serde_json::to_value(&exported.documents).unwrap() else {
        panic!()
    };
    documents
}

pub(crate) fn tenant(slug: &str, plan: &str) -> Value {
    json!({
        "kind": "tenant", "slug": slug, "name": slug, "plan": plan,
        "labels": {"stage": "test"}, "domains": [format!("{slug}.example")],
    })
}

/// One of each kind, in an order in which nothing could be made.
fn one_of_each() -> Vec<Value> {
    let acme = json!({
        "kind": "tenant", "slug": "acme", "name": "acme", "plan": "big", "group": "eu",
        "domains": ["b.example", "*.a.example", "a.example"],
        "metadata": {"b": [1, null], "a": {"d": 1.5, "c": "no"}},
        "subscription": {
            "period": {"unit": "month", "count": 1}, "anchor": "2020-01-31T00:00:00Z",
            "auto_renew": true, "grace_days": 7,
        },
    });
    vec![
        json!({"kind": "route", "id": "api", "tenant": "acme", "upstream": "main"}),
        json!({"kind": "route", "id": "all", "upstream": "main", "match": {"path_prefix": "/all"}}),
        acme,
        json!({"kind": "upstream", "id": "main", "endpoints": [{"address": "127.0.0.1:1"}]}),
        json!({"kind": "group", "id": "eu", "name": "Europe"}),
        json!({"kind": "plan", "id": "big", "name": "Big", "features": ["reports"]}),
        json!({"kind": "feature", "id": "reports", "default": false}),
    ]
}

#[tokio::test]
async fn what_was_applied_is_there_and_nothing_is_left_to_do() {
    let platform = Platform::new().await;
    let applied = apply(&platform, &one_of_each()).await.unwrap();
    assert_eq!((applied.chunks, applied.changes.len()), (1, 7));
    let changes = platform.tenancy.diff(&one_of_each(), None).await.unwrap();
    assert_eq!(changes, [], "applied twice, nothing differs");
    let again = apply(&platform, &one_of_each()).await.unwrap();
    assert_eq!((again.chunks, again.changes.len()), (0, 0));
    // One entry of the audit log for each change: the tenant, and its subscription.
    let actions: Vec<_> = platform.audit().await.iter().map(|e| e.value.action.clone()).collect();
    for action in ["feature.create", "tenant.create", "subscription.update", "route.create"] {
        assert!(actions.iter().any(|it| it == action), "{action} in {actions:?}");
    }
    // The subscription is due like any other.
    let rows = platform.rows().await;
    assert!(rows.iter().any(|(key, _)| key.contains("/subscription/")));
    // A change of one thing is that change.
    let mut changed = one_of_each();
    changed[2]["name"] = json!("Acme & Sons");
    changed[2]["domains"] = json!(["a.example", "c.example"]);
    let changes = platform.tenancy.diff(&changed, None).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].before.as_ref().unwrap().fields["name"], "acme");
    assert_eq!(changes[0].after.as_ref().unwrap().fields["name"], "Acme & Sons");
    assert_eq!(apply(&platform, &changed).await.unwrap().chunks, 1);
    assert_eq!(platform.tenancy.diff(&changed, None).await.unwrap(), []);
}

#[tokio::test]
async fn an_export_makes_the_same_platform_elsewhere() {
    let (one, other) = (Platform::new().await, Platform::new().await);
    apply(&one, &one_of_each()).await.unwrap();
    one.create_tenant("plain").await;
    let first = exported(&one).await;
    apply(&other, &documents(&first)).await.unwrap();
    assert_eq!(text(&first), text(&exported(&other).await));
    // In one order, whatever order it was made in.
    let kinds: Vec<_> = first.documents.iter().map(|document| document.kind.as_str()).collect();
    let expected =
        ["feature", "plan", "plan", "group", "upstream", "tenant", "tenant", "route", "route"];
    assert_eq!(kinds, expected);
    let documents = documents(&first);
    let ids: Vec<_> = documents.iter().filter_map(|it| it["id"].as_str()).collect();
    assert_eq!(ids, ["reports", "big", "pro", "eu", "main", "all", "api"]);
    assert_eq!(documents[5]["domains"], json!(["*.a.example", "a.example", "b.example"]));
    // Nothing that the platform chose.
    let written = text(&first);
    for chosen in ["ten_", "created_at", "revision"] {
        assert!(!written.contains(chosen), "{chosen} in {written}");
    }
}

pub(crate) fn pointers(error: Error) -> Vec<String> {
    let Error::Faults(faults) = error else { panic!("{error:?}") };
    faults.into_iter().map(|Fault { pointer, .. }| pointer).collect()
}

#[tokio::test]
async fn what_is_at_fault_is_told_and_nothing_is_written() {
    let platform = Platform::new().await;
    platform.create_tenant("taken").await;
    let taken = named("taken");
    platform.tenancy.add_domain(&caller(), &taken, "taken.example".parse().unwrap()).await.unwrap();
    let before = platform.rows().await;
    let mut wrong = one_of_each();
    wrong[0]["tenant"] = json!("nobody");
    wrong[2]["domains"] = json!(["a.example", "taken.example"]);
    wrong[3]["endpoints"] = json!([]);
    wrong[5]["name"] = json!(" ");
    wrong.push(json!({"kind": "plan", "id": "big", "name": "Twice"}));
    wrong.push(json!({"kind": "planet", "id": "x"}));
    wrong.push(json!({"kind": "plan", "id": "typo", "name": "x", "nmae": "x"}));
    wrong.push(tenant("other", "missing"));
    let mut told = pointers(apply(&platform, &wrong).await.unwrap_err());
    told.sort();
    // The tenant and the routes need what is at fault, and are not told of beside it.
    assert_eq!(
        told,
        [
            "/documents/10/plan",
            "/documents/3/endpoints",
            "/documents/5/name",
            "/documents/7",
            "/documents/8/kind",
            "/documents/9/nmae",
        ]
    );
    assert_eq!(platform.rows().await, before);
    let mut domain = one_of_each();
    domain[2]["domains"] = json!(["a.example", "taken.example"]);
    assert_eq!(pointers(apply(&platform, &domain).await.unwrap_err()), ["/documents/2/domains/1"]);
    let route =
        json!({"kind": "route", "id": "api", "tenant": "nobody", "redirect": {"path": "/"}});
    assert_eq!(pointers(apply(&platform, &[route]).await.unwrap_err()), ["/documents/0/tenant"]);
    let secret = json!({
        "kind": "upstream", "id": "x", "endpoints": [{"address": "127.0.0.1:1"}],
        "tls": {"client_key_pem": "k"},
    });
    let told = pointers(apply(&platform, &[secret]).await.unwrap_err());
    assert_eq!(told, ["/documents/0/tls/client_key_pem"]);
    assert_eq!(platform.rows().await, before);
}

#[tokio::test]
async fn domains_change_hands_in_one_commit() {
    let platform = Platform::new().await;
    let (mut one, mut other) = (tenant("one", "pro"), tenant("other", "pro"));
    apply(&platform, &[one.clone(), other.clone()]).await.unwrap();
    (one["domains"], other["domains"]) = (json!(["other.example"]), json!(["one.example"]));
    let applied = apply(&platform, &[one.clone(), other.clone()]).await.unwrap();
    assert_eq!((applied.chunks, applied.changes.len()), (1, 2));
    assert_eq!(platform.tenancy.diff(&[one.clone(), other], None).await.unwrap(), []);
    // A tenant whose document does not speak of domains keeps them.
    one.as_object_mut().unwrap().remove("domains");
    assert_eq!(platform.tenancy.diff(&[one], None).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_too_much_for_one_commit_is_several() {
    let platform = Platform::new().await;
    let mut many: Vec<_> = (0..60).map(|number| tenant(&format!("t{number}"), "pro")).collect();
    let hosts: Vec<_> = (0..150).map(|number| format!("h{number}.example")).collect();
    many[7]["domains"] = json!(hosts);
    let planned =
        platform.tenancy.apply(&caller(), &many, None, MassRemoval::Refused, true).await.unwrap();
    assert_eq!(exported(&platform).await.documents.len(), 1, "a dry run changes nothing");
    let applied = apply(&platform, &many).await.unwrap();
    assert!(applied.chunks > 1);
    assert_eq!(applied, planned);
    assert_eq!(platform.tenancy.diff(&many, None).await.unwrap(), []);
    // Somebody undoes some of it: the same again does just that.
    let tenant = named("t7");
    let host = "h99.example".parse().unwrap();
    let none = tenantry_tenancy::Precondition::None;
    platform.tenancy.remove_domain(&caller(), &tenant, &host, &none).await.unwrap();
    let again = apply(&platform, &many).await.unwrap();
    assert_eq!((again.chunks, again.changes.len()), (1, 1));
    // One fault among so many, and nothing is changed.
    many.push(self::tenant("last", "missing"));
    many[0]["name"] = json!("Other");
    let before = platform.rows().await;
    assert_eq!(pointers(apply(&platform, &many).await.unwrap_err()), ["/documents/60/plan"]);
    assert_eq!(platform.rows().await, before);
}

#[tokio::test]
async fn that_all_tenants_go_has_to_be_meant() {
    let platform = Platform::new().await;
    let beginning = platform.store.status().await.head.as_u64();
    apply(&platform, &[tenant("one", "pro"), tenant("two", "pro")]).await.unwrap();
    let label: LabelSelector = "stage=test".parse().unwrap();
    let rows = platform.rows().await;
    let prune = async |removal, dry_run| {
        platform.tenancy.apply(&caller(), &[], Some(&label), removal, dry_run).await
    };
    let refused = Error::MassRemoval { tenants: 2, removed: 2 };
    for dry_run in [true, false] {
        assert_eq!(prune(MassRemoval::Refused, dry_run).await.unwrap_err(), refused);
    }
    let back =
        async |removal| platform.tenancy.rollback(&caller(), beginning, false, removal).await;
    assert_eq!(back(MassRemoval::Refused).await.unwrap_err(), refused);
    assert_eq!(platform.rows().await, rows);
    assert_eq!(prune(MassRemoval::Meant, true).await.unwrap().changes.len(), 2);
    assert_eq!(back(MassRemoval::Meant).await.unwrap().changes.len(), 2);
    // Those that are deleted already do not count, and one that stays is enough.
    apply(&platform, &[tenant("three", "pro"), tenant("four", "pro")]).await.unwrap();
    let one = [tenant("three", "pro")];
    let refused = MassRemoval::Refused;
    let done = platform.tenancy.apply(&caller(), &one, Some(&label), refused, false).await;
    assert_eq!(done.unwrap().changes.len(), 1);
    assert!(prune(refused, false).await.is_err());
}

#[tokio::test]
async fn pruning_stays_within_its_label() {
    let platform = Platform::new().await;
    platform.create_tenant("other").await;
    let both = [tenant("one", "pro"), tenant("two", "pro")];
    apply(&platform, &both).await.unwrap();
    let label: LabelSelector = "stage=test".parse().unwrap();
    let kept = platform.tenancy.export(Some(&label)).await.unwrap();
    assert_eq!(documents(&kept).iter().filter(|it| it["kind"] == "tenant").count(), 2);
    let prune = async |dry_run| {
        platform
            .tenancy
            .apply(&caller(), &both[..1], Some(&label), MassRemoval::Refused, dry_run)
            .await
            .unwrap()
    };
    assert_eq!(prune(true).await.changes.len(), 1);
    let applied = prune(false).await;
    assert_eq!((applied.chunks, applied.changes[0].name.as_str()), (1, "two"));
    assert!(applied.changes[0].after.is_none());
    for (slug, state) in [
        ("one", TenantState::Active),
        ("two", TenantState::Deleting),
        ("other", TenantState::Active),
    ] {
        let found = platform.tenancy.tenant(&named(slug)).await.unwrap();
        assert_eq!(found.value.resource.state, state, "{slug}");
    }
    assert_eq!(prune(false).await.chunks, 0);
    // A deleted tenant is brought back by nobody who did not say so.
    assert_eq!(pointers(apply(&platform, &both).await.unwrap_err()), ["/documents/1"]);
    let plan = platform.tenancy.get::<Plan>(&"pro".parse().unwrap()).await;
    assert!(plan.is_ok());
}
