//! Certificates and sealed secrets, over the API.

use std::path::Path;

use serde_json::{Value, json};
use tenantry_api::{AuditQuery, CertificateQuery, CreateCertificate, ReplaceCertificate};
use tenantry_test_support::{Authority, Issued};

use crate::server::{Answer, Server};

const CERTIFICATES: &str = "POST /api/v1/certificates";

fn body(issued: &Issued, more: Value) -> String {
    let mut body = json!({"chain_pem": issued.certificate_pem, "key_pem": issued.key_pem});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

fn create(issued: &Issued, more: Value) -> CreateCertificate {
    serde_json::from_str(&body(issued, more)).unwrap()
}

/// What of a secret would be found in any file that held it: its first lines of base64.
fn holds(directory: &Path, secret: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, secret);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    })
}

fn check(answer: &Answer, status: u16, kind: &str, pointer: Option<&str>) {
    let problem = answer.json();
    let found = problem.pointer("/errors/0/pointer").and_then(Value::as_str);
    let expected = format!("urn:tenantry:problem:{kind}");
    assert_eq!(
        (answer.status, problem.get("type").and_then(Value::as_str), found),
        (status, Some(expected.as_str()), pointer),
        "{}",
        answer.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_lives_and_its_key_is_nowhere_to_be_seen() {
    let server = Server::with_acme().await;
    let authority = Authority::new("test");
    let first = authority.server(&["acme.example.com", "*.example.net"]);
    let certificates = server.client.certificates();
    let more = json!({"tenant": "acme", "domains": ["acme.example.com"]});
    let own = certificates.create(&create(&first, more)).await.unwrap();
    assert_eq!(own.names.len(), 2);
    assert_eq!(
        own.domains.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["acme.example.com"]
    );
    assert_eq!(own.not_after.to_string().get(..4), Some("4096"));
    let shared = certificates.create(&create(&first, json!({"default": true}))).await.unwrap();
    assert_eq!((shared.tenant, shared.domains.len(), shared.default), (None, 2, true));

    let of = async |tenant: Option<&str>| {
        let tenant = tenant.map(str::to_owned);
        let query = CertificateQuery { tenant, ..CertificateQuery::default() };
        let page = server.client.certificates().list(&query).await.unwrap();
        page.items.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(of(Some("acme")).await, [own.id]);
    assert_eq!(of(None).await.len(), 2);

    let second = authority.server(&["acme.example.com"]);
    let renewed: ReplaceCertificate = serde_json::from_str(&body(&second, json!({}))).unwrap();
    let id = own.id.to_string();
    assert!(certificates.replace(&id, &renewed, Some(own.revision - 1)).await.is_err());
    let renewed = certificates.replace(&id, &renewed, Some(own.revision)).await.unwrap();
    assert_eq!((renewed.id, renewed.created_at), (own.id, own.created_at));
    assert_ne!(renewed.fingerprint, own.fingerprint);
    assert_eq!(certificates.get(&id).await.unwrap(), renewed);
    certificates.delete(&id, None).await.unwrap();
    assert!(certificates.get(&id).await.is_err());
    assert_eq!(of(Some("acme")).await, []);

    let audit = server.client.audit(&AuditQuery::default()).await.unwrap();
    let audit = serde_json::to_string(&audit).unwrap();
    assert!(audit.contains("certificate.update") && audit.contains(r#""key":"[hidden]""#));
    for issued in [&first, &second] {
        let line = issued.key_pem.lines().nth(1).unwrap();
        assert!(!audit.contains(line) && !holds(server.directory.path(), line));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_with_its_place() {
    let server = Server::with_acme().await;
    server.create_tenant("beta", &["beta.example.com"]).await;
    let root = Authority::new("root");
    let between = root.intermediate("between");
    let issued = root.server(&["acme.example.com", "beta.example.com", "*.example.com"]);
    let expired = root.expired(&["acme.example.com"]);
    let other = Issued { key_pem: root.server(&["a.b"]).key_pem, ..issued.clone() };
    let leaked = Issued {
        certificate_pem: format!("{}{}", issued.certificate_pem, issued.key_pem),
        ..issued.clone()
    };
    let disordered = Issued {
        certificate_pem: between.server(&["a.b"]).certificate_pem + &root.pem(),
        ..issued.clone()
    };
    let many: Vec<_> = (0..21).map(|number| format!("{number}.example.com")).collect();
    for (body, pointer) in [
        (body(&expired, json!({})), "/chain_pem"),
        (body(&disordered, json!({})), "/chain_pem"),
        (body(&leaked, json!({})), "/chain_pem"),
        (body(&other, json!({})), "/key_pem"),
        (body(&issued, json!({"domains": ["other.example.net"]})), "/domains"),
        (body(&issued, json!({"domains": many})), "/domains"),
        (body(&issued, json!({"domains": ["a_b"]})), "/domains/0"),
        // Not its own, another tenant's, and nobody's.
        (body(&issued, json!({"tenant": "acme", "domains": ["beta.example.com"]})), "/domains"),
        (body(&issued, json!({"tenant": "acme", "domains": ["*.example.com"]})), "/domains"),
        (
            body(
                &issued,
                json!({"tenant": "acme", "domains": ["acme.example.com"], "default": true}),
            ),
            "/default",
        ),
        (body(&issued, json!({"key": "x"})), "/key"),
    ] {
        check(&server.send(CERTIFICATES, "", &body).await, 422, "invalid", Some(pointer));
    }
    let nobody = body(&issued, json!({"tenant": "nobody"}));
    check(&server.send(CERTIFICATES, "", &nobody).await, 404, "not-found", None);
    let ca = json!({"client_ca_pem": issued.certificate_pem}).to_string();
    let answer = server.send("PATCH /api/v1/tenants/acme", "", &ca).await;
    check(&answer, 422, "invalid", Some("/client_ca_pem"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_has_one_certificate_of_a_tenant_and_one_of_the_platform() {
    let server = Server::with_acme().await;
    let issued = Authority::new("root").server(&["acme.example.com", "*.example.com"]);
    let acme = json!({"tenant": "acme", "domains": ["acme.example.com"]});
    let certificates = server.client.certificates();
    let own = certificates.create(&create(&issued, acme.clone())).await.unwrap();
    let platform = json!({"domains": ["acme.example.com"], "default": true});
    let shared = certificates.create(&create(&issued, platform.clone())).await.unwrap();
    for (more, pointer) in [
        (acme.clone(), "/domains"),
        (platform, "/domains"),
        (json!({"domains": ["*.example.com"], "default": true}), "/default"),
    ] {
        let answer = server.send(CERTIFICATES, "", &body(&issued, more)).await;
        check(&answer, 409, "certificate-taken", Some(pointer));
    }

    // Its domain stays while the certificate names it, and no longer.
    let remove = "DELETE /api/v1/tenants/acme/domains/acme.example.com";
    check(&server.send(remove, "", "").await, 409, "in-use", None);
    certificates.delete(&own.id.to_string(), None).await.unwrap();
    assert_eq!(server.send(remove, "", "").await.status, 204);
    let answer = server.send(CERTIFICATES, "", &body(&issued, acme)).await;
    check(&answer, 422, "invalid", Some("/domains"));

    // What a replaced certificate gave up is free.
    let replace = format!("PUT /api/v1/certificates/{}", shared.id);
    let kept = body(&issued, json!({"domains": ["*.example.com"]}));
    assert_eq!(server.send(&replace, "", &kept).await.status, 200);
    let freed = json!({"domains": ["acme.example.com"], "default": true});
    certificates.create(&create(&issued, freed)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_secret_is_stored_sealed() {
    const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA";
    let issuer = json!({
        "issuer": "https://id.acme.com/", "audiences": ["api"], "algorithms": ["HS256"],
        "jwks": {"keys": [{"kty": "oct", "alg": "HS256", "k": SECRET}]},
    });
    let path = "POST /api/v1/tenants/acme/issuers";
    for (server, is_open) in
        [(Server::with_acme().await, false), (Server::without_master_key().await, true)]
    {
        let answer = server.send(path, "", &issuer.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!(answer.json()["jwks"]["keys"][0]["k"], "[hidden]");
        assert!(answer.json()["jwks"]["keys"][0].get("sealed_k").is_none());
        assert_eq!(holds(&server.directory.path().join("store"), SECRET), is_open);
        let audit = server.client.audit(&AuditQuery::default()).await.unwrap();
        let audit = serde_json::to_string(&audit).unwrap();
        assert!(audit.contains("issuer.create"));
        assert!(!audit.contains(SECRET) && !audit.contains("sealed_k"), "{audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_key_of_an_upstream_is_stored_sealed_or_not_at_all() {
    let issued = Authority::new("root").client("gateway.internal");
    let line = issued.key_pem.lines().nth(1).unwrap();
    let tls =
        json!({"client_certificate_pem": issued.certificate_pem, "client_key_pem": issued.key_pem});
    let body = json!({"id": "main", "endpoints": [{"address": "127.0.0.1:1"}], "tls": tls});
    let create = "POST /api/v1/upstreams";
    let server = Server::without_master_key().await;
    check(&server.send(create, "", &body.to_string()).await, 503, "no-master-key", None);

    let server = Server::with_acme().await;
    let answer = server.send(create, "", &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(answer.json()["tls"].get("client_key_pem").is_none(), "{}", answer.body);
    assert!(!holds(&server.directory.path().join("store"), line));
    let audit = server.client.audit(&AuditQuery::default()).await.unwrap();
    let audit = serde_json::to_string(&audit).unwrap();
    assert!(audit.contains("upstream.create") && audit.contains("[hidden]"), "{audit}");
    assert!(!audit.contains(line) && !audit.contains(r#""client_key_pem":"v1."#), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_master_key_certificates_alone_are_refused() {
    let server = Server::without_master_key().await;
    let issued = Authority::new("root").server(&["acme.example.com"]);
    let answer = server.send(CERTIFICATES, "", &body(&issued, json!({}))).await;
    check(&answer, 503, "no-master-key", None);
    assert!(answer.body.contains("TENANTRY_MASTER_KEY"), "{}", answer.body);
    assert_eq!(server.send("GET /api/v1/certificates", "", "").await.status, 200);
}
