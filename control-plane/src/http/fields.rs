//! `fields=id,slug`: only these members of what is read.
//!
//! One rule for all resources, so no handler knows of it: the parameter is taken off the request, and
//! the members off the answer. Which names there are is what the OpenAPI document says
//! ([`Document::members`]).

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::value::RawValue;
use tenantry_api::ProblemKind;

use super::{failure::Failure, query};
use crate::openapi::Document;

const PARAMETER: &str = "fields";

/// Answers with the members that are asked for.
pub async fn select(
    State(document): State<Arc<Document>>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(known) = path.filter(|_| is_read).and_then(|path| document.members(path)) else {
        return next.run(request).await;
    };
    let fields = match taken(&mut request) {
        Ok(None) => return next.run(request).await,
        Ok(Some(fields)) => fields,
        Err(failure) => return failure.into_response(),
    };
    if let Some(unknown) = fields.iter().find(|field| !known.names.contains(*field)) {
        let known: Vec<_> = known.names.iter().map(String::as_str).collect();
        let detail = format!("there is no field {unknown:?} here, but {}", known.join(", "));
        return refused(detail).into_response();
    }
    let answer = next.run(request).await;
    if answer.status() != StatusCode::OK {
        return answer;
    }
    selected(answer, known.are_of_items, &fields).await.unwrap_or_else(IntoResponse::into_response)
}

/// Takes the parameter off the request: the names it lists, if it is there.
fn taken(request: &mut Request) -> Result<Option<Vec<String>>, Failure> {
    let (values, uri) = query::without(request.uri(), PARAMETER)
        .ok_or_else(|| refused("the query cannot be read".to_owned()))?;
    let fields = match values.as_slice() {
        [] => return Ok(None),
        [names] => names.split(',').map(|name| name.trim().to_owned()).collect(),
        _ => return Err(refused("give it once".to_owned())),
    };
    *request.uri_mut() = uri;
    Ok(Some(fields))
}

fn refused(detail: String) -> Failure {
    Failure::new(ProblemKind::InvalidQuery, detail).at(format!("?{PARAMETER}"))
}

type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

/// A page of resources.
#[derive(Serialize, Deserialize)]
struct Page<'a, M> {
    items: Vec<M>,
    #[serde(borrow)]
    next_cursor: Option<&'a str>,
}

/// Members in the order in which they were asked for.
struct Selected<'a>(&'a Members<'a>, &'a [String]);

impl Serialize for Selected<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(members, fields) = self;
        let mut map = serializer.serialize_map(None)?;
        for field in *fields {
            if let Some(value) = members.get(field.as_str()) {
                map.serialize_entry(field, value)?;
            }
        }
        map.end()
    }
}

async fn selected(
    answer: Response,
    are_of_items: bool,
    fields: &[String],
) -> Result<Response, Failure> {
    let unreadable =
        || Failure::new(ProblemKind::Internal, "the answer could not be cut down to these fields");
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.map_err(|_| unreadable())?;
    if whole.is_empty() {
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let json = cut(&whole, are_of_items, fields).map_err(|_| unreadable())?;
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, json.into()))
}

fn cut(whole: &[u8], are_of_items: bool, fields: &[String]) -> serde_json::Result<Vec<u8>> {
    if !are_of_items {
        return serde_json::to_vec(&Selected(&serde_json::from_slice(whole)?, fields));
    }
    let Page { items, next_cursor } = serde_json::from_slice::<Page<'_, Members<'_>>>(whole)?;
    let items = items.iter().map(|members| Selected(members, fields)).collect();
    serde_json::to_vec(&Page { items, next_cursor })
}
