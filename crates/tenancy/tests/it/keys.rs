//! Keys: changed, rolled, used; and secrets are kept nowhere.

use std::{fs, path::Path};

use serde_json::json;
use tenantry_model::{Bounded, KeyId, KeySpec, Timestamp};
use tenantry_store::Store as _;
use tenantry_tenancy::{AuditFilter, Error, KeyRoll, NewIssuer, PageRequest, Precondition, layout};

use crate::platform::{Platform, caller, named, parsed};

fn holds(directory: &Path, needle: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test]
async fn the_secret_of_a_key_is_in_no_file() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let key = KeySpec::named("ci");
    let created = platform.tenancy.create_key(&caller(), &named("acme"), key).await.unwrap();
    let secret = created.value.secret.unwrap().expose().to_owned();
    let record = created.value.record;
    let rows = platform.rows().await;
    for (key, value) in &rows {
        assert!(!String::from_utf8_lossy(value).contains(&secret), "{key}");
    }
    platform.store.close();
    // The digest is there, so what is searched is what was written. The file may be compressed, so
    // a part of the record's own text serves as the control, and the rows were searched above.
    assert!(holds(platform.directory.path(), record.hint.as_bytes()));
    assert!(!holds(platform.directory.path(), secret.as_bytes()));
    assert!(!holds(platform.directory.path(), &secret.as_bytes()[record.hint.len()..]));
}

#[tokio::test]
async fn a_revoked_key_is_gone_with_its_index() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    platform.create_tenant("globex").await;
    let key = KeySpec::named("ci");
    let created = platform.tenancy.create_key(&caller(), &named("acme"), key).await.unwrap();
    let id = created.value.record.resource.id;
    assert!(
        platform
            .tenancy
            .revoke_key(&caller(), &named("globex"), id, &Precondition::None)
            .await
            .is_err()
    );
    platform.tenancy.revoke_key(&caller(), &named("acme"), id, &Precondition::None).await.unwrap();
    for (key, _) in platform.rows().await {
        let is_index = ["api_key/", "keydigest/", "of/"].iter().any(|kind| key.starts_with(kind));
        assert!(!is_index, "{key}");
    }
}

#[tokio::test]
async fn an_audit_entry_shows_no_secret() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA";
    let jwks = serde_json::json!({"keys": [{"kty": "oct", "alg": "HS256", "k": secret}]});
    let issuer = NewIssuer {
        issuer: "https://id.acme.com/".to_owned(),
        audiences: ["api".to_owned()].into(),
        algorithms: [tenantry_model::Algorithm::HS256].into(),
        tenant_claim: None,
        scope_claim: None,
        roles_claim: None,
        jwks: Some(jwks),
        jwks_url: None,
    };
    let tenant = named("acme");
    let created = platform.tenancy.create_issuer(&caller(), Some(&tenant), issuer).await.unwrap();
    assert!(!created.value.shown_keys().unwrap().to_string().contains(secret));
    let id = created.value.resource.id();
    platform
        .tenancy
        .delete_issuer(&caller(), Some(&tenant), id, &Precondition::None)
        .await
        .unwrap();
    let request = PageRequest::new(None, None).unwrap();
    let target = format!("issuer/{id}");
    let filter = AuditFilter { target: Some(target), ..AuditFilter::default() };
    let history = platform.tenancy.audit(&filter, &request).await.unwrap();
    assert_eq!(history.items.len(), 2);
    for entry in platform.audit().await {
        assert!(!serde_json::to_string(&entry.value).unwrap().contains(secret));
    }
}

async fn key(platform: &Platform, spec: KeySpec) -> KeyId {
    let created = platform.tenancy.create_key(&caller(), &named("acme"), spec).await.unwrap();
    created.value.record.resource.id
}

