//! What documents would make of the resources that proxies enforce, without making it so.

use std::collections::BTreeSet;

use serde_json::Value;
use tenantry_model::{Resource, ResourceKind, ResourceRef};

use super::LabelSelector;
use crate::{Caller, Clues, Error, Tenancy};

/// What documents would change.
#[derive(Debug, Clone)]
pub struct Proposed {
    /// Each resource as it would be; nothing, where it would be gone.
    pub changes: Vec<(ResourceRef, Option<Resource>)>,
}

impl Tenancy {
    /// What would be changed if these documents were applied: found by the code that applies them, and not committed.
    ///
    /// # Errors
    /// [`Error::Faults`] if a document is at fault.
    pub async fn proposed(
        &self,
        caller: &Caller,
        documents: &[Value],
        prune: Option<&LabelSelector>,
    ) -> Result<Proposed, Error> {
        let mut wanted = self.wanted(documents, prune).await?;
        let trial = self.tried(caller, &mut wanted).await?;
        Ok(Proposed { changes: trial.resources()? })
    }
}

impl Proposed {
    /// Adds whom requests with these clues would concern: whoever would own their hosts, and what would be built on.
    pub fn extend(&self, clues: &mut Clues) {
        let hosts: BTreeSet<_> = clues.hosts.iter().flat_map(|host| patterns(host)).collect();
        let puts = self.changes.iter().filter_map(|(_, resource)| resource.as_ref());
        for resource in puts {
            match resource {
                Resource::Domain(domain) if hosts.contains(&domain.host.to_string()) => {
                    clues.tenants.insert(domain.tenant);
                }
                Resource::Tenant(tenant) => {
                    clues.more.insert(named(ResourceKind::Plan, tenant.plan.to_string()));
                    let group = tenant.group.as_ref().map(ToString::to_string);
                    clues.more.extend(group.map(|group| named(ResourceKind::Group, group)));
                }
                Resource::Route(route) => {
                    let upstreams = route.target.upstreams().map(ToString::to_string);
                    clues.more.extend(upstreams.map(|id| named(ResourceKind::Upstream, id)));
                }
                _ => {}
            }
        }
    }
}

fn named(kind: ResourceKind, id: String) -> ResourceRef {
    ResourceRef { kind, id }
}

/// The domains by which a host is found.
fn patterns(host: &str) -> impl Iterator<Item = String> {
    let wildcard = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
    [Some(host.to_owned()), wildcard].into_iter().flatten()
}
