//! TLS towards clients, from the upload of a certificate to the request at the origin.

use std::fs;

use serde_json::{Value, json};
use tenantry_api::{CertificateBody, CreateCertificate, ReplaceCertificate};
use tenantry_test_support::{Authority, Issued, Platform, TlsClient, json};

const ACME: &str = "acme.example";
const BETA: &str = "beta.example";

pub(crate) async fn upload(platform: &Platform, issued: &Issued, more: Value) -> CertificateBody {
    let mut body = json!({"chain_pem": issued.certificate_pem, "key_pem": issued.key_pem});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body: CreateCertificate = json(body);
    let created = platform.api().certificates().create(&body).await.unwrap();
    platform.enforced(created.revision).await;
    created
}

/// The status, and the problem's name if it is one.
async fn answer(request: tenantry_test_support::Request) -> (u16, String) {
    let answer = request.send().await;
    (answer.status, answer.problem())
}

fn refused(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

#[tokio::test]
async fn a_certificate_serves_from_its_upload_on_and_is_replaced_under_open_connections() {
    let platform = Platform::start().await;
    let key = platform.tenant("acme", json!({})).await;
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let gateway = platform.tls_clients();
    let early = TlsClient::new(gateway, &old, None);
    assert!(early.get(ACME, "/").key(&key).try_send().await.is_err(), "no certificate yet");

    let more = json!({"tenant": "acme", "domains": [ACME]});
    let uploaded = upload(&platform, &old.server(&[ACME]), more).await;
    for client in [early.clone(), TlsClient::http1(gateway, &old, None)] {
        let echo = client.get(ACME, "/").key(&key).echo().await;
        assert_eq!(echo.headers["x-forwarded-proto"], "https");
    }
    assert!(early.get(BETA, "/").key(&key).try_send().await.is_err(), "a name of nobody's");

    let renewed = new.server(&[ACME]);
    let body: ReplaceCertificate =
        json(json!({"chain_pem": renewed.certificate_pem, "key_pem": renewed.key_pem}));
    let id = uploaded.id.to_string();
    let replaced = platform.api().certificates().replace(&id, &body, None).await.unwrap();
    platform.enforced(replaced.revision).await;
    assert_eq!(early.get(ACME, "/").key(&key).send().await.status, 200, "on its connection");
    let late = TlsClient::new(gateway, &old, None);
    assert!(late.get(ACME, "/").key(&key).try_send().await.is_err(), "the old one is gone");
    let late = TlsClient::new(gateway, &new, None);
    assert_eq!(late.get(ACME, "/").key(&key).send().await.status, 200);
}

#[tokio::test]
async fn certificates_survive_a_restart_without_the_control_plane_and_their_keys_stay_sealed() {
    let mut platform = Platform::start().await;
    let key = platform.tenant("acme", json!({})).await;
    let authority = Authority::new("test");
    let issued = authority.server(&[ACME]);
    upload(&platform, &issued, json!({"default": true})).await;
    platform.kill_control_plane();
    platform.kill_proxy();
    platform.start_proxy().await;
    let client = TlsClient::new(platform.tls_clients(), &authority, None);
    assert_eq!(client.get(ACME, "/").key(&key).send().await.status, 200);
    let file = fs::read_to_string(platform.path("data/proxy/last-known-good.ndjson")).unwrap();
    let line = issued.key_pem.lines().nth(1).unwrap();
    assert!(file.contains("crt_") && !file.contains(line));
    assert!(!platform.proxy_printed().contains(line));
}

#[tokio::test]
async fn a_tenant_with_authorities_of_its_own_is_reached_with_their_certificates_alone() {
    let platform = Platform::start().await;
    let servers = Authority::new("servers");
    let (of_acme, of_beta) = (Authority::new("clients of acme"), Authority::new("clients of beta"));
    let acme = platform.tenant("acme", json!({"client_ca_pem": of_acme.pem()})).await;
    let beta = platform.tenant("beta", json!({"client_ca_pem": of_beta.pem()})).await;
    upload(&platform, &servers.server(&[ACME, BETA, "nobody.example"]), json!({"default": true}))
        .await;
    let gateway = platform.tls_clients();
    let client = |certificate: Option<&Issued>| TlsClient::new(gateway, &servers, certificate);

    let printer = of_acme.client("printer");
    let proven = client(Some(&printer));
    assert_eq!(answer(proven.get(ACME, "/").key(&acme)).await.0, 200);
    assert!(client(None).get(ACME, "/").key(&acme).try_send().await.is_err());
    let foreign = client(Some(&of_beta.client("printer")));
    assert!(foreign.get(ACME, "/").key(&acme).try_send().await.is_err());
    assert_eq!(answer(foreign.get(BETA, "/").key(&beta)).await.0, 200);

    // No way around it: plain HTTP, another name in TLS, the name of nobody.
    let required = refused(403, "client-certificate-required");
    assert_eq!(answer(platform.get(ACME, "/").key(&acme)).await, required);
    assert_eq!(answer(platform.get("nobody.example", "/").key(&acme)).await, required);
    assert_eq!(answer(client(None).get("nobody.example", "/").key(&acme)).await, required);
    let crossing = TlsClient::http1(gateway, &servers, Some(&printer));
    let crossed = crossing.get(ACME, "/").header("host", BETA).key(&beta);
    assert_eq!(answer(crossed).await, refused(421, "misdirected"));
    let crossed = crossing.get("nobody.example", "/").header("host", ACME).key(&acme);
    assert_eq!(answer(crossed).await, refused(421, "misdirected"));

    let mut supposed = json!({"host": ACME, "key": acme, "sni": ACME});
    assert_eq!(platform.explain(&supposed).await["outcome"], required.1);
    supposed["client_certificate"] = true.into();
    assert_eq!(platform.explain(&supposed).await["outcome"], "forward");

    // A connection that was opened under former authorities is worth nothing under new ones.
    let change = json!({"client_ca_pem": of_beta.pem()});
    let changed = platform.api().tenants().patch("acme", &change, None).await.unwrap();
    platform.enforced(changed.revision).await;
    assert_eq!(answer(proven.get(ACME, "/").key(&acme)).await, required);
    assert_eq!(answer(foreign.get(ACME, "/").key(&acme)).await.0, 200);
}
