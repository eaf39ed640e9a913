//! Chains, keys, authorities and the index, case by case, and that no bytes panic.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use rustls::crypto::{CryptoProvider, ring};
use tenantry_certs::{
    AuthorityError, CertificateError, CertificateIndex, Chain, ClientIdentity, Entry,
    client_authorities,
};
use tenantry_model::{
    Certificate, CertificateId, CertificatePem, DomainPattern, SealedSecret, TenantId, Timestamp,
};
use tenantry_test_support::{Authority, Issued};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn pem(parts: &[&str]) -> CertificatePem {
    parts.concat().parse().unwrap()
}

fn domains(names: &[&str]) -> Vec<DomainPattern> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn chain(issued: &Issued) -> Chain {
    Chain::parse(&pem(&[&issued.certificate_pem])).unwrap()
}

#[test]
fn a_leaf_covers_its_names_and_one_label_under_its_wildcards() {
    let issued =
        Authority::new("test").server(&["acme.example", "*.acme.example", "10.0.0.1", "a_b.c"]);
    let chain = chain(&issued);
    for covered in ["acme.example", "*.acme.example", "www.acme.example", "WWW.acme.example"] {
        assert_eq!(chain.covers(&domains(&[covered])), Ok(()), "{covered}");
    }
    for other in ["a.b.acme.example", "*.www.acme.example", "beta.example", "*.example", "example"]
    {
        let missing = domains(&["acme.example", other]);
        let error = CertificateError::NotCovered { domain: missing[1].clone() };
        assert_eq!(chain.covers(&missing), Err(error), "{other}");
    }
    let names: Vec<_> = chain.leaf().names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["acme.example", "*.acme.example"]);
    assert_eq!(chain.leaf().fingerprint.len(), 64);
}

#[test]
fn chains_are_read_in_order_and_refused_with_a_reason() {
    let root = Authority::new("root");
    let between = root.intermediate("between");
    let leaf = between.server(&["acme.example"]).certificate_pem;
    let (between, root) = (between.pem(), root.pem());
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let nameless = Authority::new("test").server(&["10.0.0.1"]).certificate_pem;
    for (parts, expected) in [
        (vec![leaf.as_str()], None),
        (vec![&leaf, &between], None),
        (vec!["leaf:\n", &leaf, "its issuer:\n", &between, &root], None),
        (vec![&leaf, &root], Some(CertificateError::Order { position: 1 })),
        (vec![&leaf, &between, &between], Some(CertificateError::Order { position: 2 })),
        (vec![&between, &leaf], Some(CertificateError::Order { position: 1 })),
        (vec![&between, &root], Some(CertificateError::Authority)),
        (vec![&nameless], Some(CertificateError::NoNames)),
        (vec![broken], Some(CertificateError::NotX509 { position: 1 })),
        (vec![&leaf, broken], Some(CertificateError::NotX509 { position: 2 })),
        (vec![cut], Some(CertificateError::NotPem)),
        (vec![&leaf; 11], Some(CertificateError::TooLong)),
    ] {
        assert_eq!(Chain::parse(&pem(&parts)).err(), expected);
    }
}

#[test]
fn a_key_must_be_the_leafs() {
    let authority = Authority::new("test");
    let (one, other) = (authority.server(&["a.example"]), authority.server(&["a.example"]));
    let certified = |key: &str| chain(&one).certified(key.as_bytes(), &provider()).map(drop);
    assert_eq!(certified(&one.key_pem), Ok(()));
    assert_eq!(certified(&other.key_pem), Err(CertificateError::KeyMismatch));
    let garbled = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let long = one.key_pem.clone() + &" ".repeat(16 * 1024);
    for no_key in ["", "x", &one.certificate_pem, garbled, &long] {
        assert_eq!(certified(no_key), Err(CertificateError::NoKey));
    }
}

#[test]
fn an_expired_leaf_is_told_from_one_that_is_not() {
    let authority = Authority::new("test");
    let now = Timestamp::from_unix_ms(1_800_000_000_000);
    assert_eq!(chain(&authority.server(&["a.example"])).check_expiry(now), Ok(()));
    let expired = chain(&authority.expired(&["a.example"]));
    assert!(matches!(expired.check_expiry(now), Err(CertificateError::Expired { .. })));
    assert_eq!(expired.check_expiry(expired.leaf().not_after), Ok(()));
}

#[test]
fn authorities_verify_clients_and_nothing_else_does() {
    let authority = Authority::new("acme's clients");
    assert!(client_authorities(&pem(&[&authority.pem()]), &provider()).is_ok());
    let leaf = authority.client("printer");
    let error = client_authorities(&pem(&[&authority.pem(), &leaf.certificate_pem]), &provider());
    assert_eq!(error.err(), Some(AuthorityError::NotAnAuthority { position: 2 }));
    assert_eq!(ClientIdentity::of(&leaf.der()).unwrap().subject, "CN=printer");
}

