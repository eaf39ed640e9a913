//! Properties of whole streams.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};
use tenantry_distribution::{
    Assembler, Begin, Change, Decoder, Epoch, Event, Frame, Hello, Ledger, Mark, Removal,
    RemovalBrake, ResourceJson, ResourceName, Revision, StateHash, Update, UpdateKind, fold,
};

type State = BTreeMap<(String, String), String>;

fn name() -> impl Strategy<Value = ResourceName> {
    // Few names, so that operations meet; some of a kind this build does not know.
    let kind = prop::sample::select(vec!["tenant", "plan", "api_key", "unheard-of"]);
    (kind, "[a-c]{1,2}|\\PC{1,4}").prop_map(|(kind, id)| ResourceName { kind: kind.to_owned(), id })
}

fn json() -> impl Strategy<Value = ResourceJson> {
    let text = prop_oneof![
        "[0-9]{1}",
        "\\PC{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[a-z]{1,3}".prop_map(|key| format!("{{ \"{key}\" : [1,  2.50, null] }}")),
    ];
    text.prop_map(|text| ResourceJson::from_slice(text.as_bytes()).unwrap())
}

fn change() -> impl Strategy<Value = Change> {
    (name(), prop::option::weighted(0.7, json())).prop_map(|(name, json)| Change::new(name, json))
}

fn frame() -> impl Strategy<Value = Frame> {
    let mark = (any::<u64>(), any::<u128>()).prop_map(|(revision, hash)| Mark {
        revision: Revision::new(revision),
        hash: StateHash::from_u128(hash),
    });
    prop_oneof![
        (any::<u32>(), any::<u128>()).prop_map(|(protocol, epoch)| {
            Frame::Hello(Hello { protocol, epoch: Epoch::from_u128(epoch) })
        }),
        (any::<bool>(), any::<bool>(), any::<u64>(), any::<u64>()).prop_map(
            |(full, meant, from, to)| {
                Frame::Begin(Begin {
                    kind: if full { UpdateKind::Full } else { UpdateKind::Delta },
                    from: Revision::new(from),
                    to: Revision::new(to),
                    removal: if meant { Removal::Meant } else { Removal::Guarded },
                })
            }
        ),
        change().prop_map(Frame::Change),
        mark.clone().prop_map(Frame::Commit),
        mark.prop_map(Frame::Heartbeat),
    ]
}

fn write(state: &mut State, changes: &[Change]) {
    for change in changes {
        let key = (change.kind().to_owned(), change.id().to_owned());
        match change.json() {
            Some(json) => state.insert(key, json.as_str().to_owned()),
            None => state.remove(&key),
        };
    }
}

fn ledger_of<'a>(
    resources: impl IntoIterator<Item = (&'a (String, String), &'a String)>,
) -> Ledger {
    let mut ledger = Ledger::new();
    for ((kind, id), json) in resources {
        ledger.put(kind, id, json.as_bytes());
    }
    ledger
}

/// A full state and deltas after it, with the hashes that belong to them.
fn updates() -> impl Strategy<Value = Vec<Update>> {
    vec(vec(change(), 0..12), 1..6).prop_map(|transactions| {
        let mut state = State::new();
        let mut updates = Vec::new();
        for (number, mut changes) in transactions.into_iter().enumerate() {
            let kind = if number == 0 { UpdateKind::Full } else { UpdateKind::Delta };
            if kind == UpdateKind::Full {
                changes.retain(|change| change.json().is_some());
            } else {
                // A removal of what is not there changes nothing, so no hash can guard it.
                let before = state.clone();
                changes.retain(|change| {
                    let key = (change.kind().to_owned(), change.id().to_owned());
                    change.json().is_some() || before.contains_key(&key)
                });
            }
            write(&mut state, &changes);
            updates.push(Update {
                epoch: Epoch::from_u128(1),
                kind,
                from: Revision::new(number as u64),
                to: Revision::new(number as u64 + 1),
                removal: Removal::Guarded,
                changes,
                hash: ledger_of(&state).hash(),
            });
        }
        updates
    })
}

fn record(updates: &[Update]) -> Vec<u8> {
    let mut stream = Frame::hello(Epoch::from_u128(1)).encode().unwrap().to_vec();
    for line in updates.iter().flat_map(Update::lines) {
        stream.extend_from_slice(&line.unwrap());
    }
    stream
}

/// The updates of a stream up to the first thing that is wrong with it, and whether there was one or
/// an unfinished end.
fn replay(stream: &[u8]) -> (Vec<Update>, bool) {
    let mut decoder = Decoder::new();
    let mut assembler = Assembler::new(RemovalBrake::OFF);
    let mut updates = Vec::new();
    decoder.push(stream);
    while let Some(frame) = decoder.next() {
        match frame.map_err(drop).and_then(|frame| assembler.push(frame).map_err(drop)) {
            Ok(Event::Update(update)) => updates.push(update),
            Ok(_) => {}
            Err(()) => return (updates, true),
        }
    }
    (updates, decoder.has_partial_line() || assembler.is_inside())
}

