//! Every commit once, whole and in order; or an error that says why not.

use std::sync::Arc;

use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use tenantry_store::{Change, Revision, Store, WatchError, WatchItem};

use super::{Backend, batch, commits, put, row, scan};

/// Commits `count` batches of two rows from four tasks, and returns their revisions in order.
async fn commit_many(store: &Arc<dyn Store>, count: u32) -> Vec<Revision> {
    let tasks = (0..4).map(|task| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for index in 0..count / 4 {
                let pair = batch()
                    .put(format!("a/{task}"), index.to_string())
                    .put(format!("b/{task}/{index}"), "x");
                revisions.push(store.commit(pair).await.unwrap());
            }
            revisions
        })
    });
    let mut revisions: Vec<_> =
        join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
    revisions.sort();
    revisions
}

fn check_whole(seen: &[(Revision, Vec<Change>)], expected: &[Revision]) {
    let revisions: Vec<_> = seen.iter().map(|commit| commit.0).collect();
    assert_eq!(revisions, expected);
    for (rev, changes) in seen {
        assert_eq!(changes.len(), 2, "whole");
        for change in changes {
            assert!(matches!(change, Change::Put(row) if row.mod_rev == *rev));
        }
    }
}

pub(crate) async fn each_revision_comes_once_and_whole<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let mut expected = commit_many(&store, 100).await;
    // One watcher begins before the second half, one in the middle of it, one after it.
    let early = tokio::spawn(follow(Arc::clone(&store), 200));
    expected.extend(commit_many(&store, 100).await);
    let late = follow(Arc::clone(&store), 200).await;
    check_whole(&early.await.unwrap(), &expected);
    check_whole(&late, &expected);
}

async fn follow(store: Arc<dyn Store>, count: usize) -> Vec<(Revision, Vec<Change>)> {
    let commits = store.watch(b"", Revision::ZERO).filter_map(async |item| match item.unwrap() {
        WatchItem::Commit { rev, changes } => Some((rev, changes)),
        WatchItem::Progress { .. } => None,
    });
    commits.take(count).collect().await
}

