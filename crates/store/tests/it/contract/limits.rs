//! A batch refused by one implementation is refused by all, with the same answer.

use bytes::Bytes;
use tenantry_store::{
    Batch, CommitError, Limit, MAX_BATCH_BYTES, MAX_CHECKS, MAX_KEY_BYTES, MAX_OPS, Revision,
};

use super::{Backend, batch};

pub(crate) async fn every_limit_has_its_error<B: Backend>() {
    let backend = B::open().await;
    let store = backend.store();
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    let table = [
        (Limit::Checks, many_checks(MAX_CHECKS + 1)),
        (Limit::Ops, many_ops(MAX_OPS + 1)),
        (Limit::Bytes, batch().put("k", vec![0; MAX_BATCH_BYTES])),
        (Limit::EmptyKey, batch().put("", "x")),
        (Limit::EmptyKey, batch().absent("")),
        (Limit::KeyTooLong, batch().delete(long.clone())),
        (Limit::KeyTooLong, batch().none_under(long)),
        (Limit::ZeroByte, batch().put("a\0b", "x")),
        (Limit::ZeroByte, batch().absent("\0")),
        (Limit::ZeroByte, batch().none_under("a\0")),
        (Limit::DuplicateKey("a".into()), batch().put("a", "x").put("b", "x").put("a", "y")),
        (Limit::DuplicateKey("a".into()), batch().put("a", "x").delete("a")),
    ];
    for (limit, batch) in table {
        assert_eq!(store.commit(batch).await, Err(CommitError::Invalid(limit)));
    }
    assert_eq!(store.status().await.head, Revision::ZERO);
}

pub(crate) async fn the_largest_batch_is_taken<B: Backend>() {
    let mut backend = B::open().await;
    let key = Bytes::from("k".repeat(MAX_KEY_BYTES));
    let value = Bytes::from_iter((0..=u8::MAX).cycle().take(MAX_BATCH_BYTES - MAX_KEY_BYTES));
    let store = backend.store();
    store.commit(batch().put(key.clone(), value.clone())).await.unwrap();
    let mut wide = many_ops(MAX_OPS);
    wide.checks = many_checks(MAX_CHECKS).checks;
    store.commit(wide).await.unwrap();
    drop(store);
    backend.reopen().await;
    let (_, row) = backend.store().get(&key, None).await.unwrap();
    assert!(row.unwrap().value == value, "the value came back as it was");
    assert_eq!(super::scan(&*backend.store(), "", 7).await.1.len(), MAX_OPS + 1);
}

fn many_checks(count: usize) -> Batch {
    (0..count).fold(batch(), |batch, index| batch.absent(format!("{index:0300}")))
}

fn many_ops(count: usize) -> Batch {
    (0..count).fold(batch(), |batch, index| batch.put(format!("{index:0500}"), "x"))
}
