//! The state that requests and connections see: one immutable table with the certificates beside it,
//! swapped whole.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde::Deserialize as _;
use serde_json::Value;
use tenantry_api::ExplainRequest;
use tenantry_certs::{CertificateIndex, Entry};
use tenantry_distribution::{
    Change as WireChange, KeyUse, Position, Refusal, Traffic, Update, UpdateKind,
};
use tenantry_engine::{Change, Table, Totals};
use tenantry_explain::explain;
use tenantry_model::{Certificate, CertificateId, Resource, ResourceKind, ResourceRef, Timestamp};
use tenantry_subscription::Target;

use crate::{clock::Clock, secrets::Secrets};

/// A table and where it stands in the control plane's history.
#[derive(Debug)]
pub(crate) struct ActiveState {
    pub(crate) position: Position,
    pub(crate) table: Table,
    pub(crate) certificates: CertificateIndex,
}

/// Holds the state and takes updates from the subscription.
#[derive(Debug)]
pub(crate) struct Active {
    /// What a state is made from when there is none yet.
    empty: Empty,
    secrets: Arc<Secrets>,
    current: ArcSwapOption<ActiveState>,
    clock: Clock,
    /// When requests were first counted.
    since: Timestamp,
    refused: Mutex<BTreeMap<ResourceRef, String>>,
}

#[derive(Debug)]
struct Empty {
    table: Table,
    certificates: CertificateIndex,
}

impl Active {
    /// Nothing yet. The seed is random and secret.
    pub(crate) fn new(table: Table, seed: u64, secrets: Arc<Secrets>, clock: Clock) -> Self {
        let empty = Empty { table, certificates: CertificateIndex::new(seed) };
        let (current, refused) = (ArcSwapOption::empty(), Mutex::default());
        Self { empty, secrets, current, clock, since: clock.now().unix, refused }
    }

    /// The state now; none before the first snapshot.
    pub(crate) fn load(&self) -> Option<Arc<ActiveState>> {
        self.current.load_full()
    }
}

impl Target for Active {
    fn apply(&self, update: &Update) -> Vec<Refusal> {
        let current = self.current.load();
        let (table, known) = match current.as_ref() {
            Some(state) => (&state.table, &state.certificates),
            None => (&self.empty.table, &self.empty.certificates),
        };
        let mut refused = self.refused.lock();
        let mut certificates = match update.kind {
            UpdateKind::Full => self.empty.certificates.clone(),
            UpdateKind::Delta => known.clone(),
        };
        let mut reading = Reading {
            secrets: &self.secrets,
            known,
            certificates: &mut certificates,
            refused: &mut refused,
        };
        let applied = match update.kind {
            UpdateKind::Full => {
                reading.refused.clear();
                let resources =
                    update.changes.iter().filter_map(|change| match reading.read(change)? {
                        Change::Put(resource) => Some(resource),
                        Change::Delete(_) => None,
                    });
                let resources: Vec<_> = resources.collect();
                let kept: Vec<_> = refused.keys().cloned().collect();
                table.replace_keeping(resources, &kept)
            }
            UpdateKind::Delta => {
                let changes: Vec<_> =
                    update.changes.iter().filter_map(|change| reading.read(change)).collect();
                table.apply(changes)
            }
        };
        refused
            .extend(applied.refused.into_iter().map(|refusal| (refusal.resource, refusal.reason)));
        self.current.store(Some(Arc::new(ActiveState {
            position: update.position(),
            table: applied.table,
            certificates,
        })));
        refused
            .iter()
            .map(|(resource, reason)| Refusal {
                resource: resource.clone().into(),
                reason: reason.clone(),
            })
            .collect()
    }

    fn explain(&self, request: &Value) -> Option<Value> {
        let request = ExplainRequest::deserialize(request).ok()?;
        let state = self.load()?;
        let revision = state.position.revision;
        let explained = explain(&state.table, revision, &request, self.clock.now());
        serde_json::to_value(explained).ok()
    }

    fn take_keys_used(&self, at_most: usize) -> Vec<KeyUse> {
        let uses = self.empty.table.runtime().key_uses.take(at_most);
        uses.into_iter().map(|(key, at)| KeyUse { key, at }).collect()
    }

    fn traffic(&self) -> Option<Traffic> {
        let Totals { requests, server_errors, denied } = self.empty.table.runtime().usages.totals();
        Some(Traffic { since: self.since, requests, server_errors, denied })
    }

    fn put_back_keys_used(&self, uses: Vec<KeyUse>) {
        let uses = uses.into_iter().map(|KeyUse { key, at }| (key, at)).collect();
        self.empty.table.runtime().key_uses.put_back(uses);
    }
}

/// An update on its way into a state.
struct Reading<'a> {
    secrets: &'a Secrets,
    /// The certificates before.
    known: &'a CertificateIndex,
    certificates: &'a mut CertificateIndex,
    refused: &'a mut BTreeMap<ResourceRef, String>,
}

impl Reading<'_> {
    /// Reads one change and returns what of it is for the table. A resource that this build does not
    /// understand, or cannot use, is refused by itself; what it was before stays in force.
    fn read(&mut self, change: &WireChange) -> Option<Change> {
        let (reference, json) = match change {
            WireChange::Put { reference, json } => (reference, json),
            WireChange::Delete(reference) => {
                self.refused.remove(reference);
                if let Some(id) = certificate_id(reference) {
                    self.certificates.remove(id);
                }
                return Some(Change::Delete(reference.clone()));
            }
            WireChange::Unknown { .. } => return None,
        };
        self.refused.remove(reference);
        let read = parse(reference, json.as_bytes()).and_then(|resource| self.usable(resource));
        read.unwrap_or_else(|reason| {
            self.refused.insert(reference.clone(), reason);
            if let Some(previous) = certificate_id(reference).and_then(|id| self.known.get(id)) {
                self.certificates.insert(Arc::clone(previous));
            }
            None
        })
    }

    fn usable(&mut self, resource: Resource) -> Result<Option<Change>, String> {
        let resource = match resource {
            Resource::Certificate(certificate) => {
                let entry = self.entry(certificate)?;
                self.certificates.insert(entry);
                return Ok(None);
            }
            Resource::Upstream(upstream) => Resource::Upstream(self.secrets.upstream(upstream)?),
            Resource::Issuer(issuer) => Resource::Issuer(self.secrets.issuer(issuer)?),
            Resource::Tenant(tenant) => {
                self.secrets.check_tenant(&tenant)?;
                Resource::Tenant(tenant)
            }
            other => other,
        };
        Ok(Some(Change::Put(resource)))
    }

    /// The same certificate again stays as it is: opening and checking keys takes time.
    fn entry(&self, certificate: Certificate) -> Result<Arc<Entry>, String> {
        match self.known.get(certificate.id) {
            Some(known) if *known.certificate() == certificate => Ok(Arc::clone(known)),
            _ => self.secrets.certificate(certificate).map(Arc::new),
        }
    }
}

fn parse(reference: &ResourceRef, json: &[u8]) -> Result<Resource, String> {
    match Resource::from_json(reference.kind, json) {
        Ok(resource) if resource.reference() == *reference => Ok(resource),
        Ok(_) => Err("it carries another identifier than it was sent under".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn certificate_id(reference: &ResourceRef) -> Option<CertificateId> {
    let is_one = reference.kind == ResourceKind::Certificate;
    is_one.then(|| reference.id.parse().ok()).flatten()
}
