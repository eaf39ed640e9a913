//! The document as one HTML page: no script, nothing that is fetched from elsewhere.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::operations;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--accent:#3a7}\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1rem 1.25rem 4rem}\
h1,h2{line-height:1.2}h2{border-bottom:1px solid var(--line);margin-top:3rem;padding-bottom:.3rem}\
code,.path{font-family:ui-monospace,monospace;font-size:.9em}\
a{color:inherit}nav a{display:inline-block;margin:0 .9rem .3rem 0}\
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0;padding:.35rem .8rem}\
details[open]{padding-bottom:.8rem}summary{cursor:pointer}\
summary .what{opacity:.75;margin-left:.6rem}\
.method{display:inline-block;font:600 .75rem ui-monospace,monospace;min-width:4rem;color:var(--accent)}\
table{border-collapse:collapse;margin:.4rem 0 1rem;width:100%}\
td,th{border-top:1px solid var(--line);padding:.25rem .6rem .25rem 0;text-align:left;vertical-align:top}\
th{font-weight:600}td:first-child{white-space:nowrap}\
h4{margin:1rem 0 .2rem}.need{background:var(--soft);border-radius:.3rem;padding:.05rem .4rem}";

/// The whole page.
pub(super) fn of(document: &Value) -> String {
    let mut page = Page { html: String::with_capacity(256 * 1024), document };
    page.whole();
    page.html
}

struct Page<'d> {
    html: String,
    document: &'d Value,
}

impl<'d> Page<'d> {
    fn whole(&mut self) {
        let title = text(self.document.pointer("/info/title"));
        self.add(&format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title} API</title><style>{STYLE}</style><body><h1>{title} API</h1>"
        ));
        self.prose(self.document.pointer("/info/description"));
        self.add("<p>This page as a document for programs: <a href=\"/api/v1/openapi.json\">openapi.json</a> (OpenAPI 3.1).</p><nav>");
        let document = self.document;
        let tags = document.get("tags").and_then(Value::as_array).into_iter().flatten();
        for tag in tags.clone() {
            let name = text(tag.get("name"));
            self.add(&format!("<a href=\"#{name}\">{name}</a>"));
        }
        self.add("<a href=\"#schemas\">schemas</a></nav>");
        for tag in tags {
            self.section(tag);
        }
        self.add("<h2 id=\"schemas\">schemas</h2>");
        let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
        for (name, schema) in schemas.into_iter().flatten() {
            self.schema(name, schema);
        }
        self.add("</body></html>\n");
    }

    fn section(&mut self, tag: &'d Value) {
        let name = text(tag.get("name"));
        self.add(&format!("<h2 id=\"{name}\">{name}</h2>"));
        self.prose(tag.get("description"));
        let document = self.document;
        for (path, method, operation) in operations(document) {
            let tags = operation.get("tags").and_then(Value::as_array).into_iter().flatten();
            if tags.into_iter().any(|tagged| Some(tagged) == tag.get("name")) {
                self.operation(path, method, operation);
            }
        }
    }

    fn operation(&mut self, path: &str, method: &str, operation: &'d Value) {
        let (id, what) = (text(operation.get("operationId")), code(operation.get("summary")));
        let (method, path) = (method.to_ascii_uppercase(), escaped(path));
        self.add(&format!(
            "<details id=\"{id}\"><summary><span class=\"method\">{method}</span>\
             <span class=\"path\">{path}</span><span class=\"what\">{what}</span></summary>"
        ));
        self.prose(operation.get("description"));
        let asked = operation.get("security").and_then(Value::as_array).into_iter().flatten();
        for scope in asked.filter_map(|asked| asked.get("bearer")?.as_array()).flatten() {
            let scope = text(Some(scope));
            self.add(&format!("<p>Needs the permission <span class=\"need\">{scope}</span>.</p>"));
        }
        self.parameters(operation);
        let content = operation.pointer("/requestBody/content").and_then(Value::as_object);
        if let Some(content) = content {
            self.add("<h4>Body</h4>");
            self.content(content);
        }
        self.responses(operation);
        self.add("</details>");
    }

    fn parameters(&mut self, operation: &'d Value) {
        let parameters = operation.get("parameters").and_then(Value::as_array);
        let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) else {
            return;
        };
        self.add("<h4>Parameters</h4><table>");
        for parameter in parameters {
            let parameter = self.resolved(parameter);
            let (name, place) = (text(parameter.get("name")), text(parameter.get("in")));
            let kind = parameter.get("schema").map(kind).unwrap_or_default();
            let described = code(parameter.get("description"));
            self.add(&format!(
                "<tr><td><code>{name}</code></td><td>{place}</td><td>{kind}</td><td>{described}</td></tr>"
            ));
        }
        self.add("</table>");
    }

    fn responses(&mut self, operation: &'d Value) {
        self.add("<h4>Answers</h4><table>");
        let responses = operation.get("responses").and_then(Value::as_object);
        for (status, response) in responses.into_iter().flatten() {
            let response = self.resolved(response);
            let described = code(response.get("description"));
            self.add(&format!("<tr><td><code>{}</code></td><td>{described} ", escaped(status)));
            if let Some(content) = response.get("content").and_then(Value::as_object) {
                self.content(content);
            }
            self.add("</td></tr>");
        }
        self.add("</table>");
    }

    fn content(&mut self, content: &'d Map<String, Value>) {
        for (media_type, content) in content {
            let kind = content.get("schema").map(kind).unwrap_or_default();
            self.add(&format!("<div>{kind} <code>{}</code></div>", escaped(media_type)));
        }
    }

    fn schema(&mut self, name: &str, schema: &Value) {
        let (name, kind) = (escaped(name), kind(schema));
        self.add(&format!(
            "<details id=\"schema-{name}\"><summary><span class=\"path\">{name}</span>\
             <span class=\"what\">{kind}</span></summary>"
        ));
        self.prose(schema.get("description"));
        let required = schema.get("required").and_then(Value::as_array);
        let properties = schema.get("properties").and_then(Value::as_object);
        if let Some(properties) = properties.filter(|properties| !properties.is_empty()) {
            self.add("<table>");
            for (name, property) in properties {
                let is_required =
                    required.is_some_and(|names| names.iter().any(|required| required == name));
                let mark = if is_required { "required" } else { "" };
                let described = code(property.get("description"));
                let (name, kind) = (escaped(name), self::kind(property));
                self.add(&format!(
                    "<tr><td><code>{name}</code></td><td>{mark}</td><td>{kind}</td><td>{described}</td></tr>"
                ));
            }
            self.add("</table>");
        }
        self.add("</details>");
    }

    /// What a reference refers to.
    fn resolved(&self, value: &'d Value) -> &'d Value {
        let reference = value.get("$ref").and_then(Value::as_str);
        let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(value)
    }

    fn prose(&mut self, value: Option<&Value>) {
        let paragraphs = value.and_then(Value::as_str).unwrap_or_default().split("\n\n");
        for paragraph in paragraphs.filter(|paragraph| !paragraph.is_empty()) {
            self.add(&format!("<p>{}</p>", with_code(paragraph)));
        }
    }

    fn add(&mut self, html: &str) {
        self.html.push_str(html);
    }
}

