//! What is there now, as documents.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tenantry_model::{
    Domain, DomainPattern, ResourceKind, Route, Slug, TenantId, TenantState, Upstream,
};
use tenantry_store::{Cursor, Row};

use super::{
    LabelSelector,
    declared::{Declared, DeclaredRoute, DeclaredSubscription, DeclaredTenant, Name},
    issuers::DeclaredIssuer,
};
use crate::{
    DomainRecord, Error, IssuerRecord, Record, Tenancy, TenantRecord, layout, tenancy::decoded,
};

/// Rows that are read at once.
const ROWS: usize = 1000;

impl Tenancy {
    /// Everything there are documents of, as it was at one revision. With a label, tenants without it are
    /// left out, and so are their routes.
    pub(super) async fn declared(&self, label: Option<&LabelSelector>) -> Result<Current, Error> {
        let status = self.store.status().await;
        let at = Cursor { store: status.id, at: status.head, after: Bytes::new() };
        let mut all: Vec<Declared> = Vec::new();
        all.extend(self.resources(&at).await?.into_iter().map(Declared::Feature));
        all.extend(self.resources(&at).await?.into_iter().map(Declared::Plan));
        all.extend(self.resources(&at).await?.into_iter().map(Declared::Group));
        let upstreams: Vec<Upstream> = self.resources(&at).await?;
        all.extend(upstreams.into_iter().map(Box::new).map(Declared::Upstream));
        let mut slugs: BTreeMap<TenantId, Slug> = BTreeMap::new();
        let mut domains = self.domains_by_tenant(&at).await?;
        for record in self.records::<TenantRecord>(ResourceKind::Tenant, &at).await? {
            let is_meant = label.is_none_or(|label| label.selects(&record.profile.labels));
            if record.resource.state == TenantState::Deleting || !is_meant {
                continue;
            }
            slugs.insert(record.resource.id, record.resource.slug.clone());
            let domains = domains.remove(&record.resource.id).unwrap_or_default();
            all.push(Declared::Tenant(Box::new(tenant(&record, domains))));
        }
        let routes: Vec<Route> = self.resources(&at).await?;
        for route in routes {
            let tenant = route.tenant.map(|tenant| slugs.get(&tenant).cloned());
            if tenant != Some(None) {
                let tenant = tenant.flatten();
                all.push(Declared::Route(Box::new(DeclaredRoute { tenant, route })));
            }
        }
        for record in self.records::<IssuerRecord>(ResourceKind::Issuer, &at).await? {
            let tenant = record.resource.tenant().map(|tenant| slugs.get(&tenant).cloned());
            if tenant != Some(None) {
                let issuer = DeclaredIssuer::of(tenant.flatten(), record.resource);
                all.push(Declared::Issuer(Box::new(issuer)));
            }
        }
        Ok(Current::of(all))
    }

    async fn resources<D: crate::Document>(&self, at: &Cursor) -> Result<Vec<D>, Error> {
        let records = self.records::<Record<D>>(D::KIND, at).await?;
        Ok(records.into_iter().map(|record| record.resource).collect())
    }

    async fn domains_by_tenant(
        &self,
        at: &Cursor,
    ) -> Result<BTreeMap<TenantId, Vec<DomainPattern>>, Error> {
        let mut domains: BTreeMap<TenantId, Vec<DomainPattern>> = BTreeMap::new();
        for record in self.records::<DomainRecord>(ResourceKind::Domain, at).await? {
            let Domain { host, tenant } = record.resource;
            domains.entry(tenant).or_default().push(host);
        }
        Ok(domains)
    }

    async fn records<T: DeserializeOwned>(
        &self,
        kind: ResourceKind,
        at: &Cursor,
    ) -> Result<Vec<T>, Error> {
        let prefix = layout::records(kind);
        let mut cursor = Some(Cursor { after: prefix.clone().into(), ..at.clone() });
        let mut records = Vec::new();
        while cursor.is_some() {
            let page = self.store.scan(prefix.as_bytes(), cursor, ROWS).await?;
            let value = |row: &Row| decoded(row).map(|found| found.value);
            for row in &page.rows {
                records.push(value(row)?);
            }
            cursor = page.next;
        }
        Ok(records)
    }
}

pub(super) fn tenant(record: &TenantRecord, domains: Vec<DomainPattern>) -> DeclaredTenant {
    let subscription = record.subscription.as_ref().map(|subscription| DeclaredSubscription {
        period: subscription.period,
        anchor: Some(subscription.anchor),
        auto_renew: subscription.auto_renew,
        grace_days: subscription.grace_days,
    });
    DeclaredTenant { spec: record.spec(), domains: Some(domains), subscription }
}

/// What is there.
pub(super) struct Current {
    pub(super) all: BTreeMap<Name, Declared>,
    /// Names of more than one thing, which cannot be told apart by documents.
    pub(super) unnamed: BTreeSet<Name>,
}

impl Current {
    pub(super) fn of(declared: Vec<Declared>) -> Self {
        let (mut all, mut unnamed) = (BTreeMap::new(), BTreeSet::new());
        for declared in declared {
            let name = declared.name();
            if all.insert(name.clone(), declared).is_some() {
                unnamed.insert(name);
            }
        }
        all.retain(|name, _| !unnamed.contains(name));
        Self { all, unnamed }
    }

    /// What there is of these that no document says.
    pub(super) fn left_out(&self) -> Vec<String> {
        let secrets = self.all.iter().filter_map(|((_, name), declared)| match declared {
            Declared::Upstream(upstream) if upstream.client_key().is_some() => {
                Some(format!("the client key of the upstream {name}"))
            }
            Declared::Issuer(issuer) if issuer.has_secret() => {
                Some(format!("the shared secrets of the issuer {name}"))
            }
            _ => None,
        });
        let unnamed = self
            .unnamed
            .iter()
            .map(|(kind, name)| format!("the {kind}s {name}: there is more than one of this name"));
        let always = [
            "API keys and certificates",
            "users, members, roles, operators, access tokens and sessions",
            "the states of tenants, quotas that are taken, and the audit log",
        ];
        always.map(str::to_owned).into_iter().chain(unnamed).chain(secrets).collect()
    }
}
