//! Secrets are kept nowhere.

use std::{fs, path::Path};

use tenantry_tenancy::{AuditFilter, NewIssuer, NewKey, PageRequest, Precondition};

use crate::platform::{Platform, caller, named};

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
    let key = NewKey { name: "ci".to_owned(), scopes: [].into(), expires_at: None };
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
    let key = NewKey { name: "ci".to_owned(), scopes: [].into(), expires_at: None };
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
