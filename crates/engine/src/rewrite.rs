//! Putting another path in the place of the one that was matched.

use tenantry_model::{PathPrefix, RouteMatch};

/// The path, in normal form, with what the route matched replaced. It stays in normal form: a prefix
/// ends between two segments, and so does what takes its place.
///
/// Parameters of the replaced segments go with them. What follows is kept as it is: with the prefix
/// `/a` and `/b` in its place, `/a` becomes `/b`, `/a/` becomes `/b/` and `/a/x` becomes `/b/x`; with
/// the prefix `/`, `/` becomes `/b/`.
pub(crate) fn replace_matched(path: &str, matches: &RouteMatch, by: &PathPrefix) -> String {
    let rest = match matches.path {
        Some(_) => "",
        None => behind(path, matches.path_prefix.segments()),
    };
    match (by.is_root(), rest.is_empty()) {
        (true, true) => "/".to_owned(),
        (true, false) => rest.to_owned(),
        (false, _) => format!("{by}{rest}"),
    }
}

/// What follows the first segments of a path; empty if nothing does.
fn behind(path: &str, segments: usize) -> &str {
    let start = path.match_indices('/').nth(segments).map_or(path.len(), |(index, _)| index);
    path.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::path::{Reading, read};

    fn by_prefix(prefix: &str) -> RouteMatch {
        RouteMatch { path_prefix: prefix.parse().unwrap(), ..RouteMatch::default() }
    }

    #[test]
    fn prefixes_are_replaced_between_segments() {
        for (prefix, by, path, expected) in [
            ("/a", "/b", "/a", "/b"),
            ("/a", "/b", "/a/", "/b/"),
            ("/a", "/b", "/a/x/y", "/b/x/y"),
            ("/a", "/b/c", "/a/x", "/b/c/x"),
            ("/a", "/", "/a", "/"),
            ("/a", "/", "/a/", "/"),
            ("/a", "/", "/a/x", "/x"),
            ("/a/b", "/c", "/a/b/d", "/c/d"),
            ("/", "/b", "/", "/b/"),
            ("/", "/b", "/x", "/b/x"),
            ("/", "/", "/x/", "/x/"),
            ("/a", "/b", "/a;v=1/x;w=2", "/b/x;w=2"),
            ("/a", "/b", "/a%3Bv/x%20y", "/b/x%20y"),
        ] {
            let replaced = replace_matched(path, &by_prefix(prefix), &by.parse().unwrap());
            assert_eq!(replaced, expected, "{prefix} {by} {path}");
        }
        let exact = RouteMatch { path: Some("/a/".parse().unwrap()), ..RouteMatch::default() };
        assert_eq!(replace_matched("/a/", &exact, &"/b".parse().unwrap()), "/b");
        assert_eq!(replace_matched("/a/", &exact, &"/".parse().unwrap()), "/");
    }

    proptest! {
        #[test]
        fn what_comes_out_is_in_normal_form(
            prefix in "(/[ab]{1,2}){0,2}", rest in "(/[abc;%2031.~]{0,4}){0,3}", by in "(/[xyz.]{1,3}){0,3}/?",
        ) {
            let (Ok(prefix), Ok(by)) = (format!("/{}", prefix.trim_start_matches('/')).parse::<PathPrefix>(), by.parse::<PathPrefix>()) else {
                return Ok(());
            };
            let path = if prefix.is_root() { format!("/{}", rest.trim_start_matches('/')) } else { format!("{prefix}{rest}") };
            let Ok(Reading { normal: path, .. }) = read(&path) else { return Ok(()) };
            let matches = RouteMatch { path_prefix: prefix.clone(), ..RouteMatch::default() };
            let replaced = replace_matched(&path, &matches, &by);
            let again = read(&replaced).unwrap();
            prop_assert_eq!(&*again.normal, replaced.as_str());
            // The new prefix covers it, so gates of the upstream by that prefix hold.
            let bare = again.bare.as_deref().unwrap_or(&replaced);
            let covered = by.is_root() || bare.strip_prefix(by.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            prop_assert!(covered, "{} {} {} -> {}", prefix, by, path, replaced);
        }
    }
}
