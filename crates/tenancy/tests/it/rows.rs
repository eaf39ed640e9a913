//! What is written, and that it is written whole.

use serde_json::json;
use tenantry_tenancy::{
    Caller, Error, Idempotency, NewInvitation, NewTenant, PageRequest, TenantFilter,
};

use crate::platform::{Platform, caller, named, new_tenant, parsed};

#[tokio::test]
async fn a_taken_domain_leaves_no_tenant() {
    let platform = Platform::new().await;
    let first = new_tenant("acme", &["a.example.com"]);
    platform.tenancy.create_tenant(&caller(), first).await.unwrap();
    let rows = platform.rows().await;
    let second = new_tenant("globex", &["b.example.com", "a.example.com"]);
    let refused = platform.tenancy.create_tenant(&caller(), second).await.unwrap_err();
    let (host, pointer) = ("a.example.com".to_owned(), "/domains/1".to_owned());
    assert_eq!(refused, Error::DomainTaken { host, pointer });
    assert_eq!(platform.rows().await, rows);
    // In the same words whoever has it.
    platform.create_tenant("initech").await;
    for tenant in ["acme", "initech"] {
        let host = "a.example.com".parse().unwrap();
        let own = platform.tenancy.add_domain(&caller(), &named(tenant), host).await.unwrap_err();
        assert_eq!(own.to_string(), refused.to_string());
    }
}

#[tokio::test]
async fn the_most_domains_fit_one_commit_with_a_key_and_an_invitation() {
    let platform = Platform::new().await;
    let hosts: Vec<_> =
        (0..=NewTenant::MAX_DOMAINS).map(|number| format!("h{number}.example.com")).collect();
    let mut hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
    let many = platform.tenancy.create_tenant(&caller(), new_tenant("many", &hosts)).await;
    assert!(matches!(many, Err(Error::Invalid { pointer, .. }) if pointer == "/domains"));
    hosts.pop();
    let idempotency = Some(Idempotency::new("root", "many", &[]));
    let caller = Caller { idempotency, ..caller() };
    let tenant = NewTenant {
        key: Some(parsed(json!({"name": "ci"}))),
        invitation: Some(NewInvitation {
            email: "owner@many.example".parse().unwrap(),
            role: "owner".parse().unwrap(),
        }),
        ..new_tenant("many", &hosts)
    };
    let made = platform.tenancy.create_tenant(&caller, tenant).await.unwrap().value;
    let (key, invitation) = (made.key.unwrap(), made.invitation.unwrap());
    assert_eq!(key.record.resource.tenant, made.record.resource.id);
    assert_eq!(invitation.tenant, made.record.resource.id);
    let audit = platform.audit().await;
    let after = &audit.first().unwrap().value.after;
    assert_eq!(after["first_key"], key.record.resource.id.to_string());
    assert_eq!(after["first_invitation"], invitation.id.to_string());
    let secret = key.secret.unwrap();
    let digest = secret.digest().to_string();
    for (key, value) in platform.rows().await {
        let text = String::from_utf8_lossy(&value);
        assert!(!text.contains(secret.expose()), "{key}");
        assert!(!text.contains(&digest) || key.starts_with("api_key/"), "{key}");
    }
    let wrong = NewTenant {
        key: Some(parsed(json!({"name": "ci", "expires_at": "2001-01-01T00:00:00Z"}))),
        ..new_tenant("late", &[])
    };
    let refused = platform.tenancy.create_tenant(&self::caller(), wrong).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { pointer, .. } if pointer == "/key/expires_at"));
    assert!(platform.tenancy.tenant(&named("late")).await.is_err());
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let platform = Platform::new().await;
    for number in 0..25 {
        platform.create_tenant(&format!("tenant-{number}")).await;
    }
    let with = |text: &str, order: &str| TenantFilter {
        text: Some(text.to_owned()),
        order: order.parse().unwrap(),
        ..TenantFilter::default()
    };
    let page = PageRequest::new(Some(7), None).unwrap();
    let page = platform.tenancy.tenants(&with("tenant-", "slug"), &page).await.unwrap();
    let next = PageRequest::new(Some(7), page.next_cursor).unwrap();
    platform.tenancy.tenants(&with("tenant-", "slug"), &next).await.unwrap();
    for other in [with("tenant", "slug"), with("tenant-", "slug desc"), TenantFilter::default()] {
        let refused = platform.tenancy.tenants(&other, &next).await;
        assert!(matches!(refused, Err(Error::InvalidCursor(_))), "{refused:?}");
    }
}
