use super::*;
use crate::{
    Assembler, Encoding, Epoch, Event, Frame, FrameReader, RemovalBrake, ResourceJson, StateHash,
};

fn change(kind: &str, id: &str, json: Option<&str>) -> Change {
    let name = ResourceName { kind: kind.to_owned(), id: id.to_owned() };
    Change::new(name, json.map(|json| ResourceJson::from_slice(json.as_bytes()).unwrap()))
}

fn publication(debounce_ms: u64) -> Publication {
    let (epoch, hash) = (Epoch::from_u128(1), StateHash::from_u128(0));
    let head = Position { epoch, revision: Revision::new(0), hash };
    Publication::new(head, Ledger::new(), Duration::from_millis(debounce_ms))
}

fn take(publication: &mut Publication, revision: u64, changes: &[Change]) {
    publication.take(Revision::new(revision), changes.to_vec());
}

fn span(delta: &Delta) -> (u64, u64) {
    (delta.from.revision.as_u64(), delta.to.revision.as_u64())
}

/// What a proxy that stands at its start makes of a delta.
fn read(delta: &Delta, assembler: &mut Assembler) -> Update {
    let mut reader = FrameReader::new(Encoding::Plain).unwrap();
    reader.push(delta.lines.bytes(Encoding::Plain));
    while let Some(frame) = reader.next() {
        if let Event::Update(update) = assembler.push(frame.unwrap()).unwrap() {
            return update;
        }
    }
    panic!("no whole delta");
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn the_first_goes_at_once_and_a_burst_as_one() {
    let mut publication = publication(5);
    assert_eq!(publication.due(ms(0)), None);
    take(&mut publication, 1, &[change("plan", "a", Some("1"))]);
    assert_eq!(publication.due(ms(100)), Some(ms(0)));
    assert_eq!(span(&publication.publish(ms(100)).unwrap().unwrap().all), (0, 1));
    for revision in 2..=5 {
        let json = revision.to_string();
        take(&mut publication, revision, &[change("plan", "a", Some(&json))]);
    }
    take(&mut publication, 6, &[]);
    assert_eq!(publication.settled().as_u64(), 1);
    assert_eq!(publication.due(ms(101)), Some(ms(4)));
    assert_eq!(publication.due(ms(105)), Some(ms(0)));
    let burst = publication.publish(ms(105)).unwrap().unwrap().all;
    assert_eq!(span(&burst), (1, 5));
    assert_eq!(publication.settled().as_u64(), 6);
    assert_eq!(publication.due(ms(106)), None);
    assert_eq!(publication.publish(ms(106)).unwrap(), None);
    let text = burst.lines.bytes(Encoding::Plain);
    let text = std::str::from_utf8(&text).unwrap();
    assert_eq!(text.matches("\"put\"").count(), 1, "the last form wins: {text}");
    assert!(text.contains("\"resource\":5"), "{text}");
    // A commit that is seen again changes nothing.
    take(&mut publication, 6, &[change("plan", "a", None)]);
    assert_eq!(publication.due(ms(200)), None);
}

#[test]
fn the_head_is_moved_on_over_what_changed_nothing() {
    let mut publication = publication(5);
    assert_eq!(publication.advance().unwrap(), None);
    take(&mut publication, 1, &[change("plan", "a", Some("1"))]);
    take(&mut publication, 2, &[]);
    assert_eq!(publication.advance().unwrap(), None, "there is something to be sent");
    publication.publish(ms(0)).unwrap();
    let before = publication.head();
    let empty = publication.advance().unwrap().unwrap();
    assert_eq!((span(&empty), empty.resources), ((1, 2), 1));
    assert_eq!((empty.from, empty.to), (before, publication.head()));
    assert_eq!(empty.to.hash, before.hash);
    assert_eq!(publication.advance().unwrap(), None);
    take(&mut publication, 3, &[change("plan", "a", None)]);
    assert_eq!(span(&publication.publish(ms(9)).unwrap().unwrap().all), (2, 3));
}

#[test]
fn commits_are_put_together_within_bounds_of_size_and_removals() {
    let mut publication = publication(1000);
    let all: Vec<_> = (0..100)
        .map(|id| change("tenant", &id.to_string(), Some("{}")))
        .chain([change("plan", "a", Some("1"))])
        .collect();
    take(&mut publication, 1, &all);
    publication.publish(ms(0)).unwrap();
    for id in 0..25 {
        take(&mut publication, 2 + id, &[change("tenant", &id.to_string(), None)]);
    }
    let spans: Vec<_> = std::iter::from_fn(|| publication.publish(ms(0)).unwrap())
        .map(|it| span(&it.all))
        .collect();
    assert_eq!(spans, [(1, 11), (11, 21), (21, 26)], "a tenth of the tenants at a time");
    let large = format!("\"{}\"", "x".repeat(MAX_BYTES / 2));
    for revision in 30..33 {
        let id = revision.to_string();
        take(&mut publication, revision, &[change("plan", &id, Some(&large))]);
    }
    assert_eq!(publication.due(ms(0)), Some(ms(0)), "what is full does not wait");
    assert_eq!(span(&publication.publish(ms(0)).unwrap().unwrap().all), (26, 31));
    assert_eq!(publication.settled().as_u64(), 31);
    assert!(publication.due(ms(0)).unwrap() > ms(0));
}

#[test]
fn a_proxy_that_follows_the_deltas_agrees() {
    let mut publication = publication(1);
    let mut assembler = Assembler::new(RemovalBrake::default());
    let hello = Frame::hello(publication.head().epoch);
    assembler.push(hello).unwrap();
    let mark = crate::Mark { revision: Revision::new(0), hash: StateHash::from_u128(0) };
    let begin = crate::Begin {
        kind: UpdateKind::Full,
        from: mark.revision,
        to: mark.revision,
        removal: Removal::Guarded,
    };
    assembler.push(Frame::Begin(begin)).unwrap();
    assembler.push(Frame::Commit(mark)).unwrap();
    for revision in 1..50 {
        let id = (revision * 7 % 11).to_string();
        let json = (revision % 3 != 0).then_some("{}");
        take(&mut publication, revision, &[change("plan", &id, json)]);
        if revision % 4 == 0 {
            let delta = publication.publish(ms(revision)).unwrap().unwrap().all;
            assert_eq!(read(&delta, &mut assembler).position(), publication.head());
        }
    }
}
