//! What the claims of a genuine token must be.

use tenantry_model::TenantId;

use super::*;

fn check_with(issuer: &Issuer, changes: Value) -> Result<Claims, TokenError> {
    let signer = Signer::new(Algorithm::EdDSA);
    let keys = key_set(&[signer.jwk()], issuer);
    verify(&signer.token(&json!({"alg": "EdDSA"}), &with(claims(), changes)), issuer, &keys)
}

fn accepted(changes: Value) -> Claims {
    let shown = changes.to_string();
    check_with(&issuer(&[Algorithm::EdDSA]), changes).unwrap_or_else(|e| panic!("{shown}: {e}"))
}

fn check(changes: Value, error: TokenError) {
    let shown = changes.to_string();
    assert_eq!(check_with(&issuer(&[Algorithm::EdDSA]), changes), Err(error), "{shown}");
}

#[test]
fn good_claims_are_returned() {
    let claims = accepted(json!({}));
    assert_eq!(claims.subject.as_deref(), Some("alice"));
    assert_eq!(claims.tenant.as_deref(), Some("acme"));
    assert_eq!(claims.issuer_tenant, None);
    assert_eq!(claims.scopes, ["reports:read".parse().unwrap()].into());
    assert_eq!(claims.expires_at.unix_ms(), (NOW_SECONDS + 360) * 1000);
}

#[test]
fn issuer_and_audience() {
    use TokenError::{BadClaim, MissingClaim, WrongAudience, WrongIssuer};
    for other in
        ["https://id.example.com", "https://ID.example.com/", "", "https://id.example.com/ "]
    {
        check(json!({"iss": other}), WrongIssuer);
    }
    for good in [json!("admin"), json!(["api"]), json!(["x", "admin"])] {
        accepted(json!({"aud": good}));
    }
    for other in [json!("apis"), json!("API"), json!(""), json!([]), json!(["x", "api "])] {
        check(json!({"aud": other}), WrongAudience);
    }
    check(json!({"aud": null}), MissingClaim(Claim::Audience));
    for bad in [json!(1), json!({"api": true}), json!(["api", 1]), json!([["api"]]), json!(true)] {
        check(json!({"aud": bad}), BadClaim(Claim::Audience));
    }
}

#[test]
fn dates() {
    use TokenError::{BadClaim, Expired, MissingClaim, NotYetValid};
    let now = NOW_SECONDS;
    // The last millisecond of the leeway, and the first after it.
    assert_eq!(accepted(json!({"exp": now - 59})).expires_at.unix_ms(), (now + 1) * 1000);
    let fraction = accepted(json!({"exp": 1_799_999_940.5}));
    assert_eq!(fraction.expires_at.unix_ms(), now * 1000 + 500);
    check(json!({"exp": now - 60}), Expired);
    check(json!({"exp": 1}), Expired);
    check(json!({"exp": 0.5}), Expired);
    accepted(json!({"exp": 1.8e9}));
    accepted(json!({"exp": 253_402_300_799_u64}));
    check(json!({"exp": null}), MissingClaim(Claim::Expiry));
    let text = now.to_string();
    for bad in [
        json!(0),
        json!(0.0),
        json!(-0.0),
        json!(0.0001),
        json!(-1),
        json!(-0.5),
        json!(text),
        json!([now]),
        json!(true),
        json!(253_402_300_800_u64),
        json!(now * 1000),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(f64::MAX),
    ] {
        check(json!({"exp": bad}), BadClaim(Claim::Expiry));
    }
    accepted(json!({"nbf": null, "iat": null}));
    accepted(json!({"nbf": 0, "iat": 0}));
    accepted(json!({"nbf": now + 60, "iat": now + 1000}));
    check(json!({"nbf": now + 61}), NotYetValid);
    check(json!({"nbf": 1_800_000_060.001}), NotYetValid);
    for bad in [json!(-1), json!("0"), json!(1e300), json!([]), json!(now * 1000)] {
        check(json!({"nbf": bad}), BadClaim(Claim::NotBefore));
        check(json!({"iat": bad}), BadClaim(Claim::IssuedAt));
    }
}

#[test]
fn a_null_claim_is_not_a_missing_one() {
    let signer = Signer::new(Algorithm::EdDSA);
    let issuer = issuer(&[Algorithm::EdDSA]);
    let keys = key_set(&[signer.jwk()], &issuer);
    for (name, claim) in [
        ("exp", Claim::Expiry),
        ("nbf", Claim::NotBefore),
        ("iat", Claim::IssuedAt),
        ("aud", Claim::Audience),
        ("sub", Claim::Subject),
        ("tenant", Claim::Tenant),
        ("scope", Claim::Scope),
    ] {
        let mut payload = claims();
        payload[name] = Value::Null;
        let token = signer.token(&json!({"alg": "EdDSA"}), &payload);
        assert_eq!(verify(&token, &issuer, &keys), Err(TokenError::BadClaim(claim)), "{name}");
    }
}

#[test]
fn a_subject_is_a_header_value() {
    assert_eq!(accepted(json!({"sub": null})).subject, None);
    for good in ["a", "auth0|5f7c8ec7", "Jane Doe", "a@b.c", &"x".repeat(MAX_SUBJECT_BYTES)] {
        assert_eq!(accepted(json!({"sub": good})).subject.as_deref(), Some(good));
    }
    for bad in [
        "",
        " ",
        " admin",
        "admin ",
        "a\r\nX-Tenant-Id: b",
        "a\0",
        "a\tb",
        "a\u{7f}",
        "a\u{85}",
        "é",
        &"x".repeat(MAX_SUBJECT_BYTES + 1),
    ] {
        check(json!({"sub": bad}), TokenError::BadClaim(Claim::Subject));
    }
    for bad in [json!(1), json!(["a"]), json!({})] {
        check(json!({"sub": bad}), TokenError::BadClaim(Claim::Subject));
    }
}

