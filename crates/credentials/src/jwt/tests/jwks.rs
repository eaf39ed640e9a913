//! Which keys of a JWKS document are used, left out or refused.

use super::*;

const PUBLIC: [Algorithm; 7] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn good() -> Value {
    with(Signer::new(Algorithm::EdDSA).jwk(), json!({"kid": "good"}))
}

fn read(keys: &[Value]) -> Result<KeySet, JwksError> {
    KeySet::from_jwks(&json!({"keys": keys}), &PUBLIC.into())
}

fn fetched(keys: &[Value]) -> Result<KeySet, JwksError> {
    KeySet::from_fetched_jwks(&json!({"keys": keys}), &PUBLIC.into())
}

/// The key is left out: alone it leaves nothing, beside a good one it does no harm.
fn check_left_out(jwk: Value) {
    assert_eq!(read(std::slice::from_ref(&jwk)).unwrap_err(), JwksError::NoUsableKey, "{jwk}");
    assert!(read(&[jwk.clone(), good()]).is_ok(), "{jwk}");
    assert!(fetched(&[jwk.clone(), good()]).unwrap().refused().is_empty(), "{jwk}");
}

/// The key is refused: written by an operator it is an error; fetched, it is listed, and the good
/// one beside it works.
fn check_refused(jwk: Value, defect: KeyDefect) {
    let refused = |index| RefusedKey { index, defect };
    assert_eq!(read(&[good(), jwk.clone()]).unwrap_err(), refused(1).into(), "{jwk}");
    assert_eq!(fetched(std::slice::from_ref(&jwk)).unwrap_err(), refused(0).into(), "{jwk}");
    let keys = fetched(&[jwk.clone(), good()]).unwrap();
    assert_eq!(keys.refused(), [refused(0)], "{jwk}");
    assert!(keys.find(Some("good"), Algorithm::EdDSA).is_ok(), "{jwk}");
}

fn check_accepted(jwk: Value, algorithms: &[Algorithm]) {
    let keys = read(std::slice::from_ref(&jwk)).unwrap_or_else(|error| panic!("{jwk}: {error}"));
    let found: Vec<Algorithm> =
        ALL.into_iter().filter(|algorithm| keys.find(None, *algorithm).is_ok()).collect();
    assert_eq!(found, algorithms, "{jwk}");
}

fn rsa(changes: Value) -> Value {
    with(Signer::new(Algorithm::RS256).jwk(), changes)
}

fn p256(changes: Value) -> Value {
    with(Signer::new(Algorithm::ES256).jwk(), changes)
}

#[test]
fn documents() {
    for bad in [json!(null), json!([]), json!({}), json!({"keys": {}}), json!("keys")] {
        let error = KeySet::from_jwks(&bad, &PUBLIC.into()).unwrap_err();
        assert_eq!(error, JwksError::NotAKeySet, "{bad}");
    }
    assert_eq!(read(&[]).unwrap_err(), JwksError::NoUsableKey);
    assert_eq!(fetched(&[]).unwrap_err(), JwksError::NoUsableKey);
    let other = json!({"kty": "AKP"});
    let mut many = vec![other; MAX_KEYS - 1];
    many.push(good());
    assert!(read(&many).is_ok());
    many.push(good());
    assert_eq!(read(&many).unwrap_err(), JwksError::TooManyKeys);
    check_refused(json!("key"), KeyDefect::NotAnObject);
}

#[test]
fn key_ids_are_unique_among_usable_keys() {
    let twice = [p256(json!({"kid": "a"})), good(), rsa(json!({"kid": "a"}))];
    assert_eq!(read(&twice).unwrap_err(), JwksError::DuplicateKeyId { index: 2 });
    assert_eq!(fetched(&twice).unwrap_err(), JwksError::DuplicateKeyId { index: 2 });
    let for_encryption = rsa(json!({"kid": "good", "use": "enc"}));
    assert!(read(&[good(), for_encryption]).is_ok());
    assert!(read(&[p256(json!({})), p256(json!({}))]).is_ok());
}

#[test]
fn keys_are_pinned() {
    let every = &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256];
    check_accepted(rsa(json!({})), every);
    check_accepted(rsa(json!({"alg": "PS256"})), &[Algorithm::PS256]);
    check_accepted(p256(json!({})), &[Algorithm::ES256]);
    check_accepted(p256(json!({"use": "sig", "key_ops": ["verify"]})), &[Algorithm::ES256]);
    check_accepted(p256(json!({"key_ops": ["sign", "verify"]})), &[Algorithm::ES256]);
    check_accepted(Signer::new(Algorithm::ES384).jwk(), &[Algorithm::ES384]);
    check_accepted(good(), &[Algorithm::EdDSA]);
    let only = KeySet::from_jwks(&json!({"keys": [rsa(json!({}))]}), &[Algorithm::RS256].into());
    assert!(only.unwrap().find(None, Algorithm::RS384).is_err());
}

