//! The command line against a real platform: contexts, dry runs, waiting, and what exit codes say.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tenantry_test_support::{Authority, Platform, binary};

const PASSWORD: &str = "a long enough password";

struct Said {
    code: i32,
    out: String,
    complaint: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.complaint);
        self
    }
}

/// Somebody at a terminal, with a configuration of their own.
struct User {
    home: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn says(&self, line: &str) -> Said {
        self.says_with(line, "", &[])
    }

    /// With this on standard input, and in the environment.
    fn says_with(&self, line: &str, input: &str, environment: &[(&str, &str)]) -> Said {
        let mut process = Command::new(binary("tenantry"))
            .args(line.split_whitespace())
            .current_dir(self.home.path())
            .env_clear()
            .env("XDG_CONFIG_HOME", self.home.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What reads nothing may be gone already.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        let output = process.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, complaint) = (text(output.stdout), text(output.stderr));
        Said { code: output.status.code().unwrap(), out, complaint }
    }

    /// With the context of a platform, and its root token, as the current one.
    fn of(platform: &Platform) -> Self {
        let user = Self::new();
        let add = format!("context add here --url {} --token-stdin --use", platform.api_address());
        user.says_with(&add, &platform.root_token(), &[]).ended(0);
        user
    }

    fn file(&self, path: &str) -> PathBuf {
        self.home.path().join("tenantry").join(path)
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn a_variable_that_is_set_to_nothing_says_nothing() {
    let platform = Platform::start().await;
    let user = User::of(&platform);
    let nothing = ["TENANTRY_API", "TENANTRY_ROOT_TOKEN", "TENANTRY_CONTEXT", "TENANTRY_DATA_DIR"];
    user.says_with("tenant list", "", &nothing.map(|name| (name, ""))).ended(0);
}

#[tokio::test]
async fn contexts_name_control_planes_and_keep_their_tokens() {
    let (one, two) = (Platform::start().await, Platform::start().await);
    let user = User::of(&one);
    let kept = user.file("tokens/here");
    assert_eq!((mode(&kept), mode(&user.file("contexts.yaml"))), (0o600, 0o600));
    user.says("tenant create acme --plan pro").ended(0);
    let add = format!("context add other --url {}", two.api_address());
    user.says(&add).ended(0);
    user.says(&add).ended(5);
    assert!(user.says("--context other tenant list").ended(4).complaint.contains("login"));

    // A session of an operator takes the place of a token.
    let root = two.root_token();
    let api = two.api_address().to_string();
    let as_root = [("TENANTRY_API", api.as_str()), ("TENANTRY_ROOT_TOKEN", root.as_str())];
    let made = user.says_with("-o json operator create ada@example.com --role owner", "", &as_root);
    let operator = made.ended(0).json()["id"].as_str().unwrap().to_owned();
    user.says_with(&format!("operator set-password {operator}"), PASSWORD, &as_root).ended(0);
    assert_eq!(user.says_with("--context other login ada@example.com", "wrong", &[]).code, 4);
    let said =
        user.says_with("-o json --context other login ada@example.com", PASSWORD, &[]).ended(0);
    let secret = fs::read_to_string(user.file("tokens/other")).unwrap();
    assert!(secret.starts_with("tns_"), "{secret}");
    assert_eq!(mode(&user.file("tokens/other")), 0o600);
    let mut shown = said.out;
    for line in
        ["context list", "context show other", "-o json context list", "-o yaml context show other"]
    {
        shown += &user.says(line).ended(0).out;
    }
    shown += &fs::read_to_string(user.file("contexts.yaml")).unwrap();
    for secret in [secret.trim(), &one.root_token()] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let me = user.says("-o json --context other whoami").ended(0).json();
    assert_eq!(me["operator"], operator);
    assert_eq!(user.says("-o json whoami").ended(0).json()["actor"], "root");

    // The command line goes before the environment, and that before the current context.
    let names = |said: Said| said.ended(0).json().as_array().unwrap().len();
    assert_eq!(names(user.says("-o json tenant list")), 1);
    let environment = [("TENANTRY_CONTEXT", "other")];
    assert_eq!(names(user.says_with("-o json tenant list", "", &environment)), 0);
    assert_eq!(names(user.says_with("-o json --context here tenant list", "", &environment)), 1);
    user.says("context use other").ended(0);
    assert_eq!(names(user.says("-o json tenant list")), 0);
    user.says("context rename other there").ended(0);
    assert_eq!(user.says("-o json context show").ended(0).json()["name"], "there");
    assert_eq!(names(user.says("-o json tenant list")), 0);

    // Others can read it: it may be no secret any more.
    let moved = user.file("tokens/there");
    fs::set_permissions(&moved, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(user.says("tenant list").ended(4).complaint.contains("chmod 600"));
    fs::set_permissions(&moved, fs::Permissions::from_mode(0o600)).unwrap();

    user.says("logout").ended(0);
    assert!(!moved.exists());
    let old = [("TENANTRY_ROOT_TOKEN", secret.trim())];
    user.says_with("whoami", "", &old).ended(4);
    user.says("context remove there").ended(0);
    user.says("context show there").ended(3);
    user.says("context show").ended(3);
    user.says("context remove here").ended(0);
    assert!(!kept.exists());
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_so() {
    let platform = Platform::start().await;
    let user = User::of(&platform);
    let said = user.says("--dry-run tenant create acme --plan pro --key ci -o json").ended(0);
    assert_eq!(
        (&said.json()["slug"], &said.json()["key"]["secret"]),
        (&json!("acme"), &Value::Null)
    );
    assert!(said.complaint.contains("nothing was changed"), "{}", said.complaint);
    user.says("tenant get acme").ended(3);
    user.says("tenant create acme --plan pro").ended(0);
    user.says("--dry-run tenant create acme --plan pro").ended(5);
    user.says("--dry-run tenant create b --plan none").ended(6);
    let said = user.says("key create acme --name ci --dry-run").ended(0);
    assert!(!said.out.contains("Secret"), "{}", said.out);
    assert_eq!(user.says("-o json key list acme").json(), json!([]));
    let said = user.says("plan delete pro --dry-run").ended(5);
    assert!(said.complaint.contains("in use"), "{}", said.complaint);
    user.says("domain add acme acme.test").ended(0);
    let said = user.says("domain remove acme acme.test --dry-run").ended(0);
    assert!(said.out.starts_with("dry run: "), "{}", said.out);
    user.says("domain get acme acme.test").ended(0);
    for line in ["login a@example.com", "logout", "context list", "explain --host a"] {
        user.says(&format!("--dry-run {line}")).ended(2);
    }
    user.says("--dry-run --wait tenant delete acme").ended(2);
}

#[tokio::test]
async fn any_change_can_be_waited_for() {
    let mut platform = Platform::start().await;
    let user = User::of(&platform);
    user.says("tenant create acme --plan pro --auth none --domain acme.test --wait").ended(0);
    assert_eq!(platform.get("acme.test", "/").status().await, 200);
    user.says("tenant suspend acme --reason unpaid --wait=10").ended(0);
    assert_eq!(platform.get("acme.test", "/").status().await, 403);
    user.says("tenant resume acme --wait").ended(0);
    assert_eq!(platform.get("acme.test", "/").status().await, 200);
    user.says("domain remove acme acme.test --wait").ended(0);
    assert_eq!(platform.get("acme.test", "/").status().await, 404);
    // What concerns no proxy, or changes nothing, is in force at once.
    user.says("operator create ada@example.com --role admin --wait=1").ended(0);
    user.says("tenant list --wait=1").ended(0);
    // Whoever may not look at proxies learns so before anything is changed.
    let token =
        user.says("-o json token create --tenant acme --name ci --role owner").ended(0).json();
    let token = token["secret"].as_str().unwrap();
    user.says(&format!("--token {token} domain add acme b.test --wait")).ended(4);
    user.says("domain get acme b.test").ended(3);
    platform.kill_proxy();
    let said = user.says("key create acme --name ci --wait=1").ended(8);
    assert!(said.out.contains("Secret"), "the secret is shown all the same: {}", said.out);
    assert!(said.complaint.contains("no proxy is connected"), "{}", said.complaint);
}

#[tokio::test]
async fn a_proxy_that_refuses_a_change_is_named() {
    let other = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
    let platform = Platform::start_with(&[("MASTER_KEY", other)]).await;
    let user = User::of(&platform);
    let issued = Authority::new("test").server(&["acme.test"]);
    let file = |name: &str, text: &str| {
        let path = user.home.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (chain, key) = (file("chain", &issued.certificate_pem), file("key", &issued.key_pem));
    let create = format!("certificate create --chain {chain} --key {key} --wait");
    let said = user.says(&create).ended(8);
    assert!(said.complaint.contains("refuses certificate"), "{}", said.complaint);
    // What it refused before is none of the next change's business.
    user.says("tenant create acme --plan pro --wait").ended(0);
}

#[tokio::test]
async fn exit_codes_say_what_kind_of_failure_it_was() {
    let mut platform = Platform::start().await;
    let user = User::of(&platform);
    user.says("tenant create acme --plan pro --domain acme.test").ended(0);
    for (line, code, pointer) in [
        ("tenant get none", 3, ""),
        ("tenant nothing", 2, ""),
        ("tenant update acme", 2, ""),
        ("--token wrong tenant list", 4, ""),
        ("tenant create acme --plan pro", 5, "/slug: "),
        ("tenant update acme --name x --if-revision 1", 5, ""),
        ("tenant create b --plan pro --domain acme.test", 5, "/domains/0: "),
        ("tenant create b --plan none", 6, "/plan: "),
        ("tenant delete acme --retention-days 100000", 6, ""),
        ("api GET /tenants?limit=0", 6, "?limit: "),
        ("--context none tenant list", 3, ""),
        ("--api http://127.0.0.1:1 --token x tenant list", 7, ""),
    ] {
        let said = user.says(line).ended(code);
        assert!(said.complaint.contains(pointer), "{line}: {}", said.complaint);
        assert!(said.out.is_empty(), "{line}: {}", said.out);
    }
    assert!(user.says("--help").ended(0).out.contains("  8  it was done, but with --wait"));
    platform.kill_control_plane();
    user.says("tenant list").ended(7);
}

#[tokio::test]
async fn a_tenant_sees_its_own_audit_and_no_other() {
    let platform = Platform::start().await;
    let user = User::of(&platform);
    user.says("tenant create acme --plan pro").ended(0);
    user.says("tenant create globex --plan pro --domain globex.test").ended(0);
    let token = |role: &str| {
        let line = format!("-o json token create --tenant acme --name {role} --role {role}");
        user.says(&line).ended(0).json()["secret"].as_str().unwrap().to_owned()
    };
    let (owner, viewer) = (token("owner"), token("viewer"));
    let own = user.says(&format!("--token {owner} domain add acme acme.test"));
    own.ended(0);
    let list = |token: &str, more: &str| {
        user.says(&format!("--token {token} -o json audit list {more} --all"))
    };
    let seen = list(&owner, "--tenant acme").ended(0).json();
    let entries = seen.as_array().unwrap();
    let mut actions: Vec<_> =
        entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["domain.add", "tenant.create", "token.create", "token.create"]);
    for entry in entries {
        let is_own = entry["actor"].as_str().unwrap().starts_with("token/");
        assert_eq!(entry["source_address"].is_string(), is_own, "{entry}");
    }
    let one = |more: &str| list(&owner, &format!("--tenant acme {more}")).ended(0).json();
    assert_eq!(one("--action domain.*").as_array().unwrap().len(), 1);
    assert_eq!(one("--actor root").as_array().unwrap().len(), 3);
    assert_eq!(one("--target plan/pro"), json!([]));
    assert_eq!(one("--until 2020-01-01T00:00:00Z"), json!([]));
    let globex = user.says("-o json tenant get globex").json()["id"].as_str().unwrap().to_owned();
    assert_eq!(one(&format!("--target tenant/{globex}")), json!([]));
    // Another one is as none, the platform's is not its own, and a viewer may not.
    let (other, none) = (list(&owner, "--tenant globex"), list(&owner, "--tenant nobody"));
    let said = |said: Said| said.ended(3).complaint.lines().nth(1).unwrap().to_owned();
    assert_eq!(said(other).replace("globex", "nobody"), said(none));
    list(&owner, "").ended(4);
    list(&viewer, "--tenant acme").ended(4);
    let all = user.says("-o json audit list --tenant acme").ended(0).json();
    assert!(all.as_array().unwrap().iter().all(|entry| entry["source_address"].is_string()));
}
