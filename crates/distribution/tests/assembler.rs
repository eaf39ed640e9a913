//! The rules of the stream, one table each.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use tenantry_distribution::{
    Assembler, Begin, Change, ContinuityError, Epoch, Event, Frame, Ledger, Mark, PROTOCOL,
    Position, Protocols, Removal, RemovalBrake, ResourceJson, ResourceName, Revision, StateHash,
    UpdateKind,
};

const EPOCH: Epoch = Epoch::from_u128(0xe);

fn hello() -> Frame {
    Frame::hello(EPOCH)
}

fn begin(kind: UpdateKind, from: u64, to: u64) -> Frame {
    let (from, to) = (Revision::new(from), Revision::new(to));
    Frame::Begin(Begin { kind, from, to, removal: Removal::Guarded })
}

fn full(to: u64) -> Frame {
    begin(UpdateKind::Full, 0, to)
}

fn delta(from: u64, to: u64) -> Frame {
    begin(UpdateKind::Delta, from, to)
}

fn put(kind: &str, id: &str, json: &str) -> Frame {
    let name = ResourceName { kind: kind.to_owned(), id: id.to_owned() };
    Frame::Change(Change::new(name, Some(ResourceJson::from_slice(json.as_bytes()).unwrap())))
}

fn delete(kind: &str, id: &str) -> Frame {
    Frame::Change(Change::new(ResourceName { kind: kind.to_owned(), id: id.to_owned() }, None))
}

fn mark(revision: u64, resources: &[(&str, &str, &str)]) -> Mark {
    let mut ledger = Ledger::new();
    for (kind, id, json) in resources {
        ledger.put(kind, id, json.as_bytes());
    }
    Mark { revision: Revision::new(revision), hash: ledger.hash() }
}

/// What `mark(_, ONE)` hashes.
const ONE: &[(&str, &str, &str)] = &[("plan", "pro", "{}")];
const TWO: &[(&str, &str, &str)] = &[("plan", "pro", "{}"), ("plan", "max", "{}")];

/// An assembler that holds `ONE` at revision 5.
fn holding_one() -> Assembler {
    let mut assembler = Assembler::new(RemovalBrake::default());
    for frame in [hello(), full(5), put("plan", "pro", "{}")] {
        assembler.push(frame).unwrap();
    }
    assert!(matches!(assembler.push(Frame::Commit(mark(5, ONE))).unwrap(), Event::Update(_)));
    assembler
}

fn one_at_5() -> Position {
    Position { epoch: EPOCH, revision: Revision::new(5), hash: mark(5, ONE).hash }
}

/// All frames but the last are taken; what the last one says.
fn last(assembler: &mut Assembler, frames: impl IntoIterator<Item = Frame>) -> String {
    let mut outcome = None;
    for frame in frames {
        if let Some(Err(error)) = outcome {
            panic!("a frame before the last failed: {error}");
        }
        outcome = Some(assembler.push(frame));
    }
    match outcome.unwrap() {
        Ok(Event::Update(update)) => format!("update to {}", update.to),
        Ok(event) => format!("{event:?}"),
        Err(error) => {
            assert!(assembler.resume().is_none(), "any breach asks for the whole state");
            error.to_string()
        }
    }
}

