//! Following the control plane.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use tenantry_distribution::{
    Encoding, Frame, Mark, PROTOCOL, Revision, StateHash, Traffic, UpdateKind,
};
use tenantry_model::Timestamp;
use tenantry_subscription::{Link, Source};
use tokio::time::Instant;

use crate::{
    control_plane::{ControlPlane, History, Stream, begin},
    proxy::{NOW_UNIX_MS, Proxy, options},
};

/// A proxy that was sent the full state of this history, and the stream it follows.
async fn following(control_plane: &mut ControlPlane, history: &History) -> (Proxy, Stream) {
    let mut proxy = Proxy::start(options(control_plane.address));
    let request = control_plane.request().await;
    assert_eq!(request.query.position(), None);
    let stream = request.accept();
    stream.send(history.hello());
    stream.send(history.full());
    proxy.at(history.revision).await;
    assert_eq!(control_plane.report().await.revision.as_u64(), history.revision);
    (proxy, stream)
}

fn history() -> History {
    let mut history = History::new(1);
    history.set("plan", "pro", Some("{}"));
    history.set("tenant", "ten_1", Some(r#"{"plan" : "pro"}"#));
    history
}

#[tokio::test]
async fn a_full_state_then_a_delta() {
    let mut control_plane = ControlPlane::start().await;
    let mut history = history();
    let mut proxy = Proxy::start(options(control_plane.address));
    assert_eq!(proxy.progress.standing().applied, None);
    let request = control_plane.request().await;
    assert_eq!(request.authorization, "Bearer tnt_secret");
    assert_eq!(request.query.node.as_str(), "edge-1");
    let stream = request.accept();
    stream.send(history.hello());
    stream.send(history.full());
    let applied = proxy.at(2).await.applied.unwrap();
    assert_eq!((applied.position, applied.tenants), (history.position(), 1));
    assert_eq!(applied.source, Source::Stream);
    assert_eq!(applied.at.unix_ms(), NOW_UNIX_MS);
    let report = control_plane.report().await;
    assert!(report.is_ack());
    assert_eq!((report.revision, report.hash), (Revision::new(2), history.mark().hash));

    // Byte by byte, as slowly as a network may.
    for byte in history.set("plan", "pro", None) {
        stream.send(Bytes::copy_from_slice(&[byte]));
    }
    proxy.at(3).await;
    assert_eq!(proxy.target.resources(), history.resources);
    assert_eq!(proxy.target.applied(), [(UpdateKind::Full, 2), (UpdateKind::Delta, 3)]);
    assert_eq!(control_plane.report().await.revision.as_u64(), 3);
    proxy.until(|standing| standing.acknowledged == Some(Revision::new(3))).await;
}

#[tokio::test]
async fn after_a_broken_line_it_goes_on_where_it_was() {
    let mut control_plane = ControlPlane::start().await;
    let mut history = history();
    let (mut proxy, stream) = following(&mut control_plane, &history).await;
    let held = history.position();
    let delta = history.set("plan", "pro", None);
    stream.send(delta.slice(..delta.len() - 2));
    drop(stream);
    let request = control_plane.request().await;
    assert_eq!(request.query.position(), Some(held));
    let stream = request.accept();
    stream.send(history.hello());
    // It says again what it enforces, to a control plane that may have been restarted.
    assert_eq!(control_plane.report().await.revision.as_u64(), 2);
    stream.send(delta);
    proxy.at(3).await;
    assert_eq!(proxy.target.applied(), [(UpdateKind::Full, 2), (UpdateKind::Delta, 3)]);
}

#[tokio::test]
async fn any_breach_asks_for_the_whole_state_and_serves_the_old_meanwhile() {
    let hash = |history: &History| Mark { hash: StateHash::from_u128(7), ..history.mark() };
    let newer = |history: &History| Mark { revision: Revision::new(3), ..history.mark() };
    type Breach<'a> = (&'a str, Box<dyn Fn(&mut History) -> Vec<Bytes> + 'a>);
    let breaches: [Breach<'_>; 6] = [
        ("a gap", Box::new(|_| vec![begin(5, 6)])),
        (
            "a lost delta",
            Box::new(|history| {
                history.set("plan", "lost", Some("1"));
                vec![history.set("plan", "sent", Some("2"))]
            }),
        ),
        (
            "a hash difference",
            Box::new(|history| {
                history.resources.insert(("plan".into(), "unsent".into()), "1".into());
                vec![history.set("plan", "max", Some("{}"))]
            }),
        ),
        (
            "a heartbeat of another state",
            Box::new(|history| vec![Frame::Heartbeat(hash(history)).encode().unwrap()]),
        ),
        (
            "a revision that does not come",
            Box::new(|history| vec![Frame::Heartbeat(newer(history)).encode().unwrap(); 2]),
        ),
        ("no frame", Box::new(|_| vec![Bytes::from_static(b"<html>\n")])),
    ];
    for (breach, frames) in breaches {
        let mut control_plane = ControlPlane::start().await;
        let mut history = history();
        let (mut proxy, stream) = following(&mut control_plane, &history).await;
        let served = proxy.target.resources();
        for frame in frames(&mut history) {
            stream.send(frame);
        }
        let request = control_plane.request().await;
        assert_eq!(request.query.position(), None, "{breach}");
        assert_eq!(proxy.target.resources(), served, "{breach}");
        history.set("plan", "after", Some("{}"));
        let stream = request.accept();
        stream.send(history.hello());
        stream.send(history.full());
        proxy.at(history.revision).await;
        assert_eq!(proxy.target.resources(), history.resources, "{breach}");
        stream.send(history.set("plan", "after", None));
        proxy.at(history.revision).await;
    }
}

#[tokio::test]
async fn another_epoch_is_taken_whole_even_at_a_lower_revision() {
    let mut control_plane = ControlPlane::start().await;
    let (mut proxy, stream) = following(&mut control_plane, &history()).await;
    drop(stream);
    let mut other = History::new(2);
    other.set("tenant", "ten_other", Some("{}"));
    let request = control_plane.request().await;
    assert!(request.query.position().is_some());
    let stream = request.accept();
    stream.send(other.hello());
    let request = control_plane.request().await;
    assert_eq!(request.query.position(), None);
    let stream = request.accept();
    stream.send(other.hello());
    stream.send(other.full());
    let applied = proxy.at(1).await.applied.unwrap();
    assert_eq!(applied.position, other.position());
    assert_eq!(proxy.target.resources(), other.resources);
}

/// An empty state is what a control plane has that lost its store; whoever serves tenants keeps them.
#[tokio::test]
async fn a_control_plane_that_lost_everything_empties_no_proxy() {
    let mut control_plane = ControlPlane::start().await;
    let held = history();
    let (proxy, stream) = following(&mut control_plane, &held).await;
    drop(stream);
    let mut empty = History::new(2);
    empty.set("plan", "other", Some("{}"));
    control_plane.request().await.accept().send(empty.hello());
    let stream = control_plane.request().await.accept();
    stream.send(empty.hello());
    stream.send(empty.full());
    // It comes back for something better, and serves what it had meanwhile.
    control_plane.request().await;
    assert_eq!(proxy.target.resources(), held.resources);
}

#[tokio::test]
async fn the_same_revision_twice_changes_nothing_and_an_older_never_comes_back() {
    let mut control_plane = ControlPlane::start().await;
    let mut history = history();
    let (mut proxy, stream) = following(&mut control_plane, &history).await;
    let older = history.full();
    let delta = history.set("plan", "max", Some("{}"));
    stream.send(delta.clone());
    stream.send(delta);
    stream.send(history.full());
    stream.send(history.heartbeat());
    let next = history.set("plan", "max", None);
    stream.send(next);
    proxy.at(4).await;
    let applied = [(UpdateKind::Full, 2), (UpdateKind::Delta, 3), (UpdateKind::Delta, 4)];
    assert_eq!(proxy.target.applied(), applied);
    stream.send(older);
    let request = control_plane.request().await;
    assert_eq!(request.query.position(), None);
    assert_eq!(proxy.target.applied(), applied);
}

#[tokio::test]
async fn what_is_refused_is_reported_until_it_is_healed() {
    let mut control_plane = ControlPlane::start().await;
    let mut history = history();
    let (mut proxy, stream) = following(&mut control_plane, &history).await;
    stream.send(history.set("plan", "max", Some(r#""bad""#)));
    let report = control_plane.report().await;
    assert_eq!((report.revision.as_u64(), report.refused_total), (3, 1));
    assert_eq!(report.refused[0].resource.to_string(), "plan/max");
    assert_eq!(report.refused[0].reason, "it is bad");
    // A kind of a newer control plane counts in the hash and is refused by name.
    stream.send(history.set("unheard-of", "c", Some("[]")));
    let report = control_plane.report().await;
    let refused: Vec<_> = report.refused.iter().map(|one| one.resource.to_string()).collect();
    assert_eq!(refused, ["plan/max", "unheard-of/c"]);
    assert_eq!(proxy.at(4).await.applied.unwrap().refused, 2);
    assert_eq!(proxy.progress.standing().acknowledged, Some(Revision::new(2)));
    stream.send(history.set("unheard-of", "c", None));
    assert_eq!(control_plane.report().await.refused_total, 1);
    stream.send(history.set("plan", "max", Some("{}")));
    assert!(control_plane.report().await.is_ack());
    proxy.until(|standing| standing.acknowledged == Some(Revision::new(6))).await;
}

#[tokio::test]
async fn a_refused_token_is_tried_again() {
    let mut control_plane = ControlPlane::start().await;
    let history = history();
    let mut proxy = Proxy::start(options(control_plane.address));
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        control_plane.request().await.refuse(status);
        proxy.until(|standing| standing.link == Link::Unauthorized).await;
    }
    control_plane.request().await.refuse(StatusCode::SERVICE_UNAVAILABLE);
    proxy.until(|standing| standing.link == Link::Down).await;
    let stream = control_plane.request().await.accept();
    stream.send(history.hello());
    stream.send(history.full());
    assert_eq!(proxy.at(2).await.link, Link::Open);
}

#[tokio::test]
async fn what_was_answered_is_told_when_nothing_else_is() {
    let mut control_plane = ControlPlane::start().await;
    let history = history();
    let (mut proxy, _stream) = following(&mut control_plane, &history).await;
    proxy.at(2).await;
    let since = Timestamp::from_unix_ms(1);
    for requests in [7, 9] {
        let traffic = Traffic { since, requests, server_errors: 1, denied: 2 };
        proxy.target.answers(traffic);
        // Whatever was on its way before.
        let told = loop {
            let report = control_plane.report().await;
            if report.traffic.is_some_and(|told| told.requests == requests) {
                break report;
            }
        };
        assert_eq!((told.traffic, told.revision), (Some(traffic), Revision::new(2)));
    }
}

#[tokio::test]
async fn a_report_is_sent_until_it_is_taken_and_holds_up_no_update() {
    let mut control_plane = ControlPlane::start().await;
    let mut history = history();
    let (mut proxy, stream) = following(&mut control_plane, &history).await;
    control_plane.fail_reports(3);
    stream.send(history.set("plan", "max", Some("{}")));
    proxy.at(3).await;
    assert_eq!(control_plane.report().await.revision.as_u64(), 3);
    proxy.until(|standing| standing.acknowledged == Some(Revision::new(3))).await;
}

#[tokio::test]
async fn a_compressed_stream_is_read_and_a_damaged_one_asked_for_anew() {
    let mut control_plane = ControlPlane::start().await;
    let mut history = history();
    let zstd = |lines| Encoding::Zstd.encode(lines).unwrap();
    let mut proxy = Proxy::start(options(control_plane.address));
    let request = control_plane.request().await;
    assert_eq!(request.accept_encoding, "zstd");
    let stream = request.accept_compressed();
    stream.send(zstd(history.hello()));
    // Frames in a row, cut anywhere.
    for byte in zstd(history.full()) {
        stream.send(Bytes::copy_from_slice(&[byte]));
    }
    stream.send(zstd(history.set("plan", "max", Some("{}"))));
    proxy.at(3).await;
    assert_eq!(proxy.target.resources(), history.resources);
    let mut damaged = zstd(history.set("plan", "max", Some("1"))).to_vec();
    let last = damaged.len() - 1;
    damaged[last / 2] ^= 0xff;
    stream.send(damaged);
    stream.send(zstd(history.heartbeat()));
    let request = control_plane.request().await;
    assert_eq!(request.query.position(), None);
    let stream = request.accept_compressed();
    stream.send(zstd(history.hello()));
    stream.send(zstd(history.full()));
    proxy.at(4).await;
    assert_eq!(proxy.target.resources(), history.resources);
}

#[tokio::test]
async fn who_is_asked_to_come_back_later_does() {
    let mut control_plane = ControlPlane::start().await;
    let history = history();
    let mut proxy = Proxy::start(options(control_plane.address));
    let request = control_plane.request().await;
    let asked = Instant::now();
    request.refuse_for(StatusCode::SERVICE_UNAVAILABLE, Some(1));
    let request = control_plane.request().await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "its own backoff is 20 ms at most");
    let stream = request.accept();
    stream.send(history.hello());
    stream.send(history.full());
    assert_eq!(proxy.at(2).await.link, Link::Open);
}

#[tokio::test]
async fn a_control_plane_of_another_protocol_takes_nothing_away() {
    let mut control_plane = ControlPlane::start().await;
    let history = history();
    let (mut proxy, stream) = following(&mut control_plane, &history).await;
    drop(stream);
    let request = control_plane.request().await;
    assert_eq!(request.query.protocol, Some(PROTOCOL));
    request.refuse(StatusCode::CONFLICT);
    proxy.until(|standing| standing.link == Link::Down).await;
    // Nor does one that speaks it regardless.
    let stream = control_plane.request().await.accept();
    let hello = tenantry_distribution::Hello { protocol: PROTOCOL + 1, epoch: history.epoch };
    stream.send(Frame::Hello(hello).encode().unwrap());
    control_plane.request().await;
    assert_eq!(proxy.target.resources(), history.resources);
}

#[tokio::test]
async fn a_silent_stream_is_given_up() {
    let mut control_plane = ControlPlane::start().await;
    let history = history();
    let mut options = options(control_plane.address);
    options.idle_timeout = Duration::from_millis(300);
    let mut proxy = Proxy::start(options);
    let silent = control_plane.request().await.accept();
    silent.send(history.hello());
    proxy.until(|standing| standing.link == Link::Open).await;
    let stream = control_plane.request().await.accept();
    stream.send(history.hello());
    stream.send(history.full());
    proxy.at(2).await;
    drop(silent);
}

#[tokio::test]
async fn a_frame_of_a_newer_control_plane_is_ignored() {
    let mut control_plane = ControlPlane::start().await;
    let mut history = history();
    let (mut proxy, stream) = following(&mut control_plane, &history).await;
    stream.send(&b"{\"weather\":{\"from\":\"a newer control plane\"}}\n"[..]);
    stream.send(history.set("plan", "max", Some("{}")));
    assert_eq!(proxy.at(3).await.link, Link::Open);
}
