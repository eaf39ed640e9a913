//! Issuers in exports, differences and desired states.

use serde_json::{Value, json};
use tenantry_credentials::sealing::MasterKeys;
use tenantry_tenancy::{MassRemoval, NewIssuer, Tenancy};

use crate::{
    desired::{apply, documents, exported, pointers, tenant, text},
    platform::{Platform, caller, named, parsed},
};

const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA";
const OTHER: &str = "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI";

fn shared() -> Value {
    json!({
        "kind": "issuer", "issuer": "https://id.example/", "audiences": ["b", "a"],
        "algorithms": ["RS256"], "tenant_claim": "tenant", "jwks_url": "https://id.example/jwks",
    })
}

fn of_acme(k: &str) -> Value {
    json!({
        "kind": "issuer", "tenant": "acme", "issuer": "https://acme.example/", "audiences": ["api"],
        "algorithms": ["HS256"],
        "jwks": {"keys": [{"kty": "oct", "kid": "1", "k": k}, {"kty": "oct", "kid": "2", "k": k}]},
    })
}

fn new_issuer(first: &str, second: &str) -> NewIssuer {
    NewIssuer {
        issuer: "https://acme.example/".to_owned(),
        audiences: ["api".to_owned()].into(),
        algorithms: parsed(json!(["HS256"])),
        tenant_claim: None,
        scope_claim: None,
        roles_claim: None,
        jwks: Some(json!({"keys": [
            {"kty": "oct", "kid": "1", "k": first}, {"kty": "oct", "kid": "2", "k": second},
        ]})),
        jwks_url: None,
    }
}

