//! A proxy that begins with a file, where no control plane answers.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;
use tenantry_test_support::{Edge, EdgeOptions, Platform, eventually};

use crate::cli::User;

/// A proxy that can reach nobody.
async fn alone(snapshot: &Path) -> Edge {
    Edge::start(EdgeOptions {
        node: "edge-9".to_owned(),
        distribution: "http://127.0.0.1:1".to_owned(),
        token: "nobody-asks-for-it".to_owned(),
        settings: vec![("SNAPSHOT_FILE".to_owned(), snapshot.display().to_string())],
    })
    .await
}

/// A platform whose control plane is gone, and what was exported before: the key of a tenant, and the file.
async fn exported() -> (Platform, User, String, PathBuf) {
    let mut platform = Platform::start().await;
    let secret = platform.tenant("acme", json!({})).await;
    let user = User::of(&platform);
    let file = user.home.path().join("snapshot.ndjson");
    fs::write(&file, "an older one").unwrap();
    let said = user.says("snapshot export --file snapshot.ndjson").ended(0);
    assert!(said.out.contains("snapshot.ndjson"), "{}", said.out);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(user.says("snapshot export").ended(0).out, fs::read_to_string(&file).unwrap());
    platform.kill_control_plane();
    (platform, user, secret, file)
}

#[tokio::test]
async fn a_new_proxy_serves_from_a_snapshot_without_a_control_plane() {
    let (_platform, user, secret, file) = exported().await;
    let mut edge = alone(&file).await;
    let status = async |edge: &Edge| {
        eventually("it serves", async || {
            let answer = edge.get("acme.example", "/").key(&secret).send().await;
            (answer.status != 503).then_some(answer.status)
        })
        .await
    };
    assert_eq!(status(&edge).await, 200);
    assert_eq!(edge.get("acme.example", "/").send().await.problem(), "credential-missing");
    // It has a file of its own from then on.
    fs::remove_file(&file).unwrap();
    edge.kill();
    edge.start_again().await;
    assert_eq!(status(&edge).await, 200);
    // What cannot be fetched leaves nothing, and what was there stays.
    fs::write(&file, "kept").unwrap();
    let said = user.says("snapshot export --file snapshot.ndjson");
    assert!(said.code != 0 && said.complaint.contains("no control plane answers"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert!(!user.home.path().join("snapshot.ndjson.unfinished").exists());
}

#[tokio::test]
async fn a_snapshot_that_is_cut_or_changed_is_refused() {
    let (_platform, _user, secret, file) = exported().await;
    let whole = fs::read_to_string(&file).unwrap();
    let last_line = whole.trim_end().rfind('\n').unwrap();
    let changed = whole.replace("acme.example", "evil.example");
    assert_ne!(changed, whole);
    let bad = [(whole[..last_line].to_owned(), "no whole state"), (changed, "hashes to")];
    for (content, reason) in bad {
        fs::write(&file, content).unwrap();
        let edge = alone(&file).await;
        let said = eventually("it says why", async || {
            let printed = edge.printed();
            printed.contains("set aside").then_some(printed)
        })
        .await;
        assert!(said.contains(reason), "{said}");
        for host in ["acme.example", "evil.example"] {
            assert_eq!(edge.get(host, "/").key(&secret).status().await, 503, "{host}");
        }
        let directory = edge.file("");
        let names = fs::read_dir(directory).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        let aside = |name: &std::ffi::OsString| name.to_string_lossy().contains(".corrupt-");
        assert_eq!(names.iter().filter(|name| aside(name)).count(), 1, "{names:?}");
        assert!(!edge.file("last-known-good.ndjson").exists());
    }
}
