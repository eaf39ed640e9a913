//! Routes: which one a request takes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use foldhash::fast::FixedState;
use tenantry_model::{
    AuthRequirement, DomainPattern, FeatureId, Method, Route, RouteId, Scope, UpstreamId,
};

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

    pub(crate) fn auth(&self) -> AuthRequirement {
        self.spec.auth
    }

    pub(crate) fn require_features(&self) -> &BTreeSet<FeatureId> {
        &self.spec.require_features
    }

    pub(crate) fn require_scopes(&self) -> &BTreeSet<Scope> {
        &self.spec.require_scopes
    }

    pub(crate) fn upstream(&self) -> &UpstreamId {
        &self.spec.upstream
    }
}

/// The routes of one owner (a tenant, or the gateway) and the index that finds one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    by_id: BTreeMap<RouteId, Arc<CompiledRoute>>,
    index: Arc<RouteIndex>,
}

impl Routes {
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

    /// The route for a request: an exact host before a wildcard before any host, then the longest
    /// prefix, then one that names the method, then the smallest id.
    pub(crate) fn find(&self, host: &str, path: &str, method: &str) -> Option<&Arc<CompiledRoute>> {
        self.index.find(host, path, method)
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

    fn find(&self, host: &str, path: &str, method: &str) -> Option<&Arc<CompiledRoute>> {
        let exact = || self.exact.get(host)?.find(path, method);
        let wildcard = || self.wildcard.get(host.split_once('.')?.1)?.find(path, method);
        let exact = if self.exact.is_empty() { None } else { exact() };
        exact
            .or_else(|| if self.wildcard.is_empty() { None } else { wildcard() })
            .or_else(|| self.any.find(path, method))
    }
}

/// Routes by path prefix. A look-up tries the path and then its ancestors, deepest first, so its cost
/// follows the depth of the deepest prefix and not the number of routes.
#[derive(Debug, Default)]
struct PathIndex {
    by_prefix: HashMap<String, Vec<Arc<CompiledRoute>>, FixedState>,
    /// Segments of the deepest prefix.
    depth: usize,
}

impl PathIndex {
    fn insert(&mut self, route: &Arc<CompiledRoute>) {
        let prefix = route.spec.matches.path_prefix.as_str();
        self.depth =
            self.depth.max(prefix.split('/').filter(|segment| !segment.is_empty()).count());
        let routes = self.by_prefix.entry(prefix.to_owned()).or_default();
        routes.push(Arc::clone(route));
        // Stable, so ids stay in order among those that name methods and those that do not.
        routes.sort_by_key(|route| route.spec.matches.methods.is_empty());
    }

    fn find(&self, path: &str, method: &str) -> Option<&Arc<CompiledRoute>> {
        if self.by_prefix.is_empty() {
            return None;
        }
        let mut prefix = cut(path, self.depth);
        loop {
            if let Some(routes) = self.by_prefix.get(if prefix.is_empty() { "/" } else { prefix })
                && let Some(route) =
                    routes.iter().find(|route| accepts(&route.spec.matches.methods, method))
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

#[cfg(test)]
mod tests;
