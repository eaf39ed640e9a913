//! What was acknowledged is there after a crash, whole; what was not is there whole or not at all.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::json;
use tenantry_api::{CreateTenant, ListQuery, TenantQuery};
use tenantry_test_support::{Platform, json as body};

const ROUNDS: u32 = 50;
const WRITERS: u32 = 4;

fn tenant(slug: &str) -> CreateTenant {
    body(
        json!({"slug": slug, "name": slug, "plan": "pro", "domains": [format!("{slug}.example"), format!("*.{slug}.example")]}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_crashes_right_after_an_acknowledged_write() {
    let mut platform = Platform::start().await;
    platform.kill_proxy();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let api = platform.api();
        let writes: FuturesUnordered<_> = (0..WRITERS)
            .map(|writer| {
                let (api, slug) = (&api, format!("r{round}-w{writer}"));
                async move { api.tenants().create(&tenant(&slug)).await.map(|_| slug) }
            })
            .collect();
        // More writes are under way when the first is acknowledged; they may or may not make it. In
        // later rounds more are waited for, so that the crash meets every stage.
        let acknowledge_first = usize::try_from(1 + round % WRITERS).unwrap();
        let seen: Vec<String> = writes.take(acknowledge_first).map(Result::unwrap).collect().await;
        platform.kill_control_plane();
        acknowledged.extend(seen);
        platform.start_control_plane().await;
        check(&platform, &acknowledged, round).await;
    }
    assert!(acknowledged.len() >= usize::try_from(ROUNDS).unwrap());
}

async fn check(platform: &Platform, acknowledged: &BTreeSet<String>, round: u32) {
    let api = platform.api();
    let mut present = BTreeSet::new();
    let mut query = TenantQuery { limit: Some(100), ..TenantQuery::default() };
    loop {
        let page = api.tenants().list(&query).await.unwrap();
        present.extend(page.items.into_iter().map(|tenant| tenant.spec.slug.to_string()));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    let lost: Vec<_> = acknowledged.difference(&present).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    // Whole: found by its slug, with both domains. Only what was written in this round can be half there.
    let prefix = format!("r{round}-");
    for slug in present.iter().filter(|slug| slug.starts_with(&prefix)) {
        assert_eq!(api.tenants().get(slug).await.unwrap().spec.slug.as_str(), slug);
        let domains = api.domains(slug).list(&ListQuery::default()).await.unwrap();
        assert_eq!(domains.items.len(), 2, "{slug}");
    }
}