#[test]
fn scopes_come_from_either_claim() {
    let check = |changes: Value, expected: &[&str]| {
        let shown = changes.to_string();
        let scopes = accepted(changes).scopes;
        assert_eq!(
            scopes.iter().map(tenantry_model::Scope::as_str).collect::<Vec<_>>(),
            expected,
            "{shown}"
        );
    };
    check(json!({"scope": "b a"}), &["a", "b"]);
    check(json!({"scope": "a  A -x a:b ü a"}), &["a", "a:b"]);
    check(json!({"scope": ""}), &[]);
    check(json!({"scope": null}), &[]);
    check(json!({"scope": null, "scp": ["a", "b c", 1, "b"]}), &["a", "b"]);
    check(json!({"scope": null, "scp": "a b"}), &["a", "b"]);
    check(json!({"scope": ["a"]}), &["a"]);
    check(json!({"scope": "a", "scp": ["b"]}), &["a"]);
    self::check(json!({"scope": 1}), TokenError::BadClaim(Claim::Scope));
    self::check(json!({"scope": null, "scp": {}}), TokenError::BadClaim(Claim::Scope));
}

#[test]
fn scopes_and_roles_stand_where_the_issuer_says() {
    let read = |mapping: Value, changes: Value| {
        check_with(&issuer_with(&[Algorithm::EdDSA], mapping), changes)
    };
    let names = |scopes: &std::collections::BTreeSet<tenantry_model::Scope>| {
        scopes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let claims = || {
        json!({
            "scope": "s role:x", "scp": ["t"], "permissions": ["p", "P"], "roles": "r1 r2",
            "realm_access": {"roles": ["deep"]},
        })
    };
    for (mapping, scopes, roles) in [
        (json!({}), vec!["role:x", "s"], vec![]),
        (json!({"scope_claim": "permissions"}), vec!["p"], vec![]),
        (json!({"scope_claim": "nothing"}), vec![], vec![]),
        (json!({"roles_claim": "roles"}), vec!["role:r1", "role:r2", "s"], vec!["r1", "r2"]),
        (json!({"roles_claim": "/realm_access/roles"}), vec!["role:deep", "s"], vec!["deep"]),
        (json!({"roles_claim": "/realm_access/none"}), vec!["s"], vec![]),
    ] {
        let shown = mapping.to_string();
        let claims = read(mapping, claims()).unwrap();
        assert_eq!(
            (names(&claims.scopes), names(&claims.roles)),
            (
                scopes.into_iter().map(str::to_owned).collect(),
                roles.into_iter().map(str::to_owned).collect(),
            ),
            "{shown}"
        );
    }
    let bad = read(json!({"roles_claim": "roles"}), json!({"roles": {"admin": true}}));
    assert_eq!(bad, Err(TokenError::BadClaim(Claim::Roles)));
    let bad = read(json!({"scope_claim": "permissions"}), json!({"permissions": 1}));
    assert_eq!(bad, Err(TokenError::BadClaim(Claim::Scope)));
}

/// An issuer of tenant A, whose tokens name tenant B, speaks for neither.
#[test]
fn a_token_is_for_the_tenant_that_issuer_and_claim_agree_on() {
    let (a, b) = (TenantId::from_parts(1, 1), TenantId::from_parts(2, 0xabc));
    let slug = |text: &str| text.parse().unwrap();
    let check = |issuer_changes: Value, claim: Value, for_a: bool, for_b: bool| {
        let shown = format!("{issuer_changes} {claim}");
        let issuer = issuer_with(&[Algorithm::EdDSA], issuer_changes);
        let claims = check_with(&issuer, json!({"tenant": claim})).unwrap();
        assert_eq!(claims.is_for(a, &slug("acme")), for_a, "{shown}");
        assert_eq!(claims.is_for(b, &slug("bolt")), for_b, "{shown}");
    };
    check(json!({}), json!("acme"), true, false);
    check(json!({}), json!(b), false, true);
    check(json!({}), json!("ACME"), false, false);
    check(json!({}), json!(b.to_string().to_lowercase()), false, false);
    check(json!({"tenant": a}), json!("acme"), true, false);
    check(json!({"tenant": a}), json!(a), true, false);
    check(json!({"tenant": a}), json!("bolt"), false, false);
    check(json!({"tenant": a}), json!(b), false, false);
    check(json!({"tenant": a, "tenant_claim": null}), json!("bolt"), true, false);
}

#[test]
fn a_tenant_claim_is_a_string() {
    use TokenError::{BadClaim, MissingClaim};
    check(json!({"tenant": null}), MissingClaim(Claim::Tenant));
    for bad in [json!(""), json!(1), json!(["acme"]), json!({"id": "acme"}), json!(true)] {
        check(json!({"tenant": bad}), BadClaim(Claim::Tenant));
    }
    let own = json!({"tenant": TenantId::from_parts(1, 1), "tenant_claim": null});
    let own = issuer_with(&[Algorithm::EdDSA], own);
    assert_eq!(check_with(&own, json!({"tenant": 1})).unwrap().tenant, None);
}
