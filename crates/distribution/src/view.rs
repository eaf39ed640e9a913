//! What of the state a proxy is to see: all of it, or what is of one region and of none.
//!
//! A view has revisions of the whole history and a hash of its own. A resource belongs to a view if its
//! tenant does, or if it has none. What a view does not hold is never named in it, not even to be removed:
//! [`Publication`](crate::Publication) drops removals of what its ledger does not know, so a change here may
//! be turned into a removal without a look at what was before.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use serde::Deserialize;
use tenantry_model::{RegionId, ResourceKind, TenantId};

use crate::{Change, ResourceJson, ResourceName};

/// The tenants of this region and of none, with all that is theirs; everything, if no region is named.
pub type View = Option<RegionId>;

/// Which tenants have a region, and which.
#[derive(Debug, Clone, Default)]
pub struct Residents {
    of: HashMap<TenantId, RegionId>,
    /// Every region once: tenants of one share its name.
    regions: BTreeSet<RegionId>,
}

/// A tenant that is in another region than before, or in one for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Which tenant.
    pub tenant: TenantId,
    /// Where it was.
    pub from: Option<RegionId>,
    /// Where it is.
    pub to: Option<RegionId>,
}

/// What a move means to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// The tenant comes into it.
    Enters,
    /// The tenant leaves it, if it was there at all: it may have been made a moment ago.
    Leaves,
}

impl Moved {
    /// What it means to the view of a region; nothing, if the tenant stays inside or outside.
    #[must_use]
    pub fn crosses(&self, region: &RegionId) -> Option<Crossing> {
        match (is_in(self.from.as_ref(), region), is_in(self.to.as_ref(), region)) {
            (false, true) => Some(Crossing::Enters),
            (true, false) => Some(Crossing::Leaves),
            _ => None,
        }
    }

    /// The tenant as a resource.
    #[must_use]
    pub fn name(&self) -> ResourceName {
        let kind = ResourceKind::Tenant.as_str().to_owned();
        ResourceName { kind, id: self.tenant.to_string() }
    }
}

impl Residents {
    /// Takes in where a tenant is, and says whether that is somewhere else than before. Changes of other
    /// resources say nothing.
    pub fn take(&mut self, change: &Change) -> Option<Moved> {
        if change.kind() != ResourceKind::Tenant.as_str() {
            return None;
        }
        let tenant: TenantId = change.id().parse().ok()?;
        let to = change.json().and_then(|json| self.region_in(json));
        let from = match to.clone() {
            Some(region) => self.of.insert(tenant, region),
            None => self.of.remove(&tenant),
        };
        (change.json().is_some() && from != to).then_some(Moved { tenant, from, to })
    }

    /// Where a tenant is, if it has a region.
    #[must_use]
    pub fn region_of(&self, tenant: TenantId) -> Option<&RegionId> {
        self.of.get(&tenant)
    }

    fn region_in(&mut self, json: &ResourceJson) -> Option<RegionId> {
        #[derive(Deserialize)]
        struct Placed<'a> {
            #[serde(borrow, default)]
            region: Option<Cow<'a, str>>,
        }
        // Most platforms have no regions: then nothing is parsed.
        if !json.as_str().contains("\"region\"") {
            return None;
        }
        let region = serde_json::from_str::<Placed<'_>>(json.as_str()).ok()?.region?;
        if let Some(known) = self.regions.get(&*region) {
            return Some(known.clone());
        }
        let region: RegionId = region.parse().ok()?;
        self.regions.insert(region.clone());
        Some(region)
    }

    /// What changes mean to the view of a region. Where all tenants are after them must have been taken in.
    #[must_use]
    pub fn seen_from(&self, region: &RegionId, changes: &[Change]) -> Vec<Change> {
        changes.iter().map(|change| self.change_seen_from(region, change)).collect()
    }

    fn change_seen_from(&self, region: &RegionId, change: &Change) -> Change {
        let Change::Put { reference, json } = change else { return change.clone() };
        let is_seen = match reference.kind {
            ResourceKind::Feature
            | ResourceKind::Plan
            | ResourceKind::Group
            | ResourceKind::Upstream => true,
            ResourceKind::Tenant => reference.id.parse().is_ok_and(|id| self.has(region, id)),
            ResourceKind::Route
            | ResourceKind::Domain
            | ResourceKind::ApiKey
            | ResourceKind::Issuer
            | ResourceKind::Certificate => match owner(json) {
                Ok(owner) => owner.is_none_or(|owner| self.has(region, owner)),
                // Whose it is cannot be read: then it is shown to nobody who may not see all.
                Err(_) => false,
            },
        };
        if is_seen { change.clone() } else { Change::Delete(reference.clone()) }
    }

    fn has(&self, region: &RegionId, tenant: TenantId) -> bool {
        is_in(self.of.get(&tenant), region)
    }
}

fn is_in(of: Option<&RegionId>, region: &RegionId) -> bool {
    of.is_none_or(|of| of == region)
}

/// The tenant that a resource belongs to, or that it is.
#[must_use]
pub fn tenant_of(change: &Change) -> Option<TenantId> {
    if change.kind() == ResourceKind::Tenant.as_str() {
        return change.id().parse().ok();
    }
    change.json().and_then(|json| owner(json).ok().flatten())
}

fn owner(json: &ResourceJson) -> Result<Option<TenantId>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Owned {
        #[serde(default)]
        tenant: Option<TenantId>,
    }
    serde_json::from_str::<Owned>(json.as_str()).map(|owned| owned.tenant)
}

/// Lets pass what of a whole state belongs to a view. The state is given in the order of
/// [`ResourceKind::ALL`]: a tenant before what is its.
#[derive(Debug)]
pub struct Sieve {
    region: View,
    residents: Residents,
}

impl Sieve {
    /// Of this view.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self { region: view, residents: Residents::default() }
    }

    /// What of the next resources belongs to the view.
    pub fn pass(&mut self, changes: Vec<Change>) -> Vec<Change> {
        let Some(region) = &self.region else { return changes };
        for change in &changes {
            self.residents.take(change);
        }
        let seen = self.residents.seen_from(region, &changes);
        seen.into_iter().filter(|change| change.json().is_some()).collect()
    }
}

#[cfg(test)]
mod tests;
