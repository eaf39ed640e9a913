//! Merge patches, and where in a document a rule was broken.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use strsim::levenshtein;

use crate::Error;

/// The longest name that is looked at as a misspelling.
const MAX_NAME_BYTES: usize = 64;

/// `current` changed by a merge patch (RFC 7396), parsed again with all its rules.
pub(crate) fn patched<T: Serialize + DeserializeOwned>(
    current: &T,
    patch: &Value,
) -> Result<T, Error> {
    let current =
        serde_json::to_value(current).map_err(|error| Error::invalid("", error.to_string()))?;
    parse(merged(current, patch))
}

/// Parses a document, and says which part of it is at fault.
///
/// # Errors
/// [`Error::Invalid`].
pub fn parse<T: DeserializeOwned>(document: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let (pointer, detail) = placed(error.path(), &error.inner().to_string());
        Error::invalid(pointer, detail)
    })
}

/// Where a rule was broken and which, for whoever sent the document. A member that is missing or stands
/// twice is named itself, not the object that it should be in; one that is not known gets a suggestion.
#[must_use]
pub fn placed(path: &Path, message: &str) -> (String, String) {
    // What a parser of text adds about lines and columns helps nobody who did not write the text by hand.
    let message = message.split(" at line ").next().unwrap_or(message);
    let place = pointer(path);
    let quoted = |before: &str| message.strip_prefix(before)?.split('`').next();
    if let Some(name) = quoted("missing field `") {
        return (format!("{place}/{}", escaped(name)), "this is missing".to_owned());
    }
    if let Some(name) = quoted("the member `").filter(|_| message.ends_with("stands twice")) {
        return (format!("{place}/{}", escaped(name)), message.to_owned());
    }
    if let Some(name) = quoted("unknown field `") {
        let known: Vec<_> = message.split('`').skip(3).step_by(2).collect();
        // What is longer than any name is no misspelling of one, and would take long to compare.
        let far = |known: &str| match name.len() {
            0..=MAX_NAME_BYTES => levenshtein(name, known),
            _ => usize::MAX,
        };
        let near = known.iter().min_by_key(|known| far(known)).filter(|near| far(near) <= 2);
        let detail = match near {
            Some(near) => format!("there is no `{name}` here; did you mean `{near}`?"),
            None => format!("there is no `{name}` here, only {}", known.join(", ")),
        };
        return (place, detail);
    }
    (place, plain(message))
}

/// What a parser says of a value, in words that people use for it.
#[must_use]
pub fn plain(message: &str) -> String {
    let no_number = ["invalid digit", "cannot parse integer", "number too "];
    if no_number.iter().any(|start| message.starts_with(start)) {
        return "write a whole number that fits here".to_owned();
    }
    let found = ["invalid type: ", "invalid value: "].iter();
    let found = found.filter_map(|start| message.strip_prefix(start)).next();
    match found.and_then(|found| found.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("write {}, not {found}", wanted(expected)),
        None => message.to_owned(),
    }
}

fn wanted(expected: &str) -> &str {
    let is_integer = |word: &str| {
        word == "usize"
            || word.strip_prefix(['u', 'i']).is_some_and(|bits| bits.parse::<u8>().is_ok())
    };
    match expected {
        "a map" => "an object",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        _ if is_integer(expected) => "a whole number",
        _ if expected.strip_prefix("a nonzero ").is_some_and(is_integer) => {
            "a whole number from 1 on"
        }
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged enum ") => {
            "an object"
        }
        _ => expected,
    }
}

/// The path as a JSON pointer (RFC 6901).
#[must_use]
pub fn pointer(path: &Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escaped(key)),
            Segment::Enum { variant } => format!("/{}", escaped(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// A member's name as part of a JSON pointer.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut members = match target {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            let member = members.remove(name).unwrap_or(Value::Null);
            members.insert(name.clone(), merged(member, value));
        }
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_is_another_is_told_of_plainly() {
        for (message, told) in [
            ("invalid type: string \"x\", expected u32", "write a whole number, not string \"x\""),
            (
                "invalid value: integer `0`, expected a nonzero u32",
                "write a whole number from 1 on, not integer `0`",
            ),
            (
                "invalid type: integer `3`, expected struct BillingPeriod",
                "write an object, not integer `3`",
            ),
            ("invalid type: null, expected a string", "write a string, not null"),
            ("invalid digit found in string", "write a whole number that fits here"),
            ("a domain has no spaces", "a domain has no spaces"),
        ] {
            assert_eq!(plain(message), told);
        }
    }

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 7396, appendix A.
        for (target, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            assert_eq!(merged(target.clone(), &patch), expected, "{target} {patch}");
        }
    }
}
