//! The OpenAPI document: what the handlers say of themselves, and what follows from it.
//!
//! A handler's attribute says what only it knows: path, summary, parameters, body, the good answer, the
//! permission it needs. What follows for every operation of its shape is added here, by rule, so that
//! no handler can forget it: the problems it can end in, `ETag` and `Location`, the headers that any
//! change may be sent with ([`answers`]). Schemas are brought into one plain form ([`schemas`]).
//!
//! The same document says which permission an operation needs ([`Document::need`]), and what the
//! page at `/docs` shows ([`page`]): a page of our own, without scripts, because the well-known ones
//! fetch theirs from other people's servers.

mod answers;
mod members;
mod page;
mod parameters;
mod schemas;

use std::collections::{BTreeMap, BTreeSet};

use axum::{body::Bytes, http::Method};
use serde_json::{Map, Value, json};
use tenantry_model::Permissions;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};

pub use parameters::{
    CertificateName, DomainName, FeatureName, GroupName, IfMatch, InvitationName, IssuerName,
    KeyName, MemberName, MergePatch, NodeIdName, OperatorName, OperatorTokenName, PlanName,
    PurgedTenantName, QuotaName, RevisionName, RoleName, RolloutName, RouteName, SharedIssuerName,
    TenantName, TenantTokenName, UpstreamName, UserName,
};

const INTRODUCTION: &str = "The control plane of Tenantry: tenants, and what they are built on.\n\n\
    Every request under `/api/` carries `Authorization: Bearer ...`. Errors are problems (RFC 9457) \
    with a `type` that never changes. Whatever is answered with an `ETag` can be changed on the \
    condition that it is still the same (`If-Match`), and every change can be sent again under the same \
    `Idempotency-Key` without being made twice.";

/// What stands in front of the operations of one kind of thing.
const TAGS: &[(&str, &str)] = &[
    ("tenants", "The customer organisations."),
    ("subscriptions", "What tenants have subscribed to, and until when."),
    ("quotas", "How many of something tenants may have at once, and how many they have."),
    ("domains", "The host names that a tenant owns."),
    ("keys", "API keys of a tenant. A secret is shown once, when its key is made."),
    ("issuers", "JWT issuers that are trusted for one tenant, or for all."),
    ("plans", "Named bundles of limits and features."),
    ("groups", "Bounds that several tenants have in common, whatever their plans."),
    ("features", "Named gates that are on or off for a tenant."),
    ("upstreams", "Named groups of servers."),
    ("routes", "Which requests go to which upstream."),
    ("certificates", "What proxies prove themselves with."),
    ("members", "Who may act for a tenant: members, roles, invitations, access tokens."),
    ("users", "People, in as many tenants as they like."),
    ("operators", "Who runs the platform, and access tokens for it."),
    ("sessions", "How an operator logs in, and who asks."),
    ("platform", "What was done, and what the proxies enforce."),
    ("process", "The control plane itself. No token is needed."),
];

/// The document in the forms it is served in.
#[derive(Debug)]
pub struct Document {
    json: Bytes,
    page: Bytes,
    needs: Operations<Need>,
    queries: Operations<BTreeSet<String>>,
    members: BTreeMap<String, Members>,
}

/// What the resources at a path consist of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The names of their members.
    pub names: BTreeSet<String>,
    /// The path is a list: its items have these members.
    pub are_of_items: bool,
}

/// Something about each operation, by path and method.
type Operations<T> = BTreeMap<String, BTreeMap<String, T>>;

impl Document {
    /// Of what the router has collected from the handlers.
    #[must_use]
    pub fn of(collected: OpenApi) -> Self {
        let document = finished(collected);
        let json = serde_json::to_vec_pretty(&document).unwrap_or_default();
        let page = page::of(&document).into();
        let (needs, queries) = (needs(&document), queries(&document));
        let members = members::of(&document);
        Self { json: json.into(), page, needs, queries, members }
    }

    /// As JSON, with two spaces for each level.
    #[must_use]
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// As a page for people.
    #[must_use]
    pub fn page(&self) -> Bytes {
        self.page.clone()
    }

    /// What an operation needs, by its method and its path as the router writes it. None if there is no
    /// such operation, or if it does not say.
    #[must_use]
    pub fn need(&self, method: &Method, path: &str) -> Option<&Need> {
        // Where there is `GET`, there is `HEAD`.
        let method = if *method == Method::HEAD { "get" } else { method.as_str() };
        self.needs.get(path)?.get(&method.to_ascii_lowercase())
    }