/// Begins watches while commits are made, so that some begin between a commit and its announcement.
pub(crate) async fn a_watch_begun_at_any_moment_misses_and_repeats_nothing<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let writer = Arc::clone(&store);
    let writer = tokio::spawn(async move {
        loop {
            put(&*writer, "a", "x").await;
        }
    });
    for _ in 0..300 {
        let from = store.status().await.head.next();
        let mut watch = store.watch(b"", from);
        let mut seen = Vec::new();
        while seen.len() < 5 {
            match watch.next().await.unwrap() {
                Ok(WatchItem::Commit { rev, .. }) => seen.push(rev),
                Ok(WatchItem::Progress { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let read = async |rev| store.get(b"a", Some(rev)).await.unwrap().1.unwrap().mod_rev;
        let mut expected = Vec::new();
        let mut last = from;
        // Every commit writes the one row, so its versions are the commits.
        while expected.len() < 5 {
            let mod_rev = read(last).await;
            if expected.last() != Some(&mod_rev) {
                expected.push(mod_rev);
            }
            last = last.next();
        }
        assert_eq!(seen, expected);
    }
    writer.abort();
    // The store is closed by whoever lets go of it last, which must not be a task being dropped.
    let _ = writer.await;
}

pub(crate) async fn a_watch_goes_on_after_reopening<B: Backend>() {
    let mut backend = B::open().await;
    let store = backend.store();
    let mut expected = commit_many(&store, 20).await;
    let mut watch = store.watch(b"", Revision::ZERO);
    let mut next = Revision::ZERO;
    while next <= expected[9] {
        match watch.next().await.unwrap().unwrap() {
            WatchItem::Commit { rev, .. } | WatchItem::Progress { rev } => next = rev.next(),
        }
    }
    drop(store);
    backend.reopen().await;
    let rest: Vec<_> = watch.collect().await;
    assert_eq!(rest.last(), Some(&Err(WatchError::Unavailable)), "it ends, and says why");

    let store = backend.store();
    expected.extend(commit_many(&store, 20).await);
    let seen = commits(&*store, "", next, expected[39]).await;
    check_whole(&seen, &expected[10..]);
}

pub(crate) async fn revisions_not_kept_are_refused<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let first = put(&*store, "a", "1").await;
    let second = put(&*store, "a", "2").await;
    store.compact(second).await.unwrap();
    let refused = async |from| store.watch(b"", from).collect::<Vec<_>>().await;
    let compacted = WatchError::Compacted { oldest: second };
    assert_eq!(refused(first).await, [Err(compacted)]);
    assert_eq!(refused(Revision::ZERO).await, [Err(compacted)]);
    assert_eq!(refused(second.next().next()).await, [Err(WatchError::StoreChanged)]);
    let next = store.watch(b"", second).next().await.unwrap().unwrap();
    let changes = vec![Change::Put(row("a", "2", second))];
    assert_eq!(next, WatchItem::Commit { rev: second, changes });
}

pub(crate) async fn slow_watchers_delay_nobody<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let unread = store.watch(b"", Revision::ZERO);
    let mut slow = store.watch(b"", Revision::ZERO);
    assert_eq!(slow.next().await, Some(Ok(WatchItem::Progress { rev: Revision::ZERO })));
    drop(store.watch(b"", Revision::ZERO));
    let expected = commit_many(&store, 2_000).await;
    drop(unread);

    // The slow one has everything up to where it was overtaken, and resumes from there.
    let mut seen = Vec::new();
    let mut next = Revision::ZERO.next();
    while seen.len() < expected.len() {
        match slow.next().await.unwrap() {
            Ok(WatchItem::Commit { rev, changes }) => {
                next = rev.next();
                seen.push((rev, changes));
            }
            Ok(WatchItem::Progress { .. }) => {}
            Err(WatchError::Lagged) => {
                assert!(slow.next().await.is_none(), "an error is the last item");
                slow = store.watch(b"", next);
            }
            Err(error) => panic!("{error}"),
        }
    }
    check_whole(&seen, &expected);
}

pub(crate) async fn reading_inside_a_watch_does_not_deadlock<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let writer = Arc::clone(&store);
    let writer = tokio::spawn(async move { commit_many(&writer, 400).await });
    let mut watch = store.watch(b"a/", Revision::ZERO);
    let mut count = 0;
    while count < 400 {
        let WatchItem::Commit { rev, changes } = watch.next().await.unwrap().unwrap() else {
            continue;
        };
        let Change::Put(row) = &changes[0] else { panic!("{changes:?}") };
        let read = store.get(&row.key, Some(rev)).await.unwrap();
        assert_eq!(read.1.as_ref(), Some(row), "what is announced can be read");
        if count % 50 == 0 {
            scan(&*store, "b/", 100).await;
            put(&*store, "c", "from inside").await;
        }
        count += 1;
    }
    writer.await.unwrap();
}

/// More than what one message of a remote store can carry.
pub(crate) async fn a_large_past_is_replayed<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let value = "v".repeat(700_000);
    for _ in 0..10 {
        put(&*store, "a", &value).await;
    }
    let head = put(&*store, "b", "last").await;
    let seen = commits(&*store, "", Revision::ZERO, head).await;
    assert_eq!(seen.len(), 11);
    let whole = |change: &Change| matches!(change, Change::Put(row) if row.value == value);
    assert!(seen[..10].iter().all(|(_, changes)| changes.iter().all(whole)));
}

pub(crate) async fn other_prefixes_are_progress<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let first = put(&*store, "other", "1").await;
    let mut watch = store.watch(b"mine/", Revision::ZERO);
    assert_eq!(watch.next().await, Some(Ok(WatchItem::Progress { rev: first })));
    assert!(watch.next().now_or_never().is_none(), "nothing to report");
    let second = store.commit(batch().put("other", "2").put("mine/a", "x")).await.unwrap();
    let changes = vec![Change::Put(row("mine/a", "x", second))];
    assert_eq!(watch.next().await, Some(Ok(WatchItem::Commit { rev: second, changes })));
    let third = put(&*store, "mine", "3").await;
    assert_eq!(watch.next().await, Some(Ok(WatchItem::Progress { rev: third })));
}
