//! The platform as documents, through the command line.

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
};

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

pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) complaint: String,
}

pub(crate) fn command(platform: &Platform, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("tenantry"));
    command
        .args(["--api", &format!("http://{}", platform.api_address())])
        .args(["--token", &platform.root_token()])
        .args(arguments);
    command
}

pub(crate) fn tenantry(platform: &Platform, arguments: &[&str]) -> Said {
    let output = command(platform, arguments).output().unwrap();
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
    // It is the only tenant.
    let all = "--allow-mass-removal";
    let prune = ["apply", "-f", &file, "--prune", "managed=yes", all, "-o", "yaml"];
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

/// Rounds in which the control plane is killed.
const CRASHES: u64 = 8;
const TENANTS: u64 = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_that_was_cut_off_is_finished_by_the_same_again() {
    let (mut platform, other) = (Platform::start().await, Platform::start().await);
    platform.kill_proxy();
    let mut documents = "documents:\n".to_owned();
    for number in 0..TENANTS {
        writeln!(
            documents,
            "- {{kind: tenant, slug: t{number}, name: T, plan: pro, \
             domains: [t{number}.example, '*.t{number}.example']}}\n\
             - {{kind: route, id: r{number}, tenant: t{number}, redirect: {{path: /}}}}"
        )
        .unwrap();
    }
    let file = platform.path("state.yaml");
    fs::write(&file, documents).unwrap();
    let file = file.display().to_string();
    let made = async |platform: &Platform| {
        let exported = tenantry(platform, &["export", "-o", "json"]);
        let exported: Value = serde_json::from_str(&exported.out).unwrap();
        let documents = exported["documents"].as_array().unwrap().clone();
        documents.into_iter().filter(|it| it["kind"] == "tenant").collect::<Vec<_>>()
    };
    let mut before = 0;
    for round in 0..CRASHES {
        let mut apply = command(&platform, &["apply", "-f", &file]);
        let mut apply = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Later each time: the crash meets tenants, and then routes.
        let wanted = (before + 1).max(TENANTS * (round + 1) / CRASHES - 20);
        let slug = format!("t{}", sorted(wanted));
        let api = platform.api();
        eventually("some of it is done", async || api.tenants().get(&slug).await.ok()).await;
        platform.kill_control_plane();
        assert!(!apply.wait().unwrap().success(), "it cannot have ended well");
        platform.start_control_plane().await;
        let tenants = made(&platform).await;
        for tenant in &tenants {
            assert_eq!(tenant["domains"].as_array().unwrap().len(), 2, "half a tenant: {tenant}");
        }
        before = u64::try_from(tenants.len()).unwrap();
        if before >= TENANTS - 1 {
            break;
        }
    }
    let said = tenantry(&platform, &["apply", "-o", "json", "-f", &file]);
    assert_eq!(said.code, Some(0), "{}", said.complaint);
    let said = tenantry(&platform, &["diff", "-f", &file]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "no difference\n"));
    // Nothing is there but what would be if nothing had happened, and the log is whole.
    let whole = tenantry(&other, &["apply", "-o", "json", "-f", &file]);
    let whole: Value = serde_json::from_str(&whole.out).unwrap();
    assert_eq!(whole["atomic"], false);
    let address = |platform: &Platform| platform.origin.address().to_string();
    let exported = tenantry(&platform, &["export"]).out;
    let expected = tenantry(&other, &["export"]).out.replace(&address(&other), &address(&platform));
    assert_eq!(exported, expected);
    assert_eq!(tenantry(&platform, &["audit", "verify"]).code, Some(0));
}

/// The number of the tenant that is made as the one of this place: they are made in the order of names.
fn sorted(place: u64) -> u64 {
    let mut names: Vec<_> = (0..TENANTS).map(|number| format!("t{number}")).collect();
    names.sort();
    let place = usize::try_from(place.min(TENANTS - 1)).unwrap();
    names[place][1..].parse().unwrap()
}
