//! A proxy that does not believe that all tenants are to go, until somebody says so.

use serde_json::json;
use tenantry_api::DeleteTenantQuery;
use tenantry_test_support::{Platform, eventually};

use crate::cli::User;

#[tokio::test]
async fn that_all_tenants_go_has_to_be_meant() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({"auth": "none"})).await;
    let api = platform.api();
    api.tenants().delete("acme", &DeleteTenantQuery::default(), None).await.unwrap();
    api.tenants().purge("acme", "acme").await.unwrap();
    let asked = async || platform.get("acme.example", "/").send().await;
    eventually("the proxy says what it refuses", async || {
        platform.proxy_printed().contains("only 0 would be left").then_some(())
    })
    .await;
    // What was the tenant's may go before it, in a delta of its own.
    let kept = api.proxies().await.unwrap().items.remove(0).tenants;
    assert_eq!(kept, Some(1));
    let user = User::of(&platform);
    let refused = user.says("proxy allow-removal --minutes 61").ended(2);
    assert!(refused.complaint.contains("61"), "{}", refused.complaint);
    user.says("proxy allow-removal --minutes 1").ended(0);
    eventually("nobody is known any more", async || {
        (asked().await.problem() == "unknown-host").then_some(())
    })
    .await;
    let audit = user.says("audit list -o json --limit 1").ended(0).json();
    assert_eq!(audit[0]["action"], "distribution.allow_removal", "{audit}");
}
