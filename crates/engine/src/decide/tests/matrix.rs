//! Every combination of host, key, token, tenant state, access list and requirement, against an
//! oracle that is written from the rules and shares no code with the engine.

use serde_json::{Value, json};

use super::platform::*;
use tenantry_model::ResourceKind;

#[derive(Debug, Clone, Copy, PartialEq)]
enum HostCase {
    Acme,
    AcmeWildcard,
    Beta,
    Nobody,
}
#[derive(Debug, Clone, Copy, PartialEq)]
enum KeyCase {
    Absent,
    Acme,
    Beta,
    AcmeExpired,
    NeverIssued,
    BadChecksum,
    Foreign,
}
#[derive(Debug, Clone, Copy, PartialEq)]
enum TokenCase {
    Absent,
    Acme,
    Beta,
    AcmeExpired,
    BadSignature,
    UnknownTenant,
    ForeignIssuer,
    OtherScheme,
}
#[derive(Debug, Clone, Copy, PartialEq)]
enum StateCase {
    Active,
    Suspended,
    Deleting,
}
#[derive(Debug, Clone, Copy, PartialEq)]
enum AccessCase {
    Public,
    PublicDenied,
    AllowlistIn,
    AllowlistOut,
    HybridIn,
    HybridOut,
    HybridInDenied,
}
#[derive(Debug, Clone, Copy, PartialEq)]
enum AuthCase {
    None,
    Any,
    ApiKey,
    Jwt,
}

const HOSTS: [HostCase; 4] =
    [HostCase::Acme, HostCase::AcmeWildcard, HostCase::Beta, HostCase::Nobody];
const KEYS: [KeyCase; 7] = [
    KeyCase::Absent,
    KeyCase::Acme,
    KeyCase::Beta,
    KeyCase::AcmeExpired,
    KeyCase::NeverIssued,
    KeyCase::BadChecksum,
    KeyCase::Foreign,
];
const TOKENS: [TokenCase; 8] = [
    TokenCase::Absent,
    TokenCase::Acme,
    TokenCase::Beta,
    TokenCase::AcmeExpired,
    TokenCase::BadSignature,
    TokenCase::UnknownTenant,
    TokenCase::ForeignIssuer,
    TokenCase::OtherScheme,
];
const STATES: [StateCase; 3] = [StateCase::Active, StateCase::Suspended, StateCase::Deleting];
const ACCESSES: [AccessCase; 7] = [
    AccessCase::Public,
    AccessCase::PublicDenied,
    AccessCase::AllowlistIn,
    AccessCase::AllowlistOut,
    AccessCase::HybridIn,
    AccessCase::HybridOut,
    AccessCase::HybridInDenied,
];
const AUTHS: [AuthCase; 4] = [AuthCase::None, AuthCase::Any, AuthCase::ApiKey, AuthCase::Jwt];

/// The documented answer. `acme` has the state, access list and requirement of the case; `beta` is
/// active, open to all and asks for any credential.
fn oracle(
    host: HostCase,
    key: KeyCase,
    token: TokenCase,
    state: StateCase,
    access: AccessCase,
    auth: AuthCase,
) -> &'static str {
    // A credential of ours that is not good is the answer, wherever else something is wrong.
    match key {
        KeyCase::NeverIssued | KeyCase::BadChecksum => return "credential-invalid",
        KeyCase::AcmeExpired => return "credential-expired",
        _ => {}
    }
    match token {
        TokenCase::BadSignature | TokenCase::UnknownTenant => return "credential-invalid",
        TokenCase::AcmeExpired => return "credential-expired",
        _ => {}
    }
    let named = [
        match host {
            HostCase::Acme | HostCase::AcmeWildcard => "acme",
            HostCase::Beta => "beta",
            HostCase::Nobody => "",
        },
        match key {
            KeyCase::Acme => "acme",
            KeyCase::Beta => "beta",
            _ => "",
        },
        match token {
            TokenCase::Acme => "acme",
            TokenCase::Beta => "beta",
            _ => "",
        },
    ];
    let (acme, beta) = (named.contains(&"acme"), named.contains(&"beta"));
    if acme && beta {
        return "tenant-mismatch";
    }
    if !acme && !beta {
        return "unknown-host";
    }
    let (state, access, auth) = if acme {
        (state, access, auth)
    } else {
        (StateCase::Active, AccessCase::Public, AuthCase::Any)
    };
    let has_key = matches!(key, KeyCase::Acme | KeyCase::Beta);
    let has_token = matches!(token, TokenCase::Acme | TokenCase::Beta);
    let auth = match (access, auth) {
        (AccessCase::HybridIn, _) => AuthCase::None,
        (AccessCase::HybridOut, AuthCase::None) => AuthCase::Any,
        (_, auth) => auth,
    };
    let proven = match auth {
        AuthCase::None => true,
        AuthCase::Any => has_key || has_token,
        AuthCase::ApiKey => has_key,
        AuthCase::Jwt => has_token,
    };
    if !proven {
        let wrong_one = key == KeyCase::Foreign || token == TokenCase::ForeignIssuer;
        return if wrong_one { "credential-invalid" } else { "credential-missing" };
    }
    match state {
        StateCase::Suspended => return "tenant-suspended",
        StateCase::Deleting => return "tenant-inactive",
        StateCase::Active => {}
    }
    if matches!(
        access,
        AccessCase::PublicDenied | AccessCase::AllowlistOut | AccessCase::HybridInDenied
    ) {
        return "ip-denied";
    }
    if acme { "acme all" } else { "beta all" }
}

