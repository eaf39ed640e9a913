//! What a table shows of each kind of thing. All of it is in `-o json`.

use serde::Serialize;
use tenantry_api::{
    ApiKeyBody, AuditEntryBody, CertificateBody, DeletionCertificateBody, DocumentBody, DomainBody,
    InvitationBody, IssuerBody, MemberBody, NodeBody, OperatorBody, ProxyBody, QuotaBody,
    RevisionBody, RoleBody, RolloutBody, TenantBody, TokenBody, UserBody,
};
use tenantry_model::{
    Feature, FeatureDefault, Group, Limits, Plan, RateLimit, RegionId, Route, RouteMatch,
    RouteTenancy, Target, Upstream,
};

/// A row of a table.
pub(crate) trait Columns: Serialize {
    /// The head.
    const NAMES: &'static [&'static str];

    /// One cell for each name.
    fn cells(&self) -> Vec<String>;
}

impl Columns for TenantBody {
    const NAMES: &'static [&'static str] =
        &["SLUG", "NAME", "STATE", "PLAN", "AUTH", "REGION", "ID", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.spec.slug.to_string(),
            self.spec.name.clone(),
            self.state.as_str().to_owned(),
            self.spec.plan.to_string(),
            word(&self.spec.auth),
            region(self.spec.region.as_ref()),
            self.id.to_string(),
            self.created_at.to_string(),
        ]
    }
}

impl Columns for DeletionCertificateBody {
    const NAMES: &'static [&'static str] =
        &["TENANT", "REQUESTED BY", "DELETED", "PURGED", "REMOVED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.tenant.to_string(),
            self.requested_by.clone(),
            self.deleted_at.to_string(),
            self.purged_at.to_string(),
            list(self.removed.iter().map(|(kind, count)| format!("{kind}={count}"))),
        ]
    }
}

impl Columns for QuotaBody {
    const NAMES: &'static [&'static str] =
        &["METER", "CURRENT", "LEASED", "MAX", "PERCENT", "CAN ADD"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.meter.to_string(),
            self.current.to_string(),
            self.leased.to_string(),
            self.max.map_or_else(|| "unlimited".to_owned(), |max| max.to_string()),
            self.percentage.map_or_else(String::new, |percent| percent.to_string()),
            if self.can_add { "yes" } else { "no" }.to_owned(),
        ]
    }
}

impl Columns for DocumentBody<Plan> {
    const NAMES: &'static [&'static str] = &["ID", "NAME", "LIMITS", "FEATURES"];

    fn cells(&self) -> Vec<String> {
        let Plan { id, name, limits: bounds, features } = &self.resource;
        vec![id.to_string(), name.clone(), limits(bounds), list(features)]
    }
}

impl Columns for DocumentBody<Group> {
    const NAMES: &'static [&'static str] = &["ID", "NAME", "CEILINGS", "FEATURES OFF"];

    fn cells(&self) -> Vec<String> {
        let Group { id, name, limits: ceilings, features_off } = &self.resource;
        vec![id.to_string(), name.clone(), limits(ceilings), list(features_off)]
    }
}

impl Columns for DocumentBody<Feature> {
    const NAMES: &'static [&'static str] = &["ID", "DEFAULT", "KILLED", "DESCRIPTION"];

    fn cells(&self) -> Vec<String> {
        let Feature { id, description, default, killed } = &self.resource;
        let default = match default {
            FeatureDefault::On => "on".to_owned(),
            FeatureDefault::Off => "off".to_owned(),
            FeatureDefault::Percentage(percentage) => format!("{}%", percentage.get()),
        };
        let killed = if *killed { "killed" } else { "" };
        vec![id.to_string(), default, killed.to_owned(), description.clone()]
    }
}

impl Columns for DocumentBody<Upstream> {
    const NAMES: &'static [&'static str] = &["ID", "REGION", "ENDPOINTS"];

    fn cells(&self) -> Vec<String> {
        let endpoints = self.resource.endpoints.as_slice().iter();
        let endpoints = endpoints.map(|endpoint| match endpoint.weight.get() {
            1 => endpoint.address.to_string(),
            weight => format!("{}@{weight}", endpoint.address),
        });
        let region = region(self.resource.region.as_ref());
        vec![self.resource.id.to_string(), region, list(endpoints)]
    }
}

impl Columns for DocumentBody<Route> {
    const NAMES: &'static [&'static str] =
        &["ID", "HOSTS", "PATH", "METHODS", "REQUIRES", "TARGET", "TENANT"];

    fn cells(&self) -> Vec<String> {
        let route = &self.resource;
        let features = route.require_features.iter().map(ToString::to_string);
        let scopes = route.require_scopes.iter().map(ToString::to_string);
        let claims = route.require_claims.iter();
        let claims = claims
            .flat_map(|(claim, texts)| texts.iter().map(move |text| format!("{claim}={text}")));
        let tenant = match (route.tenancy, route.tenant) {
            (RouteTenancy::Exempt, _) => "exempt".to_owned(),
            (RouteTenancy::Required, tenant) => tenant.map_or_else(String::new, |t| t.to_string()),
        };
        vec![
            route.id.to_string(),
            list(&route.matches.hosts),
            path(route),
            list(&route.matches.methods),
            list(features.chain(scopes).chain(claims)),
            target(&route.target),
            tenant,
        ]
    }
}

