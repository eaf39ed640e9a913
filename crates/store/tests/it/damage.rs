//! Damaged, missing and restored files: an error that says what to do, or a new identity. Never a
//! panic, never a store that is silently empty.

use std::fs;
use std::path::Path;

use futures::StreamExt;
use tempfile::TempDir;
use tenantry_store::{OpenError, ReadError, Revision, Store, StoreId, WatchError};

use crate::contract::{batch, put, scan};
use crate::embedded::open;

/// Leaves a closed store with `count` rows, and returns its identity and head.
async fn prepare(directory: &Path, count: u32) -> (StoreId, Revision) {
    let store = open(directory).unwrap();
    for index in 0..count {
        put(&store, &format!("{index:08}"), &"x".repeat(400)).await;
    }
    let status = store.status().await;
    (status.id, status.head)
}

fn refusal(directory: &Path) -> String {
    match open(directory) {
        Ok(_) => panic!("a damaged store was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn an_emptied_or_missing_data_file_is_refused_each_time() {
    let directory = TempDir::new().unwrap();
    prepare(directory.path(), 10).await;
    let data = directory.path().join("db");
    fs::write(&data, "").unwrap();
    for _ in 0..2 {
        assert!(refusal(directory.path()).contains("restore a backup"));
    }
    fs::remove_file(&data).unwrap();
    for _ in 0..2 {
        assert!(matches!(open(directory.path()), Err(OpenError::Emptied(_))));
    }
}

#[tokio::test]
async fn a_new_data_file_is_not_taken_for_the_store() {
    let directory = TempDir::new().unwrap();
    prepare(directory.path(), 10).await;
    let other = TempDir::new().unwrap();
    drop(sled::open(other.path()).unwrap());
    fs::copy(other.path().join("db"), directory.path().join("db")).unwrap();
    for _ in 0..2 {
        assert!(open(directory.path()).is_err());
    }
}

#[tokio::test]
async fn a_damaged_witness_is_refused() {
    let directory = TempDir::new().unwrap();
    prepare(directory.path(), 1).await;
    fs::write(directory.path().join("witness"), "tenantry").unwrap();
    assert!(refusal(directory.path()).contains("remove it"));
    fs::remove_file(directory.path().join("witness")).unwrap();
    open(directory.path()).unwrap();
}

/// Flipped bytes are found when the file is opened, or at the latest when they are read; or the
/// engine takes them for the end of its log, which is a history that went back.
#[tokio::test]
async fn flipped_bytes_are_found() {
    let intact = TempDir::new().unwrap();
    let (id, _) = prepare(intact.path(), 3_000).await;
    let bytes = fs::read(intact.path().join("db")).unwrap();
    let mut found = 0;
    for part in 1..8 {
        let directory = copy(intact.path());
        let mut bytes = bytes.clone();
        let middle = bytes.len() / 8 * part;
        bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
        fs::write(directory.path().join("db"), bytes).unwrap();
        found += usize::from(is_found_or_harmless(directory.path(), id, 3_000).await);
    }
    assert!(found > 0, "no damage was found");
}

/// Whether damage was found; if it was not, all rows must be there, under the same identity.
async fn is_found_or_harmless(directory: &Path, id: StoreId, count: u32) -> bool {
    let Ok(store) = open(directory) else { return true };
    let mut cursor = None;
    let mut rows = Vec::new();
    loop {
        match store.scan(b"", cursor, 100).await {
            Ok(page) => {
                rows.extend(page.rows);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            Err(ReadError::Fatal) => {
                assert!(!store.status().await.writable(), "it failed, and says so");
                return true;
            }
            Err(error) => panic!("{error}"),
        }
    }
    let status = store.status().await;
    let expected: Vec<_> = (0..count).map(|index| format!("{index:08}")).collect();
    let is_prefix = rows.iter().zip(&expected).all(|(row, key)| row.key == key);
    assert!(is_prefix, "rows are missing in the middle");
    if rows.len() < expected.len() {
        assert_ne!(status.id, id, "it lost commits, so it is another history");
        return true;
    }
    false
}

#[tokio::test]
async fn a_truncated_file_is_refused_or_begins_a_new_history() {
    let intact = TempDir::new().unwrap();
    let (id, head) = prepare(intact.path(), 3_000).await;
    let length = fs::metadata(intact.path().join("db")).unwrap().len();
    for part in 1..8 {
        let directory = copy(intact.path());
        let file = fs::File::options().write(true).open(directory.path().join("db")).unwrap();
        file.set_len(length / 8 * part).unwrap();
        if let Ok(store) = open(directory.path()) {
            let status = store.status().await;
            assert_ne!(status.id, id, "it lost commits, so it is another history");
            assert!(status.head > head, "no revision is given out twice");
        }
    }
}

#[tokio::test]
async fn an_older_copy_of_the_data_begins_a_new_history() {
    let directory = TempDir::new().unwrap();
    let (id, older) = prepare(directory.path(), 5).await;
    let backup = copy(directory.path());
    let (same, head) = prepare(directory.path(), 5).await;
    assert_eq!(same, id);
    fs::copy(directory.path().join("witness"), backup.path().join("witness")).unwrap();

    let store = open(backup.path()).unwrap();
    check_new_history(&store, id, older, head).await;
    let status = store.status().await;
    drop(store);
    let again = open(backup.path()).unwrap().status().await;
    assert_eq!((again.id, again.head), (status.id, status.head), "only once");
}

#[tokio::test]
async fn a_copy_without_its_witness_begins_a_new_history() {
    let directory = TempDir::new().unwrap();
    let (id, head) = prepare(directory.path(), 5).await;
    fs::remove_file(directory.path().join("witness")).unwrap();
    let store = open(directory.path()).unwrap();
    check_new_history(&store, id, head, head).await;
}

/// While it is busy the witness follows at a distance, and when it is left alone it catches up.
#[tokio::test]
async fn the_witness_keeps_up() {
    let directory = TempDir::new().unwrap();
    let witness = || -> u64 {
        let text = fs::read_to_string(directory.path().join("witness")).unwrap();
        text.trim_end().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let store = open(directory.path()).unwrap();
    let mut head = 0;
    for _ in 0..2_100 {
        head = put(&store, "a", "x").await.as_u64();
        assert!(witness() <= head && head - witness() < 1_024);
    }
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
    while witness() != head {
        looks.tick().await;
    }
}

async fn check_new_history(store: &dyn Store, id: StoreId, older: Revision, head: Revision) {
    let status = store.status().await;
    assert_ne!(status.id, id);
    assert!(status.head > head, "no revision is given out twice");
    assert_eq!(store.get(b"00000000", Some(older)).await, Err(ReadError::StoreChanged));
    let refused: Vec<_> = store.watch(b"", head.next()).collect().await;
    assert_eq!(refused, [Err(WatchError::StoreChanged)]);
    // The rows stand as they were, and can be changed with the revisions they have.
    let (at, rows) = scan(store, "", 100).await;
    assert_eq!((at, rows.len()), (status.head, 5));
    let change = batch().unchanged(rows[0].key.clone(), rows[0].mod_rev).put("new", "x");
    assert_eq!(store.commit(change).await, Ok(status.head.next()));
}

fn copy(from: &Path) -> TempDir {
    let directory = TempDir::new().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
    }
    directory
}
