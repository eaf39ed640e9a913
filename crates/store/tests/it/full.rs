//! A full disk ends writing and nothing else.
//!
//! Up to the reserve, the store refuses commits by itself and takes them again when there is room. Where
//! the end is met in the middle of a write, only opening it again goes on. That end is a limit on the
//! size of a file here, which needs no privileges: a write beyond it fails as one to a full disk does.
//! The limit holds for a process, so a process of its own is filled up.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use tenantry_store::{
    CommitError, OpenOptions, ReadError, ReadOnly, SledStore, Store as _, StoreId,
};

use crate::contract::{batch, put, scan, value};
use crate::embedded::open;

#[tokio::test]
async fn what_was_acknowledged_survives_a_full_disk() {
    let directory = TempDir::new().unwrap();
    let output = fill(directory.path(), "8192");
    let said = String::from_utf8(output.stdout).unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{problem}");
    let acknowledged: usize =
        said.lines().find_map(|line| line.strip_prefix("ack ")).unwrap().parse().unwrap();
    assert!(acknowledged > 100, "{said}");
    assert!(said.contains(&format!("read {acknowledged}")), "{said}");

    // With room again, a new process has all of it and takes commits.
    let store = open(directory.path()).unwrap();
    let (_, rows) = scan(&store, "0", 1_000).await;
    assert!(rows.len() >= acknowledged, "{} of {acknowledged}", rows.len());
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row.key, format!("{index:08}"));
        assert_eq!(row.value, vec![b'x'; 5_000]);
    }
    put(&store, "more", "x").await;
}

#[tokio::test]
async fn the_reserve_is_left_alone_and_reads_go_on() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    let head = put(&store, "a", "1").await;
    drop(store);
    let mut options = OpenOptions::new(StoreId::from_bytes([1; 16]));
    options.reserve_bytes = u64::MAX;
    let store = SledStore::open(directory.path(), &options).unwrap();
    for _ in 0..3 {
        assert_eq!(store.commit(batch().put("a", "2")).await, Err(CommitError::Full));
        assert_eq!(store.compact(head).await, Err(ReadError::Unavailable));
        assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    }
    let status = store.status().await;
    assert_eq!((status.head, status.read_only), (head, Some(ReadOnly::Full)));
    assert!(status.free.is_some_and(|free| free > 0));
    drop(store);
    put(&open(directory.path()).unwrap(), "a", "2").await;
}

/// Runs the filling process with files limited to `blocks` of 512 or 1024 bytes.
fn fill(directory: &Path, blocks: &str) -> Output {
    // Without the trap the first write too many would kill the process instead of failing.
    let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
    let child = env!("CARGO_BIN_EXE_store-child");
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh", blocks, child, "fill"]).arg(directory);
    shell.output().unwrap()
}
