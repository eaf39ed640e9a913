//! What follows from the shape of an operation: the problems it can end in, and the headers.

use serde_json::{Map, Value, json};
use tenantry_api::ProblemKind;

use super::{member, members, schemas};

/// The statuses that problems come with, and what each is called in the document.
const PROBLEMS: [(u16, &str); 16] = [
    (400, "BadRequest"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "NotFound"),
    (408, "RequestTimeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (412, "PreconditionFailed"),
    (413, "TooLarge"),
    (415, "UnsupportedMediaType"),
    (422, "Invalid"),
    (428, "PreconditionRequired"),
    (429, "TooManyRequests"),
    (500, "Internal"),
    (503, "Unavailable"),
    (507, "StorageFull"),
];

/// Adds to every operation what its shape implies.
pub(super) fn complete(document: &mut Value) {
    let tagged = tagged(document);
    let cuttable: Vec<_> = members::of(document).into_keys().collect();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                if method == "get" && cuttable.contains(path) {
                    add_parameter(operation, "Fields");
                }
                complete_operation(operation, method, path.starts_with("/api/"), &tagged);
            }
        }
    }
    if let Some(components) = document.as_object_mut().and_then(|all| member(all, "components")) {
        schemas::add_problem(components);
        components.insert("headers".to_owned(), headers());
        components.insert("parameters".to_owned(), parameters());
        components.insert("responses".to_owned(), responses());
    }
}

/// What is part of a list or never changes, and names a revision.
const UNTAGGED: &[&str] = &["AuditEntryBody", "ProxyBody", "RevisionBody", "RevisionDetailBody"];

/// The schemas of what has a revision, which is its entity tag.
fn tagged(document: &Value) -> Vec<String> {
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
    let tagged = schemas.into_iter().flatten().filter(|(name, schema)| {
        schema.pointer("/properties/revision").is_some() && !UNTAGGED.contains(&name.as_str())
    });
    tagged.map(|(name, _)| format!("#/components/schemas/{name}")).collect()
}

fn complete_operation(
    operation: &mut Map<String, Value>,
    method: &str,
    is_api: bool,
    tagged: &[String],
) {
    let changes = method != "get";
    let has_parameters =
        operation.get("parameters").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    let is_named = has_parameter(operation, "path");
    let is_conditional = has_parameter(operation, "header");
    let has_body = complete_body(operation);
    let is_rehearsed = changes && is_api && !is_one_of(operation, NOT_REHEARSED);
    let is_tagged = complete_good_answers(operation, changes, is_rehearsed, tagged);
    let is_secured = operation
        .get("security")
        .and_then(Value::as_array)
        .is_some_and(|asked| asked.iter().any(|asked| asked.get("bearer").is_some()));
    let mut statuses = vec![500, 503];
    statuses.extend(is_secured.then_some([401, 403]).into_iter().flatten());
    statuses.extend(is_api.then_some(429));
    statuses.extend((has_parameters || has_body || is_tagged || changes).then_some(400));
    statuses.extend(is_named.then_some(404));
    statuses.extend(is_conditional.then_some(412));
    statuses.extend(has_body.then_some([413, 415]).into_iter().flatten());
    statuses.extend(changes.then_some([408, 409, 413, 422, 507]).into_iter().flatten());
    if let Some(responses) = member(operation, "responses") {
        // Those that a handler names beside are said in the same words.
        statuses.extend(responses.keys().filter_map(|status| status.parse::<u16>().ok()));
        for status in statuses {
            let name = PROBLEMS.iter().find(|(known, _)| *known == status).map(|(_, name)| name);
            if let Some(name) = name.filter(|_| is_used(status)) {
                let reference = format!("#/components/responses/{name}");
                responses.insert(status.to_string(), json!({ "$ref": reference }));
            }
        }
    }
    if changes && is_api && !is_one_of(operation, REPEATABLE) {
        add_parameter(operation, "IdempotencyKey");
    }
    if is_rehearsed {
        add_parameter(operation, "DryRun");
    }
    if is_tagged && !changes {
        add_parameter(operation, "IfNoneMatch");
    }
}

/// What can be sent again as it is has no use for a name.
const REPEATABLE: &[&str] = &["apply", "diff", "import"];
/// A session that is not begun is of no use, one that is not ended is no end, and what changes nothing
/// needs no rehearsal.
const NOT_REHEARSED: &[&str] = &["logIn", "logOut", "diff"];

fn is_one_of(operation: &Map<String, Value>, ids: &[&str]) -> bool {
    let id = operation.get("operationId").and_then(Value::as_str);
    id.is_some_and(|id| ids.contains(&id))
}

fn is_used(status: u16) -> bool {
    ProblemKind::ALL.iter().any(|kind| kind.status() == status)
}

fn has_parameter(operation: &Map<String, Value>, place: &str) -> bool {
    let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    parameters.into_iter().any(|parameter| parameter.get("in").is_some_and(|found| found == place))
}

fn add_parameter(operation: &mut Map<String, Value>, name: &str) {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
    }
}

/// A merge patch may also be sent as plain JSON. Returns whether there is a body.
fn complete_body(operation: &mut Map<String, Value>) -> bool {
    let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut) else {
        return false;
    };
    if let Some(content) = body.get_mut("content").and_then(Value::as_object_mut)
        && let Some(patch) = content.get("application/merge-patch+json").cloned()
    {
        content.insert("application/json".to_owned(), patch);
    }
    true
}

