//! The hash chain over the audit log: whole when nobody touched it, broken when somebody did.

use std::sync::Arc;

use futures::future::join_all;
use tenantry_model::Revision;
use tenantry_store::{Batch, Store as _};
use tenantry_tenancy::audit::chain::{Fault, Verification};

use crate::platform::{Platform, caller, new_tenant};

async fn chained(tenants: usize) -> Platform {
    let platform = Platform::new().await;
    for number in 0..tenants {
        platform.create_tenant(&format!("t{number}")).await;
    }
    platform.tenancy.seal_audit(Revision::ZERO).await.unwrap();
    platform
}

async fn verified(platform: &Platform) -> Verification {
    platform.tenancy.verify_audit(None).await.unwrap()
}

async fn keys(platform: &Platform, prefix: &str) -> Vec<(String, Vec<u8>)> {
    platform.rows().await.into_iter().filter(|(key, _)| key.starts_with(prefix)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_is_whole_however_entries_came_and_whenever_they_were_linked() {
    let platform = Platform::new().await;
    let mut known = Revision::ZERO;
    for round in 0..5 {
        let creations = (0..40).map(|number| {
            let tenancy = Arc::clone(&platform.tenancy);
            let slug = format!("t{round}-{number}");
            tokio::spawn(
                async move { tenancy.create_tenant(&caller(), new_tenant(&slug, &[])).await },
            )
        });
        let creating = join_all(creations);
        let sealing = platform.tenancy.seal_audit(known);
        let (created, sealed) = tokio::join!(creating, sealing);
        assert!(created.into_iter().all(|created| created.unwrap().is_ok()));
        known = sealed.unwrap().upto;
        let found = verified(&platform).await;
        assert_eq!(found.fault, None);
        assert_eq!(found.sealed + found.unsealed, 1 + 40 * (round + 1));
    }
    // Also by who starts anew, with a log that reaches back or one that does not.
    platform.store.compact(platform.store.status().await.head).await.unwrap();
    platform.tenancy.seal_audit(Revision::ZERO).await.unwrap();
    let found = verified(&platform).await;
    assert_eq!((found.sealed, found.unsealed, found.fault), (201, 0, None));
    assert_eq!(platform.tenancy.seal_audit(Revision::ZERO).await.unwrap().count, 0);
}

#[tokio::test]
async fn a_log_that_was_forgotten_before_it_was_linked_is_linked_from_the_entries() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    platform.store.compact(platform.store.status().await.head).await.unwrap();
    platform.create_tenant("globex").await;
    platform.tenancy.seal_audit(Revision::ZERO).await.unwrap();
    let found = verified(&platform).await;
    assert_eq!((found.sealed, found.unsealed, found.fault), (3, 0, None));
}

#[tokio::test]
async fn every_way_of_tampering_is_found() {
    let edited = |value: &[u8]| String::from_utf8_lossy(value).replace("root", "nobody");
    // The third link is the second tenant's: the plan comes first.
    let platform = chained(4).await;
    let rows = keys(&platform, "chain/").await;
    let link: serde_json::Value = serde_json::from_slice(&rows.get(2).unwrap().1).unwrap();
    let entry = link.pointer("/entry").unwrap().as_str().unwrap().to_owned();
    let (_, row) = platform.store.get(entry.as_bytes(), None).await.unwrap();
    let value = row.unwrap().value;
    let changed = Batch::new().put(entry.clone(), edited(&value));
    platform.store.commit(changed).await.unwrap();
    assert_eq!(verified(&platform).await.fault, Some(Fault::Changed { sequence: 3 }));

    let platform = chained(4).await;
    let rows = keys(&platform, "chain/").await;
    let link: serde_json::Value = serde_json::from_slice(&rows.get(1).unwrap().1).unwrap();
    let entry = link.pointer("/entry").unwrap().as_str().unwrap().to_owned();
    platform.store.commit(Batch::new().delete(entry)).await.unwrap();
    assert_eq!(verified(&platform).await.fault, Some(Fault::NoEntry { sequence: 2 }));

    let platform = chained(4).await;
    let noted = verified(&platform).await.head;
    let last = keys(&platform, "chain/").await.pop().unwrap().0;
    platform.store.commit(Batch::new().delete(last)).await.unwrap();
    assert_eq!(verified(&platform).await.fault, Some(Fault::NoLink { sequence: 5 }));

    // A chain that is whole in itself, but not the one that was noted.
    let other = chained(5).await;
    let compared = other.tenancy.verify_audit(Some((noted.sequence, &noted.hash))).await.unwrap();
    assert_eq!(compared.fault, None, "the same seeds and clock make the same history");
    let wrong = "0".repeat(64);
    let compared = other.tenancy.verify_audit(Some((noted.sequence, &wrong))).await.unwrap();
    assert_eq!(compared.fault, Some(Fault::NotAsNoted { sequence: 5 }));
    let compared = platform.tenancy.verify_audit(Some((99, &wrong))).await.unwrap();
    assert!(matches!(compared.fault, Some(Fault::NoLink { .. })), "{compared:?}");

    // An entry that comes from before the chain's end, as only who writes the files can make one, is as
    // if the chain had lost its last link.
    let platform = chained(4).await;
    let rows = keys(&platform, "chain/").await;
    let before = rows.get(3).unwrap().1.clone();
    let last = rows.get(4).unwrap().0.clone();
    let cut = Batch::new().delete(last).put("chainhead", before);
    platform.store.commit(cut).await.unwrap();
    let found = verified(&platform).await;
    assert_eq!((found.sealed, found.unsealed, found.fault), (4, 1, None), "it is linked again");
    platform.tenancy.seal_audit(Revision::ZERO).await.unwrap();
    assert_eq!(verified(&platform).await.sealed, 5);

    // With its last entry gone, too, it is whole, and only who noted the last link knows better.
    let platform = chained(4).await;
    let noted = verified(&platform).await.head;
    let rows = keys(&platform, "chain/").await;
    let entry = keys(&platform, "audit/").await.remove(0).0;
    let (before, last) = (rows.get(3).unwrap().1.clone(), rows.get(4).unwrap().0.clone());
    let cut = Batch::new().delete(last).delete(entry).put("chainhead", before);
    platform.store.commit(cut).await.unwrap();
    let found = verified(&platform).await;
    assert_eq!((found.sealed, found.unsealed, found.fault), (4, 0, None));
    let compared =
        platform.tenancy.verify_audit(Some((noted.sequence, &noted.hash))).await.unwrap();
    assert_eq!(compared.fault, Some(Fault::NoLink { sequence: 5 }));

    // An entry that no link speaks of, older than linked ones.
    let platform = chained(1).await;
    let slipped = platform.create_tenant("slipped").await.revision;
    platform.create_tenant("later").await;
    platform.tenancy.seal_audit(slipped).await.unwrap();
    assert_eq!(verified(&platform).await.fault, Some(Fault::SlippedIn { count: 1 }));
}

/// The same history, but for the name of the first tenant, or for what no entry speaks of.
async fn nearly_chained(first: &str, unspoken: Batch) -> Platform {
    let platform = Platform::new().await;
    if !unspoken.ops.is_empty() {
        platform.store.commit(unspoken).await.unwrap();
    }
    for slug in [first, "t1", "t2"] {
        platform.create_tenant(slug).await;
    }
    platform.tenancy.seal_audit(Revision::ZERO).await.unwrap();
    platform
}

#[tokio::test]
async fn a_link_stands_for_all_before_it() {
    let platform = chained(3).await;
    let head = verified(&platform).await.head;
    let last = platform.audit().await.remove(0).value;
    let noted = Some((head.sequence, head.hash.as_str()));
    let same = nearly_chained("t0", Batch::new()).await;
    assert_eq!(same.tenancy.verify_audit(noted).await.unwrap().fault, None);
    let other_entry = nearly_chained("tx", Batch::new()).await;
    let other_revisions = nearly_chained("t0", Batch::new().put("x", "y")).await;
    for other in [other_entry, other_revisions] {
        assert_eq!(other.audit().await.remove(0).value, last);
        let compared = other.tenancy.verify_audit(noted).await.unwrap();
        assert_eq!(compared.fault, Some(Fault::NotAsNoted { sequence: 4 }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_links_at_the_same_time_links_each_entry_once() {
    let platform = Platform::new().await;
    for number in 0..100 {
        platform.create_tenant(&format!("t{number}")).await;
    }
    let sealing = (0..4).map(|seed| {
        let tenancy = platform.beside(seed);
        tokio::spawn(async move { tenancy.seal_audit(Revision::ZERO).await })
    });
    for sealed in join_all(sealing).await {
        sealed.unwrap().unwrap();
    }
    let found = verified(&platform).await;
    assert_eq!((found.sealed, found.unsealed, found.fault), (101, 0, None));
    assert_eq!(keys(&platform, "chain/").await.len(), 101);
}
