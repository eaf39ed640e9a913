//! Tenants, one by one, whether or not they are there.

use serde_json::json;
use tenantry_model::{KeyDigest, KeySpec, TenantState};
use tenantry_store::Store as _;
use tenantry_tenancy::{
    Error, ImportTenant, Imported, NewInvitation, OnConflict, PageRequest, Precondition, Transition,
};

use crate::platform::{Platform, caller, named, new_tenant, parsed};

fn tenant(slug: &str, domains: &[&str]) -> ImportTenant {
    let new = new_tenant(slug, domains);
    ImportTenant {
        spec: new.spec,
        domains: new.domains,
        state: TenantState::Active,
        key: None,
        invitation: None,
    }
}

impl Platform {
    async fn head(&self) -> u64 {
        self.store.status().await.head.as_u64()
    }

    async fn import(
        &self,
        tenant: &ImportTenant,
        on_conflict: OnConflict,
    ) -> Result<Imported, Error> {
        self.tenancy.import_tenant(&caller(), tenant, on_conflict, false).await
    }
}

#[tokio::test]
async fn a_tenant_is_made_whole_and_left_alone_when_it_comes_again() {
    let platform = Platform::new().await;
    let spec: KeySpec = parsed(json!({"name": "ci", "scopes": ["read"]}));
    let digest = KeyDigest::from_bytes([9; 32]);
    let invitation: NewInvitation =
        NewInvitation { email: "a@example.com".parse().unwrap(), role: parsed(json!("owner")) };
    let acme = ImportTenant {
        key: Some((spec, digest)),
        invitation: Some(invitation),
        state: TenantState::Provisioning,
        ..tenant("acme", &["b.example", "a.example"])
    };
    let before = platform.head().await;
    assert_eq!(platform.import(&acme, OnConflict::Fail).await, Ok(Imported::Created));
    assert_eq!(platform.head().await, before + 1, "one commit");
    let record = platform.tenancy.tenant(&named("acme")).await.unwrap().value;
    assert_eq!(record.resource.state, TenantState::Provisioning);
    let page = PageRequest::new(None, None).unwrap();
    let keys = platform.tenancy.keys(&named("acme"), &page).await.unwrap().items;
    assert_eq!((keys.len(), keys[0].value.resource.digest), (1, digest));
    let audit = platform.audit().await;
    assert_eq!(audit[0].value.action, "tenant.create");
    assert!(audit[0].value.after["first_key"].is_string(), "{}", audit[0].value.after);
    assert!(!audit[0].value.after.to_string().contains(&digest.to_string()));
    // Whatever it started with, it is the same tenant: no second key, no second letter.
    let rows = platform.rows().await;
    for again in [acme.clone(), tenant("acme", &["a.example", "b.example"])] {
        for on_conflict in [OnConflict::Fail, OnConflict::Skip, OnConflict::Update] {
            assert_eq!(platform.import(&again, on_conflict).await, Ok(Imported::Unchanged));
        }
    }
    assert_eq!(platform.rows().await, rows);
    // Nobody else gets the same key.
    let other = ImportTenant { invitation: None, ..acme };
    let mut other = ImportTenant { domains: Vec::new(), ..other };
    other.spec.slug = "other".parse().unwrap();
    let refused = platform.import(&other, OnConflict::Fail).await.unwrap_err();
    assert!(matches!(&refused, Error::Invalid { pointer, .. } if pointer == "/key/digest"));
    assert_eq!(platform.rows().await, rows);
}

