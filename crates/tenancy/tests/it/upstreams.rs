//! The client key of an upstream: sealed where it can be, and never lost.

use serde_json::{Value, json};
use tenantry_credentials::sealing::MasterKeys;
use tenantry_model::{Upstream, UpstreamId, upstream::ClientKey};
use tenantry_store::{Batch, Store as _};
use tenantry_tenancy::{Document as _, Error, MassRemoval, Precondition, Tenancy};
use tenantry_test_support::{Authority, Issued};

use crate::platform::{Platform, caller, parsed};

fn master_keys(digit: char) -> MasterKeys {
    MasterKeys::parse(&format!("{}=", String::from(digit).repeat(43))).unwrap()
}

fn upstream(certificate: &Issued, key: &str) -> Upstream {
    let tls = json!({"client_certificate_pem": certificate.certificate_pem, "client_key_pem": key});
    parsed(json!({"id": "main", "endpoints": [{"address": "127.0.0.1:1"}], "tls": tls}))
}

async fn stored(tenancy: &Tenancy) -> Upstream {
    let id: UpstreamId = "main".parse().unwrap();
    tenancy.get::<Upstream>(&id).await.unwrap().value.resource
}

async fn patch(tenancy: &Tenancy, patch: Value) -> Result<Upstream, Error> {
    let id = "main".parse().unwrap();
    let done = tenancy.patch::<Upstream>(&caller(), &id, &patch, &Precondition::None).await;
    done.map(|done| done.value.resource)
}

fn is_at_the_key(error: &Error) -> bool {
    matches!(error, Error::Invalid { pointer, .. } if pointer == "/tls/client_key_pem")
}

#[tokio::test]
async fn a_key_is_sealed_kept_and_checked_against_a_new_certificate() {
    let platform = Platform::new().await;
    let tenancy = platform.sealing(master_keys('A'));
    let (ours, other) =
        (Authority::new("a").client("a.test"), Authority::new("b").client("b.test"));
    tenancy.create(&caller(), upstream(&ours, &ours.key_pem)).await.unwrap();
    let first = stored(&tenancy).await;
    assert!(matches!(first.client_key(), Some(ClientKey::Sealed(_))));
    let line = ours.key_pem.lines().nth(1).unwrap();
    for (key, value) in platform.rows().await {
        assert!(!String::from_utf8_lossy(&value).contains(line), "{key}");
    }

    // No document has it, sealed or not; a document without it leaves it as it is.
    let exported = tenancy.export(None).await.unwrap();
    let documents = serde_json::to_value(&exported.documents).unwrap();
    let written = documents.to_string();
    assert!(written.contains("client_certificate_pem") && !written.contains("client_key_pem"));
    assert!(exported.left_out.iter().any(|it| it.contains("client key of the upstream main")));
    let mut documents = documents.as_array().unwrap().clone();
    assert_eq!(tenancy.diff(&documents, None).await.unwrap(), []);
    for document in documents.iter_mut().filter(|it| it["kind"] == "upstream") {
        document["max_requests"] = json!(7);
    }
    assert_eq!(
        tenancy
            .apply(&caller(), &documents, None, MassRemoval::Refused, false)
            .await
            .unwrap()
            .chunks,
        1
    );
    assert_eq!(stored(&tenancy).await.client_key(), first.client_key());
    patch(&tenancy, json!({"max_requests": null})).await.unwrap();

    let shown = first.clone().without_secrets();
    tenancy.replace(&caller(), shown, &Precondition::None).await.unwrap();
    assert_eq!(stored(&tenancy).await, first, "what was shown and is written again");
    let change = json!({"tls": {"client_certificate_pem": other.certificate_pem}});
    assert!(is_at_the_key(&patch(&tenancy, change).await.unwrap_err()), "another's key");
    let text = first.client_key().cloned().map(String::from).unwrap();
    let copied: Upstream = parsed(json!({
        "id": "copy", "endpoints": [{"address": "127.0.0.1:1"}],
        "tls": {"client_certificate_pem": ours.certificate_pem, "client_key_pem": text},
    }));
    let copied = tenancy.create(&caller(), copied).await.unwrap_err();
    assert!(is_at_the_key(&copied), "what is sealed is made here alone");

    // Under other master keys the rest can be changed, and the key be replaced.
    let later = platform.sealing(master_keys('E'));
    patch(&later, json!({"max_requests": 3})).await.unwrap();
    assert_eq!(stored(&later).await.client_key(), first.client_key());
    let renewed = json!({"tls": {"client_certificate_pem": other.certificate_pem}});
    assert!(is_at_the_key(&patch(&later, renewed).await.unwrap_err()), "it cannot be compared");
    let both = json!({"tls": {"client_certificate_pem": other.certificate_pem, "client_key_pem": other.key_pem}});
    let replaced = patch(&later, both).await.unwrap();
    assert_ne!(replaced.client_key(), first.client_key());
    let neither = json!({"tls": {"client_certificate_pem": null, "client_key_pem": null}});
    assert_eq!(patch(&later, neither).await.unwrap().client_key(), None);
}

#[tokio::test]
async fn a_key_from_before_there_were_master_keys_is_read_kept_and_sealed_when_it_can_be() {
    let platform = Platform::new().await;
    let ours = Authority::new("a").client("a.test");
    let old = upstream(&ours, &ours.key_pem);
    let refused = platform.tenancy.create(&caller(), old.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::NoMasterKey), "{refused}");
    let at = "2023-11-14T22:13:20Z";
    let record = json!({"resource": old, "created_at": at, "updated_at": at}).to_string();
    platform.store.commit(Batch::new().put("upstream/main", record)).await.unwrap();

    patch(&platform.tenancy, json!({"max_requests": 3})).await.unwrap();
    assert_eq!(stored(&platform.tenancy).await.client_key(), old.client_key());
    let tenancy = platform.sealing(master_keys('A'));
    let sealed = patch(&tenancy, json!({"max_requests": 4})).await.unwrap();
    assert!(matches!(sealed.client_key(), Some(ClientKey::Sealed(_))));
    // And from here on as any other.
    let another = Authority::new("b").client("b.test");
    let both = json!({"tls": {"client_certificate_pem": another.certificate_pem, "client_key_pem": another.key_pem}});
    let refused = patch(&platform.tenancy, both).await.unwrap_err();
    assert!(matches!(refused, Error::NoMasterKey), "{refused}");
}
