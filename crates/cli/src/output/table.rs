//! Tables without borders, as they are easy to read and to cut.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// A table with a head.
pub(crate) fn columns(names: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = plain();
    table.set_header(names.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    finish(&table)
}

/// What people look for first; all other fields follow by name.
const FIRST: [&str; 5] = ["id", "slug", "name", "host", "state"];

/// One object, a line for each field that says something.
pub(crate) fn details(item: &Value) -> String {
    let mut table = plain();
    let mut fields: Vec<_> = item.as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| {
        FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len())
    });
    for (name, value) in fields {
        if !is_empty(value) {
            table.add_row([name.clone(), printable(&inline(value))]);
        }
    }
    finish(&table)
}

/// Strings as they are, lists of strings with commas, all else as JSON.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        _ => false,
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn finish(table: &Table) -> String {
    let mut lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    // Every cell is padded on both sides; nothing is left of the first column to keep apart.
    for line in &mut lines {
        if let Some(rest) = line.strip_prefix(' ') {
            *line = rest.to_owned();
        }
    }
    lines.join("\n")
}

/// Names are written by tenants; what could steer the terminal is shown, not sent.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escape = character.is_control().then(|| character.escape_default());
            let plain = (!character.is_control()).then_some(character);
            escape.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up() {
        let rows =
            [vec!["acme".to_owned(), "active".to_owned()], vec!["a".to_owned(), String::new()]];
        assert_eq!(columns(&["SLUG", "STATE"], &rows), "SLUG  STATE\nacme  active\na");
    }

    #[test]
    fn details_leave_out_what_is_empty() {
        let item = json!({
            "id": "x", "n": 1, "none": null, "list": [], "hosts": ["a", "b"],
            "access": {"allow": []}, "limits": {"c": 1},
        });
        let lines: Vec<_> = details(&item)
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(lines, ["id x", "hosts a, b", "limits {\"c\":1}", "n 1"]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let rows = [vec!["a\u{1b}[2Jb\nc".to_owned()]];
        assert_eq!(columns(&["N"], &rows), "N\na\\u{1b}[2Jb\\nc");
    }
}