#[test]
fn what_may_follow_the_state_held() {
    let other = Mark { hash: StateHash::from_u128(7), ..mark(5, ONE) };
    let cases: Vec<(Vec<Frame>, &str)> = vec![
        (vec![delta(5, 6), put("plan", "max", "{}"), Frame::Commit(mark(6, TWO))], "update to 6"),
        (vec![delta(5, 9), put("plan", "max", "{}"), Frame::Commit(mark(9, TWO))], "update to 9"),
        (vec![delta(5, 6), delete("plan", "pro"), Frame::Commit(mark(6, &[]))], "update to 6"),
        (vec![delta(5, 6), delete("plan", "none"), Frame::Commit(mark(6, ONE))], "update to 6"),
        (vec![full(6), put("plan", "pro", "{}"), Frame::Commit(mark(6, ONE))], "update to 6"),
        (vec![full(6), Frame::Commit(mark(6, &[]))], "update to 6"),
        // The same revision twice changes nothing, unless it holds something else.
        (vec![full(5), put("plan", "pro", "{}"), Frame::Commit(mark(5, ONE))], "Repeated"),
        (vec![delta(4, 5), put("plan", "pro", "{}"), Frame::Commit(mark(5, ONE))], "Repeated"),
        (vec![full(5), Frame::Commit(mark(5, &[]))], "update to 5"),
        (vec![Frame::Heartbeat(mark(5, ONE))], "Confirmed"),
        (vec![delta(5, 6), Frame::Heartbeat(mark(1, &[]))], "Pending"),
        (vec![Frame::Unknown], "Pending"),
        // Breaches.
        (
            vec![delta(5, 6), Frame::Heartbeat(mark(6, TWO))],
            "revision 6 is held by the control plane and its transaction has not ended",
        ),
        (vec![delta(4, 6)], "a delta from revision 4, which is not the state held"),
        (vec![delta(6, 7)], "a delta from revision 6, which is not the state held"),
        (vec![delta(5, 5)], "a delta from revision 5 to 5"),
        (vec![delta(3, 4)], "revision 5 is held and the older 4 offered"),
        (vec![full(4)], "revision 5 is held and the older 4 offered"),
        (vec![Frame::Heartbeat(mark(4, ONE))], "revision 5 is held and the older 4 offered"),
        (vec![delta(5, 6), delta(5, 6)], "a begin inside a transaction"),
        (vec![put("plan", "pro", "{}")], "a change outside a transaction"),
        (vec![Frame::Commit(mark(5, ONE))], "a commit outside a transaction"),
        (vec![delta(5, 6), Frame::Commit(mark(7, ONE))], "revision 6 was begun and 7 committed"),
        (vec![hello()], "a second hello in one stream"),
        (
            vec![Frame::Heartbeat(other)],
            "at revision 5 the state hashes to ONE; the control plane says \
             00000000000000000000000000000007",
        ),
    ];
    for (frames, expected) in cases {
        let expected = expected.replace("ONE", &mark(5, ONE).hash.to_string());
        let described = format!("{frames:?}");
        assert_eq!(last(&mut holding_one(), frames), expected, "{described}");
    }
}

#[test]
fn a_stream_opens_with_one_hello_of_the_epoch_held() {
    let fresh = || Assembler::new(RemovalBrake::default());
    for frame in [full(1), put("plan", "a", "1"), Frame::Commit(mark(1, &[]))] {
        assert_eq!(fresh().push(frame), Err(ContinuityError::HelloMissing));
    }
    assert_eq!(fresh().push(Frame::Heartbeat(mark(1, &[]))), Err(ContinuityError::HelloMissing));
    let newer = Frame::Hello(tenantry_distribution::Hello { protocol: PROTOCOL + 1, epoch: EPOCH });
    assert_eq!(fresh().push(newer), Err(ContinuityError::Protocol { offered: PROTOCOL + 1 }));

    for (newest, spoken) in [(1, &[1][..]), (2, &[1, 2]), (3, &[2, 3])] {
        for protocol in 0..5 {
            let hello = Frame::Hello(tenantry_distribution::Hello { protocol, epoch: EPOCH });
            let opened = fresh().with_protocols(Protocols::up_to(newest)).push(hello);
            assert_eq!(opened.is_ok(), spoken.contains(&protocol), "{newest} {protocol}");
        }
    }

    let offered = Epoch::from_u128(2);
    let mut assembler = holding_one();
    assembler.restart();
    let error = assembler.push(Frame::hello(offered)).unwrap_err();
    assert_eq!(error, ContinuityError::Epoch { held: EPOCH, offered });
    // What was held is still known, and asking for the whole state now accepts the new history,
    // whose revisions start anywhere.
    assert_eq!(assembler.held(), Some(one_at_5()));
    assembler.restart();
    let frames = [Frame::hello(offered), full(1), Frame::Commit(mark(1, &[]))];
    assert_eq!(last(&mut assembler, frames), "update to 1");
}

#[test]
fn nothing_is_held_before_a_commit_and_nothing_lost_by_a_broken_line() {
    let mut assembler = holding_one();
    assembler.push(delta(5, 6)).unwrap();
    assembler.push(delete("plan", "pro")).unwrap();
    assert!(assembler.is_inside());
    assert_eq!(assembler.resume(), Some(one_at_5()));
    assembler.restart();
    let frames = [hello(), delta(5, 6), put("plan", "max", "{}"), Frame::Commit(mark(6, TWO))];
    assert_eq!(last(&mut assembler, frames), "update to 6");
}

