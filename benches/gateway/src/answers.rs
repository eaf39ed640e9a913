//! Whether a proxy answers as the policy says. One that does not is not measured: it would be another contest.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    credentials::Credentials,
    exchange::{Connection, connect},
    peers::{Peer, Place},
    policy::{DOMAIN, ELSEWHERE, LIMITED_RATE, Policy, Tenant},
    variant::Proof,
};

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    /// What the host's tenant has.
    Own,
    /// What another tenant has.
    Anothers,
    /// A key that nobody has, or a token of somebody else's making.
    Unknown,
    /// A token that was good once.
    Expired,
}

/// What a request is sent with, and what becomes of it.
#[derive(Debug, Clone, Copy)]
struct Case {
    what: &'static str,
    host: Host,
    shows: Shows,
    from: Ipv4Addr,
    /// What the client says of the tenant.
    claims: Option<&'static str>,
    status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Known,
    WithPort,
    InCapitals,
    /// Nobody's, among those of the tenants.
    Unknown,
    /// Nobody's, somewhere else.
    Foreign,
}

const USUAL: Case = Case {
    what: "host and credential agree",
    host: Host::Known,
    shows: Shows::Own,
    from: Ipv4Addr::LOCALHOST,
    claims: None,
    status: 200,
};

const CASES: [Case; 13] = [
    USUAL,
    Case { what: "a host with a port", host: Host::WithPort, ..USUAL },
    Case { what: "a host in capitals", host: Host::InCapitals, ..USUAL },
    Case { what: "a client that names a tenant itself", claims: Some("t1"), ..USUAL },
    Case { what: "no credential", shows: Shows::Nothing, status: 401, ..USUAL },
    Case {
        what: "no credential, but the name of the tenant",
        shows: Shows::Nothing,
        claims: Some("t0"),
        status: 401,
        ..USUAL
    },
    Case { what: "a credential of nobody", shows: Shows::Unknown, status: 401, ..USUAL },
    Case { what: "a credential that has expired", shows: Shows::Expired, status: 401, ..USUAL },
    Case { what: "a credential of another", shows: Shows::Anothers, status: 403, ..USUAL },
    Case { what: "a host of nobody", host: Host::Foreign, status: 404, ..USUAL },
    Case {
        what: "a host of nobody, no credential",
        host: Host::Unknown,
        shows: Shows::Nothing,
        status: 404,
        ..USUAL
    },
    Case { what: "an address that is not allowed", from: ELSEWHERE, status: 403, ..USUAL },
    Case {
        what: "an address that is not allowed, no credential",
        shows: Shows::Nothing,
        from: ELSEWHERE,
        status: 401,
        ..USUAL
    },
];

/// What a proxy answers otherwise than it should, in sentences.
pub(crate) async fn differences(peer: Peer, place: &Place<'_>) -> anyhow::Result<Vec<String>> {
    let to = SocketAddr::from(([127, 0, 0, 1], place.plain));
    if !peer.has_policy() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for case in CASES {
        // Keys have no end here.
        if case.shows == Shows::Expired && place.proof == Proof::Key {
            continue;
        }
        let request = case.request(place.policy, place.credentials, place.proof)?;
        let mut connection = Connection::new(connect(to, case.from).await?);
        let head = connection.exchange(request.as_bytes()).await?;
        let seen = if head.status == 200 { Some(connection.body(&head)) } else { None };
        found.extend(case.compare(head.status, seen, place));
    }
    if peer.limits_rates() {
        found.extend(rate(to, place).await?);
    }
    Ok(found)
}

impl Case {
    fn request(
        &self,
        policy: &Policy,
        credentials: &Credentials,
        proof: Proof,
    ) -> anyhow::Result<String> {
        let own = policy.loaded().first().context("there is no tenant")?;
        let another = policy.another();
        let host = match self.host {
            Host::Known => own.host.clone(),
            Host::WithPort => format!("{}:8080", own.host),
            Host::InCapitals => own.host.to_uppercase(),
            Host::Unknown => format!("nobody.{DOMAIN}"),
            Host::Foreign => "nobody.example".to_owned(),
        };
        let shown = match proof {
            Proof::Key => self.key(own, another),
            Proof::Token => self.token(own, another, credentials)?,
        };
        let claims = self.claims.map(|slug| format!("X-Tenant-Slug: {slug}\r\n"));
        let claims = claims.unwrap_or_default();
        Ok(format!("GET /echo HTTP/1.1\r\nHost: {host}\r\n{shown}{claims}\r\n"))
    }

