//! What decides some requests: the part of the state that the control plane needs in order to say how they would be
//! answered. It is never all of it: a platform has a million tenants, and a request concerns a few.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;
use tenantry_model::{
    Issuer, KeyDigest, KeyId, Resource, ResourceKind, ResourceRef, Slug, TenantId,
};
use tenantry_store::{Cursor, Revision, Row};

use crate::{Error, Tenancy, Versioned, layout, projection, tenancy::damaged};

const ROWS: usize = 1000;
/// The most issuers of one name that are looked at.
const MAX_NAMESAKES: usize = 64;

/// What requests tell of whom they may concern.
#[derive(Clone, Default)]
pub struct Clues {
    /// Hosts, in lower case and without ports.
    pub hosts: BTreeSet<String>,
    /// Digests of API keys that were presented.
    pub digests: BTreeSet<KeyDigest>,
    /// API keys that were proven.
    pub keys: BTreeSet<KeyId>,
    /// Who tokens say that they were issued by.
    pub issuers: BTreeSet<String>,
    /// Tenants that tokens name, or that requests were of.
    pub tenants: BTreeSet<TenantId>,
    /// The same, by their slugs.
    pub slugs: BTreeSet<Slug>,
    /// What else is asked for.
    pub more: BTreeSet<ResourceRef>,
}

/// What decides some requests.
#[derive(Debug, Clone, Default)]
pub struct Deciding {
    /// Everything that concerns them, each resource once.
    pub resources: Vec<Resource>,
    /// What of it cannot be used here, and why.
    pub left_out: Vec<(ResourceRef, String)>,
}

impl Tenancy {
    /// What decides requests with these clues, as it is at the revision in the answer.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn deciding(&self, clues: &Clues) -> Result<Versioned<Deciding>, Error> {
        let status = self.store.status().await;
        let at = Cursor { store: status.id, at: status.head, after: Bytes::new() };
        let mut reading = Reading { tenancy: self, at, found: BTreeMap::new() };
        let tenants = reading.tenants(clues).await?;
        reading.of_tenants(tenants).await?;
        reading.shared().await?;
        for ResourceRef { kind, id } in &clues.more {
            reading.resource(*kind, id).await?;
        }
        reading.upstreams().await?;
        let revision = reading.at.at;
        let mut deciding = Deciding::default();
        for (reference, resource) in reading.found {
            match self.usable(resource) {
                Ok(resource) => deciding.resources.push(resource),
                Err(reason) => deciding.left_out.push((reference, reason)),
            }
        }
        Ok(Versioned { value: deciding, revision })
    }

    /// The revision that wrote a resource as it was at another one; none if there was none, or if that is not kept.
    pub async fn written_at(&self, kind: &str, id: &str, at: Revision) -> Option<Revision> {
        let (_, row) = self.store.get(format!("{kind}/{id}").as_bytes(), Some(at)).await.ok()?;
        row.map(|row| row.mod_rev)
    }

    /// With its secrets open, or without those that decide nothing.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn usable(&self, resource: Resource) -> Result<Resource, String> {
        Ok(match resource {
            Resource::Issuer(issuer) => {
                let context = Issuer::sealing_context(issuer.id());
                let open = |sealed: &str| -> Result<String, String> {
                    let sealed = sealed.parse().map_err(|_| "its secret is damaged".to_owned())?;
                    let opened = self.master_keys.open(&sealed, &context);
                    let opened =
                        opened.map_err(|error| format!("its secret is sealed: {error}"))?;
                    Ok(String::from_utf8_lossy(&opened).into_owned())
                };
                Resource::Issuer(issuer.opened(open)?)
            }
            // How an upstream is reached decides nothing, and its key stays where it is.
            Resource::Upstream(mut upstream) => {
                upstream.tls = None;
                Resource::Upstream(upstream)
            }
            other => other,
        })
    }
}

/// Reads at one revision.
struct Reading<'t> {
    tenancy: &'t Tenancy,
    at: Cursor,
    found: BTreeMap<ResourceRef, Resource>,
}

