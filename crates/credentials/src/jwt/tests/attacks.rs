//! Tokens that must not verify, and the honest ones beside them that must.

use proptest::prelude::*;

use super::*;

fn name(algorithm: Algorithm) -> Value {
    serde_json::to_value(algorithm).unwrap()
}

#[test]
fn every_algorithm_verifies_its_own_tokens_and_no_other() {
    for algorithm in ALL {
        let (signer, stranger) = (Signer::new(algorithm), Signer::new(algorithm));
        let issuer = issuer(&[algorithm]);
        let keys = key_set(&[signer.jwk()], &issuer);
        let token = signer.token(&json!({"alg": algorithm}), &claims());
        assert!(verify(&token, &issuer, &keys).is_ok(), "{algorithm:?}");

        let (input, signature) = token.rsplit_once('.').unwrap();
        let other = encode(with(claims(), json!({"sub": "mallory"})).to_string());
        let swapped = format!("{}.{other}.{signature}", token.split('.').next().unwrap());
        assert_eq!(
            verify(&swapped, &issuer, &keys),
            Err(TokenError::BadSignature),
            "{algorithm:?}"
        );
        for bad in wrong_signatures(&decode(signature)) {
            let token = format!("{input}.{}", encode(bad));
            assert_eq!(
                verify(&token, &issuer, &keys),
                Err(TokenError::BadSignature),
                "{algorithm:?}"
            );
        }
        // `ring` generates no RSA keys, and the one secret is fixed: only the others have strangers.
        if matches!(algorithm, Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA) {
            let forged = stranger.token(&json!({"alg": algorithm}), &claims());
            assert_eq!(verify(&forged, &issuer, &keys), Err(TokenError::BadSignature));
        }
    }
}

/// A good signature, made longer, shorter, padded (the 65 bytes of ES256), zero, and re-encoded.
fn wrong_signatures(good: &[u8]) -> Vec<Vec<u8>> {
    let middle = good.len() / 2;
    vec![
        [good, &[0]].concat(),
        [&[0], good].concat(),
        [&good[..middle], &[0], &good[middle..]].concat(),
        [good, good].concat(),
        good[1..].to_vec(),
        good[..good.len() - 1].to_vec(),
        vec![0; good.len()],
        vec![0xff; good.len()],
        [&[0x30, 0x44, 0x02, 0x20][..], &good[..middle], &[0x02, 0x20], &good[middle..]].concat(),
        vec![1],
    ]
}

/// A key is never used for an algorithm it is not pinned to, whatever the token says.
#[test]
fn algorithms_are_not_confused() {
    use TokenError::{BadSignature, UnknownKey, UnsupportedAlgorithm};
    let rsa = Signer::new(Algorithm::RS256);
    let ecdsa = Signer::new(Algorithm::ES256);
    let issuer = issuer(&[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256]);
    let keys = key_set(
        &[
            with(rsa.jwk(), json!({"kid": "rsa", "alg": "RS256"})),
            with(ecdsa.jwk(), json!({"kid": "ec"})),
        ],
        &issuer,
    );
    let check = |signer: &Signer, header: Value, expected: Result<(), TokenError>| {
        let verified = verify(&signer.token(&header, &claims()), &issuer, &keys);
        assert_eq!(verified.map(|_| ()), expected, "{header}");
    };
    check(&rsa, json!({"alg": "RS256", "kid": "rsa"}), Ok(()));
    check(&rsa, json!({"alg": "RS256"}), Ok(()));
    check(&ecdsa, json!({"alg": "ES256", "kid": "ec"}), Ok(()));
    check(&rsa, json!({"alg": "RS256", "kid": "ec"}), Err(UnsupportedAlgorithm));
    check(&ecdsa, json!({"alg": "ES256", "kid": "rsa"}), Err(UnsupportedAlgorithm));
    // The issuer may use PS256, but this key is pinned to RS256.
    let pss = Signer::new(Algorithm::PS256);
    check(&pss, json!({"alg": "PS256", "kid": "rsa"}), Err(UnsupportedAlgorithm));
    check(&pss, json!({"alg": "PS256"}), Err(UnknownKey));
    check(&pss, json!({"alg": "RS256", "kid": "rsa"}), Err(BadSignature));
    // RS512 is done with the same kind of key, but the issuer does not use it.
    check(
        &Signer::new(Algorithm::RS512),
        json!({"alg": "RS512", "kid": "rsa"}),
        Err(UnsupportedAlgorithm),
    );
    // The public key as an HMAC secret, in the forms in which libraries were fooled.
    let jwk = rsa.jwk();
    let n = decode(jwk["n"].as_str().unwrap());
    for secret in [n, jwk.to_string().into_bytes(), jwk["n"].to_string().into_bytes()] {
        let signer = Signer::Secret(secret);
        check(&signer, json!({"alg": "HS256", "kid": "rsa"}), Err(UnsupportedAlgorithm));
        check(&signer, json!({"alg": "RS256", "kid": "rsa"}), Err(BadSignature));
    }
    check(&ecdsa, json!({"alg": "none", "kid": "ec"}), Err(UnsupportedAlgorithm));
}

