use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    Delta, Encoding, Epoch, Frame, FrameReader, Ledger, Position, Publication, Published, Revision,
    StateHash,
};

fn tenant(number: u8) -> TenantId {
    TenantId::from_parts(1, u128::from(number))
}

fn region(name: &str) -> RegionId {
    name.parse().unwrap()
}

fn change(kind: ResourceKind, id: impl ToString, json: Option<serde_json::Value>) -> Change {
    let name = ResourceName { kind: kind.as_str().to_owned(), id: id.to_string() };
    let json = json.map(|json| ResourceJson::from_slice(json.to_string().as_bytes()).unwrap());
    Change::new(name, json)
}

fn placed(number: u8, region: Option<&str>) -> Change {
    let json = json!({"id": tenant(number), "region": region});
    change(ResourceKind::Tenant, tenant(number), Some(json))
}

fn domain(host: &str, owner: Option<u8>) -> Change {
    let json = json!({"host": host, "tenant": owner.map(tenant)});
    change(ResourceKind::Domain, host, Some(json))
}

#[test]
fn a_view_has_what_is_of_its_region_and_of_none() {
    let upstream = json!({"id": "far", "region": "us"});
    let all = vec![
        change(ResourceKind::Plan, "pro", Some(json!({"id": "pro"}))),
        change(ResourceKind::Upstream, "far", Some(upstream)),
        placed(1, None),
        placed(2, Some("eu")),
        placed(3, Some("us")),
        domain("none.example", Some(1)),
        domain("eu.example", Some(2)),
        domain("us.example", Some(3)),
        change(ResourceKind::Issuer, "shared", Some(json!({"id": "shared"}))),
        change(ResourceKind::Issuer, "odd", Some(json!({"id": "odd", "tenant": "?"}))),
    ];
    let ids = |changes: Vec<Change>| -> Vec<String> {
        changes.iter().map(|change| change.id().to_owned()).collect()
    };
    let (one, two) = (tenant(1).to_string(), tenant(2).to_string());
    let expected = ["pro", "far", &one, &two, "none.example", "eu.example", "shared"];
    assert_eq!(ids(Sieve::new(Some(region("eu"))).pass(all.clone())), expected);
    assert_eq!(Sieve::new(None).pass(all.clone()), all);
}

#[test]
fn a_move_is_told_to_the_views_that_it_crosses() {
    let mut residents = Residents::default();
    assert_eq!(residents.take(&placed(1, None)), None, "it may be anywhere");
    let moved = residents.take(&placed(1, Some("us"))).unwrap();
    assert_eq!(moved.crosses(&region("eu")), Some(Crossing::Leaves));
    assert_eq!(moved.crosses(&region("us")), None);
    assert_eq!(residents.take(&placed(1, Some("us"))), None);
    let moved = residents.take(&placed(1, Some("eu"))).unwrap();
    assert_eq!(moved.crosses(&region("eu")), Some(Crossing::Enters));
    assert_eq!(moved.crosses(&region("us")), Some(Crossing::Leaves));
    assert_eq!(moved.crosses(&region("asia")), None);
    let moved = residents.take(&placed(1, None)).unwrap();
    assert_eq!(moved.crosses(&region("asia")), Some(Crossing::Enters));
    residents.take(&placed(1, Some("us")));
    let gone = change(ResourceKind::Tenant, tenant(1), None);
    assert_eq!(residents.take(&gone), None);
    assert!(residents.of.is_empty());
}

type State = BTreeMap<(String, String), Change>;

/// Everything, in the order of a whole state.
fn whole(state: &State) -> Vec<Change> {
    let kinds = ResourceKind::ALL.into_iter();
    kinds
        .flat_map(|kind| state.values().filter(move |it| it.kind() == kind.as_str()))
        .cloned()
        .collect()
}

fn seen(state: &State, region: &RegionId) -> Vec<Change> {
    Sieve::new(Some(region.clone())).pass(whole(state))
}

fn hash(changes: &[Change]) -> StateHash {
    let mut ledger = Ledger::new();
    changes.iter().for_each(|change| ledger.apply(change));
    ledger.hash()
}