/// An index wants no real certificates, only different ones.
fn entry(id: u128, owner: Option<u128>, names: &[&str], default: bool) -> Arc<Entry> {
    thread_local! {
        static ISSUED: (CertificatePem, Arc<rustls::sign::CertifiedKey>) = {
            let issued = Authority::new("test").server(&["a.example"]);
            let key = chain(&issued).certified(issued.key_pem.as_bytes(), &provider()).unwrap();
            (pem(&[&issued.certificate_pem]), key)
        };
    }
    ISSUED.with(|(chain_pem, key)| {
        let certificate = Certificate {
            id: CertificateId::from_parts(1, id),
            tenant: owner.map(|owner| TenantId::from_parts(1, owner)),
            domains: domains(names).into_iter().collect(),
            chain_pem: chain_pem.clone(),
            key: SealedSecret::new("0123456789abcdef", &"a".repeat(40)).unwrap(),
            default,
        };
        Arc::new(Entry::new(certificate, Arc::clone(key)))
    })
}

fn found(index: &CertificateIndex, name: Option<&str>) -> Option<u128> {
    let id = index.find(name)?.certificate().id.to_u128();
    Some(id - CertificateId::from_parts(1, 0).to_u128())
}

#[test]
fn exact_then_wildcard_then_default() {
    let mut index = CertificateIndex::new(7);
    index.insert(entry(1, None, &["*.acme.example"], false));
    index.insert(entry(2, None, &["www.acme.example", "acme.example"], false));
    for (name, expected) in [
        (Some("www.acme.example"), Some(2)),
        (Some("acme.example"), Some(2)),
        (Some("api.acme.example"), Some(1)),
        (Some("a.b.acme.example"), None),
        (Some("*.acme.example"), Some(1)),
        (Some("example"), None),
        (Some(""), None),
        (None, None),
    ] {
        assert_eq!(found(&index, name), expected, "{name:?}");
    }
    index.insert(entry(3, None, &["gateway.example"], true));
    for name in [Some("a.b.acme.example"), Some("example"), None] {
        assert_eq!(found(&index, name), Some(3), "{name:?}");
    }
    index.remove(CertificateId::from_parts(1, 3));
    assert_eq!(found(&index, None), None);
}

#[test]
fn a_tenants_own_goes_before_the_platforms_however_they_come() {
    let entries = [
        || entry(9, None, &["*.acme.example"], false),
        || entry(1, Some(1), &["*.acme.example"], false),
        || entry(8, None, &["*.acme.example"], false),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut index = CertificateIndex::new(7);
        for place in order {
            index.insert(entries[place]());
        }
        assert_eq!(found(&index, Some("www.acme.example")), Some(1));
        index.remove(CertificateId::from_parts(1, 1));
        assert_eq!(found(&index, Some("www.acme.example")), Some(9));
    }
}

#[test]
fn a_replaced_certificate_leaves_the_names_it_gave_up() {
    let mut index = CertificateIndex::new(7);
    index.insert(entry(1, None, &["a.example", "b.example"], true));
    let before = index.clone();
    index.insert(entry(1, None, &["b.example", "c.example"], false));
    let names = ["a.example", "b.example", "c.example"];
    assert_eq!(names.map(|name| found(&index, Some(name))), [None, Some(1), Some(1)]);
    assert_eq!(names.map(|name| found(&before, Some(name))), [Some(1); 3], "shared, not changed");
    assert_eq!(index.len(), 1);
}

/// Whether a tenant's, its names, whether the default.
type Plain = (bool, Vec<&'static str>, bool);

const NAMES: [&str; 4] = ["a.example", "b.example", "*.example", "*.b.example"];

proptest! {
    #[test]
    fn the_index_agrees_with_a_plain_search(
        operations in prop::collection::vec(
            (0_u128..6, prop::option::of((prop::option::of(0_u128..2), prop::sample::subsequence(NAMES.to_vec(), 0..4), any::<bool>()))),
            0..40,
        ),
    ) {
        let mut index = CertificateIndex::new(7);
        let mut plain: BTreeMap<u128, Plain> = BTreeMap::new();
        for (id, put) in operations {
            match put {
                Some((owner, names, default)) => {
                    let entry = entry(id, owner, &names, default);
                    index.insert(Arc::clone(&entry));
                    plain.insert(id, (owner.is_some(), names, default));
                }
                None => {
                    index.remove(CertificateId::from_parts(1, id));
                    plain.remove(&id);
                }
            }
        }
        let best = |wanted: &dyn Fn(&Plain) -> bool| {
            plain.iter().filter(|(_, one)| wanted(one)).max_by_key(|(id, one)| (one.0, **id)).map(|(id, _)| *id)
        };
        for (name, wildcard) in [("a.example", "*.example"), ("b.example", "*.example"), ("c.b.example", "*.b.example"), ("x.y.z", "*.y.z")] {
            let expected = best(&|one| one.1.contains(&name))
                .or_else(|| best(&|one| one.1.contains(&wildcard)))
                .or_else(|| best(&|one| one.2));
            prop_assert_eq!(found(&index, Some(name)), expected);
        }
        prop_assert_eq!(index.len(), plain.len());
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, at in 0_usize..2000, flip in 1_u8..) {
        let begin = "-----BEGIN CERTIFICATE-----\n";
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(pem) = format!("{begin}{text}\n-----END CERTIFICATE-----\n").parse() {
            let _ = Chain::parse(&pem);
            let _ = client_authorities(&pem, &provider());
        }
        // A certificate in which one byte is another.
        let mut der = Authority::new("test").der().to_vec();
        let at = at % der.len();
        der[at] ^= flip;
        let _ = ClientIdentity::of(&der.into());
    }
}
