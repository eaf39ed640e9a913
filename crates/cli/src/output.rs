//! What a command prints: for people a table, for programs JSON or YAML.

mod columns;
mod table;

use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use columns::{Columns, rate_limit, word};
pub(crate) use table::{columns, details};

use crate::args::Format;

/// What came of a command.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Many things of a kind.
    List { names: &'static [&'static str], cells: Vec<Vec<String>>, items: Value, rest: Rest },
    /// One thing.
    Item(Value),
    /// A thing that holds what is shown this once.
    Secret { item: Value, secret: String },
    /// Something new, and what to do with it.
    Onboarded { item: Value, secret: Option<String>, next: Vec<String> },
    /// One thing as it would be.
    Rehearsed(Value),
    /// It was done, and there is nothing to show.
    Done(String),
    /// A text for people, and the same for programs.
    Text { text: String, json: Value },
    /// Something differs, which the exit code says, too.
    Differs { text: String, json: Value },
    /// What there was to say has been written already.
    Nothing,
}

/// Whether the list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    Nothing,
    More,
}

impl Answer {
    /// A list of items.
    pub(crate) fn list<T: Columns>(items: &[T], rest: Rest) -> Self {
        let cells = items.iter().map(Columns::cells).collect();
        Self::List { names: T::NAMES, cells, items: value(items), rest }
    }

    /// One item.
    pub(crate) fn item(item: impl Serialize) -> Self {
        Self::Item(value(item))
    }

    /// What would have come of a command, in the same form, so that nobody takes it for done.
    pub(crate) fn rehearsed(self) -> Self {
        match self {
            Self::Done(text) => {
                Self::Text { text: format!("dry run: {text}"), json: json!({"dry_run": text}) }
            }
            Self::Item(item) => Self::Rehearsed(item),
            answer => answer,
        }
    }

    /// What goes to standard output, and a note for standard error.
    pub(crate) fn render(&self, format: Format) -> (String, Option<String>) {
        let text = match format {
            Format::Table => self.text(),
            Format::Json => pretty(&self.json()),
            Format::Yaml => yaml(&self.json()),
        };
        (text, self.note())
    }

    fn text(&self) -> String {
        match self {
            Self::List { cells, .. } if cells.is_empty() => "there are none".to_owned(),
            Self::List { names, cells, .. } => columns(names, cells),
            Self::Item(item) | Self::Rehearsed(item) => details(item),
            Self::Secret { item, secret } => format!(
                "{}\n\nSecret, shown only this once:\n\n  {secret}\n",
                details(&without_members(item, &["secret"]))
            ),
            Self::Onboarded { item, secret, next } => {
                let secret = secret.as_ref().map(|secret| {
                    format!("\n\nSecret of the key, shown only this once:\n\n  {secret}")
                });
                let shown = details(&without_members(item, &["key"]));
                let next = next.join("\n  ");
                format!("{shown}{}\n\nNext:\n\n  {next}", secret.unwrap_or_default())
            }
            Self::Done(text) | Self::Text { text, .. } | Self::Differs { text, .. } => text.clone(),
            Self::Nothing => String::new(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::List { items, .. } => items.clone(),
            Self::Item(item)
            | Self::Rehearsed(item)
            | Self::Secret { item, .. }
            | Self::Onboarded { item, .. } => item.clone(),
            Self::Done(text) => json!({"done": text}),
            Self::Text { json, .. } | Self::Differs { json, .. } => json.clone(),
            Self::Nothing => Value::Null,
        }
    }

    fn note(&self) -> Option<String> {
        match self {
            Self::List { rest: Rest::More, cells, .. } => {
                Some(format!("{} shown, there are more; see --limit and --all", cells.len()))
            }
            Self::Rehearsed(_) => Some("dry run: nothing was changed".to_owned()),
            _ => None,
        }
    }
}

/// Bodies of the API always have a form in JSON: they came in as JSON.
pub(crate) fn value(body: impl Serialize) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// What has no form in YAML is JSON, which is YAML, too.
fn yaml(value: &Value) -> String {
    let yaml = serde_saphyr::to_string(value).unwrap_or_else(|_| pretty(value));
    yaml.trim_end_matches('\n').to_owned()
}

fn without_members(item: &Value, names: &[&str]) -> Value {
    let mut item = item.clone();
    if let Value::Object(fields) = &mut item {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_once_and_apart() {
        let item = json!({"id": "key_1", "secret": "tnt_x"});
        let answer = Answer::Secret { item, secret: "tnt_x".to_owned() };
        let (text, _) = answer.render(Format::Table);
        assert_eq!(text, "id  key_1\n\nSecret, shown only this once:\n\n  tnt_x\n");
        assert!(answer.render(Format::Json).0.contains("tnt_x"));
        assert_eq!(answer.render(Format::Yaml).0, "id: key_1\nsecret: tnt_x");
    }

    #[test]
    fn a_list_that_goes_on_says_so() {
        let list = |rest| Answer::List {
            names: &["A"],
            cells: vec![vec!["1".to_owned()]],
            items: json!([{"a": 1}]),
            rest,
        };
        assert_eq!(list(Rest::Nothing).render(Format::Table), ("A\n1".to_owned(), None));
        assert!(list(Rest::More).render(Format::Json).1.is_some_and(|note| note.contains("--all")));
    }
}
