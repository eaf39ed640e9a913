//! Routes: which one a request takes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU64,
    sync::Arc,
};

use foldhash::fast::FixedState;
use tenantry_model::{
    AuthRequirement, DomainPattern, FeatureId, Host, Method, PathPrefix, Route, RouteId,
    RouteMatch, RouteTenancy, Scope, Target, UpstreamId,
    route::{HeaderEdits, HeaderMatch, RequiredClaims, RouteTimeouts},
};

use crate::facts::HeaderLookup;

/// A route in a table.
#[derive(Debug)]
pub struct CompiledRoute {
    pub(crate) spec: Route,
}

impl CompiledRoute {
    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &RouteId {
        &self.spec.id
    }

    /// Whether the client's credential is passed on.
    #[must_use]
    pub fn forwards_credential(&self) -> bool {
        self.spec.forward_credential
    }

    /// What is changed of a request's headers.
    #[must_use]
    pub fn request_headers(&self) -> &HeaderEdits {
        &self.spec.request_headers
    }

    /// What is changed of an answer's headers.
    #[must_use]
    pub fn response_headers(&self) -> &HeaderEdits {
        &self.spec.response_headers
    }

    /// The host that the upstream is told instead of the client's.
    #[must_use]
    pub fn rewrite_host(&self) -> Option<&Host> {
        self.spec.rewrite.host.as_ref()
    }

    /// Time-outs in place of the upstream's.
    #[must_use]
    pub fn timeouts(&self) -> RouteTimeouts {
        self.spec.timeouts
    }

    pub(crate) fn matches(&self) -> &RouteMatch {
        &self.spec.matches
    }

    pub(crate) fn is_exempt(&self) -> bool {
        self.spec.tenancy == RouteTenancy::Exempt
    }

    pub(crate) fn rewrite_prefix(&self) -> Option<&PathPrefix> {
        self.spec.rewrite.path_prefix.as_ref()
    }

    pub(crate) fn request_body_bytes(&self) -> Option<NonZeroU64> {
        self.spec.request_body_bytes
    }

    pub(crate) fn auth(&self) -> AuthRequirement {
        self.spec.auth
    }

    pub(crate) fn require_features(&self) -> &BTreeSet<FeatureId> {
        &self.spec.require_features
    }

    pub(crate) fn require_scopes(&self) -> &BTreeSet<Scope> {
        &self.spec.require_scopes
    }

    pub(crate) fn require_claims(&self) -> &RequiredClaims {
        &self.spec.require_claims
    }

    pub(crate) fn target(&self) -> &Target {
        &self.spec.target
    }

    /// Its upstreams and their weights.
    pub(crate) fn weighted_upstreams(&self) -> impl Iterator<Item = (&UpstreamId, u16)> {
        let (one, many) = match &self.spec.target {
            Target::Upstream(upstream) => (Some((upstream, 1)), &[][..]),
            Target::Upstreams(split) => (None, split.as_slice()),
            Target::Redirect(_) => (None, &[][..]),
        };
        let many = many.iter().map(|weighted| (&weighted.upstream, weighted.weight.get()));
        one.into_iter().chain(many)
    }

    /// Whether method and headers are what it is for.
    fn accepts(&self, wanted: &Wanted<'_>) -> bool {
        let RouteMatch { methods, headers, .. } = &self.spec.matches;
        accepts(methods, wanted.method)
            && headers.as_slice().iter().all(|header| has(wanted.headers, header))
    }

    /// The smaller, the sooner it is tried among routes of one host and path.
    fn rank(&self) -> (bool, Reverse<usize>) {
        let RouteMatch { methods, headers, .. } = &self.spec.matches;
        (methods.is_empty(), Reverse(headers.as_slice().len()))
    }
}

/// What a route is looked for by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) method: &'a str,
    pub(crate) headers: &'a dyn HeaderLookup,
}

/// The routes of one owner (a tenant, or the gateway) and the index that finds one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    by_id: BTreeMap<RouteId, Arc<CompiledRoute>>,
    index: Arc<RouteIndex>,
}

impl Routes {
    /// A route as it was written.
    pub(crate) fn get(&self, id: &RouteId) -> Option<&Route> {
        self.by_id.get(id).map(|route| &route.spec)
    }

    pub(crate) fn insert(&mut self, route: Route) {
        self.by_id.insert(route.id.clone(), Arc::new(CompiledRoute { spec: route }));
    }