#[tokio::test]
async fn what_is_there_otherwise_stays_or_is_changed_as_is_said() {
    let platform = Platform::new().await;
    let old = tenant("acme", &["a.example", "b.example"]);
    platform.import(&old, OnConflict::Fail).await.unwrap();
    let mut new = tenant("acme", &["b.example", "c.example"]);
    new.spec.name = "Acme & Sons".to_owned();
    let rows = platform.rows().await;
    let taken = Err(Error::SlugTaken("acme".to_owned()));
    assert_eq!(platform.import(&new, OnConflict::Fail).await, taken);
    assert_eq!(platform.import(&new, OnConflict::Skip).await, Ok(Imported::Skipped));
    let dry = platform.tenancy.import_tenant(&caller(), &new, OnConflict::Update, true).await;
    assert_eq!(dry, Ok(Imported::Updated));
    assert_eq!(platform.rows().await, rows);
    let before = platform.head().await;
    assert_eq!(platform.import(&new, OnConflict::Update).await, Ok(Imported::Updated));
    assert_eq!(platform.head().await, before + 1, "one commit");
    assert_eq!(platform.import(&new, OnConflict::Fail).await, Ok(Imported::Unchanged));
    // The domain that was given up is anybody's.
    let other = tenant("other", &["a.example"]);
    assert_eq!(platform.import(&other, OnConflict::Fail).await, Ok(Imported::Created));
    let third = tenant("third", &["x.example", "a.example"]);
    let refused = platform.import(&third, OnConflict::Skip).await.unwrap_err();
    assert!(matches!(&refused, Error::DomainTaken { pointer, .. } if pointer == "/domains/1"));
    assert!(platform.tenancy.tenant(&named("third")).await.is_err(), "whole or not at all");
    // A deleted tenant is changed by nothing.
    let delete = Transition::Delete { retention_days: None };
    let none = Precondition::None;
    platform.tenancy.move_tenant(&caller(), &named("acme"), &delete, &none).await.unwrap();
    let refused = platform.import(&new, OnConflict::Update).await;
    assert!(matches!(refused, Err(Error::InvalidState { .. })), "{refused:?}");
    assert_eq!(platform.import(&new, OnConflict::Fail).await, taken);
}

#[tokio::test]
async fn a_dry_run_refuses_what_would_be_refused_and_changes_nothing() {
    let platform = Platform::new().await;
    platform.import(&tenant("acme", &["a.example"]), OnConflict::Fail).await.unwrap();
    let rows = platform.rows().await;
    let dry = async |tenant: &ImportTenant| {
        platform.tenancy.import_tenant(&caller(), tenant, OnConflict::Fail, true).await
    };
    assert_eq!(dry(&tenant("new", &["n.example"])).await, Ok(Imported::Created));
    let refused = dry(&tenant("new", &["a.example"])).await;
    assert!(matches!(refused, Err(Error::DomainTaken { .. })), "{refused:?}");
    let mut planless = tenant("new", &[]);
    planless.spec.plan = "missing".parse().unwrap();
    let refused = dry(&planless).await.unwrap_err();
    assert!(matches!(&refused, Error::Invalid { pointer, .. } if pointer == "/plan"));
    assert_eq!(platform.rows().await, rows);
}

#[tokio::test]
async fn twenty_at_once_make_one_tenant() {
    let platform = Platform::new().await;
    let acme = tenant("acme", &["a.example"]);
    let racers = (0..20).map(|_| platform.import(&acme, OnConflict::Fail));
    let outcomes = futures::future::join_all(racers).await;
    let created = outcomes.iter().filter(|it| **it == Ok(Imported::Created)).count();
    let unchanged = outcomes.iter().filter(|it| **it == Ok(Imported::Unchanged)).count();
    assert_eq!((created, unchanged), (1, 19), "{outcomes:?}");
    // A slug that was given up is not there, and is not to be had either.
    let mut renamed = acme.clone();
    renamed.spec.slug = "renamed".parse().unwrap();
    let spec = &renamed.spec;
    let none = Precondition::None;
    platform.tenancy.replace_tenant(&caller(), &named("acme"), spec, &none).await.unwrap();
    let taken = Err(Error::SlugTaken("acme".to_owned()));
    assert_eq!(platform.import(&acme, OnConflict::Update).await, taken);
}

#[tokio::test]
async fn what_does_not_fit_one_commit_is_refused_whole() {
    let platform = Platform::new().await;
    platform.import(&tenant("acme", &[]), OnConflict::Fail).await.unwrap();
    let hosts: Vec<_> = (0..30).map(|number| format!("h{number}.example")).collect();
    let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    let rows = platform.rows().await;
    let refused = platform.import(&tenant("acme", &hosts), OnConflict::Update).await.unwrap_err();
    assert!(matches!(&refused, Error::Invalid { pointer, .. } if pointer == "/domains"));
    assert_eq!(platform.rows().await, rows);
    // To be made with as many is one commit.
    assert_eq!(
        platform.import(&tenant("other", &hosts), OnConflict::Fail).await,
        Ok(Imported::Created)
    );
}
