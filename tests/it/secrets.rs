//! Nothing that opens a door is left lying about: every secret of a platform, looked for in everything
//! that real processes have written and say.

use std::{fs, path::Path};

use serde_json::Value;
use tenantry_test_support::Platform;

use crate::declarative::tenantry;

/// Secrets that are given, not made.
const PASSWORD: &str = "a quite unusual passphrase 7281";
const SHARED: &str = "dW51c3VhbC1zaGFyZWQtc2VjcmV0LW9mLWFuLWlzc3Vlci00NzEx";

/// What may hold secrets: the tokens of the processes themselves, and letters to those who are invited.
const KEPT: [&str; 3] = ["root-token", "node-token", "mail"];

fn said(platform: &Platform, line: &str) -> String {
    let arguments: Vec<_> = line.split('|').collect();
    let said = tenantry(platform, &arguments);
    assert_eq!(said.code, Some(0), "{line}: {}", said.complaint);
    said.out
}

/// The secret in an answer.
fn made(platform: &Platform, line: &str) -> String {
    let answer: Value = serde_json::from_str(&said(platform, &format!("-o|json|{line}"))).unwrap();
    answer["secret"].as_str().unwrap().to_owned()
}

/// Every file below a directory, but those that are meant to hold secrets.
fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if KEPT.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_any_file_log_export_or_audit_entry() {
    let platform = Platform::start().await;
    said(&platform, "tenant|create|acme|--plan|pro|--domain|acme.test|--auth|any|--wait");
    let key = made(&platform, "key|create|acme|--name|ci|--wait");
    let api = platform.api();
    let id = api.keys("acme").list(&Default::default()).await.unwrap().items[0].id.to_string();
    let rolled = made(&platform, &format!("key|roll|acme|{id}|--overlap|1h|--wait"));
    let of_tenant = made(&platform, "token|create|--tenant|acme|--name|ci|--role|owner");
    said(&platform, "operator|create|ada@example.com|--role|admin");
    let ada = api.operators().list(&Default::default()).await.unwrap().items[0].id.to_string();
    let of_operator = made(&platform, &format!("token|create|--operator|{ada}|--name|ci"));
    let of_node = made(&platform, "proxy|enroll|edge-9");
    let password = serde_json::json!({ "password": PASSWORD });
    api.raw("PUT", &format!("/operators/{ada}/password"), Some(&password)).await.unwrap();
    let login = serde_json::json!({ "email": "ada@example.com", "password": PASSWORD });
    let session = api.raw("POST", "/sessions", Some(&login)).await.unwrap().unwrap();
    let session = session["secret"].as_str().unwrap().to_owned();
    let issuer = serde_json::json!({
        "issuer": "https://id.acme.test/", "audiences": ["api"], "algorithms": ["HS256"],
        "jwks": {"keys": [{"kty": "oct", "alg": "HS256", "k": SHARED}]},
    });
    api.raw("POST", "/tenants/acme/issuers", Some(&issuer)).await.unwrap();
    // They are used, well and badly, and refused.
    for (header, value) in [("x-api-key", key.as_str()), ("x-api-key", rolled.as_str())] {
        let answer = platform.get("acme.test", "/").header(header, value);
        assert_eq!(answer.status().await, 200);
    }
    for wrong in [&of_tenant, &session, &key[..key.len() - 1].to_owned()] {
        let answer = platform.get("acme.test", "/").header("x-api-key", wrong);
        assert_eq!(answer.status().await, 401);
    }
    let secrets = [&key, &rolled, &of_tenant, &of_operator, &of_node, &session];
    let secrets = secrets.into_iter().map(String::as_str).chain([PASSWORD, SHARED]);
    let secrets: Vec<_> = secrets.collect();
    let mut everything = Vec::new();
    files(&platform.path(""), &mut everything);
    assert!(everything.iter().any(|(name, _)| name.contains("store")), "the store is looked at");
    assert!(everything.iter().any(|(name, _)| name.ends_with(".test.log")), "logs are looked at");
    for line in ["export", "audit|export", "-o|json|tenant|list", "-o|json|key|list|acme"] {
        everything.push((line.to_owned(), said(&platform, line).into_bytes()));
    }
    for (name, bytes) in &everything {
        for secret in &secrets {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{secret} is in {name}");
        }
    }
}