/// The secrets of the one issuer of acme, as they are stored, opened.
async fn secrets(tenancy: &Tenancy, keys: Option<&MasterKeys>) -> Vec<String> {
    let acme = named("acme");
    let page = tenantry_tenancy::PageRequest::new(None, None).unwrap();
    let issuers = tenancy.issuers(Some(&acme), &page).await.unwrap().items;
    assert_eq!(issuers.len(), 1);
    let issuer = issuers.first().unwrap().value.resource.clone();
    let context = tenantry_model::Issuer::sealing_context(issuer.id());
    let open = |sealed: &str| {
        let opened = keys.unwrap().open(&sealed.parse().unwrap(), &context).unwrap();
        Ok::<_, ()>(String::from_utf8_lossy(&opened).into_owned())
    };
    let opened = serde_json::to_value(issuer.opened(open).unwrap()).unwrap();
    let keys = opened.pointer("/jwks/keys").unwrap().as_array().unwrap();
    keys.iter().map(|key| key.get("k").unwrap().as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn issuers_are_made_changed_and_exported_like_anything_else() {
    let (one, other) = (Platform::new().await, Platform::new().await);
    let mut all = vec![shared(), tenant("acme", "pro"), {
        let mut issuer = shared();
        (issuer["tenant"], issuer["tenant_claim"]) = (json!("acme"), Value::Null);
        issuer
    }];
    let applied = apply(&one, &all).await.unwrap();
    assert_eq!((applied.chunks, applied.changes.len()), (1, 3));
    assert_eq!(one.tenancy.diff(&all, None).await.unwrap(), []);
    let first = exported(&one).await;
    let names: Vec<_> = documents(&first).iter().map(|it| it["issuer"].clone()).collect();
    assert_eq!(names.iter().filter(|name| *name == "https://id.example/").count(), 2);
    assert!(!text(&first).contains("iss_"), "{}", text(&first));
    apply(&other, &documents(&first)).await.unwrap();
    assert_eq!(text(&first), text(&exported(&other).await));
    // One is changed, and stays the one it was: its tokens go on being accepted.
    let page = tenantry_tenancy::PageRequest::new(None, None).unwrap();
    let before = one.tenancy.issuers(None, &page).await.unwrap().items;
    all[0]["audiences"] = json!(["c"]);
    assert_eq!(apply(&one, &all).await.unwrap().changes.len(), 1);
    let after = one.tenancy.issuers(None, &page).await.unwrap().items;
    assert_eq!(after.len(), 1);
    assert_eq!(before[0].value.resource.id(), after[0].value.resource.id());
    assert!(after[0].value.resource.audiences().contains("c"));
    // Those of tenants that are left out are left out.
    let label = "stage=other".parse().unwrap();
    let few = one.tenancy.export(Some(&label)).await.unwrap();
    assert_eq!(documents(&few).iter().filter(|it| it["kind"] == "issuer").count(), 1);
}

#[tokio::test]
async fn a_masked_secret_is_the_one_that_is_stored() {
    for is_sealed in [false, true] {
        let keys = MasterKeys::parse(MASTER_KEY).unwrap();
        let platform = Platform::new().await;
        let sealing = platform.sealing(MasterKeys::parse(MASTER_KEY).unwrap());
        let tenancy = if is_sealed { &sealing } else { platform.tenancy.as_ref() };
        let keys = is_sealed.then_some(&keys);
        platform.create_tenant("acme").await;
        let acme = named("acme");
        tenancy.create_issuer(&caller(), Some(&acme), new_issuer(SECRET, OTHER)).await.unwrap();
        let written = exported(&platform).await;
        for part in [SECRET, OTHER, "sealed_k", "v1."] {
            assert!(!text(&written).contains(part), "{part} in {}", text(&written));
        }
        let left_out = written.left_out.join("\n");
        assert!(left_out.contains("issuer acme/https://acme.example/"), "{left_out}");
        // Exactly what was exported is what is there.
        assert_eq!(tenancy.diff(&documents(&written), None).await.unwrap(), []);
        // Something else of it is changed, its keys turned round: each keeps its secret.
        let mut changed = documents(&written);
        let issuer = changed.iter_mut().find(|it| it["kind"] == "issuer").unwrap();
        issuer["audiences"] = json!(["api", "web"]);
        issuer["jwks"]["keys"].as_array_mut().unwrap().reverse();
        let dry =
            tenancy.apply(&caller(), &changed, None, MassRemoval::Refused, true).await.unwrap();
        let shown = format!("{dry:?}");
        assert!(!shown.contains(SECRET) && !shown.contains("v1."), "{shown}");
        assert_eq!(
            tenancy
                .apply(&caller(), &changed, None, MassRemoval::Refused, false)
                .await
                .unwrap()
                .chunks,
            1
        );
        assert_eq!(secrets(tenancy, keys).await, [OTHER, SECRET]);
        assert_eq!(tenancy.diff(&changed, None).await.unwrap(), []);
        // Nothing that was written says them, if they can be sealed; nor does the log in any case.
        for (key, value) in platform.rows().await {
            let is_record = !is_sealed && key.starts_with("issuer/");
            let row = String::from_utf8_lossy(&value).into_owned();
            assert!(is_record || !row.contains(SECRET), "{key}: {row}");
        }
        // A key for which nothing is stored.
        let issuer = changed.iter_mut().find(|it| it["kind"] == "issuer").unwrap();
        issuer["jwks"]["keys"][0]["kid"] = json!("3");
        let index = changed.iter().position(|it| it["kind"] == "issuer").unwrap();
        let told = tenancy
            .apply(&caller(), &changed, None, MassRemoval::Refused, false)
            .await
            .unwrap_err();
        assert_eq!(pointers(told), [format!("/documents/{index}/jwks/keys/0/k")]);
    }
}

#[tokio::test]
async fn secrets_in_documents_are_refused_and_nothing_is_written() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let before = platform.rows().await;
    let mut sealed = of_acme("[hidden]");
    let key = sealed["jwks"]["keys"][0].as_object_mut().unwrap();
    key.remove("k");
    key.insert("sealed_k".to_owned(), "v1.x".into());
    let mut nobody = shared();
    nobody["tenant"] = json!("nobody");
    for (document, place) in [
        (of_acme(SECRET), "/jwks/keys/0/k"),
        (sealed, "/jwks/keys/0/k"),
        // On another platform there is nothing that the mask could stand for.
        (of_acme("[hidden]"), "/jwks/keys/0/k"),
        (nobody, "/tenant"),
        (json!({"kind": "issuer", "id": "x", "issuer": "https://id.example/"}), "/id"),
    ] {
        let error = apply(&platform, std::slice::from_ref(&document)).await.unwrap_err();
        assert!(!error.to_string().contains(SECRET));
        assert_eq!(pointers(error), [format!("/documents/0{place}")], "{document}");
    }
    assert_eq!(platform.rows().await, before);
    let twice = pointers(apply(&platform, &[shared(), shared()]).await.unwrap_err());
    assert_eq!(twice, ["/documents/1"]);
}

#[tokio::test]
async fn two_of_one_name_are_left_out_and_left_alone() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let acme = named("acme");
    for _ in 0..2 {
        let issuer = new_issuer(SECRET, OTHER);
        platform.tenancy.create_issuer(&caller(), Some(&acme), issuer).await.unwrap();
    }
    let written = exported(&platform).await;
    assert!(documents(&written).iter().all(|it| it["kind"] != "issuer"));
    let left_out = written.left_out.join("\n");
    assert!(left_out.contains("issuers acme/https://acme.example/"), "{left_out}");
    let told = pointers(apply(&platform, &[of_acme("[hidden]")]).await.unwrap_err());
    assert_eq!(told, ["/documents/0/issuer"]);
}
