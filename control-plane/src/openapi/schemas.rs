//! Schemas in one plain form.
//!
//! Types share fields by flattening one into another, which is a matter of the code and none of the
//! API's: what is flattened becomes one object here. Integers are 64 bits wide and say where they begin.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::member;

const REFERENCE: &str = "#/components/schemas/";
/// What can be referred to, and need not be there if nothing does.
const PRUNED: [&str; 4] = ["schemas", "responses", "parameters", "headers"];

/// Brings every schema of the document into its plain form.
pub(super) fn simplify(document: &mut Value) {
    rename(document);
    walk(document, &mut integer);
    walk(document, &mut description);
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut)
    else {
        return;
    };
    let names: Vec<_> = schemas.keys().cloned().collect();
    for name in &names {
        hoist(name, schemas);
    }
    for name in names {
        if let Some(flat) = schemas.get(&name).and_then(|schema| flat(schema, schemas)) {
            schemas.insert(name, Value::Object(flat));
        }
    }
    let numbers: Map<_, _> = schemas
        .iter()
        .filter(|(name, _)| name.starts_with("From"))
        .map(|(name, schema)| (format!("{REFERENCE}{name}"), schema.clone()))
        .collect();
    walk(document, &mut |object| inline(object, &numbers));
}

/// Takes out what nothing refers to.
pub(super) fn prune(document: &mut Value) {
    loop {
        let mut used = BTreeSet::new();
        walk(document, &mut |object| {
            used.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
        });
        let mut is_done = true;
        for kind in PRUNED {
            let place = format!("/components/{kind}");
            let all = document.pointer_mut(&place).and_then(Value::as_object_mut);
            let Some(all) = all else { continue };
            let before = all.len();
            all.retain(|name, _| used.contains(&format!("#{place}/{name}")));
            is_done &= all.len() == before;
        }
        if is_done {
            return;
        }
    }
}

/// Generic types are named after what they hold: `PlanBody`, and a `PlanPage` of them.
fn pretty(name: &str) -> String {
    let name = match name.strip_prefix("PageBody_") {
        Some(item) => format!("{}Page", pretty(item).trim_end_matches("Body")),
        None => name.to_owned(),
    };
    match name.strip_prefix("DocumentBody_") {
        Some(resource) => format!("{resource}Body"),
        None => name,
    }
}

fn rename(document: &mut Value) {
    walk(document, &mut |object| {
        let name = object.get("$ref").and_then(Value::as_str);
        if let Some(name) = name.and_then(|name| name.strip_prefix(REFERENCE)) {
            let reference = format!("{REFERENCE}{}", pretty(name));
            object.insert("$ref".to_owned(), reference.into());
        }
    });
    if let Some(schemas) =
        document.pointer_mut("/components/schemas").and_then(Value::as_object_mut)
    {
        let renamed = std::mem::take(schemas).into_iter();
        *schemas = renamed.map(|(name, schema)| (pretty(&name), schema)).collect();
    }
}

/// Calls a function with every object of the document, the outer ones first.
fn walk(value: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            for value in object.values_mut() {
                walk(value, visit);
            }
        }
        Value::Array(values) => {
            for value in values {
                walk(value, visit);
            }
        }
        _ => {}
    }
}

fn integer(schema: &mut Map<String, Value>) {
    let is_integer = match schema.get("type") {
        Some(Value::String(name)) => name == "integer",
        Some(Value::Array(names)) => names.iter().any(|name| name == "integer"),
        _ => false,
    };
    if is_integer {
        schema.insert("format".to_owned(), "int64".into());
        schema.entry("minimum").or_insert_with(|| 0.into());
    }
}

/// Comments in the code are broken into lines, and refer to types by links.
fn description(object: &mut Map<String, Value>) {
    if let Some(Value::String(description)) = object.get_mut("description") {
        let paragraphs = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
        let text = paragraphs.collect::<Vec<_>>().join("\n\n");
        *description = text.replace("[`", "`").replace("`]", "`");
    }
}