fn acme(state: StateCase, access: AccessCase, auth: AuthCase) -> Value {
    let state = match state {
        StateCase::Active => "active",
        StateCase::Suspended => "suspended",
        StateCase::Deleting => "deleting",
    };
    // The client is 192.0.2.1.
    let (mode, allow, deny) = match access {
        AccessCase::Public => ("public", "198.51.100.0/24", "203.0.113.0/24"),
        AccessCase::PublicDenied => ("public", "192.0.2.0/24", "192.0.2.1"),
        AccessCase::AllowlistIn => ("allowlist", "192.0.2.0/24", "192.0.2.2"),
        AccessCase::AllowlistOut => ("allowlist", "198.51.100.0/24", "203.0.113.0/24"),
        AccessCase::HybridIn => ("hybrid", "192.0.2.1", "203.0.113.0/24"),
        AccessCase::HybridOut => ("hybrid", "198.51.100.0/24", "203.0.113.0/24"),
        AccessCase::HybridInDenied => ("hybrid", "192.0.2.0/24", "192.0.2.0/28"),
    };
    let auth = match auth {
        AuthCase::None => "none",
        AuthCase::Any => "any",
        AuthCase::ApiKey => "api_key",
        AuthCase::Jwt => "jwt",
    };
    tenant(
        "acme",
        &json!({"state": state, "auth": auth, "access": {"mode": mode, "allow": [allow], "deny": [deny]}}),
    )
}

fn request(host: HostCase, key: KeyCase, tokens: &[Option<String>], token: TokenCase) -> Request {
    let request = get(
        match host {
            HostCase::Acme => "acme.example",
            HostCase::AcmeWildcard => "www.acme.example",
            HostCase::Beta => "beta.example:8080",
            HostCase::Nobody => "nobody.example",
        },
        "/",
    );
    let request = match key {
        KeyCase::Absent => request,
        KeyCase::Acme => request.key("acme-1"),
        KeyCase::Beta => request.key("beta-1"),
        KeyCase::AcmeExpired => request.key("acme-old"),
        KeyCase::NeverIssued => request.key("never-issued"),
        KeyCase::BadChecksum => request.header("x-api-key", format!("tnt_{}", "0".repeat(36))),
        KeyCase::Foreign => request.header("x-api-key", "the-application's-own"),
    };
    match &tokens[token as usize] {
        None => request,
        Some(value) => request.header("authorization", value.clone()),
    }
}

fn tokens() -> Vec<Option<String>> {
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let good = token(&claims("acme", &json!({"sub": "other"})));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let (_, other_signature) = token(&claims("beta", &json!({})))
        .rsplit_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    TOKENS
        .iter()
        .map(|case| match case {
            TokenCase::Absent => None,
            TokenCase::Acme => bearer(token(&claims("acme", &json!({})))),
            TokenCase::Beta => bearer(token(&claims(&tenant_id("beta").to_string(), &json!({})))),
            TokenCase::AcmeExpired => {
                bearer(token(&claims("acme", &json!({"exp": NOW_SECONDS - 61}))))
            }
            TokenCase::BadSignature => bearer(format!("{signed}.{other_signature}")),
            TokenCase::UnknownTenant => bearer(token(&claims("gamma", &json!({})))),
            TokenCase::ForeignIssuer => {
                bearer(token(&claims("acme", &json!({"iss": "https://app.example/"}))))
            }
            TokenCase::OtherScheme => Some("Basic dTpw".to_owned()),
        })
        .collect()
}

#[test]
fn every_combination_has_the_documented_answer() {
    let (platform, tokens) = (platform(), tokens());
    let mut decided = 0_u32;
    for state in STATES {
        for access in ACCESSES {
            for auth in AUTHS {
                let table = put(&platform, ResourceKind::Tenant, &acme(state, access, auth));
                for host in HOSTS {
                    for key in KEYS {
                        for token in TOKENS {
                            let expected = oracle(host, key, token, state, access, auth);
                            let got = outcome(&request(host, key, &tokens, token).decide(&table));
                            assert_eq!(
                                got, expected,
                                "{host:?} {key:?} {token:?} {state:?} {access:?} {auth:?}"
                            );
                            decided += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(decided, 4 * 7 * 8 * 3 * 7 * 4);
}
