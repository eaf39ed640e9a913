//! `SledStore` under the contract, and what only it promises.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use tempfile::TempDir;
use tenantry_store::{
    CommitError, OpenError, OpenOptions, ReadOnly, Revision, SledStore, Store, StoreId, WatchError,
    WatchItem,
};

use crate::contract::{Backend, batch, contract_suite, put, scan, value};

/// A store in a directory that goes with it.
pub(crate) struct Embedded {
    directory: TempDir,
    store: Option<Arc<SledStore>>,
}

impl Backend for Embedded {
    async fn open() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Some(Arc::new(open(directory.path()).unwrap()));
        Self { directory, store }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap()) as Arc<dyn Store>
    }

    async fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Arc::new(open(self.directory.path()).unwrap()));
    }
}

contract_suite!(Embedded);

pub(crate) fn open(directory: &Path) -> Result<SledStore, OpenError> {
    open_as(directory, rand::random())
}

fn open_as(directory: &Path, fresh_id: [u8; 16]) -> Result<SledStore, OpenError> {
    SledStore::open(directory, &OpenOptions::new(StoreId::from_bytes(fresh_id)))
}

#[tokio::test]
async fn a_directory_belongs_to_one_store() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::Locked(_))));
    drop(store);
    open(directory.path()).unwrap();
}

#[tokio::test]
async fn the_identity_stays_until_history_goes_back() {
    let directory = TempDir::new().unwrap();
    let id = StoreId::from_bytes([1; 16]);
    for _ in 0..3 {
        let store = open_as(directory.path(), *id.as_bytes()).unwrap();
        assert_eq!(store.status().await.id, id);
        put(&store, "a", "1").await;
    }
}

#[tokio::test]
async fn opening_and_closing_leaves_nothing_locked() {
    let directory = TempDir::new().unwrap();
    for round in 0..40 {
        let store = open(directory.path()).unwrap();
        put(&store, "round", &round.to_string()).await;
    }
}

#[tokio::test]
async fn a_closed_store_reads_and_takes_no_commits() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    let mut watch = store.watch(b"", Revision::ZERO);
    put(&store, "a", "1").await;
    assert!(matches!(watch.next().await, Some(Ok(WatchItem::Commit { .. }))));
    store.close();
    store.close();
    assert_eq!(store.commit(batch().put("a", "2")).await, Err(CommitError::Unavailable));
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    let status = store.status().await;
    assert_eq!((status.writable(), status.read_only), (false, Some(ReadOnly::Closed)));
    let rest: Vec<_> = watch.collect().await;
    assert_eq!(rest.last(), Some(&Err(WatchError::Unavailable)));
}

#[tokio::test]
async fn a_watcher_that_is_overtaken_is_told() {
    let directory = TempDir::new().unwrap();
    let mut options = OpenOptions::new(StoreId::from_bytes([1; 16]));
    options.watch_backlog = 4;
    let store = SledStore::open(directory.path(), &options).unwrap();
    let mut watch = store.watch(b"", Revision::ZERO);
    assert!(watch.next().await.unwrap().is_ok());
    for _ in 0..5 {
        put(&store, "a", "1").await;
    }
    assert_eq!(watch.collect::<Vec<_>>().await, [Err(WatchError::Lagged)]);
}

#[tokio::test]
async fn long_values_stay_in_the_file_that_is_synced() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    for index in 0..40 {
        let value = vec![1; 1_000_000 / (index % 4 + 1)];
        let key = format!("{index:0500}");
        store.commit(batch().put(key, value)).await.unwrap();
    }
    store.compact(store.status().await.head).await.unwrap();
    assert_eq!(scan(&store, "", 100).await.1.len(), 40);
    let side_files = fs::read_dir(directory.path().join("blobs")).unwrap().count();
    assert_eq!(side_files, 0);
}

/// Looks into the tree itself, because a reader cannot tell removed rows from hidden ones.
#[tokio::test]
async fn compaction_removes_what_nobody_can_read() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    // More versions than one step looks at, and a step that ends between two of one key.
    for round in 0..97 {
        let many = (0..25).fold(batch(), |batch, key| batch.put(format!("k{key}"), "v"));
        store.commit(many.put("long", vec![round; 20_000])).await.unwrap();
    }
    store.commit(batch().delete("k0").delete("long")).await.unwrap();
    let head = put(&store, "k1", "last").await;
    store.compact(head).await.unwrap();
    drop(store);
    let config = sled::Config::new().path(directory.path()).segment_size(1 << 20);
    let tree = config.open().unwrap();
    let count = |prefix: &str| tree.scan_prefix(prefix).map(Result::unwrap).count();
    assert_eq!((count("d"), count("l"), count("v")), (24, 1, 0), "rows, log, parts");
}

#[test]
fn its_directory_is_its_owners_alone() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let directory = TempDir::new().unwrap();
    let (made, known) = (directory.path().join("a/made"), directory.path().join("known"));
    fs::create_dir(&known).unwrap();
    fs::set_permissions(&known, Permissions::from_mode(0o755)).unwrap();
    for path in [made, known] {
        drop(open(&path).unwrap());
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
}