/// The items of a page are a schema of their own.
fn hoist(name: &str, schemas: &mut Map<String, Value>) {
    let Some(item) = name.strip_suffix("Page").map(|item| format!("{item}Body")) else { return };
    let place = schemas.get_mut(name).and_then(|page| page.pointer_mut("/properties/items/items"));
    let Some(place) = place.filter(|items| items.get("$ref").is_none()) else { return };
    let schema = std::mem::replace(place, json!({ "$ref": format!("{REFERENCE}{item}") }));
    schemas.entry(item).or_insert(schema);
}

/// A number with bounds needs no name.
fn inline(object: &mut Map<String, Value>, numbers: &Map<String, Value>) {
    let number = object.get("$ref").and_then(Value::as_str).and_then(|name| numbers.get(name));
    if let Some(number) = number.and_then(Value::as_object) {
        object.remove("$ref");
        object.extend(number.clone());
    }
}

/// What an object is made of.
#[derive(Default)]
struct Parts {
    properties: Map<String, Value>,
    required: BTreeSet<String>,
    /// Of these objects it has the members of exactly one.
    choices: Vec<Value>,
    /// It has no other members, as each of its parts says of itself.
    is_closed: bool,
}

/// A schema that is all of several objects, as one object.
fn flat(schema: &Value, schemas: &Map<String, Value>) -> Option<Map<String, Value>> {
    let all_of = schema.get("allOf")?.as_array()?;
    let mut parts = Parts { is_closed: true, ..Parts::default() };
    for part in all_of {
        gather(part, schemas, &mut parts)?;
    }
    let mut object = Map::new();
    object.insert("type".to_owned(), "object".into());
    if let Some(description) = schema.get("description") {
        object.insert("description".to_owned(), description.clone());
    }
    if parts.is_closed {
        object.insert("additionalProperties".to_owned(), false.into());
    }
    let required: Vec<_> = parts.required.into_iter().collect();
    object.insert("required".to_owned(), required.into());
    object.insert("properties".to_owned(), parts.properties.into());
    if !parts.choices.is_empty() {
        object.insert("oneOf".to_owned(), parts.choices.into());
    }
    Some(object)
}

fn gather(part: &Value, schemas: &Map<String, Value>, parts: &mut Parts) -> Option<()> {
    if let Some(name) = part.get("$ref").and_then(Value::as_str) {
        return gather(schemas.get(name.strip_prefix(REFERENCE)?)?, schemas, parts);
    }
    parts.is_closed &= part.get("additionalProperties") == Some(&Value::Bool(false));
    for part in part.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        gather(part, schemas, parts)?;
    }
    for choice in part.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let choice = choice.as_object()?;
        match choice.get("properties") {
            // An enum whose variants are members: each choice is an object with one of them.
            Some(properties) => {
                parts.properties.extend(properties.as_object()?.clone());
                parts.choices.push(json!({ "required": choice.get("required")? }));
            }
            // This was flattened before.
            None => parts.choices.push(Value::Object(choice.clone())),
        }
    }
    let properties = part.get("properties").and_then(Value::as_object).into_iter().flatten();
    parts.properties.extend(properties.map(|(name, schema)| (name.clone(), schema.clone())));
    let required = part.get("required").and_then(Value::as_array).into_iter().flatten();
    parts.required.extend(required.filter_map(Value::as_str).map(str::to_owned));
    Some(())
}

/// The schema of the problem that every error is answered with.
pub(super) fn add_problem(components: &mut Map<String, Value>) {
    use tenantry_api::{FieldError, Problem};
    use utoipa::PartialSchema as _;

    let Some(schemas) = member(components, "schemas") else { return };
    for (name, schema) in [("Problem", Problem::schema()), ("FieldError", FieldError::schema())] {
        let mut schema = serde_json::to_value(schema).unwrap_or_default();
        walk(&mut schema, &mut integer);
        schemas.insert(name.to_owned(), schema);
    }
}
