//! Which route a request takes, what the route demands, and where it leads.

use std::{fmt::Write as _, num::NonZeroU64, sync::Arc};

use tenantry_credentials::jwt::Token;
use tenantry_model::{FeatureId, RegionId, ResourceKind, Source, Sourced, Target, route::Redirect};

use super::{
    Admission, Deciding, Decision, Denial, Forward, Redirection,
    authenticate::{Caller, presented_token},
};
use crate::{
    Reason,
    feature::decided_by,
    guard::Guarded,
    policy::Policy,
    rewrite::replace_matched,
    route::{CompiledRoute, Routes, Wanted},
    split::Draw,
    tenant::CompiledTenant,
    trace::{Stage, Trace},
    upstream::CompiledUpstream,
};

/// Where a route leads.
#[derive(Debug)]
pub(super) enum Destination<'a> {
    Upstream(&'a Arc<CompiledUpstream>),
    Elsewhere { status: u16, location: String },
}

impl<'a, T: Trace> Deciding<'a, T> {
    /// The shared route for a request, whosever it is.
    pub(super) fn shared_route(&self, guarded: &Guarded<'_>) -> Option<&'a Arc<CompiledRoute>> {
        self.find(self.table.shared_routes(), guarded)
    }

    fn find(&self, routes: &'a Routes, guarded: &Guarded<'_>) -> Option<&'a Arc<CompiledRoute>> {
        routes.find(&Wanted {
            host: &guarded.host,
            path: guarded.route_path(),
            method: self.facts.method,
            headers: self.facts.all_headers,
        })
    }

    /// A tenant's own route wins over a shared one, whichever is longer.
    pub(super) fn route(
        &mut self,
        tenant: &'a Arc<CompiledTenant>,
        shared: Option<&'a Arc<CompiledRoute>>,
        guarded: &Guarded<'_>,
    ) -> Result<&'a Arc<CompiledRoute>, Denial> {
        let own = tenant.routes.as_deref().and_then(|routes| self.find(routes, guarded));
        let Some(route) = own.or(shared) else {
            self.trace.note(
                Stage::Route,
                format_args!("no route for {} {}", self.facts.method, guarded.path),
            );
            return Err(Denial::new(Reason::NoRoute).of(tenant));
        };
        let owner = if own.is_some() { "the tenant's own" } else { "shared" };
        self.trace.note(Stage::Route, format_args!("{} ({owner})", route.id()));
        self.trace.by(ResourceKind::Route, route.id());
        Ok(route)
    }

    /// A request on a route that is exempt from tenancy: no credential is looked at, and nothing is
    /// anybody's.
    pub(super) fn exempt(
        &mut self,
        route: &'a Arc<CompiledRoute>,
        guarded: Guarded<'_>,
    ) -> Result<Decision, Denial> {
        self.trace.note(Stage::Route, format_args!("{} (exempt from tenancy)", route.id()));
        self.trace.by(ResourceKind::Route, route.id());
        let destination = self.destination(route, None, &guarded)?;
        let max_body_bytes = route.request_body_bytes().map(NonZeroU64::get);
        body_fits(&guarded, max_body_bytes)?;
        Ok(self.decided(None, route, destination, guarded, max_body_bytes))
    }

    pub(super) fn decided(
        &self,
        admission: Option<Admission>,
        route: &Arc<CompiledRoute>,
        destination: Destination<'_>,
        guarded: Guarded<'_>,
        max_body_bytes: Option<u64>,
    ) -> Decision {
        let route = Arc::clone(route);
        match destination {
            Destination::Elsewhere { status, location } => {
                Decision::Redirect(Redirection { admission, route, status, location })
            }
            Destination::Upstream(upstream) => {
                let path = match route.rewrite_prefix() {
                    Some(by) => Some(replace_matched(&guarded.path, route.matches(), by)),
                    None => (guarded.path != self.facts.path).then(|| guarded.path.into_owned()),
                };
                let upstream = Arc::clone(upstream);
                Decision::Forward(Forward { admission, route, upstream, path, max_body_bytes })
            }
        }
    }

    /// What the route demands of the tenant and of whoever calls.
    pub(super) fn demands(
        &mut self,
        tenant: &Arc<CompiledTenant>,
        policy: &Policy,
        route: &CompiledRoute,
        caller: &Caller,
    ) -> Result<(), Denial> {
        caller.check(route.auth()).map_err(|reason| Denial::new(reason).of(tenant))?;
        for feature in route.require_features() {
            let Sourced { value: is_on, source } =
                self.table.features().is_on(tenant, policy, feature);
            let state = if is_on { "on" } else { "off" };
            self.trace.note(
                Stage::Features,
                format_args!("{feature} is {state}, by {}", decided_by(source)),
            );
            self.trace.by(ResourceKind::Route, route.id());
            self.by_source(tenant, feature, source);
            if !is_on {
                return Err(Denial::new(Reason::FeatureDisabled).of(tenant));
            }
        }
        for scope in route.require_scopes() {
            if !caller.identity.has_scope(scope) {
                self.trace
                    .note(Stage::Features, format_args!("the credential lacks scope {scope}"));
                self.trace.by(ResourceKind::Route, route.id());
                return Err(Denial::new(Reason::ScopeMissing).of(tenant));
            }
        }
        self.claims(route, caller).map_err(|denial| denial.of(tenant))
    }

    /// What has decided about a feature.
    fn by_source(&mut self, tenant: &CompiledTenant, feature: &FeatureId, source: Source) {
        match source {
            Source::Tenant => self.trace.by(ResourceKind::Tenant, &tenant.id),
            Source::Plan => self.trace.by(ResourceKind::Plan, &tenant.plan),
            Source::Group => {
                if let Some(group) = &tenant.group {
                    self.trace.by(ResourceKind::Group, group);
                }
            }
            Source::KillSwitch | Source::Percentage => {
                self.trace.by(ResourceKind::Feature, feature);
            }
            Source::Default => {}
        }
    }

    /// Claims are read from the token at hand, whose every byte was verified: keeping those of all
    /// remembered tokens would cost memory that only routes with such a demand use.
    fn claims(&mut self, route: &CompiledRoute, caller: &Caller) -> Result<(), Denial> {
        if route.require_claims().is_empty() {
            return Ok(());
        }
        let token = caller.identity.token.as_ref().and_then(|_| presented_token(self.facts));
        let token = token.and_then(|text| Token::parse(text).ok());
        for (claim, texts) in route.require_claims().iter() {
            let says = |token: &Token<'_>| token.claims_one_of(claim, texts);
            if !token.as_ref().is_some_and(says) {
                let lacks =
                    if token.is_some() { "the token does not say" } else { "no token says" };
                self.trace.note(
                    Stage::Features,
                    format_args!("{lacks} what the route demands of claim {claim:?}"),
                );
                self.trace.by(ResourceKind::Route, route.id());
                return Err(Denial::new(Reason::ScopeMissing));
            }
        }
        Ok(())
    }

    /// Where the route leads a tenant, or nobody's request.
    pub(super) fn destination(
        &mut self,
        route: &CompiledRoute,
        tenant: Option<&CompiledTenant>,
        guarded: &Guarded<'_>,
    ) -> Result<Destination<'a>, Denial> {
        if let Target::Redirect(redirect) = route.target() {
            let location = location(redirect, route, guarded);
            self.trace.note(Stage::Route, format_args!("redirected to {location}"));
            let status = u16::from(redirect.status);
            return Ok(Destination::Elsewhere { status, location });
        }
        let region = tenant.and_then(|tenant| tenant.region.as_ref());
        let who = tenant.map_or_else(
            || u128::from_be_bytes(mapped(self.facts.client)),
            |tenant| tenant.id.to_u128(),
        );
        let Some(upstream) = self.upstream(route, region, who) else {
            match region {
                Some(region) => self.trace.note(
                    Stage::Route,
                    format_args!("no upstream of {} may serve region {region}", route.id()),
                ),
                None => self
                    .trace
                    .note(Stage::Route, format_args!("no upstream of {} is known", route.id())),
            }
            return Err(Denial::new(Reason::UpstreamUnavailable));
        };
        let spec = upstream.spec();
        match &spec.region {
            Some(region) => self
                .trace
                .note(Stage::Route, format_args!("to upstream {} in region {region}", spec.id)),
            None => self.trace.note(Stage::Route, format_args!("to upstream {}", spec.id)),
        }
        self.trace.by(ResourceKind::Upstream, &spec.id);
        Ok(Destination::Upstream(upstream))
    }

    /// The upstream that draws best for `who` among those that may serve the region. An upstream of
    /// the tenant's own region is preferred to one of none, and one of another region is never taken.
    /// Who has no region may be served anywhere.
    fn upstream(
        &self,
        route: &CompiledRoute,
        region: Option<&RegionId>,
        who: u128,
    ) -> Option<&'a Arc<CompiledUpstream>> {
        let is_split = matches!(route.target(), Target::Upstreams(_));
        let draw = is_split.then(|| Draw::new(route.id(), who));
        let best = |is_eligible: &dyn Fn(Option<&RegionId>) -> bool| {
            let known = |(id, weight)| Some((self.table.upstream(id)?, weight));
            route
                .weighted_upstreams()
                .filter_map(known)
                .filter(|(upstream, _)| is_eligible(upstream.spec().region.as_ref()))
                .map(|(upstream, weight)| {
                    let score = |draw: &Draw| draw.score(&upstream.spec().id, weight);
                    (upstream, draw.as_ref().map_or(0.0, score))
                })
                .max_by(|(_, a), (_, b)| a.total_cmp(b))
                .map(|(upstream, _)| upstream)
        };
        match region {
            None => best(&|_| true),
            Some(region) => best(&|of| of == Some(region)).or_else(|| best(&|of| of.is_none())),
        }
    }
}

