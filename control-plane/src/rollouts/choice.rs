//! Which proxies have a change first.
//!
//! Only such as follow the stream now: one that is away cannot be watched. Who is among so many of a hundred is
//! drawn by the roll-out's identifier, so it is not the same proxies that bear every risk.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
};

use tenantry_model::{NodeName, RolloutId};
use tenantry_tenancy::ChosenBy;

/// The labels of each enrolment of a node.
pub type Labels = BTreeMap<NodeName, Vec<BTreeMap<String, String>>>;

/// The chosen ones of those that are connected.
///
/// # Errors
/// Why there are none, as a sentence.
pub fn chosen(
    id: RolloutId,
    by: &ChosenBy,
    connected: &BTreeSet<NodeName>,
    labels: &Labels,
) -> Result<BTreeSet<NodeName>, String> {
    let chosen: BTreeSet<_> = match by {
        ChosenBy::Nodes(names) => {
            if let Some(away) = names.iter().find(|name| !connected.contains(*name)) {
                return Err(format!("the proxy {away} is not connected"));
            }
            names.clone()
        }
        ChosenBy::Labels(wanted) => {
            let has_all = |enrolled: &BTreeMap<String, String>| {
                wanted.iter().all(|(name, value)| enrolled.get(name) == Some(value))
            };
            let is_chosen = |node: &&NodeName| {
                labels.get(*node).is_some_and(|enrolled| enrolled.iter().any(has_all))
            };
            connected.iter().filter(is_chosen).cloned().collect()
        }
        ChosenBy::Percentage(percentage) => {
            let draw = |node: &NodeName| {
                BuildHasherDefault::<DefaultHasher>::default()
                    .hash_one((id.to_u128(), node.as_str()))
            };
            let mut drawn: Vec<_> = connected.iter().collect();
            drawn.sort_by_key(|node| (draw(node), (*node).clone()));
            let count = (drawn.len() * usize::from(*percentage)).div_ceil(100);
            drawn.into_iter().take(count).cloned().collect()
        }
    };
    if chosen.is_empty() {
        return Err("no proxy that is connected is chosen".to_owned());
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<NodeName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_proxies_that_are_there_are_chosen() {
        let connected = names(&["a", "b", "c"]);
        let enrolled = Labels::from([
            ("a".parse().unwrap(), vec![labels(&[("ring", "canary"), ("zone", "1")])]),
            // Enrolled anew, with another label.
            (
                "b".parse().unwrap(),
                vec![labels(&[("ring", "main")]), labels(&[("ring", "canary")])],
            ),
            ("gone".parse().unwrap(), vec![labels(&[("ring", "canary")])]),
        ]);
        let check = |by: ChosenBy, expected: Result<&[&str], &str>| {
            let id = RolloutId::from_parts(1, 1);
            let expected = expected.map(names).map_err(str::to_owned);
            assert_eq!(chosen(id, &by, &connected, &enrolled), expected, "{by:?}");
        };
        check(ChosenBy::Nodes(names(&["c"])), Ok(&["c"]));
        check(ChosenBy::Nodes(names(&["c", "gone"])), Err("the proxy gone is not connected"));
        check(ChosenBy::Labels(labels(&[("ring", "canary")])), Ok(&["a", "b"]));
        check(ChosenBy::Labels(labels(&[("ring", "canary"), ("zone", "1")])), Ok(&["a"]));
        let nobody = "no proxy that is connected is chosen";
        check(ChosenBy::Labels(labels(&[("ring", "none")])), Err(nobody));
        check(ChosenBy::Percentage(100), Ok(&["a", "b", "c"]));
        let none = chosen(
            RolloutId::from_parts(1, 1),
            &ChosenBy::Percentage(100),
            &BTreeSet::new(),
            &enrolled,
        );
        assert_eq!(none, Err(nobody.to_owned()));
    }

    #[test]
    fn a_percentage_is_rounded_up_and_falls_on_others_each_time() {
        let connected: BTreeSet<NodeName> =
            (0..10).map(|number| format!("edge-{number}").parse().unwrap()).collect();
        let draw = |id: u128, percentage: u8| {
            let (id, by) = (RolloutId::from_parts(1, id), ChosenBy::Percentage(percentage));
            chosen(id, &by, &connected, &Labels::new()).unwrap()
        };
        for (percentage, count) in [(1, 1), (10, 1), (11, 2), (50, 5), (99, 10), (100, 10)] {
            assert_eq!(draw(1, percentage).len(), count, "{percentage}");
        }
        assert_eq!(draw(1, 30), draw(1, 30));
        let firsts: BTreeSet<_> = (0..100).flat_map(|id| draw(id, 1)).collect();
        assert_eq!(firsts.len(), 10, "each has its turn");
    }
}