/// Describes the good answers, and adds their headers. Returns whether one has an entity tag.
fn complete_good_answers(
    operation: &mut Map<String, Value>,
    changes: bool,
    is_rehearsed: bool,
    tagged: &[String],
) -> bool {
    let Some(responses) = member(operation, "responses") else { return false };
    let mut is_tagged = false;
    for (status, response) in responses.iter_mut() {
        let Some(response) = response.as_object_mut() else { continue };
        let schema = response.get("content").and_then(|content| {
            content.pointer("/application~1json/schema/$ref").and_then(Value::as_str)
        });
        let has_tag = schema.is_some_and(|schema| tagged.iter().any(|tagged| tagged == schema));
        is_tagged |= has_tag;
        let mut names = vec!["X-Request-Id"];
        names.extend(has_tag.then_some("ETag"));
        names.extend((status == "201").then_some("Location"));
        names.extend(changes.then_some("Idempotency-Replayed"));
        names.extend(is_rehearsed.then_some("Tenantry-Revision"));
        names.extend(is_rehearsed.then_some("Dry-Run"));
        let described = response.get("description").and_then(Value::as_str).unwrap_or_default();
        if described.is_empty() {
            response.insert("description".to_owned(), description(status).into());
        }
        if let Some(headers) = member(response, "headers") {
            for name in names {
                // Nothing that was not made has a tag or a place.
                let kind = match name {
                    "ETag" if is_rehearsed => "ETagOfChange",
                    "Location" if is_rehearsed => "LocationOfChange",
                    name => name,
                };
                let reference = json!({ "$ref": format!("#/components/headers/{kind}") });
                headers.insert(name.to_owned(), reference);
            }
        }
    }
    if is_tagged && !changes {
        responses.insert("304".to_owned(), json!({ "$ref": "#/components/responses/NotModified" }));
    }
    is_tagged
}

fn description(status: &str) -> &'static str {
    match status {
        "201" => "It was made.",
        "204" => "It is gone.",
        _ => "Here it is.",
    }
}

fn headers() -> Value {
    let text = |description: &str, required: bool| json!({"description": description, "required": required, "schema": {"type": "string"}});
    json!({
        "ETag": text("The entity tag: the revision that last wrote it, in quotes.", true),
        "ETagOfChange": text("The entity tag: the revision that last wrote it, in quotes. Not given for a dry run.", false),
        "Location": text("The path of what was made.", true),
        "LocationOfChange": text("The path of what was made. Not given for a dry run.", false),
        "Tenantry-Revision": text("A revision of the platform that holds the change. It is in force wherever `enforced_through` of `GET /api/v1/proxies` has reached it. Not given for a dry run.", false),
        "Dry-Run": {
            "description": "Given where this is what would have been answered, and nothing was done.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "X-Request-Id": text("What the log and the audit call this request: its own `X-Request-Id`, if that is 1 to 128 visible characters.", true),
        "Retry-After": text("After how many seconds to try again.", false),
        "WWW-Authenticate": text("How to prove who asks.", true),
        "Idempotency-Replayed": {
            "description": "Given where this is the answer to an earlier request with the same `Idempotency-Key`.",
            "schema": {"type": "string", "enum": ["true"]},
        },
    })
}

fn parameters() -> Value {
    json!({
        "Fields": {
            "name": "fields", "in": "query", "required": false,
            "description": "Only these members of each resource, with commas between them: `id,slug`. Members that are not asked for are left out, even where the schema requires them.",
            "schema": {"type": "string"},
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A name for this change, chosen by the client: 1 to 255 visible characters. Sent again within 24 hours, the change is not made again, and the first answer is given again.",
            "schema": {"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": 255},
        },
        "DryRun": {
            "name": "dry_run", "in": "query", "required": false,
            "description": "With `true` everything is looked at and nothing is done: the request is refused as it would be, or answered as it would be, with the header `Dry-Run: true`, without secrets, and with the platform's revision in place of a new one.",
            "schema": {"type": "boolean", "default": false},
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header", "required": false,
            "description": "Answers 304 without a body if the resource still has one of these entity tags.",
            "schema": {"type": "string"},
        },
    })
}

fn responses() -> Value {
    let mut responses = Map::new();
    let id = json!({ "$ref": "#/components/headers/X-Request-Id" });
    for (status, name) in PROBLEMS.iter().filter(|(status, _)| is_used(*status)) {
        let kinds = ProblemKind::ALL.iter().filter(|kind| kind.status() == *status);
        let kinds: Vec<_> =
            kinds.map(|kind| format!("`{}` ({})", kind.name(), kind.title())).collect();
        let mut headers = json!({ "X-Request-Id": id });
        let more = match status {
            401 => Some("WWW-Authenticate"),
            409 | 429 | 503 => Some("Retry-After"),
            _ => None,
        };
        if let (Some(more), Some(headers)) = (more, headers.as_object_mut()) {
            let reference = json!({ "$ref": format!("#/components/headers/{more}") });
            headers.insert(more.to_owned(), reference);
        }
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        let response = json!({
            "description": format!("The `type` ends with {}.", kinds.join(", ")),
            "headers": headers,
            "content": { "application/problem+json": { "schema": schema } },
        });
        responses.insert((*name).to_owned(), response);
    }
    let etag = json!({ "$ref": "#/components/headers/ETag" });
    responses.insert(
        "NotModified".to_owned(),
        json!({
            "description": "The client has it already.",
            "headers": { "ETag": etag, "X-Request-Id": id },
        }),
    );
    responses.into()
}