/// What a schema is, in one line, with its rules.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = escaped(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    let choices = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    let mut line = match (schema.get("type"), choices) {
        (None, Some(choices)) => choices.iter().map(kind).collect::<Vec<_>>().join(" or "),
        (Some(Value::Array(names)), _) => {
            names.iter().map(|name| text(Some(name))).collect::<Vec<_>>().join(" or ")
        }
        (name, _) => text(name),
    };
    for (member, before) in [("items", " of "), ("additionalProperties", " of ")] {
        if let Some(inner) = schema.get(member).filter(|inner| inner.is_object()) {
            line.push_str(before);
            line.push_str(&kind(inner));
        }
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<_> =
            values.iter().map(|value| format!("<code>{}</code>", text(Some(value)))).collect();
        line = values.join(", ");
    }
    for (member, what) in [("minimum", "≥"), ("maximum", "≤"), ("maxLength", "length ≤")] {
        if let Some(bound) = schema.get(member).filter(|bound| **bound != 0) {
            // Writing to a text cannot fail.
            let _ = write!(line, " {what} {bound}");
        }
    }
    line
}

fn code(value: Option<&Value>) -> String {
    with_code(value.and_then(Value::as_str).unwrap_or_default())
}

/// What stands between backticks is code.
fn with_code(prose: &str) -> String {
    let mut html = String::new();
    for (index, part) in prose.split('`').enumerate() {
        let part = escaped(part);
        html.push_str(&if index % 2 == 1 { format!("<code>{part}</code>") } else { part });
    }
    html
}

fn text(value: Option<&Value>) -> String {
    escaped(value.and_then(Value::as_str).unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
