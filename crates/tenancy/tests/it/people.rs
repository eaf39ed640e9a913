//! Operators, sessions, members and roles where time and races matter.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use tenantry_credentials::{access_token, password::Password};
use tenantry_model::{OperatorRole, Permission, TenantRole, UserId};
use tenantry_store::Store as _;
use tenantry_tenancy::{
    Error, Joining, NewInvitation, NewToken, OperatorSpec, PageRequest, Precondition, Principal,
    QuotaAction, RoleSpec, TenantGrant, Terms, Transition, UserSpec,
};

use crate::platform::{Platform, caller, named, new_tenant, parsed};

const ANY: &Precondition = &Precondition::None;

impl Platform {
    async fn add(&self, email: &str, role: &str) -> UserId {
        let who = Joining::Email(email.parse().unwrap());
        let role = role.parse().unwrap();
        let added = self.tenancy.add_member(&caller(), &named("acme"), who, role).await;
        added.unwrap().value.user
    }

    async fn owners(&self) -> usize {
        let request = PageRequest::new(None, None).unwrap();
        let members = self.tenancy.members(&named("acme"), &request).await.unwrap().items;
        members.iter().filter(|member| member.value.role.as_str() == "owner").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_owners_who_remove_each_other_one_stays() {
    for round in 0..10 {
        let platform = Platform::new().await;
        platform.create_tenant("acme").await;
        let mut owners = Vec::new();
        for number in 0..6 {
            owners.push(platform.add(&format!("o{number}@example.com"), "owner").await);
        }
        let (tenancy, caller, acme) = (&platform.tenancy, &caller(), &named("acme"));
        let gone = join_all(owners.iter().enumerate().map(async |(number, owner)| {
            if (number + round) % 2 == 0 {
                tenancy.remove_member(caller, acme, *owner, ANY).await
            } else {
                let role = "admin".parse().unwrap();
                tenancy.change_role(caller, acme, *owner, role, ANY).await.map(drop)
            }
        }))
        .await;
        let (done, refused): (Vec<_>, Vec<_>) = gone.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), platform.owners().await), (5, 1), "{refused:?}");
        assert!(refused.iter().all(|refused| *refused == Err(Error::LastOwner)), "{refused:?}");
    }
}

#[tokio::test]
async fn who_was_made_an_owner_stays_for_one_who_goes() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let first = platform.add("ada@example.com", "owner").await;
    let second = platform.add("bob@example.com", "admin").await;
    let (tenancy, caller, acme) = (&platform.tenancy, &caller(), &named("acme"));
    assert_eq!(tenancy.remove_member(caller, acme, first, ANY).await, Err(Error::LastOwner));
    let change = async |user, role: &str| {
        let role = role.parse().unwrap();
        tenancy.change_role(caller, acme, user, role, ANY).await.map(drop)
    };
    assert_eq!(change(first, "viewer").await, Err(Error::LastOwner));
    change(second, "owner").await.unwrap();
    change(first, "viewer").await.unwrap();
    assert_eq!(change(second, "admin").await, Err(Error::LastOwner));
    assert_eq!(tenancy.remove_member(caller, acme, second, ANY).await, Err(Error::LastOwner));
    tenancy.remove_member(caller, acme, first, ANY).await.unwrap();
}

#[tokio::test]
async fn a_role_means_what_it_says_on_the_next_call() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let (tenancy, caller, acme) = (&platform.tenancy, &caller(), &named("acme"));
    let spec = |permissions: &[Permission]| RoleSpec {
        description: String::new(),
        permissions: permissions.iter().copied().collect(),
    };
    let (role, keys) = ("support".parse().unwrap(), spec(&[Permission::KeysWrite]));
    tenancy.create_role(caller, acme, "support".parse().unwrap(), keys).await.unwrap();
    let user = platform.add("ada@example.com", "support").await;
    let grant = TenantGrant::Member(user);
    let token = NewToken { name: "ada".to_owned(), grant, expires_at: None };
    let token = tenancy.create_tenant_token(caller, acme, token).await.unwrap().value.secret;
    let now = async || {
        let presented = access_token::parse(token.as_ref().unwrap().expose()).unwrap();
        tenancy.principal(presented).await.unwrap().map(|principal| principal.permissions())
    };
    assert_eq!(now().await, Some([Permission::KeysWrite].into()));
    let domains = spec(&[Permission::DomainsWrite]);
    tenancy.replace_role(caller, acme, role, domains, ANY).await.unwrap();
    assert_eq!(now().await, Some([Permission::DomainsWrite].into()));
    let used = tenancy.delete_role(caller, acme, "support".parse().unwrap(), ANY).await;
    assert!(matches!(used, Err(Error::InUse { kind: "role", .. })), "{used:?}");
    let viewer = "viewer".parse().unwrap();
    tenancy.change_role(caller, acme, user, viewer, ANY).await.unwrap();
    assert_eq!(now().await, Some(TenantRole::Viewer.permissions()));
    tenancy.delete_role(caller, acme, "support".parse().unwrap(), ANY).await.unwrap();
    tenancy.remove_member(caller, acme, user, ANY).await.unwrap();
    assert_eq!(now().await, None);
    let beyond = spec(&[Permission::TenantsWrite]);
    let beyond = tenancy.create_role(caller, acme, "boss".parse().unwrap(), beyond).await;
    assert!(matches!(beyond, Err(Error::Invalid { pointer, .. }) if pointer == "/permissions"));
}