/// The pinning holds even if a caller hands over the keys of another issuer.
#[test]
fn the_issuer_limits_the_algorithms_of_any_key_set() {
    let secret = Signer::new(Algorithm::HS256);
    let keys = key_set(&[secret.jwk()], &issuer(&[Algorithm::HS256]));
    let token = secret.token(&json!({"alg": "HS256"}), &claims());
    let verified = verify(&token, &issuer(&[Algorithm::RS256]), &keys);
    assert_eq!(verified, Err(TokenError::UnsupportedAlgorithm));
    assert!(verify(&token, &issuer(&[Algorithm::HS256]), &keys).is_ok());
}

#[test]
fn keys_are_chosen_by_name_or_by_being_the_only_one() {
    let (one, two) = (Signer::new(Algorithm::EdDSA), Signer::new(Algorithm::EdDSA));
    let issuer = issuer(&[Algorithm::EdDSA]);
    let named = |signer: &Signer, kid: &str| with(signer.jwk(), json!({"kid": kid}));
    let both = key_set(&[named(&one, "1"), named(&two, "2")], &issuer);
    let check = |keys: &KeySet, kid: Value, expected: Result<(), TokenError>| {
        let header = with(json!({"alg": "EdDSA"}), json!({"kid": kid}));
        let verified = verify(&one.token(&header, &claims()), &issuer, keys);
        assert_eq!(verified.map(|_| ()), expected, "{header}");
    };
    check(&both, json!("1"), Ok(()));
    check(&both, json!("2"), Err(TokenError::BadSignature));
    check(&both, json!("3"), Err(TokenError::UnknownKey));
    check(&both, json!(""), Err(TokenError::UnknownKey));
    check(&both, json!(null), Err(TokenError::UnknownKey));
    check(&key_set(&[named(&one, "1")], &issuer), json!(null), Ok(()));
    check(&key_set(&[one.jwk()], &issuer), json!(null), Ok(()));
    check(&key_set(&[one.jwk()], &issuer), json!("1"), Err(TokenError::UnknownKey));
}

