//! What `tenantry up` does when something it runs ends.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry_api::{Client, ClientError, CreateTenant};
use tenantry_model::Plan;
use tenantry_test_support::{Process, api_client, eventually, json as body};
use tokio::net::TcpStream;

use crate::demo::{arguments, ready, up};

const CONTROL_PLANE: &str = "tenantry-control-plane";
const PROXY: &str = "tenantry-proxy";

fn api(directory: &TempDir, addresses: &Value) -> Client {
    let token = fs::read_to_string(directory.path().join("data/root-token")).unwrap();
    api_client(&format!("http://{}", addresses["api"].as_str().unwrap()), token.trim())
}

/// Kills a child and waits until another one runs in its place.
async fn replaced(process: &Process, program: &str) {
    let old = process.kill_child(program).await;
    eventually(&format!("{program} is started again"), async || {
        process.child_running(program).filter(|pid| *pid != old)
    })
    .await;
}

/// A request that the demo answers; its status.
async fn request(demo: &Value) -> Option<u64> {
    let curls = demo["curls"].as_array().unwrap();
    let good = curls.iter().find(|curl| curl["expect_status"] == 200).unwrap();
    let command = good["command"].as_str().unwrap();
    let output = tokio::process::Command::new("sh").args(["-c", command]).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().rev().find(|line| line.starts_with("HTTP/"))?;
    line.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn a_killed_control_plane_comes_back_and_traffic_never_stops() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = up(&directory, &["--demo"]);
    let addresses = ready(&mut process, &directory.path().join("data/addresses.json")).await;
    let demo = ready(&mut process, &directory.path().join("data/demo.json")).await;
    let api = api(&directory, &addresses);
    for _ in 0..3 {
        replaced(&process, CONTROL_PLANE).await;
        eventually("the API answers where it did, and traffic goes on", async || {
            assert_eq!(request(&demo).await, Some(200));
            api.tenants().get("acme").await.ok()
        })
        .await;
    }
    // And what it does reaches the proxy, which was never restarted.
    let name = api.tenants().patch("acme", &json!({"name": "Acme again"}), None).await.unwrap();
    eventually("the proxy hears of changes again", async || {
        let proxies = api.proxies().await.unwrap().items;
        proxies.iter().any(|proxy| proxy.revision >= Some(name.revision)).then_some(())
    })
    .await;
    let said = process.printed();
    assert!(said.contains("tenantry-control-plane ended while it was running"), "{said}");
    assert!(!said.contains("tenantry-proxy ended"), "{said}");

    replaced(&process, PROXY).await;
    eventually("the proxy answers where it did", async || {
        (request(&demo).await == Some(200)).then_some(())
    })
    .await;
    assert!(process.terminate().await.success());
}

#[tokio::test]
async fn a_proxy_that_does_not_stay_up_is_given_up_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = up(&directory, &[]);
    let addresses = ready(&mut process, &directory.path().join("data/addresses.json")).await;
    fs::write(directory.path().join("data/master-key"), "no key").unwrap();
    process.kill_child(PROXY).await;
    let ended = process.exit().await;
    assert!(!ended.success(), "{ended}");
    let said = process.printed();
    assert!(said.contains("tenantry-proxy ended 6 times in a row"), "{said}");
    assert!(said.contains("master key"), "the end of its log is shown: {said}");
    let api = addresses["api"].as_str().unwrap();
    assert!(TcpStream::connect(api).await.is_err(), "nothing is left running");
}

#[tokio::test]
async fn a_proxy_serves_on_beside_a_control_plane_that_cannot_be_started() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = up(&directory, &["--demo"]);
    let addresses = ready(&mut process, &directory.path().join("data/addresses.json")).await;
    let demo = ready(&mut process, &directory.path().join("data/demo.json")).await;
    let key = directory.path().join("data/master-key");
    let good = fs::read(&key).unwrap();
    fs::write(&key, "no key").unwrap();
    process.kill_child(CONTROL_PLANE).await;
    eventually("it was started a few times", async || {
        process.printed().contains("started again in 1.6 s").then_some(())
    })
    .await;
    assert!(!process.printed().contains("tenantry-proxy ended"), "{}", process.printed());
    assert_eq!(request(&demo).await, Some(200));
    fs::write(&key, good).unwrap();
    replaced(&process, CONTROL_PLANE).await;
    let api = api(&directory, &addresses);
    eventually("it answers again", async || api.proxies().await.ok()).await;
    assert!(process.terminate().await.success());
}

/// Here the reserve is of no use: the end is met in the middle of a write.
#[tokio::test]
async fn a_control_plane_that_met_a_full_disk_is_started_until_there_is_space() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = arguments(&directory, &[]);
    let mut process =
        Process::start_with_file_limit("tenantry", &arguments, 4096, directory.path());
    let addresses = ready(&mut process, &directory.path().join("data/addresses.json")).await;
    let api = api(&directory, &addresses);
    let plan: Plan = body(json!({"id": "pro", "name": "Pro"}));
    api.plans().create(&plan).await.unwrap();
    let (acknowledged, refusal) = create_until_refused(&api).await;
    assert_eq!(refusal.problem().map(|problem| problem.status), Some(507), "{refusal}");
    eventually("it asks for another start", async || {
        process.printed().contains("exit status: 75").then_some(())
    })
    .await;
    process.lift_file_limit();
    eventually("changes are taken again", async || {
        // Until the last one that was started without space has ended.
        api.tenants().create(&tenant("after")).await.ok()
    })
    .await;
    for number in 0..acknowledged {
        api.tenants().get(&slug(number)).await.unwrap();
    }
    assert!(api.verify_audit(&Default::default()).await.unwrap().intact);
    assert!(!process.has_ended());
    assert!(process.terminate().await.success());
}

fn slug(number: usize) -> String {
    format!("tenant-{number}")
}

fn tenant(slug: &str) -> CreateTenant {
    let note = "x".repeat(8_000);
    body(json!({"slug": slug, "name": slug, "plan": "pro", "metadata": {"note": note}}))
}

/// How many were acknowledged, and how the next one was refused.
async fn create_until_refused(api: &Client) -> (usize, ClientError) {
    let mut number = 0;
    loop {
        assert!(number < 10_000, "the limit was never met");
        if let Err(error) = api.tenants().create(&tenant(&slug(number))).await {
            return (number, error);
        }
        number += 1;
    }
}