impl Columns for DomainBody {
    const NAMES: &'static [&'static str] = &["HOST", "TENANT", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![self.host.to_string(), self.tenant.to_string(), self.created_at.to_string()]
    }
}

impl Columns for ApiKeyBody {
    const NAMES: &'static [&'static str] =
        &["ID", "NAME", "HINT", "SCOPES", "STATE", "EXPIRES", "LAST USED", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            format!("{}...", self.hint),
            list(&self.scopes),
            if self.enabled { "on" } else { "off" }.to_owned(),
            self.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            self.last_used_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            self.created_at.to_string(),
        ]
    }
}

impl Columns for IssuerBody {
    const NAMES: &'static [&'static str] =
        &["ID", "ISSUER", "AUDIENCES", "ALGORITHMS", "CLAIM", "KEYS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.issuer.clone(),
            list(&self.audiences),
            list(self.algorithms.iter().map(word)),
            self.tenant_claim.clone().unwrap_or_default(),
            self.jwks_url.clone().unwrap_or_else(|| "inline".to_owned()),
        ]
    }
}

impl Columns for CertificateBody {
    const NAMES: &'static [&'static str] =
        &["ID", "DOMAINS", "DEFAULT", "NOT AFTER", "FINGERPRINT", "TENANT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            list(&self.domains),
            if self.default { "yes" } else { "" }.to_owned(),
            self.not_after.to_string(),
            self.fingerprint.get(..16).unwrap_or_default().to_owned(),
            self.tenant.map_or_else(String::new, |tenant| tenant.to_string()),
        ]
    }
}

impl Columns for ProxyBody {
    const NAMES: &'static [&'static str] = &[
        "NODE",
        "REGION",
        "CONNECTED",
        "REVISION",
        "STATE",
        "TENANTS",
        "REFUSED",
        "VERSION",
        "LAST SEEN",
    ];

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        vec![
            self.node.clone(),
            region(self.region.as_ref()),
            if self.connected { "yes" } else { "no" }.to_owned(),
            number(self.revision),
            standing(self),
            number(self.tenants),
            self.refused_total.to_string(),
            self.version.clone().unwrap_or_default(),
            self.last_seen_at.to_string(),
        ]
    }
}

/// How far it is behind, and for how long.
fn standing(proxy: &ProxyBody) -> String {
    let differs = proxy.hash_expected.is_some() && proxy.hash_expected != proxy.hash;
    match (proxy.lag, proxy.config_age_seconds) {
        _ if proxy.epoch.is_none() => String::new(),
        (None, _) => "of another history".to_owned(),
        _ if differs => "differs".to_owned(),
        (Some(0), _) => "current".to_owned(),
        (Some(lag), Some(age)) => format!("{lag} behind, for {age} s"),
        (Some(lag), None) => format!("{lag} behind"),
    }
}

impl Columns for AuditEntryBody {
    const NAMES: &'static [&'static str] = &["AT", "ACTION", "TARGET", "ACTOR", "REVISION"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.at.to_string(),
            self.action.clone(),
            self.target.clone(),
            self.actor.clone(),
            self.revision.to_string(),
        ]
    }
}

impl Columns for RevisionBody {
    const NAMES: &'static [&'static str] = &["REVISION", "AT", "ACTOR", "DONE", "BACK TO"];

    fn cells(&self) -> Vec<String> {
        let done = self.entries.iter().take(3);
        let mut done: Vec<_> =
            done.map(|entry| format!("{} {}", entry.action, entry.target)).collect();
        if let Some(more) = self.entries.len().checked_sub(3).filter(|more| *more > 0) {
            done.push(format!("and {more} more"));
        }
        vec![
            self.revision.to_string(),
            self.at.to_string(),
            self.actor.clone(),
            list(done),
            self.rollback_to.map_or_else(String::new, |to| to.to_string()),
        ]
    }
}

impl Columns for RolloutBody {
    const NAMES: &'static [&'static str] =
        &["ID", "STATE", "STARTED", "BY", "PROXIES", "CHANGES", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.state.as_str().to_owned(),
            self.started_at.to_string(),
            self.started_by.clone(),
            self.nodes.len().to_string(),
            self.changes_total.to_string(),
            self.reason.clone().unwrap_or_default(),
        ]
    }
}

impl Columns for OperatorBody {
    const NAMES: &'static [&'static str] =
        &["ID", "NAME", "EMAIL", "ROLES", "DISABLED", "PASSWORD"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.email.to_string(),
            list(self.roles.iter().map(word)),
            yes(self.disabled),
            yes(self.has_password),
        ]
    }
}