/// Keys that the token brings along are never used (RFC 8725, section 3.10).
#[test]
fn embedded_keys_are_not_used() {
    let (signer, mallory) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let issuer = issuer(&[Algorithm::ES256]);
    let keys = key_set(&[signer.jwk()], &issuer);
    for (name, value) in [
        ("jwk", mallory.jwk()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = with(json!({"alg": "ES256"}), json!({name: value}));
        let forged = verify(&mallory.token(&header, &claims()), &issuer, &keys);
        assert_eq!(forged, Err(TokenError::BadSignature), "{name}");
        assert!(verify(&signer.token(&header, &claims()), &issuer, &keys).is_ok(), "{name}");
    }
}

#[test]
fn signed_tokens_of_a_bad_form_are_refused() {
    let signer = Signer::new(Algorithm::ES256);
    let issuer = issuer(&[Algorithm::ES256]);
    let keys = key_set(&[signer.jwk()], &issuer);
    let good = signer.token(&json!({"alg": "ES256"}), &claims());
    assert!(verify(&good, &issuer, &keys).is_ok());
    let payload = claims().to_string();
    let twice = payload.replacen('{', r#"{"sub":"mallory","#, 1);
    for bad in [
        format!(".{good}"),
        format!("{good}."),
        signer.token(&json!({"alg": "ES256", "crit": ["exp"], "exp": 1}), &claims()),
        signer.token(&json!({"alg": "ES256", "crit": ["b64"], "b64": true}), &claims()),
        signer.token_of(r#"{"alg":"ES256","alg":"ES256"}"#, &payload),
        signer.token_of(r#"{"alg":"ES256"}"#, &twice),
    ] {
        assert!(matches!(verify(&bad, &issuer, &keys), Err(TokenError::Malformed(_))), "{bad}");
    }
}

/// Nothing about the claims is said before the signature is known to be good.
#[test]
fn claims_of_forged_tokens_are_not_read() {
    let (signer, mallory) = (Signer::new(Algorithm::EdDSA), Signer::new(Algorithm::EdDSA));
    let issuer = issuer(&[Algorithm::EdDSA]);
    let keys = key_set(&[signer.jwk()], &issuer);
    for changes in [
        json!({"exp": 1}),
        json!({"aud": "other"}),
        json!({"iss": "https://other.example/"}),
        json!({"tenant": 1}),
    ] {
        let forged = mallory.token(&json!({"alg": "EdDSA"}), &with(claims(), changes));
        assert_eq!(verify(&forged, &issuer, &keys), Err(TokenError::BadSignature));
    }
}

/// No error text holds anything of the token.
#[test]
fn errors_are_fit_for_a_log() {
    let signer = Signer::new(Algorithm::EdDSA);
    let issuer = issuer_with(&[Algorithm::EdDSA], json!({"tenant_claim": "zebra"}));
    let keys = key_set(&[signer.jwk()], &issuer);
    for payload in [
        json!({"iss": "zebra"}),
        with(claims(), json!({"aud": "zebra"})),
        with(claims(), json!({"exp": "zebra"})),
        with(claims(), json!({"sub": "zebra\n"})),
        with(claims(), json!({"zebra": null})),
        with(claims(), json!({"zebra": ["zebra"]})),
    ] {
        let token = signer.token(&json!({"alg": "EdDSA"}), &payload);
        let error = verify(&token, &issuer, &keys).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("zebra"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One character changed, removed or added anywhere: refused, whatever the algorithm. (Two
    /// ECDSA signatures fit one message, but they differ in far more than one character.)
    #[test]
    fn changed_tokens_never_verify(
        algorithm in prop::sample::select(ALL.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3, 0x20..0x7f_u8), 40),
    ) {
        let signer = Signer::new(algorithm);
        let issuer = issuer(&[algorithm]);
        let keys = key_set(&[signer.jwk()], &issuer);
        let token = signer.token(&json!({"alg": name(algorithm)}), &claims());
        for (at, kind, byte) in changes {
            let mut changed = token.clone().into_bytes();
            let at = at.index(changed.len());
            match kind {
                0 => changed[at] = byte,
                1 => changed.insert(at, byte),
                _ => drop(changed.remove(at)),
            }
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(changed == token || verify(&changed, &issuer, &keys).is_err(), "{}", changed);
        }
    }

    /// Any claims that are signed either give claims or an error, never a panic.
    #[test]
    fn no_signed_claims_panic(
        number in any::<f64>(),
        text in ".{0,20}",
        claim in prop::sample::select(vec!["exp", "nbf", "iat", "aud", "sub", "tenant", "scope"]),
    ) {
        let signer = Signer::new(Algorithm::HS256);
        let issuer = issuer(&[Algorithm::HS256]);
        let keys = key_set(&[signer.jwk()], &issuer);
        for value in [json!(number), json!(text), json!([number, text])] {
            let payload = with(claims(), json!({claim: value}));
            let _ = verify(&signer.token(&json!({"alg": "HS256"}), &payload), &issuer, &keys);
        }
    }
}
