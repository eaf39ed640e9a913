//! Checks hold or nothing happens, and nothing changed is no revision.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;
use tenantry_store::{Change, CommitError, Revision, Store};

use super::{Backend, batch, commits, put, row, value};

fn conflict(subject: &'static str) -> Result<Revision, CommitError> {
    Err(CommitError::Conflict { key: Some(subject.into()) })
}

pub(crate) async fn a_failed_check_leaves_nothing_behind<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let first = put(&*store, "a", "1").await;
    let second = put(&*store, "a", "2").await;
    let before = store.status().await.head;

    let stale = batch().unchanged("a", second).unchanged("a", first).put("b", "x").delete("a");
    assert_eq!(store.commit(stale).await, conflict("a"));
    let taken = batch().absent("a").put("b", "x");
    assert_eq!(store.commit(taken).await, conflict("a"));
    let missing = batch().unchanged("b", first).put("b", "x");
    assert_eq!(store.commit(missing).await, conflict("b"));

    assert_eq!(store.status().await.head, before);
    assert_eq!(value(&*store, "a").await.as_deref(), Some("2"));
    assert_eq!(value(&*store, "b").await, None);
    let last = put(&*store, "c", "3").await;
    let seen = commits(&*store, "", second.next(), last).await;
    assert_eq!(seen, [(last, vec![Change::Put(row("c", "3", last))])]);
}

pub(crate) async fn a_deleted_key_is_absent_again<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let created = store.commit(batch().absent("a").put("a", "1")).await.unwrap();
    let deleted = store.commit(batch().unchanged("a", created).delete("a")).await.unwrap();
    assert!(deleted > created);
    assert_eq!(value(&*store, "a").await, None);
    assert_eq!(store.commit(batch().unchanged("a", deleted).put("a", "2")).await, conflict("a"));
    let again = store.commit(batch().absent("a").put("a", "2")).await.unwrap();
    assert_eq!(store.get(b"a", None).await, Ok((again, Some(row("a", "2", again)))));
}

pub(crate) async fn none_under_a_prefix_is_exact<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    put(&*store, "p", "outside: shorter").await;
    put(&*store, "p0", "outside: behind").await;
    let none = || batch().none_under("p/").put("mark", "x");
    store.commit(none()).await.unwrap();
    put(&*store, "p/a", "1").await;
    assert_eq!(store.commit(none()).await, conflict("p/"));
    store.commit(batch().delete("p/a")).await.unwrap();
    store.commit(none()).await.unwrap();
    assert_eq!(store.commit(batch().none_under("").put("x", "y")).await, conflict(""));
}

pub(crate) async fn one_of_many_claims_on_a_prefix_wins<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    for round in 0..10 {
        let claims = (0..16).map(|claim| {
            let prefix = format!("p{round}/");
            let claim = batch().none_under(prefix.clone()).put(format!("{prefix}{claim}"), "x");
            store.commit(claim)
        });
        let outcomes = join_all(claims).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        // Leave again and claim again: the second must see the first within one group.
        let prefix = format!("p{round}/");
        let (_, rows) = super::scan(&*store, &prefix, 10).await;
        let (leave, claim) = tokio::join!(
            store.commit(batch().delete(rows[0].key.clone())),
            store.commit(batch().none_under(prefix.clone()).put(format!("{prefix}again"), "y")),
        );
        leave.unwrap();
        claim.unwrap();
    }
}

pub(crate) async fn increments_are_never_lost<B: Backend>() {
    const TASKS: u64 = 8;
    const EACH: u64 = 25;
    let backend = B::open().await;
    let tasks = (0..TASKS).map(|_| {
        let store = backend.store();
        tokio::spawn(async move {
            for _ in 0..EACH {
                increment(&*store).await;
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let total = (TASKS * EACH).to_string();
    assert_eq!(value(&*backend.store(), "counter").await, Some(total));
}

async fn increment(store: &dyn Store) {
    loop {
        let (_, row) = store.get(b"counter", None).await.unwrap();
        let count: u64 =
            row.as_ref().map_or(0, |row| std::str::from_utf8(&row.value).unwrap().parse().unwrap());
        let mod_rev = row.map_or(Revision::ZERO, |row| row.mod_rev);
        let next = (count + 1).to_string();
        match store.commit(batch().unchanged("counter", mod_rev).put("counter", next)).await {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn what_changes_nothing_makes_no_revision<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let first = put(&*store, "a", "1").await;
    assert_eq!(store.commit(batch().delete("b").delete("c")).await, Ok(first));
    assert_eq!(store.commit(batch().unchanged("a", first)).await, Ok(first));
    assert_eq!(store.commit(batch()).await, Ok(first));
    let same = put(&*store, "a", "1").await;
    assert!(same > first, "writing the same value is a change");
    let last = store.commit(batch().delete("b").delete("a")).await.unwrap();
    assert_eq!(
        commits(&*store, "", first.next(), last).await,
        [(same, vec![Change::Put(row("a", "1", same))]), (last, vec![Change::Delete("a".into())]),]
    );
}

/// A caller that gives up does not know whether its commit was made. With a row that only this
/// commit writes, sending it again makes it exactly once.
pub(crate) async fn an_unknown_outcome_is_settled_by_a_request_id<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    for round in 0..50_u32 {
        let request = format!("request/{round}");
        let effect = batch().absent(request.clone()).put(request.clone(), "done");
        let given_up = Arc::clone(&store);
        let attempt = effect.clone();
        // Polled once, then dropped: sent or not, the answer is lost.
        let _ = async move { given_up.commit(attempt).await }.now_or_never();
        match store.commit(effect).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        let head = store.status().await.head;
        let (_, row) = store.get(request.as_bytes(), None).await.unwrap();
        let seen = commits(&*store, &request, row.unwrap().mod_rev, head).await;
        assert_eq!(seen.len(), 1, "applied exactly once");
    }
    let (_, rows) = super::scan(&*store, "request/", 100).await;
    assert_eq!(rows.len(), 50);
}