/// Whether the announced body is within a limit.
pub(super) fn body_fits(guarded: &Guarded<'_>, max: Option<u64>) -> Result<(), Denial> {
    if guarded.content_length.zip(max).is_some_and(|(length, max)| length > max) {
        return Err(Denial::new(Reason::BodyTooLarge));
    }
    Ok(())
}

/// Put together from what the operator wrote and from host and path as the guard has read them: a
/// path in normal form has one slash in front, so it cannot be taken for a host.
fn location(redirect: &Redirect, route: &CompiledRoute, guarded: &Guarded<'_>) -> String {
    let mut location = String::new();
    if redirect.scheme.is_some() || redirect.host.is_some() || redirect.port.is_some() {
        // Writing to a string cannot fail.
        if let Some(scheme) = redirect.scheme {
            let _ = write!(location, "{scheme}:");
        }
        let host = redirect.host.as_ref().map_or(&*guarded.host, |host| host.as_str());
        let _ = match host.contains(':') {
            true => write!(location, "//[{host}]"),
            false => write!(location, "//{host}"),
        };
        if let Some(port) = redirect.port {
            let _ = write!(location, ":{port}");
        }
    }
    match (&redirect.path, &redirect.path_prefix) {
        (Some(path), _) => location.push_str(path.as_str()),
        (None, Some(by)) => {
            location.push_str(&replace_matched(&guarded.path, route.matches(), by));
        }
        (None, None) => location.push_str(&guarded.path),
    }
    location
}

fn mapped(address: std::net::IpAddr) -> [u8; 16] {
    match address {
        std::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(address) => address.octets(),
    }
}
