//! The OpenAPI document: what the handlers say of themselves, and what follows from it.
//!
//! A handler's attribute says what only it knows: path, summary, parameters, body, the good answer, the
//! permission it needs. What follows for every operation of its shape is added here, by rule, so that
//! no handler can forget it: the problems it can end in, `ETag` and `Location`, the headers that any
//! change may be sent with ([`answers`]). Schemas are brought into one plain form ([`schemas`]).
//!
//! The same document says which permission an operation needs ([`Document::permissions`]), and what the
//! page at `/docs` shows ([`page`]): a page of our own, without scripts, because the well-known ones
//! fetch theirs from other people's servers.

mod answers;
mod page;
mod parameters;
mod schemas;

use std::collections::BTreeMap;

use axum::{body::Bytes, http::Method};
use serde_json::{Map, Value, json};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};

pub use parameters::{
    CertificateName, DomainName, FeatureName, IfMatch, IssuerName, KeyName, MergePatch, PlanName,
    PurgedTenantName, RouteName, SharedIssuerName, TenantName, UpstreamName,
};

const INTRODUCTION: &str = "The control plane of Tenantry: tenants, and what they are built on.\n\n\
    Every request under `/api/` carries `Authorization: Bearer ...`. Errors are problems (RFC 9457) \
    with a `type` that never changes. Whatever is answered with an `ETag` can be changed on the \
    condition that it is still the same (`If-Match`), and every change can be sent again under the same \
    `Idempotency-Key` without being made twice.";

/// What stands in front of the operations of one kind of thing.
const TAGS: [(&str, &str); 12] = [
    ("tenants", "The customer organisations."),
    ("subscriptions", "What tenants have subscribed to, and until when."),
    ("domains", "The host names that a tenant owns."),
    ("keys", "API keys of a tenant. A secret is shown once, when its key is made."),
    ("issuers", "JWT issuers that are trusted for one tenant, or for all."),
    ("plans", "Named bundles of limits and features."),
    ("features", "Named gates that are on or off for a tenant."),
    ("upstreams", "Named groups of servers."),
    ("routes", "Which requests go to which upstream."),
    ("certificates", "What proxies prove themselves with."),
    ("platform", "What was done, and what the proxies enforce."),
    ("process", "The control plane itself. No token is needed."),
];

/// The document in the forms it is served in.
#[derive(Debug)]
pub struct Document {
    json: Bytes,
    page: Bytes,
    permissions: BTreeMap<(String, String), Vec<String>>,
}

impl Document {
    /// Of what the router has collected from the handlers.
    #[must_use]
    pub fn of(collected: OpenApi) -> Self {
        let document = finished(collected);
        let json = serde_json::to_vec_pretty(&document).unwrap_or_default();
        let page = page::of(&document).into();
        Self { json: json.into(), page, permissions: permissions(&document) }
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

    /// What an operation asks of whoever wants it done, by its method and its path as the router writes
    /// it: nothing at all, if the list is empty. None if there is no such operation.
    #[must_use]
    pub fn permissions(&self, method: &Method, path: &str) -> Option<&[String]> {
        // Where there is `GET`, there is `HEAD`.
        let method = if *method == Method::HEAD { "get" } else { method.as_str() };
        let operation = (method.to_ascii_lowercase(), path.to_owned());
        self.permissions.get(&operation).map(Vec::as_slice)
    }
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
            "description": "The root token. Each operation names the permission that it needs.",
        });
        components.insert("securitySchemes".to_owned(), json!({ "bearer": bearer }));
    }
    schemas::prune(&mut document);
    document
}

fn permissions(document: &Value) -> BTreeMap<(String, String), Vec<String>> {
    let mut permissions = BTreeMap::new();
    for (path, method, operation) in operations(document) {
        let asked = operation.get("security").and_then(Value::as_array).into_iter().flatten();
        let scopes = asked.filter_map(|asked| asked.get("bearer")?.as_array()).flatten();
        let names = scopes.filter_map(Value::as_str).map(str::to_owned).collect();
        permissions.insert((method.to_owned(), path.to_owned()), names);
    }
    permissions
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
