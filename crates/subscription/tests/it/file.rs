//! Starting from the last-known-good file.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tenantry_distribution::{Revision, UpdateKind};
use tenantry_subscription::{Link, Source};
use tokio::net::TcpSocket;

use crate::{
    control_plane::{ControlPlane, History},
    proxy::{NOW_UNIX_MS, Proxy, options_with_file},
};

/// An address that refuses connections for as long as the socket lives.
fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last-known-good");
    (directory, path)
}

/// Records a full state at revision 2 and deltas to 3 and 4; answers with the history.
async fn record(path: &Path) -> History {
    let mut control_plane = ControlPlane::start().await;
    let mut history = History::new(1);
    history.set("plan", "pro", Some("{}"));
    history.set("tenant", "ten_1", Some(r#"{ "plan":"pro"}"#));
    let mut proxy = Proxy::start(options_with_file(control_plane.address, path));
    let stream = control_plane.request().await.accept();
    stream.send(history.hello());
    stream.send(history.full());
    stream.send(history.set("plan", "max", Some("{}")));
    stream.send(history.set("certificate", "c", Some("[]")));
    proxy.at(4).await;
    proxy.stop().await;
    history
}

fn known(history: &History) -> std::collections::BTreeMap<(String, String), String> {
    let known = history.resources.iter().filter(|((kind, _), _)| kind != "certificate");
    known.map(|(key, json)| (key.clone(), json.clone())).collect()
}

#[tokio::test]
async fn a_proxy_starts_without_a_control_plane() {
    let (_directory, path) = place();
    let history = record(&path).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (_socket, address) = nobody();
    let mut proxy = Proxy::start(options_with_file(address, &path));
    let standing = proxy.at(4).await;
    let applied = standing.applied.unwrap();
    assert_eq!((applied.source, applied.position), (Source::File, history.position()));
    assert_eq!((applied.tenants, applied.refused), (1, 1));
    assert_eq!((standing.link, standing.confirmed_at), (Link::Down, None));
    assert_eq!(proxy.target.resources(), known(&history));
    assert_eq!(proxy.target.applied(), [(UpdateKind::Full, 4)], "one apply, however long the tail");
    proxy.stop().await;
}

#[tokio::test]
async fn a_start_from_the_file_goes_on_with_deltas_and_records_them() {
    let (_directory, path) = place();
    let mut history = record(&path).await;
    for round in 5..8 {
        let mut control_plane = ControlPlane::start().await;
        let mut proxy = Proxy::start(options_with_file(control_plane.address, &path));
        let request = control_plane.request().await;
        assert_eq!(request.query.position(), Some(history.position()));
        let stream = request.accept();
        stream.send(history.hello());
        let report = control_plane.report().await;
        assert_eq!((report.revision.as_u64(), report.refused_total), (round - 1, 1));
        assert_eq!(proxy.progress.standing().confirmed_at, None);
        stream.send(history.heartbeat());
        proxy.until(|standing| standing.confirmed_at.is_some()).await;
        stream.send(history.set("plan", "max", Some(&round.to_string())));
        proxy.at(round).await;
        proxy.until(|standing| standing.recorded == Some(Revision::new(round))).await;
        assert_eq!(proxy.target.resources(), known(&history));
        proxy.stop().await;
    }
}

#[tokio::test]
async fn an_unfinished_update_at_the_end_is_cut_off() {
    let (_directory, path) = place();
    record(&path).await;
    let whole = fs::read(&path).unwrap();
    let commits: Vec<usize> = ends_of_commits(&whole);
    let (_socket, address) = nobody();
    for (revision, range) in [(2, commits[0]..commits[1]), (3, commits[1]..commits[2])] {
        for length in range.clone().step_by(7).chain([range.end - 1]) {
            fs::write(&path, &whole[..length]).unwrap();
            let mut proxy = Proxy::start(options_with_file(address, &path));
            proxy.at(revision).await;
            proxy.stop().await;
            assert_eq!(fs::read(&path).unwrap(), &whole[..range.start], "cut at {length}");
        }
    }
}

/// Where each commit line ends.
fn ends_of_commits(recorded: &[u8]) -> Vec<usize> {
    let mut end = 0;
    let lines = recorded.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            end += line.len();
            line.starts_with(b"{\"commit\"").then_some(end)
        })
        .collect()
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_the_start_goes_on_without_it() {
    let (directory, path) = place();
    let history = record(&path).await;
    let whole = fs::read(&path).unwrap();
    let damages: [(&str, Vec<u8>); 4] = [
        (
            "bad JSON in the middle",
            String::from_utf8(whole.clone()).unwrap().replacen("\"put\"", "put", 1).into(),
        ),
        (
            "a changed byte",
            String::from_utf8(whole.clone()).unwrap().replacen("ten_1", "ten_2", 1).into(),
        ),
        ("a base without its commit", whole[..60].to_vec()),
        ("nothing", Vec::new()),
    ];
    let older = directory.path().join("last-known-good.corrupt-17");
    let bystander = directory.path().join("last-known-good-of-another");
    fs::write(&bystander, "").unwrap();
    let aside = directory.path().join(format!("last-known-good.corrupt-{NOW_UNIX_MS}"));
    for (damage, bytes) in damages {
        fs::write(&path, &bytes).unwrap();
        fs::write(&older, "").unwrap();
        let mut control_plane = ControlPlane::start().await;
        let mut proxy = Proxy::start(options_with_file(control_plane.address, &path));
        let request = control_plane.request().await;
        assert_eq!(request.query.position(), None, "{damage}");
        assert!(proxy.target.applied().is_empty(), "{damage}");
        assert!(!path.exists(), "{damage}");
        assert_eq!(fs::read(&aside).unwrap(), bytes, "{damage}");
        assert!(!older.exists() && bystander.exists(), "only the newest is kept");
        let stream = request.accept();
        stream.send(history.hello());
        stream.send(history.full());
        proxy.until(|standing| standing.recorded == Some(Revision::new(4))).await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_folded_file_holds_what_the_long_one_held() {
    let (directory, path) = place();
    let long = directory.path().join("long");
    let mut history = History::new(1);
    history.set("plan", "pro", Some("{}"));
    let mut control_plane = ControlPlane::start().await;
    let mut folding = options_with_file(control_plane.address, &path);
    folding.compact_above_bytes = 0;
    let mut proxies = Vec::new();
    for options in [folding, options_with_file(control_plane.address, &long)] {
        let proxy = Proxy::start(options);
        let stream = control_plane.request().await.accept();
        stream.send(history.hello());
        stream.send(history.full());
        proxies.push((proxy, stream));
    }
    for round in 0..40 {
        let json = round.to_string();
        let id = format!("p{}", round % 5);
        let delta = history.set("plan", &id, (round % 4 != 0).then_some(json.as_str()));
        for (proxy, stream) in &mut proxies {
            stream.send(delta.clone());
            let recorded = Revision::new(history.revision);
            proxy.until(|standing| standing.recorded == Some(recorded)).await;
        }
    }
    for (proxy, _) in proxies {
        proxy.stop().await;
    }
    let length = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(length(&path) * 3 < length(&long), "{} {}", length(&path), length(&long));
    let (_socket, address) = nobody();
    for path in [&path, &long] {
        let mut proxy = Proxy::start(options_with_file(address, path));
        let applied = proxy.at(history.revision).await.applied.unwrap();
        assert_eq!(applied.position, history.position());
        assert_eq!(proxy.target.resources(), history.resources);
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_nothing() {
    let (directory, _) = place();
    let mut control_plane = ControlPlane::start().await;
    let mut history = History::new(1);
    history.set("plan", "pro", Some("{}"));
    let missing = directory.path().join("missing");
    let path = missing.join("last-known-good");
    let mut proxy = Proxy::start(options_with_file(control_plane.address, &path));
    let stream = control_plane.request().await.accept();
    stream.send(history.hello());
    stream.send(history.full());
    assert_eq!(proxy.at(1).await.recorded, None);
    assert_eq!(control_plane.report().await.revision.as_u64(), 1);
    // Once the place is there, the next update writes what is waiting.
    fs::create_dir(&missing).unwrap();
    stream.send(history.set("plan", "max", Some("{}")));
    proxy.until(|standing| standing.recorded == Some(Revision::new(2))).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_new_epoch_takes_the_place_of_the_old_one() {
    let (_directory, path) = place();
    record(&path).await;
    let mut control_plane = ControlPlane::start().await;
    let mut proxy = Proxy::start(options_with_file(control_plane.address, &path));
    let mut other = History::new(2);
    other.set("tenant", "ten_other", Some("{}"));
    control_plane.request().await.accept().send(other.hello());
    let stream = control_plane.request().await.accept();
    stream.send(other.hello());
    stream.send(other.full());
    proxy.at(1).await;
    proxy.stop().await;
    let (_socket, address) = nobody();
    let mut proxy = Proxy::start(options_with_file(address, &path));
    assert_eq!(proxy.at(1).await.applied.unwrap().position, other.position());
    proxy.stop().await;
}

#[tokio::test]
async fn a_successor_takes_the_file_up_where_its_predecessor_left_it() {
    let (_directory, path) = place();
    let mut history = record(&path).await;
    let (mut old_end, mut new_end) = (ControlPlane::start().await, ControlPlane::start().await);
    let mut predecessor = Proxy::start(options_with_file(old_end.address, &path));
    let to_predecessor = old_end.request().await.accept();
    to_predecessor.send(history.hello());
    let mut successor = Proxy::start(options_with_file(new_end.address, &path));
    let to_successor = new_end.request().await.accept();
    to_successor.send(history.hello());
    let change = history.set("plan", "max", Some("5"));
    to_predecessor.send(change.clone());
    to_successor.send(change);
    predecessor.until(|standing| standing.recorded == Some(Revision::new(5))).await;
    assert_eq!(successor.at(5).await.recorded, None, "one process writes the file");
    predecessor.stop().await;
    to_successor.send(history.set("plan", "max", Some("6")));
    successor.until(|standing| standing.recorded == Some(Revision::new(6))).await;
    successor.stop().await;
    let (_socket, address) = nobody();
    let mut proxy = Proxy::start(options_with_file(address, &path));
    assert_eq!(proxy.at(6).await.applied.unwrap().position, history.position());
    assert_eq!(proxy.target.resources(), known(&history));
    proxy.stop().await;
}
