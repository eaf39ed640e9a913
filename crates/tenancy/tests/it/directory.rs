//! The directory of tenants: as the store is, whatever has happened to the watch that it follows.

use tenantry_model::{Revision, TenantId};
use tenantry_store::{Batch, Store as _};
use tenantry_tenancy::{PageRequest, Precondition, TenantFilter, Transition};

use crate::platform::{Platform, caller, named};

async fn slugs(platform: &Platform) -> Vec<String> {
    let request = PageRequest::new(None, None).unwrap();
    let found = platform.tenancy.tenants(&TenantFilter::default(), &request).await.unwrap();
    found.items.into_iter().map(|found| found.value.resource.slug.to_string()).collect()
}

async fn create(platform: &Platform, numbers: std::ops::Range<u32>) {
    for number in numbers {
        platform.create_tenant(&format!("t{number}")).await;
    }
}

#[tokio::test]
async fn it_knows_what_was_written_before_it_was_asked_and_nobody_who_is_gone() {
    let platform = Platform::new().await;
    let (tenancy, caller, none) = (&platform.tenancy, &caller(), &Precondition::None);
    for round in 0..5 {
        create(&platform, round..round + 1).await;
        assert_eq!(slugs(&platform).await, [format!("t{round}")]);
        let (tenant, delete) = (format!("t{round}"), Transition::Delete { retention_days: None });
        tenancy.move_tenant(caller, &named(&tenant), &delete, none).await.unwrap();
        assert_eq!(slugs(&platform).await, [format!("t{round}")], "it can still be undeleted");
        tenancy.purge_tenant(caller, &named(&tenant), &tenant, none).await.unwrap();
        assert!(slugs(&platform).await.is_empty());
    }
}

#[tokio::test]
async fn it_goes_on_after_commits_that_went_by_too_fast() {
    let platform = Platform::with_watch_backlog(2).await;
    create(&platform, 0..1).await;
    assert_eq!(slugs(&platform).await.len(), 1);
    create(&platform, 1..20).await;
    assert_eq!(slugs(&platform).await.len(), 20);
    // And after those that the log has forgotten since.
    create(&platform, 20..40).await;
    let head: Revision = platform.store.status().await.head;
    platform.store.compact(head).await.unwrap();
    assert_eq!(slugs(&platform).await.len(), 40);
}

#[tokio::test]
async fn it_is_read_to_the_end_however_many_there_are() {
    let platform = Platform::new().await;
    let first = platform.create_tenant("acme").await.value.resource.id.to_string();
    let key = format!("tenant/{first}");
    let row = platform.store.get(key.as_bytes(), None).await.unwrap().1.unwrap();
    let json = String::from_utf8(row.value.to_vec()).unwrap();
    for hundred in 0..12 {
        let batch = (0..100).fold(Batch::new(), |batch, number| {
            let id = TenantId::from_parts(1, hundred * 100 + number).to_string();
            batch.put(key.replace(&first, &id), json.replace(&first, &id))
        });
        platform.store.commit(batch).await.unwrap();
    }
    let request = PageRequest::new(Some(1000), None).unwrap();
    let page = platform.tenancy.tenants(&TenantFilter::default(), &request).await.unwrap();
    let request = PageRequest::new(Some(1000), page.next_cursor).unwrap();
    let rest = platform.tenancy.tenants(&TenantFilter::default(), &request).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next_cursor), (1000, 201, None));
}
