//! Back to what was: seen at the proxy.

use serde_json::{Value, json};
use tenantry_api::{
    AddDomain, CreateTenant, DeleteTenantQuery, ProblemKind, RevisionQuery, RollbackQuery,
};
use tenantry_model::{Plan, Route};
use tenantry_test_support::{Platform, json as body};

use crate::declarative::tenantry;

const STRICT: RollbackQuery = RollbackQuery { partial: None, allow_mass_removal: None };

fn exported(platform: &Platform) -> String {
    tenantry(platform, &["export"]).out
}

async fn newest(platform: &Platform) -> u64 {
    let query = RevisionQuery { limit: Some(1), ..RevisionQuery::default() };
    platform.api().revisions(&query).await.unwrap().items[0].revision
}

/// Goes back, and waits until that is enforced.
async fn back(platform: &Platform, to: u64) {
    let api = platform.api();
    let done = api.roll_back(to, &STRICT).await.unwrap();
    assert!(done.atomic && !done.dry_run, "{done:?}");
    assert_eq!((done.kept, done.lost), (Vec::new(), Vec::new()));
    platform.enforced(newest(platform).await).await;
}

#[tokio::test]
async fn a_proxy_enforces_what_was() {
    let platform = Platform::start().await;
    let api = platform.api();
    let acme = platform.tenant("acme", json!({})).await;
    let beta = platform.tenant("beta", json!({"auth": "none"})).await;
    let moved: AddDomain = body(json!({"host": "moved.example"}));
    api.domains("acme").create(&moved).await.unwrap();
    let status =
        async |host: &str, path: &str, key: &str| platform.get(host, path).key(key).status().await;
    let (good, export) = (newest(&platform).await, exported(&platform));
    platform.enforced(good).await;
    // A bad day: limits, routes, a domain that changes hands, a tenant that is deleted, another that comes.
    let limit = json!({"requests": [{"name": "none", "quota": 1, "window_seconds": 3600}]});
    let pro: Plan = body(json!({"id": "pro", "name": "Pro", "limits": limit}));
    api.plans().replace("pro", &pro, None).await.unwrap();
    let gone: Route = body(json!({"id": "gone", "redirect": {"path": "/elsewhere"}}));
    api.routes().create(&gone).await.unwrap();
    api.routes().delete("all", None).await.unwrap();
    api.domains("acme").delete("moved.example").await.unwrap();
    api.domains("beta").create(&moved).await.unwrap();
    api.tenants().patch("acme", &json!({"auth": "jwt"}), None).await.unwrap();
    api.tenants().delete("beta", &DeleteTenantQuery::default(), None).await.unwrap();
    let new: CreateTenant = body(json!({
        "slug": "new", "name": "New", "plan": "pro", "auth": "none", "domains": ["new.example"],
    }));
    api.tenants().create(&new).await.unwrap();
    platform.enforced(newest(&platform).await).await;
    assert_eq!(status("acme.example", "/", &acme).await, 401);
    assert_eq!(status("beta.example", "/", &beta).await, 403);
    assert_eq!(platform.get("new.example", "/").status().await, 302);
    // One look at what would become of it, and back.
    let differing = api.revision_diff(good, &Default::default()).await.unwrap().changes;
    let dry = api.rehearsing().roll_back(good, &STRICT).await.unwrap();
    assert!(dry.dry_run);
    assert_eq!(dry.changes.len(), differing.len());
    back(&platform, good).await;
    assert_eq!(exported(&platform), export);
    for _ in 0..3 {
        assert_eq!(status("acme.example", "/", &acme).await, 200);
        assert_eq!(status("moved.example", "/", &acme).await, 200);
        assert_eq!(status("beta.example", "/", &beta).await, 200);
    }
    assert_eq!(platform.get("new.example", "/").status().await, 403);
    let said = platform.get("beta.example", "/").send().await;
    assert_eq!(said.status, 200, "{}", said.body);
}

#[tokio::test]
async fn the_way_back_on_the_command_line() {
    let mut platform = Platform::start().await;
    platform.kill_proxy();
    let good = newest(&platform).await.to_string();
    let run = |arguments: &[&str]| {
        let said = tenantry(&platform, arguments);
        (said.code, said.out, said.complaint)
    };
    run(&["plan", "create", "gold", "--name", "Gold"]);
    run(&["plan", "update", "gold", "--name", "Silver"]);
    run(&["tenant", "create", "acme", "--plan", "pro", "--domain", "acme.example"]);
    let (code, list, _) = run(&["revision", "list", "--action", "plan.*", "--limit", "2"]);
    assert_eq!(code, Some(0));
    assert!(
        list.contains("plan.update plan/gold") && list.contains("plan.create plan/gold"),
        "{list}"
    );
    let number = list.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    let (_, shown, _) = run(&["revision", "show", number]);
    let field = "- /resource/name \"Gold\"\n+ /resource/name \"Silver\"";
    assert!(shown.contains(field) && shown.contains("by root"), "{shown}");
    let (code, differing, _) = run(&["revision", "diff", &good]);
    assert_eq!(code, Some(1));
    assert_eq!(differing, "create plan gold\ncreate tenant acme\n");
    assert_eq!(run(&["revision", "diff", number, number]).0, Some(0));
    let (code, _, complaint) = run(&["revision", "rollback", &good]);
    assert_eq!(code, Some(5));
    assert!(complaint.contains("1 of 1 tenants"), "{complaint}");
    let all = "--allow-mass-removal";
    let (code, done, _) = run(&["revision", "rollback", &good, all, "--dry-run"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        done,
        "delete tenant acme\ndelete plan gold\nin one commit, if it were no dry run\n"
    );
    let (code, done, _) = run(&["revision", "rollback", &good, all]);
    assert_eq!(
        (code, done.as_str()),
        (Some(0), "delete tenant acme\ndelete plan gold\nin one commit\n")
    );
    let (_, list, _) = run(&["revision", "list", "-o", "json", "--limit", "1"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["rollback_to"].to_string(), good);
    assert_eq!(run(&["revision", "rollback", &good]).1, "nothing to change\n");
    // What cannot be is refused, and says what to do.
    run(&["tenant", "undelete", "acme"]);
    let there = newest(&platform).await.to_string();
    run(&["tenant", "delete", "acme"]);
    run(&["tenant", "purge", "acme", "--confirm", "acme"]);
    let (code, _, complaint) = run(&["revision", "rollback", &there]);
    assert_eq!(code, Some(5));
    assert!(complaint.contains("partial=true") && complaint.contains("acme"), "{complaint}");
    let (code, done, _) = run(&["revision", "rollback", &there, "--partial"]);
    assert_eq!(code, Some(0));
    assert!(done.starts_with("lost tenant acme: ten_"), "{done}");
    let refused = platform.api().revision(1 << 40).await.unwrap_err();
    assert!(refused.problem().unwrap().is(ProblemKind::NotFound));
}
