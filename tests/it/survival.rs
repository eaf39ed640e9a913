//! Traffic goes on when the control plane does not.

use std::fs;

use serde_json::json;
use tenantry_test_support::Platform;

const LAST_KNOWN_GOOD: &str = "data/proxy/last-known-good.ndjson";

#[tokio::test]
async fn without_the_control_plane_traffic_goes_on_and_a_restarted_proxy_serves() {
    let mut platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    let status =
        async |platform: &Platform| platform.get("acme.example", "/").key(&secret).status().await;
    platform.kill_control_plane();
    for _ in 0..20 {
        assert_eq!(status(&platform).await, 200);
    }
    // Stopped, and crashed: either way it comes back with what it had.
    let ended = platform.take_proxy().terminate().await;
    assert!(ended.success(), "{ended}");
    platform.start_proxy().await;
    assert_eq!(status(&platform).await, 200);
    platform.kill_proxy();
    platform.start_proxy().await;
    assert_eq!(status(&platform).await, 200);
    assert_eq!(platform.get("nobody.example", "/").send().await.problem(), "unknown-host");
    // The control plane returns, and so do changes.
    platform.start_control_plane().await;
    let suspended = platform.api().tenants().suspend("acme", "test").await.unwrap();
    platform.enforced(suspended.revision).await;
    assert_eq!(status(&platform).await, 403);
}

#[tokio::test]
async fn a_damaged_last_known_good_file_is_set_aside() {
    let mut platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    platform.kill_proxy();
    let file = platform.path(LAST_KNOWN_GOOD);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(&file, &bytes).unwrap();
    platform.start_proxy().await;
    assert_eq!(platform.get("acme.example", "/").key(&secret).status().await, 200);
    let aside: Vec<_> = fs::read_dir(file.parent().unwrap())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.contains("corrupt"))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(platform.proxy_printed().contains(&aside[0]), "{}", platform.proxy_printed());
}

#[tokio::test]
async fn a_cut_last_known_good_file_serves_what_it_holds() {
    let mut platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    platform.kill_control_plane();
    let ended = platform.take_proxy().terminate().await;
    assert!(ended.success(), "{ended}");
    // As if the machine had lost power while another change was being appended.
    let file = platform.path(LAST_KNOWN_GOOD);
    let mut bytes = fs::read(&file).unwrap();
    bytes.extend_from_slice(br#"{"begin":{"kind":"delta","from":1,"#);
    fs::write(&file, &bytes).unwrap();
    platform.start_proxy().await;
    assert_eq!(platform.get("acme.example", "/").key(&secret).status().await, 200);
}