fn pointer<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome.unwrap_err() {
        Error::Invalid { pointer, .. } => pointer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_is_changed_and_stays_the_same_key() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    platform.create_tenant("globex").await;
    let (tenancy, acme, none) = (&platform.tenancy, named("acme"), Precondition::None);
    let id = key(&platform, KeySpec::named("ci")).await;
    let made = tenancy.key(&acme, id).await.unwrap();
    let patch = json!({
        "enabled": false, "allowed_networks": ["10.0.0.0/8"], "scopes": ["a:b"],
        "rate_limits": [{"name": "x", "quota": 1, "window_seconds": 1}],
    });
    let changed = tenancy.patch_key(&caller(), &acme, id, &patch, &none).await.unwrap();
    let resource = &changed.value.resource;
    assert_eq!((resource.id, resource.digest), (id, made.value.resource.digest));
    assert!(!resource.enabled && resource.scopes.len() == 1);
    assert_eq!(changed.value.name, "ci");
    assert!(changed.value.updated_at.is_some() && made.value.updated_at.is_none());
    // Null takes the list away; an empty one could mean both, and is refused.
    let anywhere = json!({"allowed_networks": null});
    let changed = tenancy.patch_key(&caller(), &acme, id, &anywhere, &none).await.unwrap();
    assert!(changed.value.resource.allowed_networks.is_none());
    let scopes: Vec<_> = (0..65).map(|number| format!("s{number}")).collect();
    for (patch, expected) in [
        (json!({"allowed_networks": []}), "/allowed_networks"),
        (
            json!({"rate_limits": [{"name": "x", "quota": 0, "window_seconds": 1}]}),
            "/rate_limits/0",
        ),
        (json!({"scopes": scopes}), "/scopes"),
        (json!({"expires_at": "2001-01-01T00:00:00Z"}), "/expires_at"),
        (json!({"name": ""}), "/name"),
        (json!({"id": "x"}), "/id"),
        (json!({"digest": "x"}), "/digest"),
    ] {
        let refused = tenancy.patch_key(&caller(), &acme, id, &patch, &none).await;
        let pointer = pointer(refused);
        assert!(pointer.starts_with(expected), "{patch}: {pointer}");
    }
    let spec = KeySpec::named("again");
    let stale = Precondition::AnyOf(vec![made.revision.as_u64()]);
    let refused = tenancy.replace_key(&caller(), &acme, id, &spec, &stale).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed { .. })), "{refused:?}");
    let refused = tenancy.replace_key(&caller(), &named("globex"), id, &spec, &none).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    let replaced = tenancy.replace_key(&caller(), &acme, id, &spec, &none).await.unwrap();
    assert!(replaced.value.resource.enabled && replaced.value.resource.scopes.is_empty());
    let actions: Vec<_> = platform.audit().await.iter().map(|e| e.value.action.clone()).collect();
    assert_eq!(actions.iter().filter(|action| *action == "key.update").count(), 3);
}

#[tokio::test]
async fn a_key_is_rolled_with_and_without_an_overlap() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let (tenancy, acme, none) = (&platform.tenancy, named("acme"), Precondition::None);
    let spec: KeySpec = parsed(json!({"name": "ci", "scopes": ["a"], "allowed_networks": ["::1"]}));
    let id = key(&platform, spec.clone()).await;
    let roll = |seconds: u64| KeyRoll {
        overlap_seconds: Bounded::try_from(seconds).unwrap(),
        expires_at: None,
    };
    let rolled = tenancy.roll_key(&caller(), &acme, id, roll(3600), &none).await.unwrap().value;
    assert_eq!(rolled.record.replaces, Some(id));
    assert_eq!(rolled.record.resource.scopes, spec.scopes);
    assert_eq!(rolled.record.resource.allowed_networks, spec.allowed_networks);
    assert_eq!(rolled.record.resource.expires_at, None);
    assert_eq!(rolled.record.resource.digest, rolled.secret.as_ref().unwrap().digest());
    let old = tenancy.key(&acme, id).await.unwrap().value;
    let ends = old.resource.expires_at.unwrap().unix_ms() - old.updated_at.unwrap().unix_ms();
    assert!(old.resource.enabled && ends == 3_600_000, "{ends}");
    // One key takes its place, not two; unless that one is gone.
    let refused = tenancy.roll_key(&caller(), &acme, id, roll(7200), &none).await;
    let by = rolled.record.resource.id;
    assert_eq!(refused.map(drop), Err(Error::KeyReplaced { by }));
    tenancy.revoke_key(&caller(), &acme, by, &none).await.unwrap();
    // An earlier end stays.
    let rolled = tenancy.roll_key(&caller(), &acme, id, roll(7200), &none).await.unwrap().value;
    let again = tenancy.key(&acme, id).await.unwrap().value;
    assert_eq!(again.resource.expires_at, old.resource.expires_at);
    // Without an overlap it is off, whatever a proxy's clock says.
    let id = rolled.record.resource.id;
    let next = tenancy.roll_key(&caller(), &acme, id, roll(0), &none).await.unwrap().value;
    let old = tenancy.key(&acme, id).await.unwrap().value;
    assert!(!old.resource.enabled);
    assert_eq!(old.resource.expires_at, old.updated_at);
    // What has expired is not made anew by accident.
    let next = next.record.resource.id;
    tenancy.revoke_key(&caller(), &acme, next, &none).await.unwrap();
    let refused = tenancy.roll_key(&caller(), &acme, id, roll(0), &none).await;
    assert_eq!(pointer(refused.map(drop)), "/expires_at");
}

