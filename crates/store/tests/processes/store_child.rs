//! A process that writes to a store and says on standard output what was acknowledged, so that a
//! test can kill it, or starve it of disk space, and hold the store to its word.
//!
//! `store-child write DIR`: four writers commit until the process is killed. `store-child fill DIR`:
//! one writer commits until the store is full, then reads back all that was acknowledged.
#![expect(clippy::print_stdout, reason = "standard output is how the test is told")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use tenantry_store::{
    Batch, CommitError, OpenOptions, ReadOnly, Revision, SledStore, Store, StoreId,
};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// How many rows each writer leaves standing behind it.
const WINDOW: u64 = 20;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [job, directory] = arguments.as_slice() else { return Err("usage: JOB DIR".into()) };
    println!("opening");
    // The tests open with random identities, so this one need not be.
    let options = OpenOptions::new(StoreId::from_bytes([7; 16]));
    let store = Arc::new(SledStore::open(Path::new(directory), &options)?);
    println!("ready");
    match job.as_str() {
        "write" => write(store).await,
        "fill" => fill(&store).await,
        other => Err(format!("unknown job {other}").into()),
    }
}

async fn write(store: Arc<SledStore>) -> Outcome {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        writers.spawn(write_as(Arc::clone(&store), writer));
    }
    writers.join_next().await.ok_or("no writer")??
}

/// Commits numbered transactions: two rows that must agree, one row more, one row less.
async fn write_as(store: Arc<SledStore>, writer: u32) -> Outcome {
    let counter = format!("a/{writer}");
    let (_, row) = store.get(counter.as_bytes(), None).await?;
    let mut mod_rev = row.as_ref().map_or(Revision::ZERO, |row| row.mod_rev);
    let mut number: u64 = match row {
        Some(row) => std::str::from_utf8(&row.value)?.parse()?,
        None => 0,
    };
    loop {
        number += 1;
        // Now and then a value that is kept in parts.
        let size = if number.is_multiple_of(7) { 20_000 } else { 400 };
        let mut batch = Batch::new()
            .unchanged(counter.clone(), mod_rev)
            .put(counter.clone(), number.to_string())
            .put(format!("b/{writer}"), number.to_string())
            .put(format!("t/{writer}/{number}"), vec![b'x'; size]);
        if let Some(old) = number.checked_sub(WINDOW).filter(|old| *old > 0) {
            batch = batch.delete(format!("t/{writer}/{old}"));
        }
        mod_rev = store.commit(batch).await?;
        println!("ack {writer} {number} {mod_rev}");
        if number.is_multiple_of(50) {
            store.compact(Revision::new(mod_rev.as_u64().saturating_sub(30))).await?;
        }
    }
}

async fn fill(store: &SledStore) -> Outcome {
    let mut acknowledged = 0;
    let error = loop {
        let key = format!("{acknowledged:08}");
        match store.commit(Batch::new().put(key, vec![b'x'; 5_000])).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    println!("ack {acknowledged}");
    let again = store.commit(Batch::new().put("again", "x")).await;
    let refused = error == CommitError::Full && again == Err(CommitError::Unavailable);
    let status = store.status().await;
    if !refused || status.read_only != Some(ReadOnly::Interrupted) {
        return Err(format!("{error:?}, then {again:?}, {:?}", status.read_only).into());
    }
    for index in 0..acknowledged {
        let (_, row) = store.get(format!("{index:08}").as_bytes(), None).await?;
        row.ok_or(format!("row {index} is gone"))?;
    }
    println!("read {acknowledged}");
    Ok(())
}
