//! Many tenants in one stream, through the command line.

use std::{fs, io::Write as _, process::Stdio};

use serde_json::{Value, json};
use tenantry_credentials::api_key::ApiKeySecret;
use tenantry_test_support::{Platform, eventually};

use crate::declarative::{command, tenantry};

const TENANTS: u32 = 3000;
/// Rounds in which the control plane is killed.
const CRASHES: u32 = 5;

fn line(number: u32) -> String {
    json!({
        "slug": format!("t{number}"), "name": "T", "plan": "pro",
        "domains": [format!("t{number}.example"), format!("*.t{number}.example")],
    })
    .to_string()
}

fn lines(platform: &Platform, lines: impl IntoIterator<Item = String>) -> String {
    let path = platform.path("tenants.ndjson");
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_file_of_tenants_is_imported_and_what_is_wrong_is_listed() {
    let platform = Platform::start().await;
    let wrong = [r#"{"slug":"A"}"#.to_owned(), line(0)];
    let file = lines(&platform, (0..50).map(line).chain(wrong));
    let dry = tenantry(&platform, &["import", &file, "--dry-run"]);
    assert_eq!(dry.code, Some(1), "{}", dry.complaint);
    assert_eq!(dry.out, "52 lines: 50 created, 2 failed, if it were no dry run\n");
    let said = tenantry(&platform, &["import", &file, "-o", "json"]);
    assert_eq!(said.code, Some(1), "{}", said.complaint);
    let summary: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&summary["created"], &summary["failed"]), (&50.into(), &2.into()));
    for part in ["line 51 (A): ", "/slug", "line 52 (t0): an earlier line has this slug"] {
        assert!(said.complaint.contains(part), "{part} in {}", said.complaint);
    }
    // What was imported is in force.
    eventually("the proxy knows the last of them", async || {
        (platform.get("t49.example", "/").status().await != 404).then_some(())
    })
    .await;
    // From standard input, and nothing to do.
    let mut import = command(&platform, &["import", "-"]);
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = import.stdin.take().unwrap();
    (0..50).for_each(|number| writeln!(input, "{}", line(number)).unwrap());
    drop(input);
    let output = import.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "50 lines: 50 unchanged\n");
    let said = tenantry(&platform, &["import", "no-such-file"]);
    assert_eq!(said.code, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_cut_off_leaves_whole_tenants_and_is_finished_by_the_same_again() {
    let mut platform = Platform::start().await;
    platform.kill_proxy();
    let file = lines(&platform, (0..TENANTS).map(line));
    for round in 1..=CRASHES {
        let mut import = command(&platform, &["import", &file]);
        let import = import.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let api = platform.api();
        let slug = format!("t{}", TENANTS * round / (CRASHES + 1));
        eventually("some of it is done", async || api.tenants().get(&slug).await.ok()).await;
        platform.kill_control_plane();
        let output = import.wait_with_output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains("import the same again"), "{complaint}");
        platform.start_control_plane().await;
        for tenant in tenants(&platform) {
            assert_eq!(tenant["domains"].as_array().unwrap().len(), 2, "half a tenant: {tenant}");
        }
    }
    let said = tenantry(&platform, &["import", &file]);
    assert_eq!(said.code, Some(0), "{}", said.complaint);
    assert!(said.out.starts_with(&format!("{TENANTS} lines: ")), "{}", said.out);
    assert_eq!(tenants(&platform).len(), usize::try_from(TENANTS).unwrap());
    let said = tenantry(&platform, &["import", &file]);
    assert_eq!(said.out, format!("{TENANTS} lines: {TENANTS} unchanged\n"));
    assert_eq!(tenantry(&platform, &["audit", "verify"]).code, Some(0));
}

#[tokio::test]
async fn a_key_that_its_owner_has_already_works_here() {
    let platform = Platform::start().await;
    let mut byte = 0_u8;
    let secret = ApiKeySecret::generate(|| {
        byte = byte.wrapping_add(89);
        byte
    });
    let mut tenant: Value = serde_json::from_str(&line(1)).unwrap();
    tenant["auth"] = "api_key".into();
    tenant["key"] = json!({"name": "old", "digest": secret.digest().to_string()});
    let file = lines(&platform, [tenant.to_string()]);
    let said = tenantry(&platform, &["import", &file]);
    assert_eq!(said.code, Some(0), "{}", said.complaint);
    eventually("the proxy takes the key", async || {
        let request = platform.get("t1.example", "/").key(secret.expose());
        (request.status().await == 200).then_some(())
    })
    .await;
    assert_eq!(platform.get("t1.example", "/").status().await, 401);
}

fn tenants(platform: &Platform) -> Vec<Value> {
    let exported = tenantry(platform, &["export", "-o", "json"]);
    let exported: Value = serde_json::from_str(&exported.out).unwrap();
    let documents = exported["documents"].as_array().unwrap().iter();
    documents.filter(|it| it["kind"] == "tenant").cloned().collect()
}