#[tokio::test]
async fn a_user_is_one_person_and_prefers_a_tenant_of_its_own() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    platform.create_tenant("globex").await;
    let (tenancy, caller) = (&platform.tenancy, &caller());
    let user = platform.add("ada@example.com", "viewer").await;
    let acme = tenancy.tenant(&named("acme")).await.unwrap().value.resource.id;
    let globex = tenancy.tenant(&named("globex")).await.unwrap().value.resource.id;
    let preferred = async || tenancy.user(user).await.unwrap().value.spec.preferred_tenant;
    assert_eq!(preferred().await, Some(acme));
    let patch = serde_json::json!({ "preferred_tenant": globex });
    let foreign = tenancy.patch_user(caller, user, &patch, ANY).await.unwrap_err();
    assert!(matches!(foreign, Error::Invalid { pointer, .. } if pointer == "/preferred_tenant"));
    // The same address, in another case: the same person.
    let who = Joining::Email("ADA@example.com".parse().unwrap());
    let role = "admin".parse().unwrap();
    let again = tenancy.add_member(caller, &named("globex"), who, role).await.unwrap();
    assert_eq!(again.value.user, user);
    tenancy.patch_user(caller, user, &patch, ANY).await.unwrap();
    let used = tenancy.delete_user(caller, user, ANY).await;
    assert!(matches!(used, Err(Error::InUse { .. })), "{used:?}");
    tenancy.remove_member(caller, &named("globex"), user, ANY).await.unwrap();
    assert_eq!(preferred().await, None);
    let request = PageRequest::new(None, None).unwrap();
    assert_eq!(tenancy.memberships(user, &request).await.unwrap().items.len(), 1);
    let spec = UserSpec { email: Some("ada@example.com".parse().unwrap()), ..UserSpec::default() };
    let taken = tenancy.create_user(caller, spec).await.unwrap_err();
    assert!(matches!(taken, Error::EmailTaken(_)));
    tenancy.remove_member(caller, &named("acme"), user, ANY).await.unwrap();
    tenancy.delete_user(caller, user, ANY).await.unwrap();
    let left: Vec<_> = platform.rows().await.into_iter().map(|(key, _)| key).collect();
    for kind in ["user", "member", "owner/", "roleuse/"] {
        assert!(left.iter().all(|key| !key.starts_with(kind)), "{left:?}");
    }
}

