//! What resources consist of, as their schemas say.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Members, operations};

/// By path: of every list, and of everything that is an item of some list.
pub(super) fn of(document: &Value) -> BTreeMap<String, Members> {
    let read = operations(document).filter(|(_, method, _)| *method == "get");
    let read: Vec<_> =
        read.filter_map(|(path, _, operation)| Some((path, answered(operation)?))).collect();
    let items: Vec<_> = read.iter().filter_map(|(_, schema)| item(document, schema)).collect();
    let members = read.iter().filter_map(|(path, schema)| {
        let of_items = item(document, schema);
        let shown = of_items.or_else(|| Some(*schema).filter(|schema| items.contains(schema)))?;
        let names = properties(document, shown)?.keys().cloned().collect();
        Some(((*path).to_owned(), Members { names, are_of_items: of_items.is_some() }))
    });
    members.collect()
}

/// The name of the schema that a good answer has.
pub(super) fn answered(operation: &Value) -> Option<&str> {
    operation.pointer("/responses/200/content/application~1json/schema/$ref")?.as_str()
}

/// The name of the schema that the items of a page have.
fn item<'d>(document: &'d Value, page: &str) -> Option<&'d str> {
    properties(document, page)?.get("items")?.pointer("/items/$ref")?.as_str()
}

fn properties<'d>(document: &'d Value, schema: &str) -> Option<&'d Map<String, Value>> {
    document.pointer(schema.strip_prefix('#')?)?.get("properties")?.as_object()
}
