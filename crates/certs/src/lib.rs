//! Certificates: reading and checking them, and which one a TLS name gets.
//!
//! Pure: no I/O, no async, no clock and no global; PEM text, keys and `now` are passed in. No bytes
//! that anybody uploads can make this crate panic.
//!
//! **What reads X.509.** Names and validity are read with `x509-parser`, which is maintained, has no
//! unsafe code and shows both; `rustls-webpki`, which would be one dependency less, shows no validity
//! period. Whether a key fits its certificate is asked of rustls, which will use them.

mod authority;
mod chain;
mod index;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub use authority::{AuthorityError, ClientIdentity, client_authorities};
pub use chain::{CertificateError, Chain, LeafFacts, MAX_CHAIN, fingerprint};
pub use index::{CertificateIndex, Entry};

/// The cryptography that certificates and keys are used with, everywhere.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