#[tokio::test]
async fn uses_of_keys_are_kept_roughly_and_beside_the_record() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let (tenancy, acme) = (&platform.tenancy, named("acme"));
    let (id, other) =
        (key(&platform, KeySpec::named("a")).await, key(&platform, KeySpec::named("b")).await);
    let before = (tenancy.key(&acme, id).await.unwrap(), platform.audit().await.len());
    let hour = 1_699_999_200_000;
    let at = |offset: u64| Timestamp::from_unix_ms(hour + offset);
    let gone = KeyId::from_parts(1, 1);
    tenancy.note_used_keys(&[(id, at(0)), (id, at(60_000)), (gone, at(0))]).await.unwrap();
    let written = platform.store.status().await.head;
    assert_eq!(tenancy.key_last_used(id).await.unwrap(), Some(at(60_000)));
    assert_eq!(tenancy.key_last_used(other).await.unwrap(), None);
    // The same hour, and one before it: nothing is written.
    for time in [at(120_000), at(3_599_999), Timestamp::from_unix_ms(hour - 1)] {
        tenancy.note_used_keys(&[(id, time)]).await.unwrap();
        assert_eq!(platform.store.status().await.head, written, "{time}");
    }
    // A proxy from the future is not believed.
    tenancy.note_used_keys(&[(id, Timestamp::from_unix_ms(u64::MAX))]).await.unwrap();
    let noted = tenancy.key_last_used(id).await.unwrap().unwrap();
    assert!(noted.unix_ms() < 1_700_100_000_000, "{noted}");
    // Nothing but the row has changed.
    let after = (tenancy.key(&acme, id).await.unwrap(), platform.audit().await.len());
    assert_eq!(after, before);
    let rows: Vec<_> = platform.rows().await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(rows.iter().filter(|key| key.starts_with(layout::USED)).count(), 1);
    tenancy.revoke_key(&caller(), &acme, id, &Precondition::None).await.unwrap();
    assert!(!platform.rows().await.iter().any(|(key, _)| key.starts_with(layout::USED)));
    // More than fit one commit.
    let mut many = Vec::new();
    for number in 0..120 {
        many.push((key(&platform, KeySpec::named(format!("k{number}"))).await, at(0)));
    }
    tenancy.note_used_keys(&many).await.unwrap();
    let used = platform.rows().await.iter().filter(|(key, _)| key.starts_with("used/")).count();
    assert_eq!(used, 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_revoked_stays_so_whoever_rolls_or_uses_it_meanwhile() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let acme = named("acme");
    for round in 0..20 {
        let id = key(&platform, KeySpec::named("ci")).await;
        let [revoking, rolling, using] = [0, 1, 2].map(|seed| platform.beside(round * 3 + seed));
        let roll = KeyRoll { overlap_seconds: Bounded::clamped(60), expires_at: None };
        let used = [(id, Timestamp::from_unix_ms(1_700_000_000_000))];
        let (revoked, _, _) = tokio::join!(
            tokio::spawn(async move {
                revoking.revoke_key(&caller(), &named("acme"), id, &Precondition::None).await
            }),
            tokio::spawn(async move {
                let none = Precondition::None;
                rolling.roll_key(&caller(), &named("acme"), id, roll, &none).await.map(drop)
            }),
            tokio::spawn(async move { using.note_used_keys(&used).await }),
        );
        revoked.unwrap().unwrap();
        let found = platform.tenancy.key(&acme, id).await;
        assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
        assert_eq!(platform.tenancy.key_last_used(id).await.unwrap(), None);
    }
}