impl Reading<'_> {
    /// Everybody whom a request may concern.
    async fn tenants(&mut self, clues: &Clues) -> Result<BTreeSet<TenantId>, Error> {
        let mut tenants = clues.tenants.clone();
        for host in &clues.hosts {
            let wildcard = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
            for domain in [Some(host.clone()), wildcard].into_iter().flatten() {
                if let Some(Resource::Domain(domain)) =
                    self.resource(ResourceKind::Domain, &domain).await?
                {
                    tenants.insert(domain.tenant);
                }
            }
        }
        for slug in &clues.slugs {
            tenants.extend(self.named::<TenantId>(&layout::slug(slug)).await?);
        }
        let mut keys = clues.keys.clone();
        for digest in &clues.digests {
            keys.extend(self.named::<KeyId>(&layout::key_digest(digest)).await?);
        }
        for key in keys {
            let key = self.resource(ResourceKind::ApiKey, &key.to_string()).await?;
            if let Some(Resource::ApiKey(key)) = key {
                tenants.insert(key.tenant);
            }
        }
        if !clues.issuers.is_empty() {
            tenants.extend(self.issuers_named(&clues.issuers).await?);
        }
        Ok(tenants)
    }

    /// Issuers of a name, whosever they are, and whose they are. There is no row that finds them, so all are looked
    /// at.
    async fn issuers_named(&mut self, names: &BTreeSet<String>) -> Result<Vec<TenantId>, Error> {
        #[derive(Deserialize)]
        struct Named {
            issuer: String,
        }
        let is_named = |row: &Row| {
            let json = projection::resource_json(&row.value).ok()?;
            let named: Named = serde_json::from_str(json.get()).ok()?;
            names.contains(&named.issuer).then_some(())
        };
        let mut owners = Vec::new();
        let mut namesakes = 0;
        self.each(ResourceKind::Issuer, |reading, row| {
            if namesakes < MAX_NAMESAKES && is_named(row).is_some() {
                namesakes += 1;
                if let Resource::Issuer(issuer) = reading.take(row)? {
                    owners.extend(issuer.tenant());
                }
            }
            Ok(())
        })
        .await?;
        Ok(owners)
    }

    /// Tenants, what they are built on, and what belongs to them but keys, of which only some are presented.
    async fn of_tenants(&mut self, tenants: BTreeSet<TenantId>) -> Result<(), Error> {
        for id in tenants {
            let tenant = self.resource(ResourceKind::Tenant, &id.to_string()).await?;
            let Some(Resource::Tenant(tenant)) = tenant else { continue };
            let (plan, group) = (tenant.plan.to_string(), tenant.group.clone());
            self.resource(ResourceKind::Plan, &plan).await?;
            if let Some(group) = group {
                self.resource(ResourceKind::Group, group.as_str()).await?;
            }
            for kind in [ResourceKind::Route, ResourceKind::Issuer] {
                for owned in self.owned(id, kind).await? {
                    self.resource(kind, &owned).await?;
                }
            }
        }
        Ok(())
    }

    /// What concerns every request.
    async fn shared(&mut self) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Owned {
            #[serde(default)]
            tenant: Option<String>,
        }
        self.each(ResourceKind::Feature, |reading, row| reading.take(row).map(drop)).await?;
        for kind in [ResourceKind::Route, ResourceKind::Issuer] {
            self.each(kind, |reading, row| {
                let json = projection::resource_json(&row.value).map_err(|_| damaged(&row.key))?;
                let owned: Owned =
                    serde_json::from_str(json.get()).map_err(|_| damaged(&row.key))?;
                if owned.tenant.is_none() {
                    reading.take(row)?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Where the routes lead.
    async fn upstreams(&mut self) -> Result<(), Error> {
        let routes = self.found.values().filter_map(|resource| match resource {
            Resource::Route(route) => Some(route),
            _ => None,
        });
        let upstreams: BTreeSet<_> =
            routes.flat_map(|route| route.target.upstreams()).map(ToString::to_string).collect();
        for upstream in upstreams {
            self.resource(ResourceKind::Upstream, &upstream).await?;
        }
        Ok(())
    }

    /// One resource, if there is one; it is among those found from now on.
    async fn resource(&mut self, kind: ResourceKind, id: &str) -> Result<Option<&Resource>, Error> {
        let reference = ResourceRef { kind, id: id.to_owned() };
        if !self.found.contains_key(&reference) {
            let key = layout::record(kind, id);
            match self.tenancy.store.get(key.as_bytes(), Some(self.at.at)).await? {
                (_, Some(row)) => drop(self.take(&row)?),
                (_, None) => return Ok(None),
            }
        }
        Ok(self.found.get(&reference))
    }

    fn take(&mut self, row: &Row) -> Result<Resource, Error> {
        let (reference, resource) = read(row)?;
        self.found.insert(reference, resource.clone());
        Ok(resource)
    }

    /// What an index row names; none if there is no such row.
    async fn named<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Error> {
        let (_, row) = self.tenancy.store.get(key.as_bytes(), Some(self.at.at)).await?;
        // A slug may be kept for somebody who is gone.
        Ok(row.and_then(|row| std::str::from_utf8(&row.value).ok()?.parse().ok()))
    }

    /// The identifiers of what belongs to a tenant.
    async fn owned(&self, tenant: TenantId, kind: ResourceKind) -> Result<Vec<String>, Error> {
        let prefix = layout::owned(Some(tenant), kind);
        let mut cursor = Some(Cursor { after: prefix.clone().into(), ..self.at.clone() });
        let mut ids = Vec::new();
        while cursor.is_some() {
            let page = self.tenancy.store.scan(prefix.as_bytes(), cursor, ROWS).await?;
            let keys = page.rows.iter().filter_map(|row| std::str::from_utf8(&row.key).ok());
            ids.extend(keys.filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned));
            cursor = page.next;
        }
        Ok(ids)
    }

    async fn each(
        &mut self,
        kind: ResourceKind,
        mut look: impl FnMut(&mut Self, &Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let prefix = layout::records(kind);
        let mut cursor = Some(Cursor { after: prefix.clone().into(), ..self.at.clone() });
        while cursor.is_some() {
            let page = self.tenancy.store.scan(prefix.as_bytes(), cursor, ROWS).await?;
            page.rows.iter().try_for_each(|row| look(self, row))?;
            cursor = page.next;
        }
        Ok(())
    }
}

/// The resource in the row of a record.
pub(crate) fn read(row: &Row) -> Result<(ResourceRef, Resource), Error> {
    let read = || {
        let (kind, id) = projection::resource_key(&row.key)?;
        let json = projection::resource_json(&row.value).ok()?;
        let resource = Resource::from_json(kind, json.get().as_bytes()).ok()?;
        Some((ResourceRef { kind, id: id.to_owned() }, resource))
    };
    read().ok_or_else(|| damaged(&row.key))
}
