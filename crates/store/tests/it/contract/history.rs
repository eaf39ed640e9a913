//! Reading as of a revision, in pages, and forgetting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use tenantry_store::{Change, Cursor, ReadError, Revision, Row, Store, StoreId, WatchItem};

use super::{Backend, batch, commits, put, row, scan};

pub(crate) async fn rows_are_read_as_they_were<B: Backend>() {
    let mut backend = B::open().await;
    let store = backend.store();
    let first = put(&*store, "a", "1").await;
    let second = put(&*store, "a", "2").await;
    let third = store.commit(batch().delete("a")).await.unwrap();
    drop(store);
    backend.reopen().await;
    let store = backend.store();
    assert_eq!(store.get(b"a", Some(first)).await, Ok((first, Some(row("a", "1", first)))));
    assert_eq!(store.get(b"a", Some(second)).await, Ok((second, Some(row("a", "2", second)))));
    assert_eq!(store.get(b"a", Some(third)).await, Ok((third, None)));
    assert_eq!(store.get(b"a", None).await, Ok((third, None)));
    assert_eq!(store.get(b"a", Some(third.next())).await, Err(ReadError::StoreChanged));
}

pub(crate) async fn pages_show_one_revision<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    for key in ["p", "p/", "p/a", "p/a!", "p/aa", "p/b", "p/\u{7f}", "p0", "q"] {
        put(&*store, key, "old").await;
    }
    store.commit(batch().put(&b"p/\xff"[..], "old").put(&b"p/\xff\xff"[..], "old")).await.unwrap();
    store.commit(batch().delete("p/aa")).await.unwrap();
    let expected: [&[u8]; 7] =
        [b"p/", b"p/a", b"p/a!", b"p/b", b"p/\x7f", b"p/\xff", b"p/\xff\xff"];

    for limit in [1, 2, 6, 7, 8, usize::MAX] {
        let page = store.scan(b"p/", None, limit).await.unwrap();
        // What happens behind the first page is in none of the others.
        for overwrite in 0..20 {
            store.commit(batch().put("p/c", "new").delete("p/b")).await.unwrap();
            put(&*store, "p/a!", &format!("new {overwrite}")).await;
        }
        let mut keys: Vec<_> = page.rows.iter().map(|row| row.key.clone()).collect();
        let mut next = page.next;
        while let Some(cursor) = next {
            let page = store.scan(b"p/", Some(cursor), limit).await.unwrap();
            assert!(!page.rows.is_empty(), "there is something behind a cursor");
            keys.extend(page.rows.into_iter().map(|row| row.key));
            next = page.next;
        }
        assert_eq!(keys, expected, "pages of {limit}");
        store.commit(batch().put("p/b", "old").put("p/a!", "old").delete("p/c")).await.unwrap();
    }
}

pub(crate) async fn cursors_are_bound_to_their_history<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    for key in ["a", "b", "c"] {
        put(&*store, key, "1").await;
    }
    let cursor = store.scan(b"", None, 1).await.unwrap().next.unwrap();
    let foreign = Cursor { store: StoreId::from_bytes([0xee; 16]), ..cursor.clone() };
    assert_eq!(store.scan(b"", Some(foreign), 1).await, Err(ReadError::StoreChanged));
    let future = Cursor { at: cursor.at.next(), ..cursor.clone() };
    assert_eq!(store.scan(b"", Some(future), 1).await, Err(ReadError::StoreChanged));
    // Whatever is in a cursor of this history, it only says where to begin.
    let behind = Cursor { after: b"\xff\0\xff"[..].into(), ..cursor.clone() };
    assert_eq!(store.scan(b"b", Some(behind), 1).await.unwrap().rows, []);

    let head = put(&*store, "d", "1").await;
    store.compact(head).await.unwrap();
    let compacted = Err(ReadError::Compacted { oldest: head });
    assert_eq!(store.scan(b"", Some(cursor), 1).await, compacted);
}