fn belongings(state: &State, moved: &Moved, crossing: Crossing) -> Vec<Change> {
    let is_its = |it: &&Change| {
        it.id() == moved.tenant.to_string()
            || it.json().is_some_and(|json| {
                it.kind() != "tenant" && owner(json).unwrap() == Some(moved.tenant)
            })
    };
    let its = state.values().filter(is_its).cloned();
    its.map(|it| match crossing {
        Crossing::Enters => it,
        Crossing::Leaves => Change::new(it.into_parts().0, None),
    })
    .collect()
}

fn decoded(delta: &Delta) -> Vec<Change> {
    let mut reader = FrameReader::new(Encoding::Plain).unwrap();
    reader.push(delta.lines.bytes(Encoding::Plain));
    let frames = std::iter::from_fn(|| reader.next()).map(Result::unwrap);
    frames
        .filter_map(|frame| match frame {
            Frame::Change(change) => Some(change),
            _ => None,
        })
        .collect()
}

/// A tenant is put somewhere, or something of it is, or something is removed.
fn any_change() -> impl Strategy<Value = Change> {
    let places = prop::sample::select(vec![None, Some("eu"), Some("us")]);
    prop_oneof![
        (0..4_u8, places).prop_map(|(number, region)| placed(number, region)),
        (0..6_u8, 0..4_u8)
            .prop_map(|(host, owner)| domain(&format!("{host}.example"), Some(owner))),
        (0..6_u8).prop_map(|host| change(ResourceKind::Domain, format!("{host}.example"), None)),
        (0..3_u8).prop_map(|id| change(ResourceKind::Plan, id, Some(json!({"id": id})))),
    ]
}

fn commits() -> impl Strategy<Value = Vec<(Vec<Change>, bool)>> {
    prop::collection::vec((prop::collection::vec(any_change(), 1..4), any::<bool>()), 1..60)
}

proptest! {
    #[test]
    fn a_view_that_follows_commits_is_what_is_sieved_from_the_whole(commits in commits()) {
        let eu = region("eu");
        let (mut state, mut residents) = (State::new(), Residents::default());
        let head = Position {
            epoch: Epoch::from_u128(1),
            revision: Revision::new(0),
            hash: StateHash::from_u128(0),
        };
        let mut view = Publication::new(head, Ledger::new(), Duration::ZERO);
        let (mut held, mut ever) = (State::new(), BTreeSet::new());
        for (revision, (changes, is_published)) in (1..).zip(commits) {
            // A commit names each resource once.
            let changes: State = changes
                .into_iter()
                .map(|it| ((it.kind().to_owned(), it.id().to_owned()), it))
                .collect();
            for (name, change) in &changes {
                if change.json().is_some() {
                    state.insert(name.clone(), change.clone());
                } else {
                    state.remove(name);
                }
            }
            let changes: Vec<_> = changes.into_values().collect();
            let moved: Vec<_> = changes.iter().filter_map(|it| residents.take(it)).collect();
            let mut told = residents.seen_from(&eu, &changes);
            for moved in &moved {
                if let Some(crossing) = moved.crosses(&eu) {
                    told.extend(belongings(&state, moved, crossing));
                }
            }
            view.take(Revision::new(revision), told);
            ever.extend(seen(&state, &eu).iter().map(|it| it.id().to_owned()));
            if !is_published {
                continue;
            }
            while let Some(Published { all: delta, .. }) = view.publish(Duration::ZERO).unwrap() {
                for change in decoded(&delta) {
                    prop_assert!(ever.contains(change.id()), "{} was never in it", change.id());
                    let name = (change.kind().to_owned(), change.id().to_owned());
                    if change.json().is_some() {
                        held.insert(name, change);
                    } else {
                        held.remove(&name);
                    }
                }
            }
            let expected = seen(&state, &eu);
            prop_assert_eq!(view.head().hash, hash(&expected));
            prop_assert_eq!(whole(&held), expected);
        }
    }
}
