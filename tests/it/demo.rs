//! What a newcomer does: `tenantry up --demo`, and every line that it prints.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;
use tenantry_test_support::{Process, binary, eventually};

pub(super) fn up(directory: &TempDir, more: &[&str]) -> Process {
    Process::start("tenantry", &arguments(directory, more), &[], directory.path())
}

/// What starts it on free ports.
pub(super) fn arguments(directory: &TempDir, more: &[&str]) -> Vec<String> {
    let data = directory.path().join("data").display().to_string();
    let mut arguments = vec!["up", "--data-dir", &data];
    for port in [
        "--proxy-addr",
        "--proxy-tls-addr",
        "--proxy-admin-addr",
        "--api-addr",
        "--distribution-addr",
    ] {
        arguments.extend([port, "127.0.0.1:0"]);
    }
    arguments.extend(more);
    arguments.into_iter().map(str::to_owned).collect()
}

/// Waits until everything runs, and returns what was written for programs.
pub(super) async fn ready(process: &mut Process, file: &Path) -> Value {
    eventually("tenantry up is ready", async || {
        assert!(!process.has_ended(), "it ended; it printed:\n{}", process.printed());
        let is_ready = process.printed().contains("ready; stop with Ctrl-C");
        is_ready.then(|| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())
    })
    .await
}

/// The status of the last answer that a line printed.
async fn run(command: &str) -> Option<u64> {
    let output = tokio::process::Command::new("sh").args(["-c", command]).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().rev().find(|line| line.starts_with("HTTP/"))?;
    line.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn every_printed_line_works_twice_over() {
    let directory = tempfile::tempdir().unwrap();
    // The second start finds the first one's data and must print lines that work as well.
    for _ in 0..2 {
        let mut process = up(&directory, &["--demo"]);
        let demo = ready(&mut process, &directory.path().join("data/demo.json")).await;
        let curls = demo["curls"].as_array().unwrap();
        assert_eq!(curls.len(), 6);
        for curl in curls {
            let command = curl["command"].as_str().unwrap();
            assert!(process.printed().contains(command), "what is run is what was printed");
            assert_eq!(run(command).await, curl["expect_status"].as_u64(), "{command}");
        }
        let ended = process.terminate().await;
        assert!(ended.success(), "{ended}");
    }
}

#[tokio::test]
async fn the_command_finds_what_up_started() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = up(&directory, &["--demo"]);
    let addresses = ready(&mut process, &directory.path().join("data/addresses.json")).await;
    let data = directory.path().join("data");
    let tenantry = |arguments: &[&str]| {
        let output = Command::new(binary("tenantry"))
            .arg("--data-dir")
            .arg(&data)
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, printed, _) = tenantry(&["-o", "json", "tenant", "list"]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("\"acme\""), "{printed}");
    let (code, printed, _) = tenantry(&[
        "tenant",
        "create",
        "shop",
        "--name",
        "Shop",
        "--plan",
        "pro",
        "--domain",
        "shop.localhost",
    ]);
    assert_eq!(code, Some(0), "{printed}");
    let (code, _, complaint) =
        tenantry(&["tenant", "create", "shop", "--name", "Again", "--plan", "pro"]);
    assert_eq!(code, Some(5));
    assert!(complaint.contains("taken"), "{complaint}");
    let (code, _, complaint) =
        tenantry(&["tenant", "create", "Not A Slug", "--name", "x", "--plan", "pro"]);
    assert_eq!(code, Some(2), "{complaint}");
    let (code, _, complaint) = tenantry(&["--token", "wrong", "tenant", "list"]);
    assert_eq!(code, Some(4));
    assert!(complaint.contains("token"), "{complaint}");
    let admin = format!("http://{}", addresses["proxy_admin"].as_str().unwrap());
    eventually("the new tenant is known to the proxy", async || {
        let (code, printed, complaint) =
            tenantry(&["explain", "--host", "shop.localhost", "--proxy-admin", &admin]);
        assert_eq!(code, Some(0), "{complaint}");
        printed.contains("credential-missing").then_some(())
    })
    .await;
    assert!(process.terminate().await.success());
    // Named, because whatever else runs on this machine may be found at the default address.
    let api = format!("http://{}", addresses["api"].as_str().unwrap());
    let (code, _, complaint) = tenantry(&["--api", &api, "tenant", "list"]);
    assert_eq!(code, Some(7));
    assert!(complaint.contains("tenantry up"), "{complaint}");
}

#[tokio::test]
async fn a_taken_port_is_a_sentence_and_leaves_nothing_running() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = directory.path().join("data").display().to_string();
    let arguments = [
        "up",
        "--data-dir",
        &data,
        "--proxy-addr",
        &address,
        "--proxy-admin-addr",
        "127.0.0.1:0",
        "--api-addr",
        "127.0.0.1:0",
        "--distribution-addr",
        "127.0.0.1:0",
    ];
    let mut process =
        Process::start("tenantry", &arguments.map(str::to_owned), &[], directory.path());
    let ended = process.exit().await;
    assert!(!ended.success());
    assert!(process.printed().contains(&address), "{}", process.printed());
    // The store's lock is free again: the control plane that had started is gone.
    let mut again = up(&directory, &[]);
    ready(&mut again, &directory.path().join("data/addresses.json")).await;
    assert!(again.terminate().await.success());
}