/// Reads the whole state while it changes, then follows it; what comes out is the state.
pub(crate) async fn a_scan_and_a_watch_converge<B: Backend>() {
    let backend = B::open().await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_pairs(backend.store(), Arc::clone(&done)));
    let store = backend.store();
    let mut state = Vec::new();
    for _ in 0..30 {
        let (at, rows) = scan(&*store, "", 3).await;
        // Both rows of a pair are written by one commit, so a torn scan shows at once.
        for pair in rows.chunks(2) {
            assert_eq!(pair[0].mod_rev, pair[1].mod_rev, "torn at {at}");
        }
        let (_, row) = store.get(b"1/a", Some(at)).await.unwrap();
        assert_eq!(rows.iter().find(|row| row.key == "1/a"), row.as_ref());
        state = rows;
    }
    let at = state.iter().map(|row| row.mod_rev).max().unwrap_or_default();
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let head = store.status().await.head;
    let mut watch = store.watch(b"", at.next());
    let mut seen = at;
    while seen < head {
        match watch.next().await.unwrap().unwrap() {
            WatchItem::Commit { rev, changes } => {
                changes.into_iter().for_each(|change| apply(&mut state, change));
                seen = rev;
            }
            WatchItem::Progress { rev } => seen = rev,
        }
    }
    assert_eq!(scan(&*store, "", 100).await, (head, state));
}

async fn write_pairs(store: Arc<dyn Store>, done: Arc<AtomicBool>) {
    let mut round = 0_u32;
    while !done.load(Ordering::Relaxed) {
        let pair = round % 7;
        let (a, b) = (format!("{pair}/a"), format!("{pair}/b"));
        let change = if round % 5 == 4 {
            batch().delete(a).delete(b)
        } else {
            batch().put(a, round.to_string()).put(b, round.to_string())
        };
        store.commit(change).await.unwrap();
        round += 1;
    }
}

fn apply(state: &mut Vec<Row>, change: Change) {
    state.retain(|row| row.key != change.key());
    if let Change::Put(row) = change {
        state.push(row);
    }
    state.sort_by(|a, b| a.key.cmp(&b.key));
}

pub(crate) async fn compaction_keeps_the_present<B: Backend>() {
    let mut backend = B::open().await;
    let store = backend.store();
    let long = "long".repeat(100_000);
    put(&*store, "gone", &long).await;
    put(&*store, "kept", &long).await;
    store.commit(batch().delete("gone")).await.unwrap();
    // More versions than one step of a compaction looks at, some of them in parts.
    for round in 0..100 {
        let many = (0..25).fold(batch(), |batch, key| batch.put(format!("k{key}"), "v"));
        store
            .commit(if round % 5 == 0 { many.put("kept", long.clone()) } else { many })
            .await
            .unwrap();
    }
    let before = scan(&*store, "", 100).await;
    let upto = before.0;
    let after = put(&*store, "k0", "after").await;
    store.compact(upto).await.unwrap();
    store.compact(upto).await.unwrap();
    assert_eq!(store.compact(after.next()).await, Err(ReadError::StoreChanged));
    drop(store);
    for _ in 0..2 {
        let store = backend.store();
        assert_eq!(store.status().await.oldest, upto);
        let older = Revision::new(upto.as_u64() - 1);
        let compacted = Err(ReadError::Compacted { oldest: upto });
        assert_eq!(store.get(b"kept", Some(older)).await, compacted);
        for expected in &before.1 {
            let (_, row) = store.get(&expected.key, Some(upto)).await.unwrap();
            assert!(row.as_ref() == Some(expected), "{:?} as of {upto}", expected.key);
        }
        assert_eq!(store.get(b"gone", Some(upto)).await, Ok((upto, None)));
        let seen = commits(&*store, "", upto, after).await;
        assert_eq!(seen.iter().map(|commit| commit.0).collect::<Vec<_>>(), [upto, after]);
        drop(store);
        backend.reopen().await;
    }
}