    pub(crate) fn remove(&mut self, id: &RouteId) {
        self.by_id.remove(id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Makes the index anew; to be called once after any number of changes.
    pub(crate) fn reindex(&mut self) {
        self.index = Arc::new(RouteIndex::new(self.by_id.values()));
    }

    /// The route for a request: an exact host before a wildcard before any host, then an exact path
    /// before the longest prefix, then one that names the method, then the one that asks for more
    /// headers, then the smallest id.
    pub(crate) fn find(&self, wanted: &Wanted<'_>) -> Option<&Arc<CompiledRoute>> {
        self.index.find(wanted)
    }
}

/// Routes by how specific their host is.
#[derive(Debug, Default)]
struct RouteIndex {
    exact: HashMap<String, PathIndex, FixedState>,
    wildcard: HashMap<String, PathIndex, FixedState>,
    any: PathIndex,
}

impl RouteIndex {
    fn new<'a>(routes: impl Iterator<Item = &'a Arc<CompiledRoute>>) -> Self {
        let mut index = Self::default();
        // Ascending by id, so that among equals the smaller id comes first.
        for route in routes {
            if route.spec.matches.hosts.is_empty() {
                index.any.insert(route);
            }
            for host in &route.spec.matches.hosts {
                let paths = match host {
                    DomainPattern::Exact(host) => index.exact.entry(host.to_string()),
                    DomainPattern::Wildcard(parent) => index.wildcard.entry(parent.to_string()),
                };
                paths.or_default().insert(route);
            }
        }
        index
    }

    fn find(&self, wanted: &Wanted<'_>) -> Option<&Arc<CompiledRoute>> {
        let exact = || self.exact.get(wanted.host)?.find(wanted);
        let wildcard = || self.wildcard.get(wanted.host.split_once('.')?.1)?.find(wanted);
        let exact = if self.exact.is_empty() { None } else { exact() };
        exact
            .or_else(|| if self.wildcard.is_empty() { None } else { wildcard() })
            .or_else(|| self.any.find(wanted))
    }
}

/// Routes by path. A look-up tries the whole path, and then the path and its ancestors as prefixes,
/// deepest first, so its cost follows the depth of the deepest prefix and not the number of routes.
#[derive(Debug, Default)]
struct PathIndex {
    by_path: HashMap<String, Vec<Arc<CompiledRoute>>, FixedState>,
    by_prefix: HashMap<String, Vec<Arc<CompiledRoute>>, FixedState>,
    /// Segments of the deepest prefix.
    depth: usize,
}

impl PathIndex {
    fn insert(&mut self, route: &Arc<CompiledRoute>) {
        let RouteMatch { path, path_prefix, .. } = &route.spec.matches;
        let routes = match path {
            Some(path) => self.by_path.entry(path.as_str().to_owned()),
            None => {
                self.depth = self.depth.max(path_prefix.segments());
                self.by_prefix.entry(path_prefix.as_str().to_owned())
            }
        };
        let routes = routes.or_default();
        routes.push(Arc::clone(route));
        // Stable, so ids stay in order among equals.
        routes.sort_by_key(|route| route.rank());
    }

    fn find(&self, wanted: &Wanted<'_>) -> Option<&Arc<CompiledRoute>> {
        if !self.by_path.is_empty()
            && let Some(routes) = self.by_path.get(wanted.path)
            && let Some(route) = routes.iter().find(|route| route.accepts(wanted))
        {
            return Some(route);
        }
        if self.by_prefix.is_empty() {
            return None;
        }
        let mut prefix = cut(wanted.path, self.depth);
        loop {
            if let Some(routes) = self.by_prefix.get(if prefix.is_empty() { "/" } else { prefix })
                && let Some(route) = routes.iter().find(|route| route.accepts(wanted))
            {
                return Some(route);
            }
            prefix = prefix.rsplit_once('/')?.0;
        }
    }
}

/// The first `depth` segments of a path, without a final slash; empty for `/`.
fn cut(path: &str, depth: usize) -> &str {
    let end = path.match_indices('/').nth(depth).map_or(path.len(), |(index, _)| index);
    let cut = path.get(..end).unwrap_or_default();
    cut.strip_suffix('/').unwrap_or(cut)
}

/// `HEAD` is `GET` without the body (RFC 9110, section 9.3.2), and what guards one guards the other.
fn accepts(methods: &BTreeSet<Method>, method: &str) -> bool {
    let names = |method: &str| methods.iter().any(|accepted| accepted.as_str() == method);
    methods.is_empty() || names(method) || (method == "HEAD" && names("GET"))
}

fn has(headers: &dyn HeaderLookup, condition: &HeaderMatch) -> bool {
    let value = condition.value().map(|value| value.as_str().as_bytes());
    let lines = headers.lines(condition.name().as_str());
    lines.iter().any(|line| value.is_none_or(|value| value == *line))
}

#[cfg(test)]
mod tests;
