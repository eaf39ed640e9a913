//! The states of a tenant, as a table.

use tenantry_model::{Plan, TenantState};
use tenantry_tenancy::{Error, Precondition, TenantRecord, Transition, Versioned};

use crate::platform::{Platform, caller, named};

async fn step(platform: &Platform, verb: &str) -> Result<Versioned<TenantRecord>, Error> {
    let (tenancy, caller, tenant) = (&platform.tenancy, caller(), named("acme"));
    let any = Precondition::None;
    let transition = match verb {
        "activate" => Transition::Activate,
        "suspend" => Transition::Suspend { reason: "unpaid".to_owned() },
        "resume" => Transition::Resume,
        "delete" => Transition::Delete { retention_days: None },
        "undelete" => Transition::Undelete,
        "patch" => {
            let patch = serde_json::json!({"name": "Acme Inc."});
            return tenancy.patch_tenant(&caller, &tenant, &patch, &any).await;
        }
        other => panic!("no such verb: {other}"),
    };
    tenancy.move_tenant(&caller, &tenant, &transition, &any).await
}

/// What comes of each verb after the steps: the next state, or none if it is refused.
async fn check(steps: &[&str], verb: &str, expected: Option<TenantState>) {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    for verb in steps {
        step(&platform, verb).await.unwrap();
    }
    let (rows, audited) = (platform.rows().await, platform.audit().await.len());
    match (step(&platform, verb).await, expected) {
        (Ok(record), Some(state)) => {
            assert_eq!(record.value.resource.state, state, "{steps:?} {verb}");
            let audit = platform.audit().await;
            assert_eq!(audit.len(), audited + 1, "{steps:?} {verb}: exactly one audit entry");
            assert_eq!(audit.first().unwrap().revision, record.revision);
        }
        (Err(Error::InvalidState { .. }), None) => assert_eq!(platform.rows().await, rows),
        (other, _) => panic!("{steps:?} {verb}: {other:?}"),
    }
}

#[tokio::test]
async fn every_state_and_every_verb() {
    use TenantState::{Active, Deleting, Suspended};
    for (steps, outcomes) in [
        (&[][..], [None, Some(Suspended), None, Some(Deleting), None, Some(Active)]),
        (&["suspend"], [None, None, Some(Active), Some(Deleting), None, Some(Suspended)]),
        (&["delete"], [None, None, None, None, Some(Active), None]),
        (&["suspend", "delete"], [None, None, None, None, Some(Suspended), None]),
    ] {
        let verbs = ["activate", "suspend", "resume", "delete", "undelete", "patch"];
        for (verb, expected) in verbs.into_iter().zip(outcomes) {
            check(steps, verb, expected).await;
        }
    }
}

#[tokio::test]
async fn a_deleted_tenant_keeps_its_name_and_plan() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    step(&platform, "delete").await.unwrap();
    let again = crate::platform::new_tenant("acme", &[]);
    let again = platform.tenancy.create_tenant(&caller(), again).await;
    assert!(matches!(again, Err(Error::SlugTaken(_))), "{again:?}");
    let plan = "pro".parse().unwrap();
    let plan = platform.tenancy.delete::<Plan>(&caller(), &plan, &Precondition::None).await;
    assert!(matches!(plan, Err(Error::InUse { .. })), "{plan:?}");
    let host = "www.acme.com".parse().unwrap();
    let domain = platform.tenancy.add_domain(&caller(), &named("acme"), host).await;
    assert!(matches!(domain, Err(Error::InvalidState { .. })), "{domain:?}");
}

#[tokio::test]
async fn a_slug_moves_in_one_commit() {
    let platform = Platform::new().await;
    platform.create_plan("free").await;
    let before = platform.create_tenant("acme").await;
    platform.create_tenant("globex").await;
    let patch = |slug: &str| serde_json::json!({"slug": slug, "plan": "free"});
    let (caller, any) = (caller(), Precondition::None);
    let (rows, acme) = (platform.rows().await, named("acme"));
    let taken = platform.tenancy.patch_tenant(&caller, &acme, &patch("globex"), &any).await;
    assert_eq!(taken.unwrap_err(), Error::SlugTaken("globex".to_owned()));
    assert_eq!(platform.rows().await, rows, "a conflict leaves nothing");
    let moved = platform.tenancy.patch_tenant(&caller, &acme, &patch("initech"), &any).await;
    assert_eq!(moved.unwrap().value.resource.id, before.value.resource.id);
    assert!(platform.tenancy.tenant(&named("acme")).await.is_err());
    platform.tenancy.tenant(&named("initech")).await.unwrap();
    let again = crate::platform::new_tenant("acme", &[]);
    let again = platform.tenancy.create_tenant(&caller, again).await;
    assert_eq!(again.unwrap_err(), Error::SlugTaken("acme".to_owned()), "it is reserved");
    let keys: Vec<_> = platform.rows().await.into_iter().map(|(key, _)| key).collect();
    let id = before.value.resource.id;
    assert!(keys.contains(&format!("ref/plan/free/tenant/{id}")));
    assert!(!keys.contains(&format!("ref/plan/pro/tenant/{id}")));
}
