//! What 50,000 certificates cost a proxy: reading, opening and indexing them all, memory, one change
//! and one look-up. Not a criterion bench: each figure is one number, printed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "this program measures and prints"
)]

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tenantry_certs::{CertificateIndex, Chain, Entry, provider};
use tenantry_credentials::sealing::MasterKeys;
use tenantry_model::{Certificate, CertificateId, Resource, ResourceKind};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CERTIFICATES: u32 = 50_000;
/// 32 bytes that are the same.
const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

fn main() {
    let keys = MasterKeys::parse(MASTER_KEY).unwrap();
    let authority = Authority::new();
    let sent: Vec<_> = (0..CERTIFICATES).map(|number| authority.sent(&keys, number)).collect();
    let bytes = sent.iter().map(Vec::len).sum::<usize>() / sent.len();
    println!("{CERTIFICATES} certificates (P-256, chain of two), {bytes} bytes each as sent");

    let before = resident_bytes();
    let started = Instant::now();
    let mut index = CertificateIndex::new(7);
    for json in &sent {
        index.insert(Arc::new(entry(&keys, json)));
    }
    let elapsed = started.elapsed();
    println!(
        "read, opened, checked and indexed in {:.2} s on one core ({:.0} us each)",
        elapsed.as_secs_f64(),
        elapsed.as_secs_f64() * 1e6 / f64::from(CERTIFICATES)
    );
    let kept = resident_bytes().saturating_sub(before);
    println!("{} MiB resident, {} bytes each", kept >> 20, kept / u64::from(CERTIFICATES));

    let renewed: Vec<_> = (0..1000).map(|number| authority.sent(&keys, number * 50)).collect();
    let changed = measured(&renewed, |json| {
        let mut next = index.clone();
        next.insert(Arc::new(entry(&keys, json)));
        index = next;
    });
    println!("one certificate replaced: {:.0} us", changed.as_secs_f64() * 1e6);

    let names: Vec<_> = (0..CERTIFICATES).step_by(7).map(host).collect();
    let found = measured(&names, |name| assert!(index.find(Some(name)).is_some()));
    println!("a name looked up: {} ns", found.as_nanos());
}

/// The mean over all of them.
fn measured<T>(items: &[T], mut each: impl FnMut(&T)) -> Duration {
    let started = Instant::now();
    items.iter().for_each(&mut each);
    started.elapsed() / u32::try_from(items.len()).unwrap()
}

/// What a proxy does with a certificate that arrives.
fn entry(keys: &MasterKeys, json: &[u8]) -> Entry {
    let Ok(Resource::Certificate(certificate)) =
        Resource::from_json(ResourceKind::Certificate, json)
    else {
        unreachable!("it was made here")
    };
    let chain = Chain::parse(&certificate.chain_pem).unwrap();
    chain.covers(&certificate.domains).unwrap();
    let context = Certificate::sealing_context(certificate.id);
    let key = keys.open(&certificate.key, &context).unwrap();
    let key = chain.certified(&key, &provider()).unwrap();
    Entry::new(certificate, key)
}

fn host(number: u32) -> String {
    format!("customer-{number}.example")
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A new certificate as the control plane sends it.
    fn sent(&self, keys: &MasterKeys, number: u32) -> Vec<u8> {
        let host = host(number);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![host.clone()]).unwrap();
        let leaf = leaf.signed_by(&key, &self.issuer).unwrap();
        let id = CertificateId::from_parts(1, number.into());
        let mut nonce = [0; 12];
        nonce.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        let context = Certificate::sealing_context(id);
        let certificate = Certificate {
            id,
            tenant: None,
            domains: [host.parse().unwrap()].into(),
            chain_pem: (leaf.pem() + &self.pem).parse().unwrap(),
            key: keys.seal(key.serialize_pem().as_bytes(), &context, nonce).unwrap(),
            default: false,
        };
        Resource::Certificate(certificate).to_json().unwrap()
    }
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