    fn key(&self, own: &Tenant, another: &Tenant) -> String {
        let key = match self.shows {
            Shows::Nothing | Shows::Expired => return String::new(),
            Shows::Own => &own.key,
            Shows::Anothers => &another.key,
            Shows::Unknown => "tnt_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp",
        };
        format!("X-API-Key: {key}\r\n")
    }

    fn token(
        &self,
        own: &Tenant,
        another: &Tenant,
        credentials: &Credentials,
    ) -> anyhow::Result<String> {
        let token = match self.shows {
            Shows::Nothing => return Ok(String::new()),
            Shows::Own => credentials.token(own)?,
            Shows::Anothers => credentials.token(another)?,
            Shows::Unknown => credentials.forged_token(own)?,
            Shows::Expired => credentials.expired_token(own)?,
        };
        Ok(format!("Authorization: Bearer {token}\r\n"))
    }

    /// What is wrong with an answer, if anything is; `seen` are the headers that the origin saw.
    fn compare(&self, status: u16, seen: Option<&[u8]>, place: &Place<'_>) -> Option<String> {
        let what = self.what;
        if status != self.status {
            return Some(format!("{what}: {status} instead of {}", self.status));
        }
        let seen: Value = serde_json::from_slice(seen?).unwrap_or_default();
        let own = place.policy.loaded().first()?;
        let header = |name: &str| seen.get(name).and_then(Value::as_str);
        let told = header("x-tenant-slug");
        if told != Some(own.slug.as_str()) {
            return Some(format!("{what}: the origin is told {told:?} instead of {}", own.slug));
        }
        let proof = match place.proof {
            Proof::Key => header("x-api-key"),
            Proof::Token => header("authorization"),
        };
        // What was verified is of no use to the origin. Envoy can hide keys, and forwards tokens or not as it is told.
        proof.is_some().then(|| format!("{what}: the origin sees the credential"))
    }
}

/// A tenant with a small limit is refused once it is spent.
async fn rate(to: SocketAddr, place: &Place<'_>) -> anyhow::Result<Option<String>> {
    let limited = place.policy.limited();
    let shown = match place.proof {
        Proof::Key => format!("X-API-Key: {}", limited.key),
        Proof::Token => format!("Authorization: Bearer {}", place.credentials.token(limited)?),
    };
    let request = format!("GET /echo HTTP/1.1\r\nHost: {}\r\n{shown}\r\n\r\n", limited.host);
    let mut connection = Connection::open(to).await?;
    let mut answers = Vec::new();
    for _ in 0..=LIMITED_RATE {
        let head = connection.exchange(request.as_bytes()).await?;
        answers.push(head.status);
        if !head.is_kept {
            connection = Connection::open(to).await?;
        }
    }
    let mut expected: Vec<u16> = (0..LIMITED_RATE).map(|_| 200).collect();
    expected.push(429);
    let differs = answers != expected;
    Ok(differs.then(|| format!("a limit of {LIMITED_RATE} a minute: {answers:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Programs;

    #[test]
    fn an_answer_is_held_to_its_case() {
        let (policy, credentials) = (Policy::new(100), Credentials::new().unwrap());
        let programs =
            Programs { ours: "/ours".into(), proxy: "/ours/proxy".into(), envoy: "/envoy".into() };
        let place = Place {
            policy: &policy,
            credentials: &credentials,
            programs: &programs,
            cores: vec![0],
            directory: "/bench".into(),
            plain: 1,
            tls: 2,
            admin: 3,
            origin: ([127, 0, 0, 1], 4).into(),
            proof: Proof::Key,
            control_plane: None,
        };
        let check = |status, seen: &str, expected: Option<&str>| {
            let found = USUAL.compare(status, Some(seen.as_bytes()), &place);
            assert_eq!(
                found.as_deref().map(|said| said.contains(expected.unwrap())),
                expected.map(|_| true)
            );
        };
        check(200, r#"{"x-tenant-slug":"t0"}"#, None);
        check(403, "", Some("403 instead of 200"));
        check(200, r#"{"x-tenant-slug":"t0, t0"}"#, Some("is told"));
        check(200, "{}", Some("is told None"));
        check(200, r#"{"x-tenant-slug":"t0","x-api-key":"k"}"#, Some("sees the credential"));
    }

    #[test]
    fn requests_show_what_their_cases_say() {
        let (policy, credentials) = (Policy::new(100), Credentials::new().unwrap());
        let requests = CASES.map(|case| case.request(&policy, &credentials, Proof::Key).unwrap());
        let with_key = requests.iter().filter(|request| request.contains("X-API-Key: ")).count();
        let with_own = requests.iter().filter(|request| request.contains(&policy.tenants[0].key));
        assert_eq!(with_key, CASES.len() - 5);
        assert_eq!(with_own.count(), 6);
    }
}