#[test]
fn a_difference_of_hashes_is_healed_by_a_full_state_only() {
    let mut assembler = holding_one();
    let frames = [delta(5, 6), put("plan", "max", "{}"), Frame::Commit(mark(6, ONE))];
    assert!(last(&mut assembler, frames).starts_with("at revision 6 the state hashes to"));
    assert_eq!(assembler.held(), Some(one_at_5()));
    assert_eq!(assembler.push(hello()), Err(ContinuityError::Failed));
    assembler.restart();
    assert_eq!(
        last(&mut assembler, [hello(), delta(5, 6)]),
        "a delta from revision 5, which is not the state held"
    );
    // The floor of the revision outlives the resync.
    assembler.restart();
    assert_eq!(
        last(&mut assembler, [hello(), full(4)]),
        "revision 5 is held and the older 4 offered"
    );
    assembler.restart();
    let frames = [hello(), full(5), put("plan", "pro", "{}"), Frame::Commit(mark(5, ONE))];
    assert_eq!(last(&mut assembler, frames), "update to 5");
}

#[test]
fn an_announced_revision_may_come_late_once() {
    let ahead = |revision| Frame::Heartbeat(mark(revision, TWO));
    let update = || [delta(5, 6), put("plan", "max", "{}"), Frame::Commit(mark(6, TWO))];
    let mut assembler = holding_one();
    assert_eq!(last(&mut assembler, [ahead(6)]), "Announced(Revision(6))");
    assert_eq!(last(&mut assembler, [ahead(7)]), "revision 6 was announced and did not come");

    let mut assembler = holding_one();
    assembler.push(ahead(6)).unwrap();
    assert_eq!(last(&mut assembler, update()), "update to 6");
    assert_eq!(last(&mut assembler, [ahead(7)]), "Announced(Revision(7))");

    // A control plane that only ever sends heartbeats has forgotten the full state.
    let mut assembler = Assembler::new(RemovalBrake::default());
    assembler.push(hello()).unwrap();
    assembler.push(ahead(1)).unwrap();
    assert_eq!(last(&mut assembler, [ahead(1)]), "revision 1 was announced and did not come");
}

#[test]
fn a_large_removal_must_be_meant() {
    let tenants: Vec<String> = (0..200).map(|number| format!("ten_{number}")).collect();
    let state = |left: &[String]| {
        let resources: Vec<_> = left.iter().map(|id| ("tenant", id.as_str(), "{}")).collect();
        mark(1, &resources).hash
    };
    let holding_all = || {
        let mut assembler = Assembler::new(RemovalBrake::default());
        assembler.push(hello()).unwrap();
        assembler.push(full(1)).unwrap();
        for id in &tenants {
            assembler.push(put("tenant", id, "{}")).unwrap();
        }
        let mark = Mark { revision: Revision::new(1), hash: state(&tenants) };
        assembler.push(Frame::Commit(mark)).unwrap();
        assembler
    };
    let remove = |removed: usize, removal| {
        let mut assembler = holding_all();
        let (from, to) = (Revision::new(1), Revision::new(2));
        assembler.push(Frame::Begin(Begin { kind: UpdateKind::Delta, from, to, removal })).unwrap();
        for id in &tenants[..removed] {
            assembler.push(delete("tenant", id)).unwrap();
        }
        let mark = Mark { revision: to, hash: state(&tenants[removed..]) };
        last(&mut assembler, [Frame::Commit(mark)])
    };
    assert_eq!(remove(100, Removal::Guarded), "update to 2");
    assert_eq!(
        remove(101, Removal::Guarded),
        "of 200 tenants only 99 would be left, and the removal is not marked as meant"
    );
    assert_eq!(remove(200, Removal::Meant), "update to 2");

    // The state of a control plane that lost its store is a removal too, in whatever epoch.
    let mut assembler = holding_all();
    assembler.distrust();
    assembler.restart();
    let frames = [Frame::hello(Epoch::from_u128(9)), full(1), Frame::Commit(mark(1, &[]))];
    assert!(last(&mut assembler, frames).starts_with("of 200 tenants only 0 would be left"));
    assert_eq!(assembler.tenants(), 200);
}

#[test]
fn a_resource_that_nobody_can_parse_is_no_stream_error() {
    let resources = [("tenant", "ten_x", "\"no tenant\""), ("unheard-of", "c", "[1]")];
    let mut assembler = Assembler::new(RemovalBrake::default());
    for frame in [hello(), full(1)] {
        assembler.push(frame).unwrap();
    }
    for (kind, id, json) in resources {
        assembler.push(put(kind, id, json)).unwrap();
    }
    let Event::Update(update) = assembler.push(Frame::Commit(mark(1, &resources))).unwrap() else {
        panic!("an update");
    };
    assert!(
        matches!(&update.changes[0], Change::Put { json, .. } if json.as_str() == "\"no tenant\"")
    );
    assert!(
        matches!(&update.changes[1], Change::Unknown { name, .. } if name.kind == "unheard-of")
    );
}
