//! One document of a desired state.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tenantry_model::{
    BillingPeriod, DomainPattern, Feature, Group, Plan, ResourceKind, Route, Slug, TenantId,
    TenantSpec, Timestamp, Upstream,
};

use super::issuers::{self, DeclaredIssuer};
use crate::{Document, Error, SubscriptionSpec, document::Need, merge};

/// The kinds there are documents of, in the order in which they stand.
pub(super) const KINDS: [ResourceKind; 7] = [
    ResourceKind::Feature,
    ResourceKind::Plan,
    ResourceKind::Group,
    ResourceKind::Upstream,
    ResourceKind::Tenant,
    ResourceKind::Route,
    ResourceKind::Issuer,
];

/// What something is meant to be. References are names: of a tenant, its slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Declared {
    Feature(Feature),
    Plan(Plan),
    Group(Group),
    Upstream(Box<Upstream>),
    Tenant(Box<DeclaredTenant>),
    Route(Box<DeclaredRoute>),
    Issuer(Box<DeclaredIssuer>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeclaredTenant {
    pub(super) spec: TenantSpec,
    /// All its domains; not decided here, if not given.
    pub(super) domains: Option<Vec<DomainPattern>>,
    /// Not decided here, if not given.
    pub(super) subscription: Option<DeclaredSubscription>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredSubscription {
    pub(super) period: BillingPeriod,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) anchor: Option<Timestamp>,
    #[serde(default)]
    pub(super) auto_renew: bool,
    #[serde(default)]
    pub(super) grace_days: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeclaredRoute {
    pub(super) tenant: Option<Slug>,
    /// Of no tenant, or of some tenant that is not the one meant.
    pub(super) route: Route,
}

/// What tells one document from all others.
pub(super) type Name = (ResourceKind, String);

/// A document as it is written: its kind first, the rest in order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its kind.
    pub kind: ResourceKind,
    /// The rest.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// The name of what may be no good document, as far as it has one.
pub(super) fn name_of(document: &Value) -> Option<Name> {
    let kind = document.get("kind")?.as_str()?;
    let kind = KINDS.into_iter().find(|known| known.as_str() == kind)?;
    let text = |field: &str| document.get(field)?.as_str();
    Some((
        kind,
        match kind {
            ResourceKind::Tenant => text("slug")?.to_owned(),
            ResourceKind::Issuer => issuers::name(text("tenant"), text("issuer")?),
            _ => text("id")?.to_owned(),
        },
    ))
}

impl Declared {
    pub(super) fn parse(document: Value) -> Result<Self, Error> {
        let Value::Object(mut fields) = document else {
            return Err(Error::invalid("", "a document is an object with a `kind`"));
        };
        let kind = fields.remove("kind");
        Ok(match kind.as_ref().and_then(Value::as_str) {
            Some("feature") => Self::Feature(parsed(fields)?),
            Some("plan") => Self::Plan(parsed(fields)?),
            Some("group") => Self::Group(parsed(fields)?),
            Some("upstream") => Self::Upstream(Box::new(upstream(fields)?)),
            Some("tenant") => Self::Tenant(Box::new(tenant(fields)?)),
            Some("route") => Self::Route(Box::new(route(fields)?)),
            Some("issuer") => Self::Issuer(Box::new(DeclaredIssuer::parse(fields)?)),
            _ => {
                let known = KINDS.map(ResourceKind::as_str).join(", ");
                return Err(Error::invalid("/kind", format!("kind is one of {known}")));
            }
        })
    }

    pub(super) fn name(&self) -> Name {
        let kind = self.kind();
        match self {
            Self::Feature(feature) => (kind, feature.id.to_string()),
            Self::Plan(plan) => (kind, plan.id.to_string()),
            Self::Group(group) => (kind, group.id.to_string()),
            Self::Upstream(upstream) => (kind, upstream.id.to_string()),
            Self::Tenant(tenant) => (kind, tenant.spec.slug.to_string()),
            Self::Route(route) => (kind, route.route.id.to_string()),
            Self::Issuer(issuer) => (kind, issuer.name()),
        }
    }

    fn kind(&self) -> ResourceKind {
        match self {
            Self::Feature(_) => ResourceKind::Feature,
            Self::Plan(_) => ResourceKind::Plan,
            Self::Group(_) => ResourceKind::Group,
            Self::Upstream(_) => ResourceKind::Upstream,
            Self::Tenant(_) => ResourceKind::Tenant,
            Self::Route(_) => ResourceKind::Route,
            Self::Issuer(_) => ResourceKind::Issuer,
        }
    }

    /// What must be there for it.
    pub(super) fn needs(&self) -> Vec<Name> {
        let named = |(kind, id, _): Need| (kind, id);
        match self {
            Self::Tenant(tenant) => {
                let plan = (ResourceKind::Plan, tenant.spec.plan.to_string());
                let group = tenant.spec.group.as_ref();
                let group = group.map(|group| (ResourceKind::Group, group.to_string()));
                [Some(plan), group].into_iter().flatten().collect()
            }
            Self::Route(route) => {
                let needs = route.route.needs().into_iter().map(named);
                let needs = needs.filter(|(kind, _)| *kind != ResourceKind::Tenant);
                let tenant = route.tenant.as_ref();
                needs.chain(tenant.map(|slug| (ResourceKind::Tenant, slug.to_string()))).collect()
            }
            Self::Issuer(issuer) => {
                let tenant = issuer.tenant.as_ref();
                tenant.map(|slug| (ResourceKind::Tenant, slug.to_string())).into_iter().collect()
            }
            Self::Feature(_) | Self::Plan(_) | Self::Group(_) | Self::Upstream(_) => Vec::new(),
        }
    }

    /// As it will be where `current` is: what it does not decide stays.
    pub(super) fn over(mut self, current: Option<&Self>) -> Self {
        if let (Self::Tenant(tenant), Some(Self::Tenant(current))) = (&mut self, current) {
            if tenant.domains.is_none() {
                tenant.domains.clone_from(&current.domains);
            }
            match (&mut tenant.subscription, &current.subscription) {
                (Some(terms), Some(current)) if terms.anchor.is_none() => {
                    terms.anchor = current.anchor;
                }
                (terms @ None, current) => terms.clone_from(current),
                _ => {}
            }
        }
        if let (Self::Issuer(issuer), Some(Self::Issuer(current))) = (&mut self, current) {
            issuer.id = current.id;
        }
        self
    }

    pub(super) fn written(&self) -> Result<Written, Error> {
        let mut fields = match self {
            Self::Feature(feature) => object(feature)?,
            Self::Plan(plan) => object(plan)?,
            Self::Group(group) => object(group)?,
            Self::Upstream(upstream) => object(&upstream.clone().without_secrets())?,
            Self::Tenant(tenant) => {
                let mut fields = object(&tenant.spec)?;
                if let Some(domains) = &tenant.domains {
                    let mut domains: Vec<_> = domains.iter().map(ToString::to_string).collect();
                    domains.sort();
                    fields.insert("domains".to_owned(), domains.into());
                }
                if let Some(terms) = &tenant.subscription {
                    fields.insert("subscription".to_owned(), object(terms)?.into());
                }
                fields
            }
            Self::Route(route) => {
                let mut fields = object(&route.route)?;
                fields.insert("tenant".to_owned(), route.tenant.as_ref().map(Slug::as_str).into());
                fields
            }
            Self::Issuer(issuer) => issuer.fields()?,
        };
        // What is not there is not written, so that people have less to read.
        fields.retain(|_, value| !value.is_null());
        Ok(Written { kind: self.kind(), fields })
    }
}

impl DeclaredSubscription {
    pub(super) fn spec(&self) -> SubscriptionSpec {
        let Self { period, anchor, auto_renew, grace_days } = *self;
        SubscriptionSpec { period, anchor, auto_renew, grace_days }
    }
}

impl DeclaredRoute {
    pub(super) fn of(&self, tenant: Option<TenantId>) -> Route {
        Route { tenant, ..self.route.clone() }
    }
}

pub(super) fn parsed<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Error> {
    merge::parse(Value::Object(fields))
}

fn upstream(fields: Map<String, Value>) -> Result<Upstream, Error> {
    const KEY: &str = "/tls/client_key_pem";
    if fields.get("tls").and_then(|tls| tls.get("client_key_pem")).is_some() {
        let detail = "documents hold no secrets; write the key with `tenantry upstream update`";
        return Err(Error::invalid(KEY, detail));
    }
    parsed(fields)
}

fn tenant(mut fields: Map<String, Value>) -> Result<DeclaredTenant, Error> {
    let domains: Option<Vec<DomainPattern>> = part(&mut fields, "domains")?;
    let subscription = part(&mut fields, "subscription")?;
    let mut earlier = BTreeSet::new();
    for (index, host) in domains.iter().flatten().enumerate() {
        if !earlier.insert(host) {
            let detail = format!("{host} stands twice");
            return Err(Error::invalid(format!("/domains/{index}"), detail));
        }
    }
    Ok(DeclaredTenant { spec: parsed(fields)?, domains, subscription })
}

fn route(mut fields: Map<String, Value>) -> Result<DeclaredRoute, Error> {
    let tenant: Option<Slug> = part(&mut fields, "tenant")?;
    if tenant.is_some() {
        // The rules for routes of tenants hold, whichever tenant it will be.
        let any = TenantId::from_parts(0, 0).to_string();
        fields.insert("tenant".to_owned(), any.into());
    }
    Ok(DeclaredRoute { tenant, route: parsed(fields)? })
}

pub(super) fn part<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, Error> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => merge::parse(value).map(Some).map_err(|error| within(name, error)),
    }
}

/// An error of a part as one of the whole.
pub(super) fn within(name: &str, error: Error) -> Error {
    match error {
        Error::Invalid { pointer, detail } => {
            Error::Invalid { pointer: format!("/{name}{pointer}"), detail }
        }
        other => other,
    }
}

pub(super) fn object(value: &impl Serialize) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(crate::draft::unencodable()),
    }
}
