//! What keeps a process from starting is said in a sentence, and the exit says that it failed.

use std::{fs, net::TcpListener};

use tenantry_test_support::{Platform, Process};

async fn fails(name: &str, arguments: &[&str], says: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("token"), "node").unwrap();
    fs::write(directory.path().join("a-file"), "").unwrap();
    let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let mut process = Process::start(name, &arguments, &[], directory.path());
    let status = process.exit().await;
    let printed = process.printed();
    assert!(!status.success(), "{printed}");
    for part in says {
        assert!(printed.contains(part), "{part:?} is not in: {printed}");
    }
    assert!(!printed.contains("panicked"), "{printed}");
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let proxy = [
        "--node-token-file",
        "token",
        "--proxy-data-dir",
        "data",
        "--proxy-admin-addr",
        "127.0.0.1:0",
    ];
    fails(
        "tenantry-proxy",
        &[&proxy[..], &["--proxy-addr", &address]].concat(),
        &[&address, "another"],
    )
    .await;
    let control_plane =
        ["--data-dir", "data", "--distribution-addr", "127.0.0.1:0", "--api-addr", &address];
    fails("tenantry-control-plane", &control_plane, &[&address]).await;
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_one() {
    let ports = [
        "--proxy-addr",
        "127.0.0.1:0",
        "--proxy-admin-addr",
        "127.0.0.1:0",
        "--node-token-file",
        "token",
    ];
    fails("tenantry-proxy", &[&ports[..], &["--proxy-data-dir", "a-file"]].concat(), &["a-file"])
        .await;
    let ports = ["--api-addr", "127.0.0.1:0", "--distribution-addr", "127.0.0.1:0"];
    fails("tenantry-control-plane", &[&ports[..], &["--data-dir", "a-file"]].concat(), &["a-file"])
        .await;
}

#[tokio::test]
async fn a_token_that_is_missing() {
    let ports = [
        "--proxy-addr",
        "127.0.0.1:0",
        "--proxy-admin-addr",
        "127.0.0.1:0",
        "--proxy-data-dir",
        "data",
    ];
    let arguments = [&ports[..], &["--node-token-file", "nowhere"]].concat();
    fails("tenantry-proxy", &arguments, &["TENANTRY_NODE_TOKEN", "nowhere"]).await;
}

#[tokio::test]
async fn a_data_directory_that_is_in_use() {
    let platform = Platform::start().await;
    let data = platform.path("data").display().to_string();
    let arguments =
        ["--data-dir", &data, "--api-addr", "127.0.0.1:0", "--distribution-addr", "127.0.0.1:0"];
    fails("tenantry-control-plane", &arguments, &[&data]).await;
    assert!(platform.api().tenants().get("nobody").await.is_err());
}

#[tokio::test]
async fn both_stop_when_they_are_told() {
    let mut platform = Platform::start().await;
    let proxy = platform.take_proxy().terminate().await;
    let control_plane = platform.take_control_plane().terminate().await;
    assert!(proxy.success() && control_plane.success(), "{proxy} {control_plane}");
}

#[tokio::test]
async fn a_wrong_token_is_told_apart_from_a_broken_request() {
    let platform = Platform::start().await;
    let url = format!("http://{}", platform.api_address());
    for token in ["wrong", "", "tnt_x"] {
        let client = tenantry_api::Client::new(&url, token);
        let Ok(client) = client else { continue };
        let error = client.tenants().get("acme").await.unwrap_err();
        assert_eq!(error.problem().map(|problem| problem.status), Some(401), "{error}");
    }
}