    /// The parameters that an operation takes in its query. None if there is no such operation.
    #[must_use]
    pub fn query(&self, method: &Method, path: &str) -> Option<&BTreeSet<String>> {
        self.queries.get(path)?.get(&method.as_str().to_ascii_lowercase())
    }

    /// What the resources consist of that are read at a path, as the router writes it.
    #[must_use]
    pub fn members(&self, path: &str) -> Option<&Members> {
        self.members.get(path)
    }

    /// What each method of each path needs.
    pub fn needs(&self) -> impl Iterator<Item = (&str, &str, &Need)> {
        self.needs.iter().flat_map(|(path, methods)| {
            methods.iter().map(move |(method, need)| (path.as_str(), method.as_str(), need))
        })
    }

    /// The methods of a path, as the header `Allow` lists them.
    #[must_use]
    pub fn allowed(&self, path: &str) -> Option<String> {
        let methods = self.needs.get(path)?.keys().map(|method| method.to_ascii_uppercase());
        let methods: Vec<_> = methods.collect();
        Some(methods.join(",").replace("GET", "GET,HEAD"))
    }
}

/// What an operation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is the same for everybody, or whoever asks proves something in the body.
    Nothing,
    /// A valid credential, and all of these permissions.
    All(Permissions),
}

/// What the document says before any handler does.
pub(crate) fn introduction() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tenantry")
        .version("1")
        .description(Some(INTRODUCTION))
        .license(Some(utoipa::openapi::License::new("Apache-2.0")));
    OpenApiBuilder::new().info(info).build()
}

fn finished(collected: OpenApi) -> Value {
    let mut document = serde_json::to_value(collected).unwrap_or_default();
    schemas::simplify(&mut document);
    answers::complete(&mut document);
    let tags: Vec<_> = TAGS
        .iter()
        .map(|(name, description)| json!({"name": name, "description": description}))
        .collect();
    if let Some(document) = document.as_object_mut() {
        document.insert("tags".to_owned(), tags.into());
    }
    if let Some(components) = document.pointer_mut("/components").and_then(Value::as_object_mut) {
        let bearer = json!({
            "type": "http", "scheme": "bearer",
            "description": "The root token, an access token or a session. Each operation names the permission that it needs.",
        });
        components.insert("securitySchemes".to_owned(), json!({ "bearer": bearer }));
    }
    schemas::prune(&mut document);
    document
}

/// An operation that does not say what it needs, or needs what there is not, is not among these.
fn needs(document: &Value) -> Operations<Need> {
    let mut needs = Operations::<Need>::new();
    for (path, method, operation) in operations(document) {
        if let Some(need) = operation.get("security").and_then(|asked| need(asked.as_array()?)) {
            needs.entry(path.to_owned()).or_default().insert(method.to_owned(), need);
        }
    }
    needs
}

fn queries(document: &Value) -> Operations<BTreeSet<String>> {
    let mut queries = Operations::<BTreeSet<String>>::new();
    for (path, method, operation) in operations(document) {
        let parameters = operation.get("parameters").and_then(Value::as_array);
        let in_query = parameters.into_iter().flatten().filter_map(|parameter| {
            let reference = parameter.get("$ref").and_then(Value::as_str);
            let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
            let parameter = pointer.map_or(Some(parameter), |pointer| document.pointer(pointer))?;
            let is_in_query = parameter.get("in")?.as_str()? == "query";
            parameter.get("name")?.as_str().filter(|_| is_in_query).map(str::to_owned)
        });
        queries.entry(path.to_owned()).or_default().insert(method.to_owned(), in_query.collect());
    }
    queries
}

fn need(asked: &[Value]) -> Option<Need> {
    let [asked] = asked else { return None };
    let asked = asked.as_object()?;
    if asked.is_empty() {
        return Some(Need::Nothing);
    }
    let names = asked.get("bearer")?.as_array()?.iter();
    let permissions = names.map(|name| name.as_str()?.parse().ok()).collect::<Option<_>>()?;
    Some(Need::All(permissions))
}

/// Every operation with its path and method.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// A member that is an object, made if it is not there.
fn member<'v>(value: &'v mut Map<String, Value>, name: &str) -> Option<&'v mut Map<String, Value>> {
    value.entry(name).or_insert_with(|| json!({})).as_object_mut()
}
