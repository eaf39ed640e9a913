//! Which certificate a TLS name gets.
//!
//! A name is looked up as it stands, then with a wildcard in place of its first label; where neither
//! is known, the default stands in, if there is one. Several certificates may name the same pattern:
//! a tenant's own goes before the platform's, and among equals (which the control plane refuses) the
//! newest, so that the order in which they arrive never matters.
//!
//! Cloning an index and changing one entry costs the same with ten certificates as with a hundred
//! thousand.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use tenantry_model::{Certificate, CertificateId, DomainPattern};
use tenantry_sharded_map::ShardedMap;

/// A certificate in the index.
#[derive(Debug)]
pub struct Entry {
    certificate: Certificate,
    key: Arc<CertifiedKey>,
}

impl Entry {
    /// A certificate that was checked, and what it is in handshakes.
    #[must_use]
    pub fn new(certificate: Certificate, key: Arc<CertifiedKey>) -> Self {
        Self { certificate, key }
    }

    /// The resource, as it was written.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Chain and key.
    #[must_use]
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    fn rank(&self) -> (bool, CertificateId) {
        (self.certificate.tenant.is_some(), self.certificate.id)
    }
}

type Candidates = Arc<[Arc<Entry>]>;

/// Certificates by name; see the module's page. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct CertificateIndex {
    by_id: ShardedMap<CertificateId, Arc<Entry>>,
    /// The candidates for a pattern, as text, the best first.
    by_name: ShardedMap<Arc<str>, Candidates>,
    /// The candidates for the default, the best first.
    defaults: Candidates,
}

impl CertificateIndex {
    /// Without certificates. The seed is secret: names to look for come from clients.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            by_id: ShardedMap::new(seed),
            by_name: ShardedMap::new(seed),
            defaults: Arc::default(),
        }
    }

    /// The number of certificates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A certificate by its id.
    #[must_use]
    pub fn get(&self, id: CertificateId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id)
    }

    /// The certificate for a TLS name in lower case: exact, then wildcard, then the default; without
    /// a name, the default.
    #[must_use]
    pub fn find(&self, name: Option<&str>) -> Option<&Arc<Entry>> {
        let named = name.and_then(|name| {
            let exact = self.by_name.get(name);
            exact.or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.by_name.get(format!("*.{parent}").as_str())
            })
        });
        named.and_then(|candidates| candidates.first()).or_else(|| self.defaults.first())
    }

    /// Adds a certificate, or replaces the one with its id.
    pub fn insert(&mut self, entry: Arc<Entry>) {
        self.remove(entry.certificate.id);
        self.by_id.insert(entry.certificate.id, Arc::clone(&entry));
        for domain in &entry.certificate.domains {
            let name = text(domain);
            let candidates = self.by_name.get(&name).map_or(&[][..], |candidates| candidates);
            let candidates = with(candidates, &entry);
            self.by_name.insert(name, candidates);
        }
        if entry.certificate.default {
            self.defaults = with(&self.defaults, &entry);
        }
    }

    /// Removes a certificate; nothing happens if there is none.
    pub fn remove(&mut self, id: CertificateId) {
        let Some(entry) = self.by_id.remove(&id) else { return };
        for domain in &entry.certificate.domains {
            let name = text(domain);
            let Some(candidates) = self.by_name.remove(&name) else { continue };
            let candidates = without(&candidates, &entry);
            if !candidates.is_empty() {
                self.by_name.insert(name, candidates);
            }
        }
        if entry.certificate.default {
            self.defaults = without(&self.defaults, &entry);
        }
    }
}

fn text(domain: &DomainPattern) -> Arc<str> {
    domain.to_string().into()
}

fn with(candidates: &[Arc<Entry>], entry: &Arc<Entry>) -> Candidates {
    let mut candidates: Vec<_> = candidates.iter().chain([entry]).cloned().collect();
    candidates.sort_by_key(|entry| std::cmp::Reverse(entry.rank()));
    candidates.into()
}

fn without(candidates: &[Arc<Entry>], entry: &Arc<Entry>) -> Candidates {
    candidates.iter().filter(|other| !Arc::ptr_eq(other, entry)).cloned().collect()
}
