//! `/api/v1/explain`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json as Answer, extract::State};
use serde_json::Value;
use tenantry_api::{ExplainRequest, ExplainResponse, ProblemKind};
use tenantry_credentials::{api_key, jwt::Token};
use tenantry_distribution::NodeName;
use tenantry_engine::{Change, Now, Runtime, RuntimeOptions, Table};
use tenantry_explain::host;
use tenantry_model::{Resource, ResourceRef, Revision, Slug, TenantId};
use tenantry_tenancy::{Clues, Deciding};

use crate::{
    app::App,
    distributor::{Unanswered, ask},
    http::{body::Json, failure::Failure},
};

/// What is remembered of tokens while one request is looked at.
const TOKEN_BYTES: u64 = 64 * 1024;

/// Why a described request would be answered as it would.
///
/// It is decided by the code that decides live requests, by the state of the control plane; or by that of the
/// proxy that is named, with what is left of limits there. Each step names the resources it follows from, and
/// the revisions that wrote them. Nothing is charged, and credentials are neither logged nor kept.
#[utoipa::path(
    post, path = "/api/v1/explain", operation_id = "explain", tag = "platform",
    request_body = ExplainRequest,
    responses((status = 200, body = ExplainResponse), (status = 504, description = "")),
    security(("bearer" = ["tenants:read", "plans:read", "gateway:read"])),
)]
pub async fn explain(
    State(app): State<Arc<App>>,
    Json(mut request): Json<ExplainRequest>,
) -> Result<Answer<ExplainResponse>, Failure> {
    let mut explained = match request.proxy.take() {
        Some(proxy) => by_proxy(&app, &proxy, &request).await?,
        None => by_state(&app, &request).await?,
    };
    let revision = Revision::new(explained.revision);
    let mut known: BTreeMap<(String, String), Option<u64>> = BTreeMap::new();
    for rule in explained.steps.iter_mut().flat_map(|step| &mut step.rules) {
        let name = (rule.kind.clone(), rule.id.clone());
        rule.revision = match known.get(&name) {
            Some(written) => *written,
            None => {
                let written = app.tenancy.written_at(&rule.kind, &rule.id, revision).await;
                let written = written.map(Revision::as_u64);
                known.insert(name, written);
                written
            }
        };
    }
    Ok(Answer(explained))
}

async fn by_state(app: &App, request: &ExplainRequest) -> Result<ExplainResponse, Failure> {
    let deciding = app.tenancy.deciding(&clues(request)).await?;
    let (table, left_out) = table(app, deciding.value);
    let now = now(app);
    let mut explained = tenantry_explain::explain(&table, deciding.revision, request, now);
    for (resource, reason) in left_out {
        let note = format!("{} {} is left out: {reason}", resource.kind, resource.id);
        explained.notes.push(note);
    }
    if !explained.limits.is_empty() {
        let note = "limits are shown as if nothing were spent: only proxies know what is left";
        explained.notes.push(note.to_owned());
    }
    Ok(explained)
}

async fn by_proxy(
    app: &Arc<App>,
    proxy: &str,
    request: &ExplainRequest,
) -> Result<ExplainResponse, Failure> {
    let silent = |detail: String| Failure::new(ProblemKind::ProxySilent, detail);
    let unknown = || {
        let detail = format!("there is no proxy {proxy}");
        Failure::new(ProblemKind::Invalid, detail).at("/proxy")
    };
    let node: NodeName = proxy.parse().map_err(|_| unknown())?;
    // Requests always have a form in JSON.
    let asked = serde_json::to_value(request).unwrap_or(Value::Null);
    let answer = ask(app, &node, asked).await.map_err(|unanswered| match unanswered {
        Unanswered::Unknown => unknown(),
        Unanswered::Disconnected => silent(format!("{node} is not connected")),
        Unanswered::Silent => {
            silent(format!("{node} did not answer; it may be of a build that cannot"))
        }
        Unanswered::Nothing => silent(format!("{node} holds no state that it could explain by")),
        Unanswered::TooMany => {
            let detail = "too many proxies are being asked; try again";
            Failure::new(ProblemKind::Unavailable, detail).retry_after("1")
        }
    })?;
    let explained: ExplainResponse = serde_json::from_value(answer)
        .map_err(|_| silent(format!("{node} answered what is no explanation")))?;
    Ok(ExplainResponse { proxy: Some(node.to_string()), ..explained })
}

/// A table of these resources alone, and what could not be used for it.
pub(super) fn table(app: &App, deciding: Deciding) -> (Table, Vec<(ResourceRef, String)>) {
    let Deciding { resources, mut left_out } = deciding;
    let seed = u64::from_be_bytes(app.random.bytes());
    let runtime = Runtime::new(RuntimeOptions {
        named_tenants: 0,
        token_cache_bytes: TOKEN_BYTES,
        limited_subjects: resources.len().max(1),
        max_in_flight: u32::MAX,
        seed,
    });
    let changes = resources.into_iter().map(|resource: Resource| Change::Put(resource));
    let applied = Table::new(Arc::new(runtime), seed).apply(changes);
    let refused = applied.refused.into_iter();
    left_out.extend(refused.map(|refused| (refused.resource, refused.reason)));
    (applied.table, left_out)
}

/// The time of day; no limit was ever spent.
pub(super) fn now(app: &App) -> Now {
    Now { unix: app.clock.now(), monotonic: Duration::ZERO }
}

/// Whom a request may concern.
fn clues(request: &ExplainRequest) -> Clues {
    let mut clues = Clues::default();
    clues.hosts.extend(host(&request.host));
    clues.hosts.extend(request.sni.as_deref().and_then(host));
    let headers = request.headers.iter();
    let presented = headers
        .filter(|(name, _)| {
            ["x-api-key", "authorization"].iter().any(|known| name.eq_ignore_ascii_case(known))
        })
        .map(|(_, value)| value.split_once(' ').map_or(value.as_str(), |(_, token)| token.trim()));
    for text in presented.chain(request.key.as_deref()).chain(request.jwt.as_deref()) {
        if let Ok(key) = api_key::parse(text) {
            clues.digests.insert(key.digest());
        } else if let Ok(token) = Token::parse(text) {
            clues.issuers.insert(token.issuer().to_owned());
            clues.tenants.extend(token.texts().filter_map(|text| text.parse::<TenantId>().ok()));
            clues.slugs.extend(token.texts().filter_map(|text| text.parse::<Slug>().ok()));
        }
    }
    clues
}
