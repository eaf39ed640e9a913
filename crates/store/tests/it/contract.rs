//! What holds for every `Store`. An implementation takes part with a [`Backend`] and one line of
//! [`contract_suite`].

pub(crate) mod commits;
pub(crate) mod history;
pub(crate) mod limits;
pub(crate) mod model;
pub(crate) mod watching;

use std::sync::Arc;

use futures::StreamExt;
use tenantry_store::{Batch, Change, Revision, Row, Store, WatchItem};

/// A store for one test, empty at first.
pub(crate) trait Backend: Sized + 'static {
    async fn open() -> Self;
    fn store(&self) -> Arc<dyn Store>;
    /// Loses every connection and process, and keeps the data.
    async fn reopen(&mut self);
}

/// Stamps out one test for each promise.
macro_rules! contract_suite {
    ($backend:ty: $($module:ident::$test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::contract::$module::$test::<$backend>().await;
            }
        )+
    };
    ($backend:ty) => {
        contract_suite!($backend:
            commits::a_failed_check_leaves_nothing_behind,
            commits::a_deleted_key_is_absent_again,
            commits::none_under_a_prefix_is_exact,
            commits::one_of_many_claims_on_a_prefix_wins,
            commits::increments_are_never_lost,
            commits::what_changes_nothing_makes_no_revision,
            commits::an_unknown_outcome_is_settled_by_a_request_id,
            limits::every_limit_has_its_error,
            limits::the_largest_batch_is_taken,
            history::rows_are_read_as_they_were,
            history::pages_show_one_revision,
            history::cursors_are_bound_to_their_history,
            history::a_scan_and_a_watch_converge,
            history::compaction_keeps_the_present,
            watching::each_revision_comes_once_and_whole,
            watching::a_watch_begun_at_any_moment_misses_and_repeats_nothing,
            watching::a_watch_goes_on_after_reopening,
            watching::revisions_not_kept_are_refused,
            watching::slow_watchers_delay_nobody,
            watching::reading_inside_a_watch_does_not_deadlock,
            watching::a_large_past_is_replayed,
            watching::other_prefixes_are_progress,
        );
        #[test]
        fn random_operations_agree_with_a_model() {
            crate::contract::model::check::<$backend>();
        }
    };
}
pub(crate) use contract_suite;

/// Commits one put without checks.
pub(crate) async fn put(store: &dyn Store, key: &str, value: &str) -> Revision {
    store.commit(batch().put(key.to_owned(), value.to_owned())).await.unwrap()
}

pub(crate) fn batch() -> Batch {
    Batch::new()
}

/// The value of `key` now.
pub(crate) async fn value(store: &dyn Store, key: &str) -> Option<String> {
    let (_, row) = store.get(key.as_bytes(), None).await.unwrap();
    row.map(|row| String::from_utf8(row.value.to_vec()).unwrap())
}

/// All rows under `prefix`, page by page of `limit`, and the revision they show.
pub(crate) async fn scan(store: &dyn Store, prefix: &str, limit: usize) -> (Revision, Vec<Row>) {
    let mut page = store.scan(prefix.as_bytes(), None, limit).await.unwrap();
    let (at, mut rows) = (page.at, page.rows);
    while let Some(cursor) = page.next {
        // Through its text form, as an API client would carry it.
        let cursor = cursor.to_string().parse().unwrap();
        page = store.scan(prefix.as_bytes(), Some(cursor), limit).await.unwrap();
        assert_eq!(page.at, at, "all pages show one revision");
        assert!(page.rows.len() <= limit);
        rows.append(&mut page.rows);
    }
    (at, rows)
}

/// What a watch reports from `from` up to and including `upto`.
pub(crate) async fn commits(
    store: &dyn Store,
    prefix: &str,
    from: Revision,
    upto: Revision,
) -> Vec<(Revision, Vec<Change>)> {
    let mut watch = store.watch(prefix.as_bytes(), from);
    let (mut commits, mut seen) = (Vec::new(), None);
    while seen < Some(upto) {
        match watch.next().await.unwrap().unwrap() {
            WatchItem::Commit { rev, changes } => {
                commits.push((rev, changes));
                seen = Some(rev);
            }
            WatchItem::Progress { rev } => seen = Some(rev),
        }
    }
    commits
}

pub(crate) fn row(key: &str, value: &str, mod_rev: Revision) -> Row {
    Row { key: key.to_owned().into(), value: value.to_owned().into(), mod_rev }
}