#[test]
fn folding_names_each_resource_once() {
    let text = |changes: &[Change]| -> Vec<String> {
        let one = |change: &Change| format!("{} {:?}", change.id(), change.json());
        changes.iter().map(one).collect()
    };
    let set = |id: &str, json: Option<&str>| {
        let name = ResourceName { kind: "plan".to_owned(), id: id.to_owned() };
        Change::new(name, json.map(|json| ResourceJson::from_slice(json.as_bytes()).unwrap()))
    };
    let update = |kind, to, changes| Update {
        epoch: Epoch::from_u128(1),
        kind,
        from: Revision::new(to - 1),
        to: Revision::new(to),
        removal: Removal::Guarded,
        changes,
        hash: StateHash::from_u128(0),
    };
    let base = vec![set("a", Some("1")), set("b", Some("1")), set("c", Some("1"))];
    let first = vec![set("c", None), set("b", Some("2")), set("d", Some("2"))];
    let second = vec![set("b", Some("3")), set("d", None), set("e", Some("3"))];
    let folded = fold(
        update(UpdateKind::Full, 1, base),
        [update(UpdateKind::Delta, 2, first), update(UpdateKind::Delta, 3, second)],
    );
    assert_eq!(text(&folded.changes), ["a Some(1)", "b Some(3)", "e Some(3)"]);
}

proptest! {
    #[test]
    fn frames_survive_any_chunking(frames in vec(frame(), 0..12), sizes in vec(1usize..400, 1..20)) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().unwrap()).collect();
        let mut decoder = Decoder::new();
        let mut decoded = Vec::new();
        let mut rest = bytes.as_slice();
        for size in sizes.iter().cycle() {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            decoder.push(chunk);
            while let Some(frame) = decoder.next() {
                decoded.push(frame.unwrap());
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(decoded, frames);
        prop_assert_eq!(decoder.consumed(), bytes.len() as u64);
        prop_assert!(!decoder.has_partial_line());
    }

    #[test]
    fn arbitrary_bytes_never_panic(chunks in vec(vec(any::<u8>(), 0..64), 0..16)) {
        let mut decoder = Decoder::new();
        for chunk in chunks {
            decoder.push(&chunk);
            while decoder.next().is_some() {}
        }
    }

    #[test]
    fn arbitrary_frames_never_panic(frames in vec(frame(), 0..32)) {
        let mut assembler = Assembler::new(RemovalBrake::default());
        for frame in frames {
            if assembler.push(frame).is_err() {
                assembler.restart();
            }
        }
    }

    #[test]
    fn the_sum_is_that_of_a_fresh_ledger(changes in vec(change(), 0..60)) {
        let mut ledger = Ledger::new();
        let mut state = State::new();
        for change in &changes {
            ledger.apply(change);
            write(&mut state, std::slice::from_ref(change));
            prop_assert_eq!(ledger.hash(), ledger_of(&state).hash());
        }
        prop_assert_eq!(ledger.resources(), state.len());
        let tenants = state.keys().filter(|(kind, _)| kind == "tenant").count();
        prop_assert_eq!(ledger.tenants(), tenants as u64);
        prop_assert_eq!(ledger.hash(), ledger_of(state.iter().rev()).hash());
    }

    #[test]
    fn a_recorded_stream_reads_back(updates in updates()) {
        prop_assert_eq!(replay(&record(&updates)), (updates, false));
    }

    #[test]
    fn a_stream_cut_anywhere_gives_whole_updates_only(updates in updates(), at in any::<Index>()) {
        let stream = record(&updates);
        let (read, _) = replay(&stream[..at.index(stream.len())]);
        prop_assert!(read.len() <= updates.len());
        prop_assert_eq!(&read[..], &updates[..read.len()]);
    }

    #[test]
    fn a_flipped_bit_is_found(updates in updates(), at in any::<Index>(), bit in 0u8..8) {
        let mut stream = record(&updates);
        // The epoch of the hello is compared with the control plane's, not hashed.
        let hello = Frame::hello(Epoch::from_u128(1)).encode().unwrap().len();
        let place = hello + at.index(stream.len() - hello);
        stream[place] ^= 1 << bit;
        let (read, wrong) = replay(&stream);
        // Either it is noticed, and what was read before it is intact, or it struck what has no
        // meaning: the `from` of a full state, or a change that a later one of the same transaction
        // overrides.
        let (mut state, mut expected) = (State::new(), State::new());
        for (read, sent) in read.iter().zip(&updates) {
            write(&mut state, &read.changes);
            write(&mut expected, &sent.changes);
            prop_assert_eq!(&state, &expected);
            prop_assert_eq!((read.kind, read.position()), (sent.kind, sent.position()));
        }
        prop_assert!(wrong || read.len() == updates.len());
    }

    #[test]
    fn folding_keeps_the_state(updates in updates()) {
        let mut state = State::new();
        for update in &updates {
            write(&mut state, &update.changes);
        }
        let last = updates.last().unwrap().position();
        let mut later = updates.into_iter();
        let folded = fold(later.next().unwrap(), later);
        prop_assert_eq!(folded.position(), last);
        let mut read = State::new();
        write(&mut read, &folded.changes);
        prop_assert_eq!(read, state);
        prop_assert!(folded.changes.iter().all(|change| change.json().is_some()));
        prop_assert!(!replay(&record(&[folded])).1, "the hash still holds");
    }
}
