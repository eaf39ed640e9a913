//! Published examples: RFC 7515, appendix A, and RFC 8037, appendix A.

use super::*;

/// RFC 7515, appendix A.2.1: `n`.
pub(super) const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

/// RFC 7515, appendix A.2.1: `d`, `p`, `q`, `dp`, `dq` and `qi`.
pub(super) const RSA_PRIVATE: [&str; 6] = [
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
    "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
    "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
    "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
];

/// The payload of RFC 7515, appendix A: issuer `joe`, expired in 2011, for no audience.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// The examples have no `aud`, and claims are read only after the signature was found good: so a
/// missing audience shows that it was, and a changed signature must say so instead.
fn check(jwk: Value, algorithm: Algorithm, header: &str, signature: &str) {
    let issuer = issuer_with(&[algorithm], json!({"issuer": "joe"}));
    let keys = key_set(&[jwk], &issuer);
    let token = format!("{header}.{PAYLOAD}.{signature}");
    let parsed = Token::parse(&token).unwrap();
    assert_eq!((parsed.issuer(), parsed.key_id()), ("joe", None));
    assert_eq!(parsed.algorithm(), algorithm);
    let good = verify(&token, &issuer, &keys);
    assert_eq!(good, Err(TokenError::MissingClaim(Claim::Audience)), "{algorithm:?}");

    let mut changed = decode(signature);
    changed[10] ^= 1;
    let bad = verify(&format!("{header}.{PAYLOAD}.{}", encode(changed)), &issuer, &keys);
    assert_eq!(bad, Err(TokenError::BadSignature), "{algorithm:?}");
}

#[test]
fn rfc_7515_a_1_hs256() {
    check(
        json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
        Algorithm::HS256,
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );
}

#[test]
fn rfc_7515_a_2_rs256() {
    check(
        json!({"kty": "RSA", "n": RSA_N, "e": "AQAB"}),
        Algorithm::RS256,
        "eyJhbGciOiJSUzI1NiJ9",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    );
}

#[test]
fn rfc_7515_a_3_es256() {
    check(
        json!({
            "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }),
        Algorithm::ES256,
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
}

#[test]
fn rfc_7515_a_5_unsecured() {
    let token = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    assert!(matches!(Token::parse(&token), Err(TokenError::Malformed(_))));
    let signed = Token::parse(&format!("{token}AAAA")).map(|_| ());
    assert_eq!(signed, Err(TokenError::UnsupportedAlgorithm));
}

/// The payload of this example is no JSON, so it is checked below the token: by key.
#[test]
fn rfc_8037_a_eddsa() {
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = decode(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let keys = key_set(&[jwk], &issuer(&[Algorithm::EdDSA]));
    let key = keys.find(None, Algorithm::EdDSA).unwrap();
    assert_eq!(key.verify(Algorithm::EdDSA, message.as_bytes(), &signature), Ok(()));
    let other = key.verify(Algorithm::EdDSA, b"another message", &signature);
    assert_eq!(other, Err(TokenError::BadSignature));
    let whole = format!("{message}.{}", encode(signature));
    assert!(matches!(Token::parse(&whole), Err(TokenError::Malformed(_))));
}

/// The same key pair through the signer that demonstrations use (RFC 8037, appendices A.1 and A.2).
#[test]
fn signed_tokens_verify() {
    let seed = decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let key = crate::signing::SigningKey::from_seed(&seed.try_into().unwrap()).unwrap();
    assert_eq!(key.jwk("demo")["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(format!("{key:?}"), "SigningKey([hidden])");
    let issuer = issuer(&[Algorithm::EdDSA]);
    let keys = key_set(&[key.jwk("demo")], &issuer);
    let verified = verify(&key.sign(&claims(), "demo"), &issuer, &keys).unwrap();
    assert_eq!(verified.subject.as_deref(), Some("alice"));
}
