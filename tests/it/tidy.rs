//! The architecture as a check: who may depend on whom, and how long a file may be.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

const MAX_LINES: usize = 500;

/// Which packages of the workspace each may depend on (directly, tests aside).
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("tenantry-model", &[]),
    ("tenantry-credentials", &["model"]),
    ("tenantry-sharded-map", &[]),
    ("tenantry-engine", &["model", "credentials", "sharded-map"]),
    ("tenantry-certs", &["model", "sharded-map"]),
    ("tenantry-explain", &["model", "engine", "api"]),
    ("tenantry-distribution", &["model"]),
    ("tenantry-subscription", &["model", "distribution"]),
    ("tenantry-simulation", &["model", "distribution"]),
    ("tenantry-wire", &[]),
    ("tenantry-store", &["model"]),
    ("tenantry-telemetry", &[]),
    ("tenantry-api", &["model"]),
    ("tenantry-directory", &["model"]),
    ("tenantry-tenancy", &["model", "credentials", "certs", "engine", "directory", "store"]),
    (
        "tenantry-proxy",
        &[
            "model",
            "credentials",
            "certs",
            "engine",
            "explain",
            "wire",
            "distribution",
            "subscription",
            "api",
            "telemetry",
        ],
    ),
    (
        "tenantry-control-plane",
        &[
            "model",
            "credentials",
            "engine",
            "explain",
            "distribution",
            "store",
            "tenancy",
            "api",
            "telemetry",
        ],
    ),
    ("tenantry-cli", &["model", "credentials", "api"]),
    ("tenantry-test-support", &["model", "credentials", "api"]),
    ("tenantry-benches", &["model", "credentials", "engine"]),
    ("tenantry-gateway-bench", &["credentials"]),
    ("tenantry-tests", &[]),
    ("tenantry-fuzz", &[]),
];

/// Outside packages that only one package may name.
const ONLY_IN: &[(&str, &str)] = &[
    ("pingora", "tenantry-proxy"),
    ("axum", "tenantry-control-plane"),
    ("sled", "tenantry-store"),
    ("governor", "tenantry-engine"),
    ("ring", "tenantry-credentials"),
    ("argon2", "tenantry-credentials"),
    ("lettre", "tenantry-control-plane"),
    ("opentelemetry", "tenantry-proxy"),
    ("clap_complete", "tenantry-cli"),
    ("utoipa-axum", "tenantry-control-plane"),
];

/// Who may name them beside that one and what stands in for the other end in tests: a bare pingora to compare with.
const BESIDE: &[(&str, &str)] = &[("pingora", "tenantry-gateway-bench")];

/// Pure packages name nothing that does I/O, runs tasks or draws randomness.
const PURE: [&str; 9] = [
    "tenantry-model",
    "tenantry-credentials",
    "tenantry-certs",
    "tenantry-engine",
    "tenantry-directory",
    "tenantry-wire",
    "tenantry-distribution",
    "tenantry-simulation",
    "tenantry-sharded-map",
];
const IMPURE: [&str; 7] = ["tokio", "reqwest", "hyper", "axum", "pingora", "rand", "tracing"];

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    metadata.packages
}

/// The names of what a package depends on, tests aside.
fn dependencies(package: &Package) -> Vec<&str> {
    let normal = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development);
    normal.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<_, _> = MAY_DEPEND_ON.iter().copied().collect();
    for package in packages() {
        let Some(allowed) = allowed.get(package.name.as_str()) else {
            panic!("{} is new: say in this test what it may depend on", package.name);
        };
        for dependency in dependencies(&package) {
            if let Some(short) = dependency.strip_prefix("tenantry-") {
                assert!(
                    allowed.contains(&short),
                    "{} must not depend on {dependency}",
                    package.name
                );
            }
        }
    }
}

#[test]
fn one_room_for_each_outside_thing() {
    for package in packages() {
        for dependency in dependencies(&package) {
            for (outside, only) in ONLY_IN {
                let name = package.name.as_str();
                assert!(
                    dependency != *outside
                        || [only, "tenantry-test-support"].contains(&name)
                        || BESIDE.contains(&(*outside, name)),
                    "only {only} may name {outside}, and {} does",
                    package.name
                );
            }
            let is_pure = PURE.contains(&package.name.as_str());
            assert!(
                !is_pure || !IMPURE.contains(&dependency),
                "{} is pure and must not name {dependency}",
                package.name
            );
        }
    }
}

#[test]
fn folders_are_named_after_their_packages() {
    for package in packages() {
        let folder = package.manifest_path.parent().unwrap().file_name().unwrap();
        let parent = package.manifest_path.ancestors().nth(2).and_then(|parent| parent.file_name());
        // One name for all that is in `benches` would say too little: the gateway is not a package of its own.
        let suffix = if parent == Some("benches") { "-bench" } else { "" };
        assert_eq!(package.name.as_str(), format!("tenantry-{folder}{suffix}"));
    }
}

fn tracked(pattern: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard", pattern])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files works in a checkout");
    let files: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|file| root.join(file).display().to_string())
        .collect();
    assert!(!files.is_empty(), "{pattern} matches something");
    files
}

#[test]
fn files_are_short() {
    for file in tracked("*.rs") {
        let lines = fs::read_to_string(&file).map_or(0, |text| text.lines().count());
        assert!(lines <= MAX_LINES, "{file} has {lines} lines; split it by responsibility");
    }
}

#[test]
fn modules_say_what_they_are_for() {
    let is_test = |file: &str| file.contains("/tests") && !file.ends_with("/lib.rs");
    for file in tracked("*.rs").iter().filter(|file| !is_test(file)) {
        let Ok(text) = fs::read_to_string(file) else { continue };
        assert!(text.starts_with("//!"), "{file} does not begin with what it is for");
    }
}
