//! The API's own description as a judge: whatever the API answers in a test must be in it.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use http::Method;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tenantry_api::{Client, Exchange};

const COMMITTED: &str = include_str!("../../../docs/openapi.json");
/// What any path answers that is not there, not for this method, or not for whoever asks.
const ANYWHERE: [u16; 7] = [400, 401, 403, 404, 405, 429, 503];

/// A client of the API, each of whose answers is held against `docs/openapi.json`.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn api_client(base: &str, token: &str) -> Client {
    let client = Client::new(base, token).expect("a client");
    client.witnessed(Arc::new(|exchange| Contract::committed().hold(exchange)))
}

/// A description of the API, and what was compiled of it so far.
#[derive(Debug)]
pub struct Contract {
    /// Its schemas are closed: an answer holds nothing that it does not name.
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    /// The one in `docs/openapi.json`.
    #[must_use]
    pub fn committed() -> &'static Self {
        static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
            Contract::new(serde_json::from_str(COMMITTED).expect("docs/openapi.json is JSON"))
        });
        &CONTRACT
    }

    /// Of another document.
    #[must_use]
    pub fn new(mut document: Value) -> Self {
        let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
        for schema in schemas.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut)
        {
            if schema.contains_key("properties") {
                schema.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Self { document, validators: Mutex::default() }
    }

    /// Fails the test if the description does not know this answer.
    ///
    /// # Panics
    /// With what differs.
    pub fn hold(&self, exchange: &Exchange<'_>) {
        if let Err(difference) = self.check(exchange) {
            let Exchange { method, path, status, body, .. } = exchange;
            let body = String::from_utf8_lossy(body);
            panic!("{method} {path} answers {status}, and {difference}: {body}");
        }
    }

    /// Whether the description knows this answer.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self, exchange: &Exchange<'_>) -> Result<(), String> {
        let status = exchange.status;
        let Some(operation) = self.operation(exchange.method, exchange.path) else {
            return if ANYWHERE.contains(&status) {
                self.problem(exchange)
            } else {
                Err("there is no such operation".to_owned())
            };
        };
        let response = operation.pointer(&format!("/responses/{status}"));
        let response = response.ok_or("this status is not described")?;
        let response = self.resolved(response);
        self.headers(response, exchange)?;
        let described = response.get("content").and_then(Value::as_object);
        let Some(described) = described.filter(|_| exchange.method != Method::HEAD) else {
            let is_empty = exchange.body.is_empty();
            return if is_empty { Ok(()) } else { Err("there should be no body".to_owned()) };
        };
        let media_type = media_type(exchange);
        let content = described.get(media_type);
        let content = content.ok_or_else(|| format!("{media_type:?} is not described"))?;
        match content.get("schema") {
            Some(schema) if is_json(media_type) => self.body(schema, exchange.body),
            _ => Ok(()),
        }
    }

    /// Every operation: path, method, and what is said of it.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.document.get("paths").and_then(Value::as_object).into_iter().flatten();
        paths.flat_map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// What a reference refers to.
    #[must_use]
    pub fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        let reference = value.get("$ref").and_then(Value::as_str);
        let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(value)
    }

    /// The operation at a path; a name that is written out goes before one that stands for any.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let method = method.as_str().to_ascii_lowercase();
        let matching = self
            .operations()
            .filter(|(template, found, _)| *found == method && fits(template, path));
        let least = matching.min_by_key(|(template, ..)| template.matches('{').count());
        least.map(|(_, _, operation)| operation)
    }

    fn headers(&self, response: &Value, exchange: &Exchange<'_>) -> Result<(), String> {
        let described = response.get("headers").and_then(Value::as_object);
        for (name, header) in described.into_iter().flatten() {
            let header = self.resolved(header);
            let value = exchange.headers.get(name).and_then(|value| value.to_str().ok());
            let is_required = header.get("required").is_some_and(|required| required == true);
            match value {
                None if is_required => return Err(format!("the header {name} is not there")),
                Some(value) => {
                    let known = header.pointer("/schema/enum").and_then(Value::as_array);
                    if known.is_some_and(|known| known.iter().all(|known| known != value)) {
                        return Err(format!("the header {name} is {value}"));
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    fn problem(&self, exchange: &Exchange<'_>) -> Result<(), String> {
        let media_type = media_type(exchange);
        if media_type != "application/problem+json" {
            return Err(format!("{media_type:?} is no problem"));
        }
        if exchange.method == Method::HEAD {
            return Ok(());
        }
        self.body(&json!({ "$ref": "#/components/schemas/Problem" }), exchange.body)
    }

    fn body(&self, schema: &Value, body: &[u8]) -> Result<(), String> {
        let body = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
        let errors: Vec<_> = self
            .validator(schema)
            .iter_errors(&body)
            .map(|error| format!("{} at {:?}", error, error.instance_path().to_string()))
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("no test panics while it holds this");
        let compiled = validators.entry(schema.to_string()).or_insert_with(|| {
            let mut schema = schema.clone();
            if let (Some(schema), Some(components)) =
                (schema.as_object_mut(), self.document.get("components"))
            {
                schema.insert("components".to_owned(), components.clone());
            }
            Arc::new(jsonschema::validator_for(&schema).expect("a schema of JSON"))
        });
        Arc::clone(compiled)
    }
}

/// One document, not lines of them.
fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

fn media_type<'e>(exchange: &'e Exchange<'_>) -> &'e str {
    let value = exchange.headers.get("content-type").and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

fn fits(template: &str, path: &str) -> bool {
    let (mut names, mut segments) = (template.split('/'), path.split('/'));
    loop {
        match (names.next(), segments.next()) {
            (None, None) => return true,
            (Some(name), Some(segment)) if name == segment => {}
            (Some(name), Some(segment)) if name.starts_with('{') && !segment.is_empty() => {}
            _ => return false,
        }
    }
}
