//! The platform as documents, through the command line.

use std::{fs, process::Command};

use serde_json::Value;
use tenantry_test_support::{Platform, binary, eventually};

const DOCUMENTS: &str = "\
documents:
- {kind: plan, id: gold, name: Gold}
- {kind: upstream, id: shop, endpoints: [{address: '127.0.0.1:9'}]}
- kind: tenant
  slug: shop
  name: no
  plan: gold
  auth: none
  domains: [shop.example]
  labels: {managed: 'yes'}
- {kind: route, id: shop, tenant: shop, upstream: shop, match: {path_prefix: /}}
";

struct Said {
    code: Option<i32>,
    out: String,
    complaint: String,
}

fn tenantry(platform: &Platform, arguments: &[&str]) -> Said {
    let output = Command::new(binary("tenantry"))
        .args(["--api", &format!("http://{}", platform.api_address())])
        .args(["--token", &platform.root_token()])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), complaint: text(output.stderr) }
}

#[tokio::test]
async fn documents_make_a_platform_and_its_export_makes_another() {
    let (platform, other) = (Platform::start().await, Platform::start().await);
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let file = write("state.yaml", DOCUMENTS);
    let said = tenantry(&platform, &["diff", "-f", &file]);
    assert_eq!(said.code, Some(1), "{}", said.complaint);
    assert!(said.out.contains("create tenant shop"), "{}", said.out);
    let dry = tenantry(&platform, &["apply", "--dry-run", "-f", &file]);
    assert_eq!(dry.code, Some(0), "{}", dry.complaint);
    assert_eq!(tenantry(&platform, &["diff", "-f", &file]).code, Some(1));
    let said = tenantry(&platform, &["apply", "-o", "json", "-f", &file]);
    assert_eq!(said.code, Some(0), "{}", said.complaint);
    let applied: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&applied["atomic"], &applied["chunks"]), (&true.into(), &1.into()));
    let said = tenantry(&platform, &["diff", "-f", &file]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "no difference\n"));
    // What was applied is in force: the tenant is known, and its server is not there.
    eventually("the proxy knows the tenant", async || {
        (platform.get("shop.example", "/").status().await >= 500).then_some(())
    })
    .await;
    let exported = tenantry(&platform, &["export"]);
    assert_eq!(exported.code, Some(0), "{}", exported.complaint);
    assert!(exported.out.contains("- kind: tenant\n"), "{}", exported.out);
    let file = write("export.yaml", &exported.out);
    let said = tenantry(&other, &["apply", "-f", &file]);
    assert_eq!(said.code, Some(0), "{}", said.complaint);
    assert_eq!(tenantry(&other, &["export"]).out, exported.out);
    let json = tenantry(&other, &["export", "-o", "json"]).out;
    let file = write("export.json", &json);
    assert_eq!(tenantry(&platform, &["diff", "-f", &file]).code, Some(0));
    // The tenant has no document any more.
    let file = write("less.yaml", "documents: []");
    let prune = ["apply", "-f", &file, "--prune", "managed=yes", "-o", "yaml"];
    let said = tenantry(&platform, &prune);
    assert!(said.out.contains("action: delete"), "{} {}", said.out, said.complaint);
    let said = tenantry(&platform, &["tenant", "get", "shop", "-o", "yaml"]);
    assert!(said.out.contains("state: deleting"), "{}", said.out);
    // What is wrong is named, each with its place.
    let wrong = write("wrong.yaml", "documents: [{kind: plan}, {kind: tenant, slug: A}]");
    for (command, code) in [("apply", 6), ("diff", 2)] {
        let said = tenantry(&platform, &[command, "-f", &wrong]);
        assert_eq!(said.code, Some(code));
        for place in ["/documents/0", "/documents/1/slug"] {
            assert!(said.complaint.contains(place), "{}", said.complaint);
        }
    }
}
