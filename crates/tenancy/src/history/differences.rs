//! How a record differs from what it was before.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tenantry_store::Row;

use super::value;
use crate::{
    Error,
    draft::{MAX_SHOWN_BYTES, unencodable},
    merge::escaped,
    record::{HIDDEN, masked},
    tenancy::damaged,
};

/// When a record was last written says its revision already.
const UNSAID: &str = "/updated_at";
/// Where a sealed secret stands in place of `k`, which it is shown as.
const SEALED: &str = "sealed_k";

/// A record that was made, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordChange {
    /// What it is.
    pub kind: String,
    /// Which.
    pub id: String,
    /// As it was, if it was removed.
    pub before: Option<Value>,
    /// As it is, if it was made.
    pub after: Option<Value>,
    /// What is different of it, if it was changed.
    pub fields: Vec<FieldChange>,
}

/// A part of a record that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Which part (RFC 6901).
    pub pointer: String,
    /// What it was; nothing, if it was not there.
    pub before: Option<Value>,
    /// What it is; nothing, if it is not there.
    pub after: Option<Value>,
}

/// What became of a record; none, if there was none and is none.
pub(super) fn of_record(
    key: &[u8],
    before: Option<&Row>,
    after: Option<&Row>,
) -> Result<Option<RecordChange>, Error> {
    let name = std::str::from_utf8(key).ok().and_then(|key| key.split_once('/'));
    let (kind, id) = name.ok_or_else(|| damaged(key))?;
    let (kind, id) = (kind.to_owned(), id.to_owned());
    let (before, after) = (before.map(value).transpose()?, after.map(value).transpose()?);
    let change = RecordChange { kind, id, before: None, after: None, fields: Vec::new() };
    Ok(match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some(RecordChange { after: Some(shown(&after)?), ..change }),
        (Some(before), None) => Some(RecordChange { before: Some(shown(&before)?), ..change }),
        (Some(before), Some(after)) => {
            Some(RecordChange { fields: fields(&before, &after)?, ..change })
        }
    })
}

fn fields(before: &Value, after: &Value) -> Result<Vec<FieldChange>, Error> {
    let (old, new) = (without_secrets(before)?, without_secrets(after)?);
    let mut fields = Vec::new();
    compare(String::new(), &old, &new, &mut fields);
    fields.retain(|field| field.pointer != UNSAID);
    let (mut olds, mut news) = (BTreeMap::new(), BTreeMap::new());
    secrets(String::new(), &old, Some(before), &mut olds);
    secrets(String::new(), &new, Some(after), &mut news);
    for (pointer, secret) in olds {
        if news.get(&pointer).is_some_and(|new| *new != secret) {
            let hidden = || Some(Value::from(HIDDEN));
            fields.push(FieldChange { pointer, before: hidden(), after: hidden() });
        }
    }
    Ok(fields)
}

fn without_secrets(record: &Value) -> Result<Value, Error> {
    masked(record).map_err(|_| unencodable())
}

fn shown(record: &Value) -> Result<Value, Error> {
    without_secrets(record).map(bounded)
}

fn bounded(value: Value) -> Value {
    let bytes = match &value {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => value.to_string().len(),
        _ => 0,
    };
    if bytes <= MAX_SHOWN_BYTES / 2 {
        return value;
    }
    serde_json::json!({ "omitted": format!("{bytes} bytes") })
}

/// Objects are compared member by member, everything else as a whole.
fn compare(pointer: String, before: &Value, after: &Value, fields: &mut Vec<FieldChange>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            let (before, after) = (bounded(before.clone()), bounded(after.clone()));
            fields.push(FieldChange { pointer, before: Some(before), after: Some(after) });
        }
        return;
    };
    for (name, before) in old {
        let pointer = format!("{pointer}/{}", escaped(name));
        match new.get(name) {
            Some(after) => compare(pointer, before, after, fields),
            None => {
                let before = Some(bounded(before.clone()));
                fields.push(FieldChange { pointer, before, after: None });
            }
        }
    }
    added(&pointer, old, new, fields);
}

fn added(
    pointer: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    fields: &mut Vec<FieldChange>,
) {
    for (name, after) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        let pointer = format!("{pointer}/{}", escaped(name));
        let after = Some(bounded(after.clone()));
        fields.push(FieldChange { pointer, before: None, after });
    }
}

/// What is really there where a masked record has a mask.
fn secrets<'v>(
    pointer: String,
    masked: &Value,
    real: Option<&'v Value>,
    found: &mut BTreeMap<String, Option<&'v Value>>,
) {
    match masked {
        Value::String(text) if text == HIDDEN => {
            found.insert(pointer, real);
        }
        Value::Object(members) => {
            for (name, masked) in members {
                let sealed = || real.filter(|_| name == "k")?.get(SEALED);
                let real = real.and_then(|real| real.get(name)).or_else(sealed);
                secrets(format!("{pointer}/{}", escaped(name)), masked, real, found);
            }
        }
        Value::Array(items) => {
            for (index, masked) in items.iter().enumerate() {
                let real = real.and_then(|real| real.get(index));
                secrets(format!("{pointer}/{index}"), masked, real, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: &Value, after: &Value, expected: &[(&str, Value, Value)]) {
        let found = fields(before, after).unwrap();
        let some = |value: &Value| Some(value.clone()).filter(|value| *value != json!("none"));
        let expected: Vec<_> = expected
            .iter()
            .map(|(pointer, before, after)| FieldChange {
                pointer: (*pointer).to_owned(),
                before: some(before),
                after: some(after),
            })
            .collect();
        assert_eq!(found, expected, "{before} {after}");
    }

    #[test]
    fn members_are_compared_one_by_one_and_lists_as_a_whole() {
        check(&json!({"a": 1}), &json!({"a": 1, "updated_at": "now"}), &[]);
        check(
            &json!({"a": {"b/c": 1, "d": [1, 2]}, "gone": true}),
            &json!({"a": {"b/c": 2, "d": [1]}, "new": null}),
            &[
                ("/a/b~1c", json!(1), json!(2)),
                ("/a/d", json!([1, 2]), json!([1])),
                ("/gone", json!(true), json!("none")),
                ("/new", json!("none"), Value::Null),
            ],
        );
        check(&json!({"a": {}}), &json!({"a": 1}), &[("/a", json!({}), json!(1))]);
    }

    #[test]
    fn that_a_secret_changed_is_shown_and_the_secret_is_not() {
        let hidden = json!(HIDDEN);
        let key = |digest: &str| json!({"resource": {"digest": digest}});
        let changed = [("/resource/digest", hidden.clone(), hidden.clone())];
        check(&key("one"), &key("two"), &changed);
        check(&key("one"), &key("one"), &[]);
        let issuer = |name: &str, secret: &str| json!({"resource": {"jwks": {"keys": [{"kid": "1", name: secret}]}}});
        let changed = [("/resource/jwks/keys/0/k", hidden.clone(), hidden)];
        for (before, after) in [(("k", "a"), ("k", "b")), (("k", "a"), ("sealed_k", "v1.b"))] {
            check(&issuer(before.0, before.1), &issuer(after.0, after.1), &changed);
        }
    }

    #[test]
    fn what_is_long_is_said_to_be() {
        let long = json!({"a": "x".repeat(MAX_SHOWN_BYTES)});
        let omitted = json!({"omitted": format!("{MAX_SHOWN_BYTES} bytes")});
        check(&json!({"a": 1}), &long, &[("/a", json!(1), omitted)]);
    }
}