#[test]
fn keys_for_something_else_are_left_out() {
    check_left_out(json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "priv": "AA"}));
    check_left_out(json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}));
    check_left_out(json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}));
    check_left_out(json!({"kty": "OKP", "crv": "X25519", "x": "AA"}));
    check_left_out(json!({"kty": "OKP", "crv": "Ed448", "x": "AA"}));
    check_left_out(json!({"kty": "rsa"}));
    check_left_out(rsa(json!({"use": "enc"})));
    check_left_out(rsa(json!({"use": "SIG"})));
    check_left_out(rsa(json!({"key_ops": ["encrypt"]})));
    check_left_out(rsa(json!({"key_ops": []})));
    check_left_out(rsa(json!({"alg": "RSA-OAEP"})));
    check_left_out(rsa(json!({"alg": "none"})));
    check_left_out(p256(json!({"use": "sig", "key_ops": ["deriveKey"]})));
}

#[test]
fn defective_keys_are_refused() {
    use KeyDefect::{AlgorithmMismatch, Member, Point, PrivateMember, RsaExponent, RsaModulus};
    check_refused(json!({}), Member("kty"));
    check_refused(json!({"kty": 1}), Member("kty"));
    check_refused(json!({"kty": "EC"}), Member("crv"));
    check_refused(rsa(json!({"kid": 1})), Member("kid"));
    check_refused(rsa(json!({"use": ["sig"]})), Member("use"));
    check_refused(rsa(json!({"key_ops": "verify"})), Member("key_ops"));
    check_refused(rsa(json!({"alg": 1})), Member("alg"));
    for (jwk, algorithm) in [
        (rsa(json!({})), "ES256"),
        (rsa(json!({})), "HS256"),
        (p256(json!({})), "ES384"),
        (Signer::new(Algorithm::ES384).jwk(), "ES256"),
        (good(), "RS256"),
    ] {
        check_refused(with(jwk, json!({"alg": algorithm})), AlgorithmMismatch);
    }
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for jwk in [rsa(json!({})), p256(json!({})), good(), rsa(json!({"use": "enc"}))] {
            check_refused(with(jwk, json!({member: "AA"})), PrivateMember(member));
        }
    }
    let n = decode(vectors::RSA_N);
    let even = [&n[..255], &[0]].concat();
    for bad in [&n[1..], &[&[0x7f], &n[1..]].concat(), &even, &[1; 1025], &[], &[0; 256]] {
        check_refused(rsa(json!({"n": encode(bad)})), RsaModulus);
    }
    for bad in [&[][..], &[0], &[1], &[2], &[0, 1], &[1, 0, 0], &[2, 0, 0, 0, 1], &[255; 8]] {
        check_refused(rsa(json!({"e": encode(bad)})), RsaExponent);
    }
    for bad in [json!(null), json!(65537), json!("AQAB="), json!("AQAC+"), json!("AR")] {
        check_refused(rsa(json!({"e": bad})), Member("e"));
    }
    check_refused(p256(json!({"x": encode([1; 32])})), Point);
    check_refused(p256(json!({"x": encode([0; 32]), "y": encode([0; 32])})), Point);
    check_refused(p256(json!({"x": encode([1; 31])})), Member("x"));
    check_refused(p256(json!({"y": encode([0; 33])})), Member("y"));
    check_refused(with(good(), json!({"x": encode([0; 32])})), Point);
    check_refused(with(good(), json!({"x": encode([7; 31])})), Member("x"));
}

/// Some libraries write the sign byte of their big integers; the number is the same.
#[test]
fn a_leading_zero_does_not_change_a_number() {
    let signer = Signer::new(Algorithm::RS256);
    let n = [&[0], decode(vectors::RSA_N).as_slice()].concat();
    let issuer = issuer(&[Algorithm::RS256]);
    let keys = key_set(&[rsa(json!({"n": encode(n), "e": encode([0, 1, 0, 1])}))], &issuer);
    let token = signer.token(&json!({"alg": "RS256"}), &claims());
    assert!(verify(&token, &issuer, &keys).is_ok());
}

#[test]
fn shared_secrets_are_for_hs256_issuers_only() {
    let secret = |length| json!({"kty": "oct", "k": encode(vec![7; length])});
    check_refused(secret(32), KeyDefect::SharedSecret);
    check_refused(with(secret(32), json!({"alg": "HS256", "use": "enc"})), KeyDefect::SharedSecret);

    let hs256 = [Algorithm::HS256].into();
    let read = |keys: &[Value]| KeySet::from_jwks(&json!({"keys": keys}), &hs256);
    assert!(read(&[secret(32)]).unwrap().find(None, Algorithm::HS256).is_ok());
    let short = RefusedKey { index: 0, defect: KeyDefect::ShortSecret };
    assert_eq!(read(&[secret(31)]).unwrap_err(), short.into());
    assert_eq!(read(&[rsa(json!({})), good()]).unwrap_err(), JwksError::NoUsableKey);
    let keys = read(&[secret(64), rsa(json!({}))]).unwrap();
    assert!(PUBLIC.iter().all(|algorithm| keys.find(None, *algorithm).is_err()));
    let fetched = KeySet::from_fetched_jwks(&json!({"keys": [secret(32)]}), &hs256);
    let shared = RefusedKey { index: 0, defect: KeyDefect::SharedSecret };
    assert_eq!(fetched.unwrap_err(), shared.into());
}

#[test]
fn secrets_are_not_shown() {
    let secret = json!({"keys": [{"kty": "oct", "k": encode([b'z'; 32])}]});
    let keys = KeySet::from_jwks(&secret, &[Algorithm::HS256].into()).unwrap();
    let shown = format!("{keys:?}");
    assert!(!shown.contains("122") && !shown.contains("zz") && !shown.contains("7a7a"), "{shown}");
}