impl Columns for TokenBody {
    const NAMES: &'static [&'static str] =
        &["ID", "NAME", "HINT", "MAY DO", "EXPIRES", "LAST USED"];

    fn cells(&self) -> Vec<String> {
        let role = self.role.iter().map(|role| format!("role {role}"));
        let member = self.member.iter().map(|member| format!("member {member}"));
        let scopes = self.scopes.iter().flatten().map(ToString::to_string);
        vec![
            self.id.to_string(),
            self.name.clone(),
            format!("{}...", self.hint),
            list(role.chain(member).chain(scopes)),
            self.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            self.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        ]
    }
}

impl Columns for NodeBody {
    const NAMES: &'static [&'static str] = &["ID", "NODE", "REGION", "LABELS", "HINT", "EXPIRES"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.to_string(),
            self.region.as_ref().map_or_else(String::new, ToString::to_string),
            list(self.labels.iter().map(|(name, value)| format!("{name}={value}"))),
            format!("{}...", self.hint),
            self.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        ]
    }
}

impl Columns for UserBody {
    const NAMES: &'static [&'static str] = &["ID", "NAME", "EMAIL", "SUBJECT", "PREFERS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone().unwrap_or_default(),
            self.email.as_ref().map_or_else(String::new, ToString::to_string),
            self.subject.clone().unwrap_or_default(),
            self.preferred_tenant.map_or_else(String::new, |tenant| tenant.to_string()),
        ]
    }
}

impl Columns for MemberBody {
    const NAMES: &'static [&'static str] = &["USER", "NAME", "EMAIL", "ROLE", "TENANT", "SINCE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.user.to_string(),
            self.name.clone().unwrap_or_default(),
            self.email.as_ref().map_or_else(String::new, ToString::to_string),
            self.role.to_string(),
            self.tenant.to_string(),
            self.created_at.to_string(),
        ]
    }
}

impl Columns for RoleBody {
    const NAMES: &'static [&'static str] = &["ROLE", "PERMISSIONS", "DESCRIPTION"];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string(), list(&self.permissions), self.description.clone()]
    }
}

impl Columns for InvitationBody {
    const NAMES: &'static [&'static str] = &["ID", "EMAIL", "ROLE", "STATE", "EXPIRES"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.email.to_string(),
            self.role.to_string(),
            self.state.clone(),
            self.expires_at.to_string(),
        ]
    }
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "" }.to_owned()
}

fn region(region: Option<&RegionId>) -> String {
    region.map_or_else(String::new, ToString::to_string)
}

/// A prefix, or a whole path behind `=`; a star says that headers matter too.
fn path(route: &Route) -> String {
    let RouteMatch { path, path_prefix, headers, .. } = &route.matches;
    let path = path.as_ref().map_or_else(|| path_prefix.to_string(), |path| format!("={path}"));
    if headers.is_empty() { path } else { path + " *" }
}

fn target(target: &Target) -> String {
    match target {
        Target::Upstream(upstream) => upstream.to_string(),
        Target::Upstreams(split) => {
            list(split.as_slice().iter().map(|part| format!("{}={}", part.upstream, part.weight)))
        }
        Target::Redirect(redirect) => {
            let host = redirect.host.as_ref().map(ToString::to_string);
            let path = redirect.path.as_ref().map(ToString::to_string);
            let prefix = redirect.path_prefix.as_ref().map(|prefix| format!("{prefix}..."));
            let scheme = redirect.scheme.map(|scheme| scheme.to_string());
            let port = redirect.port.map(|port| format!(":{port}"));
            let parts = scheme.into_iter().chain(host).chain(port).chain(path).chain(prefix);
            format!("{} to {}", u16::from(redirect.status), parts.collect::<Vec<_>>().join(" "))
        }
    }
}

/// As the flag `--limit` spells them.
fn limits(limits: &Limits) -> String {
    let rates = limits.requests.as_slice().iter();
    let rates = rates.map(|limit| format!("{}={}", limit.name(), rate_limit(limit)));
    let concurrent = limits.concurrent_requests.iter().map(|n| format!("concurrent={n}"));
    let body = limits.request_body_bytes.iter().map(|n| format!("body={n}B"));
    list(rates.chain(concurrent).chain(body))
}

/// As the flag `--limit` spells it behind the name.
pub(crate) fn rate_limit(limit: &RateLimit) -> String {
    let per = match word(&limit.per()).as_str() {
        "tenant" => String::new(),
        per => format!("@{per}"),
    };
    format!("{}/{}s:{}{per}", limit.quota(), limit.window_seconds(), limit.burst())
}

/// A closed word as JSON spells it.
pub(crate) fn word(word: &impl Serialize) -> String {
    super::value(word).as_str().unwrap_or_default().to_owned()
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
