//! Parameters that no handler sees, because they mean the same everywhere.

use axum::http::Uri;

/// The values of a parameter, and where the request goes without it; nothing, if that is nowhere.
pub(super) fn without(uri: &Uri, name: &str) -> Option<(Vec<String>, Uri)> {
    let query = uri.query().unwrap_or_default();
    let (ours, others): (Vec<_>, Vec<_>) =
        form_urlencoded::parse(query.as_bytes()).partition(|(known, _)| known == name);
    let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(others).finish();
    let mark = if rest.is_empty() { "" } else { "?" };
    let uri = format!("{}{mark}{rest}", uri.path()).parse().ok()?;
    Some((ours.into_iter().map(|(_, value)| value.into_owned()).collect(), uri))
}
