//! What clients and servers prove themselves with: one certificate for all hosts, and a token for each tenant.

use std::sync::Arc;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData as _, SigningKey as _,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use serde_json::{Value, json};

use crate::policy::{DOMAIN, Tenant};

/// Who signs tokens, and for whom they are.
pub(crate) const ISSUER: &str = "https://id.bench.test/";
pub(crate) const AUDIENCE: &str = "bench";
/// The claim that names the tenant.
pub(crate) const TENANT_CLAIM: &str = "tenant";
const KEY_ID: &str = "bench-1";
/// Ends of tokens, as seconds since 1970: one in 2100, one in 2020.
const FAR: u64 = 4_102_444_800;
const PAST: u64 = 1_577_836_800;

/// All that is made once for a run.
pub(crate) struct Credentials {
    /// The servers' certificate and its key, as PEM.
    pub(crate) certificate: String,
    pub(crate) certificate_key: String,
    /// The key that tokens are verified with, as PEM and as a JWK set.
    pub(crate) token_key: String,
    pub(crate) token_keys: Value,
    authority: CertificateDer<'static>,
    signer: KeyPair,
}

impl Credentials {
    /// New ones.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of a benchmark");
        let authority_key = KeyPair::generate()?;
        let authority = params.self_signed(&authority_key)?;
        let issuer = Issuer::new(params, authority_key);
        let mut leaf = CertificateParams::new(vec![format!("*.{DOMAIN}")])?;
        leaf.distinguished_name.push(DnType::CommonName, "Servers of a benchmark");
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &issuer)?;
        let signer = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self {
            certificate: certificate.pem(),
            certificate_key: key.serialize_pem(),
            token_key: signer.public_key_pem(),
            token_keys: key_set(&signer)?,
            authority: authority.der().clone(),
            signer,
        })
    }

    /// What clients speak TLS with, offering these protocols; sessions are never resumed.
    pub(crate) fn client(&self, alpn: &[&str]) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// A token that is good for this tenant.
    pub(crate) fn token(&self, tenant: &Tenant) -> anyhow::Result<String> {
        self.sign(&tenant.slug, FAR)
    }

    /// A token that was good.
    pub(crate) fn expired_token(&self, tenant: &Tenant) -> anyhow::Result<String> {
        self.sign(&tenant.slug, PAST)
    }

    /// A token that somebody else signed.
    pub(crate) fn forged_token(&self, tenant: &Tenant) -> anyhow::Result<String> {
        let token = self.token(tenant)?;
        let (input, _) = token.rsplit_once('.').context("a token has three parts")?;
        let forger = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        signed(input, &forger)
    }

    fn sign(&self, slug: &str, expires: u64) -> anyhow::Result<String> {
        let header = json!({"alg": "ES256", "kid": KEY_ID, "typ": "JWT"});
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "load", "exp": expires, TENANT_CLAIM: slug,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        signed(&format!("{}.{}", part(&header), part(&claims)), &self.signer)
    }
}

fn signed(input: &str, signer: &KeyPair) -> anyhow::Result<String> {
    let signature = signer.sign(input.as_bytes())?;
    let signature = fixed(&signature).context("an ECDSA signature is two numbers")?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The two numbers of an ECDSA signature, from DER to what RFC 7518 (section 3.4) wants: 32 bytes each.
fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    let (&[0x30, _], rest) = der.split_first_chunk::<2>()? else { return None };
    let (first, rest) = integer(rest)?;
    let (second, rest) = integer(rest)?;
    rest.is_empty().then(|| [first, second].concat())
}

/// An integer of at most 256 bits, and what follows it.
fn integer(der: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (&[0x02, length], rest) = der.split_first_chunk::<2>()? else { return None };
    let (number, rest) = rest.split_at_checked(usize::from(length))?;
    let number = number.strip_prefix(&[0]).unwrap_or(number);
    let mut bytes = [0; 32];
    bytes.get_mut(32_usize.checked_sub(number.len())?..)?.copy_from_slice(number);
    Some((bytes, rest))
}

fn key_set(signer: &KeyPair) -> anyhow::Result<Value> {
    // An uncompressed point: 4, and two coordinates of 32 bytes.
    let point = signer.der_bytes().strip_prefix(&[4]).context("a point that is not compressed")?;
    let (x, y) = point.split_at_checked(32).context("a point of P-256")?;
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Ok(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID, "x": part(x), "y": part(y),
    }]}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_have_a_fixed_length() {
        let short = [0x30, 8, 2, 1, 5, 2, 3, 0, 0x80, 1];
        let mut expected = vec![0; 64];
        (expected[31], expected[62], expected[63]) = (5, 0x80, 1);
        assert_eq!(fixed(&short), Some(expected));
        for bad in [&[][..], &[0x30, 0], &[0x31, 3, 2, 1, 5], &[0x30, 3, 2, 9, 5]] {
            assert_eq!(fixed(bad), None, "{bad:?}");
        }
    }
}
