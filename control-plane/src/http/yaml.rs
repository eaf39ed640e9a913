//! Documents for people: YAML 1.2, in which only `true` and `false` are booleans, read into what JSON
//! would be read into.

use axum::{
    extract::{FromRequest, Request},
    http::header,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tenantry_api::ProblemKind;
use tenantry_tenancy::merge;

use super::{
    body::{Json, whole},
    failure::Failure,
};

/// As many nodes as a body of the largest size can hold; the parser's own bound is for short files.
const MAX_NODES: usize = 64 << 20;

/// A body in JSON or YAML.
pub struct Documents<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Documents<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if !content_type.is_some_and(|value| is_yaml(value.as_bytes())) {
            return Json::from_request(request, state).await.map(|Json(body)| Self(body));
        }
        Ok(Self(merge::parse(read(&whole(request, state).await?)?)?))
    }
}

fn is_yaml(value: &[u8]) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    [b"application/yaml".as_slice(), b"application/x-yaml", b"text/yaml"]
        .contains(&essence.as_slice())
}

/// What YAML says. Names that stand twice, and aliases that grow beyond measure, are refused.
fn read(bytes: &[u8]) -> Result<Value, Failure> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
        },
        with_snippet: false,
    };
    serde_saphyr::from_slice_with_options(bytes, options).map_err(|error| {
        let detail = format!("the body is neither YAML nor JSON: {error}");
        Failure::new(ProblemKind::MalformedJson, detail)
    })
}

/// As YAML.
pub fn written(value: &impl Serialize) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as YAML");
        Failure::internal()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let values = json!({
            "texts": [
                "", " ", "no", "yes", "null", "~", "true", "1", "1e3", "0x1f", "1:30", "-", "- a", "a: b",
                "#", "a #b", "'", "\"", "\\", "*a", "&a", "!a", "%a", "@a", "[", "{", "<<", "=", ".nan",
                "2024-01-01", "a\nb", "a\nb\n", "\n\na\n\n", "  a\n b", "\ta", "a\t", "\u{1}", "\u{85}",
                "\u{feff}", "\u{2028}", "ä", "a ".repeat(80), "x".repeat(200), "a\r\nb", "|", ">-", "---", "...",
            ],
            "numbers": [0, -1, 1.5, 1e300, u64::MAX, i64::MIN],
            "others": [true, false, null, {}, [], [[]], [{}], {"a": {"b": [1, {"c": null}]}}],
            "no": 1, "": 2, "1": 3, "a b": 4, "a\nb": 5, "<<": 6, "~": 7,
        });
        let yaml = written(&values).unwrap();
        assert_eq!(read(yaml.as_bytes()).unwrap(), values, "{yaml}");
        for text in values["texts"].as_array().unwrap() {
            let yaml = written(&json!({ "labels": { "a": text } })).unwrap();
            assert_eq!(read(yaml.as_bytes()).unwrap()["labels"]["a"], *text, "{yaml}");
        }
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        assert_eq!(read(b"a: no").unwrap(), json!({"a": "no"}));
        for bad in ["a: 1\na: 2", "a: [", "a: .nan", "--- 1\n--- 2", "\u{1}"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