#[tokio::test]
async fn a_purged_tenant_takes_its_people_along() {
    let platform = Platform::new().await;
    platform.tenancy.create_tenant(&caller(), new_tenant("acme", &[])).await.unwrap();
    let (tenancy, caller, acme) = (&platform.tenancy, &caller(), &named("acme"));
    let permissions = [Permission::TenantsRead].into();
    let spec = RoleSpec { description: String::new(), permissions };
    tenancy.create_role(caller, acme, "reader".parse().unwrap(), spec).await.unwrap();
    platform.add("ada@example.com", "owner").await;
    platform.add("bob@example.com", "reader").await;
    let (email, role) = ("eve@example.com".parse().unwrap(), "reader".parse().unwrap());
    tenancy.invite(caller, acme, NewInvitation { email, role }).await.unwrap();
    let grant = TenantGrant::Role("reader".parse().unwrap());
    let token = NewToken { name: "ci".to_owned(), grant, expires_at: None };
    let token = tenancy.create_tenant_token(caller, acme, token).await.unwrap().value.secret;
    let presented = access_token::parse(token.as_ref().unwrap().expose()).unwrap();
    assert!(tenancy.principal(presented).await.unwrap().is_some());
    let delete = Transition::Delete { retention_days: None };
    tenancy.move_tenant(caller, acme, &delete, ANY).await.unwrap();
    assert_eq!(tenancy.principal(presented).await.unwrap(), None);
    let id = tenancy.tenant(acme).await.unwrap().value.resource.id.to_string();
    tenancy.purge_tenant(caller, acme, "acme", ANY).await.unwrap();
    let kept = ["audit/", "history/", "purged/", "chain", "slug", "due/"];
    for (key, _) in platform.rows().await {
        assert!(!key.contains(&id) || kept.iter().any(|kept| key.starts_with(kept)), "{key}");
        assert!(!key.starts_with("token") && !key.starts_with("invitation"), "{key}");
    }
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_when_its_time_is_over() {
    let platform = Platform::new().await;
    let (tenancy, caller, clock) = (&platform.tenancy, &caller(), &platform.clock);
    let spec = OperatorSpec {
        name: "Ada".to_owned(),
        email: "ada@example.com".parse().unwrap(),
        roles: BTreeSet::from([OperatorRole::Admin]),
        disabled: false,
    };
    let id = tenancy.create_operator(caller, spec).await.unwrap().value.id;
    let password = Password::try_from("correct horse battery".to_owned()).unwrap();
    let hash = tenancy.hashed(&password);
    tenancy.set_operator_password(caller, id, hash.clone()).await.unwrap();
    let log_in = async || {
        let session = tenancy.create_session(caller, id, &hash).await.unwrap().value.secret;
        access_token::parse(session.as_ref().unwrap().expose()).unwrap()
    };
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let lives = async |session| tenancy.principal(session).await.unwrap().is_some();
    let session = log_in().await;
    clock.pass(minutes(29));
    assert!(lives(session).await);
    let written = platform.store.status().await.head;
    assert!(lives(session).await);
    assert_eq!(platform.store.status().await.head, written, "each minute is noted once");
    clock.pass(minutes(29));
    assert!(lives(session).await, "use makes it longer");
    clock.pass(minutes(31));
    assert!(!lives(session).await);
    let session = log_in().await;
    for _ in 0..36 {
        assert!(lives(session).await);
        clock.pass(minutes(20));
        tenancy.reconcile().await.unwrap();
    }
    assert!(!lives(session).await, "twelve hours are the end");
    let rows = platform.rows().await;
    let left = rows.iter().filter(|(key, _)| key.starts_with("session/")).count();
    let due = rows.iter().filter(|(key, _)| key.starts_with("due/")).count();
    assert_eq!((left, due), (0, 0));
    let session = log_in().await;
    clock.stand_still_at("2027-01-01T00:00:00Z");
    let exact = log_in().await;
    clock.stand_still_at("2027-01-01T00:30:00Z");
    assert!(!lives(exact).await, "half an hour is the end");
    assert!(!lives(session).await);
    let session = log_in().await;
    tenancy.set_operator_password(caller, id, tenancy.hashed(&password)).await.unwrap();
    assert!(!lives(session).await, "it is of another password");
    let hash = tenancy.operator(id).await.unwrap().value.password.unwrap();
    let session = tenancy.create_session(caller, id, &hash).await.unwrap().value.secret;
    let session = access_token::parse(session.as_ref().unwrap().expose()).unwrap();
    assert!(lives(session).await);
    let disabled = serde_json::json!({"disabled": true});
    tenancy.patch_operator(caller, id, &disabled, ANY).await.unwrap();
    assert!(!lives(session).await);
}

#[tokio::test]
async fn what_a_token_of_a_tenant_commits_concerns_that_tenant() {
    let platform = Platform::new().await;
    let acme = platform.create_tenant("acme").await.value.resource.id;
    platform.create_tenant("globex").await;
    let mut confined = caller();
    confined.principal = Principal::Tenant {
        token: tenantry_model::TokenId::from_parts(1, 1),
        tenant: acme,
        permissions: Permission::everything(),
    };
    let rows = platform.rows().await;
    let host = "globex.example.com".parse().unwrap();
    let foreign = platform.tenancy.add_domain(&confined, &named("globex"), host).await;
    assert!(matches!(foreign, Err(Error::NotFound { .. })), "{foreign:?}");
    assert_eq!(platform.rows().await, rows);
    let host = "acme.example.com".parse().unwrap();
    platform.tenancy.add_domain(&confined, &named("acme"), host).await.unwrap();
}

#[tokio::test]
async fn a_token_of_a_tenant_makes_only_so_much_of_each_kind() {
    let platform = Platform::new().await;
    let acme = platform.create_tenant("acme").await.value.resource.id;
    let terms = Terms { owned_by_tenant: 3.try_into().unwrap(), ..Terms::default() };
    let tenancy = platform.beside(3).with_terms(terms);
    let mut confined = caller();
    confined.principal = Principal::Tenant {
        token: tenantry_model::TokenId::from_parts(1, 1),
        tenant: acme,
        permissions: Permission::everything(),
    };
    let invite = async |caller, number: u32| {
        let (email, role) = (format!("u{number}@example.com"), "viewer".parse().unwrap());
        let new = NewInvitation { email: email.parse().unwrap(), role };
        tenancy.invite(caller, &named("acme"), new).await
    };
    let claim = async |caller, number: u32| {
        let host = format!("d{number}.example.com").parse().unwrap();
        tenancy.add_domain(caller, &named("acme"), host).await
    };
    for number in 0..3 {
        claim(&confined, number).await.unwrap();
        invite(&confined, number).await.unwrap();
    }
    let key = async |caller, name: &str| {
        let spec = parsed(serde_json::json!({"name": name}));
        tenancy.create_key(caller, &named("acme"), spec).await
    };
    let reserve = async |meter: &str| {
        let one = QuotaAction::Reserve { amount: 1, lease: None };
        let meter = meter.parse().unwrap();
        tenancy.quota_action(&confined, &named("acme"), &meter, &one).await.map(drop)
    };
    let full = |meter: &str| Error::QuotaExceeded { meter: meter.to_owned(), max: 3, current: 3 };
    for (name, meter) in [("a", "devices"), ("b", "users"), ("c", "sites")] {
        key(&confined, name).await.unwrap();
        reserve(meter).await.unwrap();
    }
    assert_eq!(key(&confined, "d").await.unwrap_err(), full("API keys"));
    assert_eq!(reserve("rooms").await.unwrap_err(), full("meters"));
    reserve("users").await.unwrap();
    assert_eq!(claim(&confined, 3).await.unwrap_err(), full("domains"));
    assert_eq!(invite(&confined, 3).await.unwrap_err(), full("pending invitations"));
    // Operators are not held to it, and what goes makes room.
    let root = caller();
    claim(&root, 3).await.unwrap();
    for number in 0..2 {
        let host = format!("d{number}.example.com").parse().unwrap();
        tenancy.remove_domain(&confined, &named("acme"), &host, ANY).await.unwrap();
    }
    claim(&confined, 4).await.unwrap();
    assert_eq!(claim(&confined, 5).await.unwrap_err(), full("domains"));
}

#[tokio::test]
async fn a_token_in_a_members_name_ends_with_the_membership() {
    let platform = Platform::new().await;
    let acme = platform.create_tenant("acme").await.value.resource.id;
    let ada = platform.add("ada@example.com", "viewer").await;
    let (tenancy, root, named_acme) = (&platform.tenancy, &caller(), &named("acme"));
    let token = |name: &str| NewToken {
        name: name.to_owned(),
        grant: TenantGrant::Member(ada),
        expires_at: None,
    };
    // What the member may do today is not all that the token will be able to do.
    let mut confined = caller();
    confined.principal = Principal::Tenant {
        token: tenantry_model::TokenId::from_parts(1, 1),
        tenant: acme,
        permissions: [Permission::TenantsRead, Permission::MembersRead, Permission::MembersWrite]
            .into(),
    };
    let refused = tenancy.create_tenant_token(&confined, named_acme, token("sleeper")).await;
    assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");

    let secret = tenancy.create_tenant_token(root, named_acme, token("ci")).await.unwrap();
    let presented = access_token::parse(secret.value.secret.unwrap().expose()).unwrap();
    assert!(tenancy.principal(presented).await.unwrap().is_some());
    tenancy.remove_member(root, named_acme, ada, ANY).await.unwrap();
    assert!(tenancy.principal(presented).await.unwrap().is_none());
    platform.add("ada@example.com", "owner").await;
    assert!(tenancy.principal(presented).await.unwrap().is_none(), "it is of the first membership");
}

#[tokio::test]
async fn an_invitation_is_taken_back_by_who_could_have_made_it() {
    let platform = Platform::new().await;
    let acme = platform.create_tenant("acme").await.value.resource.id;
    let (tenancy, root, named_acme) = (&platform.tenancy, &caller(), &named("acme"));
    let mut confined = caller();
    confined.principal = Principal::Tenant {
        token: tenantry_model::TokenId::from_parts(1, 1),
        tenant: acme,
        permissions: TenantRole::Viewer
            .permissions()
            .into_iter()
            .chain([Permission::MembersWrite])
            .collect(),
    };
    for (role, is_allowed) in [("owner", false), ("viewer", true)] {
        let email = format!("{role}@example.com").parse().unwrap();
        let new = NewInvitation { email, role: role.parse().unwrap() };
        let id = tenancy.invite(root, named_acme, new).await.unwrap().value.id;
        let revoked = tenancy.revoke_invitation(&confined, named_acme, id, ANY).await;
        assert_eq!(revoked.is_ok(), is_allowed, "{role}: {revoked:?}");
    }
}
