//! What every change has in common: `dry_run`, and the revision that its answer names.
//!
//! A request that asks for a rehearsal is answered by the handler as ever, as a caller whose operations commit
//! nothing (`tenantry_tenancy::rehearsal`). Here the parameter is read and taken out of the query, and the answer is
//! marked, so that nobody takes it for a change. Whoever asks an operation that cannot be rehearsed for it
//! is refused: to do what was only to be looked at would be worse. For the same reason a change
//! takes no parameter that its description does not know.

use std::sync::Arc;

use axum::{
    body::HttpBody as _,
    extract::{MatchedPath, Query, Request, State},
    http::{HeaderName, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tenantry_api::ProblemKind;

use super::{failure::Failure, query};
use crate::{app::App, openapi::Document};

const DRY_RUN: &str = "dry_run";
const DRY_RUN_HEADER: HeaderName = HeaderName::from_static("dry-run");
const REVISION: HeaderName = HeaderName::from_static("tenantry-revision");

/// With this among its extensions, a request is looked at and not done.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal;

/// Reads whether a change is to be done or only to be looked at, and marks the answer accordingly.
pub async fn looked_at(
    State((app, document)): State<(Arc<App>, Arc<Document>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    match asked(&document, &request) {
        Err(failure) => return failure.into_response(),
        Ok(Asked { is_rehearsal, uri }) => {
            if let Some(uri) = uri {
                *request.uri_mut() = uri;
            }
            if is_rehearsal {
                request.extensions_mut().insert(Rehearsal);
                return rehearsed(next.run(request).await);
            }
        }
    }
    let mut response = next.run(request).await;
    // What is told piece by piece begins before the change is made.
    let is_whole = response.body().size_hint().exact().is_some();
    if is_change && is_whole && response.status().is_success() {
        let revision = app.store.status().await.head.as_u64();
        response.headers_mut().insert(REVISION, revision.into());
    }
    response
}

fn rehearsed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(DRY_RUN_HEADER, HeaderValue::from_static("true"));
    headers.remove(header::ETAG);
    headers.remove(header::LOCATION);
    response
}

struct Asked {
    is_rehearsal: bool,
    /// Where the request goes without the parameter, if that was given.
    uri: Option<Uri>,
}

fn asked(document: &Document, request: &Request) -> Result<Asked, Failure> {
    let (method, uri) = (request.method(), request.uri());
    let path = request.extensions().get::<MatchedPath>();
    let taken = path.and_then(|path| document.query(method, path.as_str()));
    let not_asked = Asked { is_rehearsal: false, uri: None };
    let (Some(taken), Some(_)) = (taken, uri.query()) else { return Ok(not_asked) };
    let Ok(Query(given)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        let detail = "the part behind `?` is not percent-encoded UTF-8";
        return Err(Failure::new(ProblemKind::InvalidQuery, detail));
    };
    let is_change = *method != Method::GET;
    if let Some((name, _)) =
        given.iter().find(|(name, _)| !taken.contains(name) && (is_change || name == DRY_RUN))
    {
        return Err(unknown(name));
    }
    let mut values = given.iter().filter(|(name, _)| name == DRY_RUN).map(|(_, value)| value);
    let (first, more) = (values.next(), values.next());
    let is_rehearsal = match (first.map(String::as_str), more) {
        (None, _) => return Ok(not_asked),
        (Some("true"), None) => true,
        (Some("false"), None) => false,
        (Some(_), _) => {
            let detail = "dry_run is given once, as true or false";
            return Err(Failure::new(ProblemKind::InvalidQuery, detail).at(format!("?{DRY_RUN}")));
        }
    };
    let uri = query::without(uri, DRY_RUN).map(|(_, uri)| uri);
    Ok(Asked { is_rehearsal, uri })
}

fn unknown(name: &str) -> Failure {
    let detail = if name == DRY_RUN {
        "this cannot be looked at without being done, or changes nothing: leave dry_run out"
            .to_owned()
    } else {
        format!("there is no parameter `{name}` here")
    };
    Failure::new(ProblemKind::InvalidQuery, detail).at(format!("?{name}"))
}
