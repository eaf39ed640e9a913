//! Request bodies: from a file, from flags, or both.
//!
//! Flags and files end in one JSON object, flags over file, that is then parsed as the API's own
//! type. So both spellings obey the same rules, and a patch is the same object with fields left out.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    error::{BodyError, CliError},
    value,
};

/// Where the body of something new comes from, besides flags.
#[derive(Debug, Args)]
pub(crate) struct NewBody {
    /// A JSON file with the body, `-` for standard input; flags win over it
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Where a change comes from, besides flags.
#[derive(Debug, Args)]
pub(crate) struct ChangeBody {
    /// A JSON merge patch (RFC 7396), such as '{"name":"Acme"}'; flags win over it
    #[arg(long, value_name = "JSON", value_parser = value::json, conflicts_with = "file")]
    patch: Option<Value>,
    /// A JSON file with the merge patch, `-` for standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Change it only if it is still at this revision
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_revision: Option<u64>,
}

/// A JSON object in the making.
#[derive(Debug, Default)]
pub(crate) struct Body {
    fields: Map<String, Value>,
    origin: String,
}

impl NewBody {
    pub(crate) fn read(&self) -> Result<Body, CliError> {
        self.file.as_deref().map_or_else(|| Ok(Body::default()), Body::of_file)
    }
}

impl ChangeBody {
    pub(crate) fn read(&self) -> Result<Body, CliError> {
        match (&self.patch, &self.file) {
            (Some(patch), _) => Body::of_value(patch.clone(), "--patch".to_owned()),
            (None, Some(file)) => Body::of_file(file),
            (None, None) => Ok(Body::default()),
        }
    }
}

impl Body {
    pub(crate) fn of_file(path: &Path) -> Result<Self, CliError> {
        let (text, origin) = if path == Path::new("-") {
            let mut text = String::new();
            (io::stdin().read_to_string(&mut text).map(|_| text), "standard input".to_owned())
        } else {
            (fs::read_to_string(path), path.display().to_string())
        };
        let text = text.map_err(|source| CliError::Read { path: path.to_owned(), source })?;
        match serde_json::from_str(&text) {
            Ok(value) => Self::of_value(value, origin),
            Err(error) => Err(unusable(origin, "JSON", BodyError::Syntax(error))),
        }
    }

    fn of_value(value: Value, origin: String) -> Result<Self, CliError> {
        match value {
            Value::Object(fields) => Ok(Self { fields, origin }),
            _ => Err(unusable(origin, "body", BodyError::NoObject)),
        }
    }

    /// Sets a field, if there is a value for it.
    pub(crate) fn set(&mut self, name: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.fields.insert(name.to_owned(), plain(value));
        }
    }

    /// Sets a field to a list, if there is anything in it.
    pub(crate) fn set_list<T: Serialize>(&mut self, name: &str, list: &[T]) {
        self.set(name, (!list.is_empty()).then_some(list));
    }

    /// Sets a field of an object in this object.
    pub(crate) fn set_within(&mut self, object: &str, name: &str, value: Option<impl Serialize>) {
        let Some(value) = value else { return };
        let inner = self.fields.entry(object).or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        if let Value::Object(inner) = inner {
            inner.insert(name.to_owned(), plain(value));
        }
    }

    /// Sets a field, if it is not there yet.
    pub(crate) fn set_default(&mut self, name: &str, value: &str) {
        self.fields.entry(name).or_insert_with(|| value.into());
    }

    /// What a new thing is made of. A null in it would remove a field, and there is none yet.
    pub(crate) fn create<T: DeserializeOwned>(self, what: &'static str) -> Result<T, CliError> {
        let mut value = Value::Object(self.fields);
        if let Some(features) = value.get_mut("features").and_then(Value::as_object_mut) {
            features.retain(|_, setting| !setting.is_null());
        }
        serde_path_to_error::deserialize(value).map_err(|error| {
            let origin = if self.origin.is_empty() { "the command line" } else { &self.origin };
            let path = error.path().to_string();
            let reason = error.into_inner().to_string();
            if let Some(field) = missing(&reason).filter(|_| self.origin.is_empty()) {
                let text = format!("`{field}` of the {what} is missing: there is a flag for it (see --help), or give a file");
                return CliError::Usage(text);
            }
            unusable(origin.to_owned(), what, BodyError::Field { path, reason })
        })
    }

    /// A merge patch; there must be something in it.
    pub(crate) fn patch(self) -> Result<Value, CliError> {
        if self.fields.is_empty() {
            let text = "there is nothing to change: give a flag, --patch or --file";
            return Err(CliError::Usage(text.to_owned()));
        }
        Ok(Value::Object(self.fields))
    }
}

/// What comes from flags always has a form in JSON; a value that had none would be refused as null.
fn plain(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The field that a reader of JSON misses, if that is what it says.
fn missing(reason: &str) -> Option<&str> {
    reason.strip_prefix("missing field `")?.split('`').next()
}

fn unusable(origin: String, what: &'static str, source: BodyError) -> CliError {
    CliError::Body { origin, what, source }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tenantry_api::CreateTenant;

    use super::*;

    #[test]
    fn flags_win_over_the_file() {
        let file =
            json!({"slug": "acme", "name": "Old", "plan": "pro", "access": {"allow": ["::1"]}});
        let mut body = Body::of_value(file, "file".to_owned()).unwrap();
        body.set("name", Some("New"));
        body.set("plan", None::<String>);
        body.set_within("access", "mode", Some("allowlist"));
        let tenant: CreateTenant = body.create("tenant").unwrap();
        assert_eq!((tenant.spec.name.as_str(), tenant.spec.plan.as_str()), ("New", "pro"));
        assert_eq!(tenant.spec.access.allow.as_slice().len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let file = json!({"slug": "acme", "name": "Acme", "plan": "pro", "features": {"a": "yes"}});
        let body = Body::of_value(file, "acme.json".to_owned()).unwrap();
        let error = anyhow::Error::from(body.create::<CreateTenant>("tenant").unwrap_err());
        let text = format!("{error:#}");
        assert!(text.contains("acme.json") && text.contains("features.a"), "{text}");
        assert!(Body::default().patch().is_err());
        let mut body = Body::default();
        body.set("slug", Some("acme"));
        body.set("name", Some("Acme"));
        let error = body.create::<CreateTenant>("tenant").unwrap_err();
        assert!(matches!(&error, CliError::Usage(text) if text.contains("`plan`")), "{error:?}");
    }
}
