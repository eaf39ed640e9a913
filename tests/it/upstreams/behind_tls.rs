//! Servers behind TLS, and servers that speak HTTP/2.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Response, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tenantry_test_support::{Answer, Authority, Body, Platform, Server, serve_http1, serve_http2};
use tokio::net::TcpStream;

use super::{change, endpoints, get, origins, platform_with};

/// A server with a certificate for `app.internal`.
async fn server(authority: &Authority, clients: Option<&Authority>, alpn: &[&str]) -> Server {
    let acceptor = authority.acceptor("app.internal", clients, alpn);
    Server::start(move |stream: TcpStream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                serve_http2(stream, answer).await;
            } else {
                serve_http1(stream, answer).await;
            }
        }
    })
    .await
}

async fn answer(request: http::Request<hyper::body::Incoming>) -> Response<Body> {
    let version = request.version();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    match version {
        Version::HTTP_2 => with_trailers(&format!("HTTP/2 {}", body.len())),
        _ => origins::text(format!("HTTP/1.1 {}", body.len())),
    }
}

/// As a gRPC server answers.
fn with_trailers(text: &str) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = [Frame::data(Bytes::from(text.to_owned())), Frame::trailers(trailers)];
    let frames = stream::iter(frames.map(Ok::<_, Infallible>));
    Response::new(StreamBody::new(frames).boxed())
}

async fn refused(platform: &Platform) {
    let answer = get(platform, "/").await;
    assert_eq!(answer.status, 502, "{}", answer.body);
}

async fn served(platform: &Platform, by: &str) -> Answer {
    let answer = get(platform, "/").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, by));
    answer
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority_and_name() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = server(&ours, None, &[]).await;
    let tls = |ca: &Authority, name: &str| json!({"ca_pem": ca.pem(), "server_name": name});
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&server]), "tls": tls(&ours, "app.internal"),
    }))
    .await;
    served(&platform, "HTTP/1.1 0").await;
    // The connection that was just kept must not serve who would not have made it.
    change(&platform, &json!({"tls": tls(&other, "app.internal")})).await;
    refused(&platform).await;
    change(&platform, &json!({"tls": tls(&ours, "else.internal")})).await;
    refused(&platform).await;
    // Without a name the address is demanded, and the certificate does not have it.
    change(&platform, &json!({"tls": {"server_name": null, "ca_pem": ours.pem()}})).await;
    refused(&platform).await;
    // The machine's authorities do not know it.
    change(&platform, &json!({"tls": {"server_name": "app.internal", "ca_pem": null}})).await;
    refused(&platform).await;
    change(&platform, &json!({"tls": {"verify": false}})).await;
    served(&platform, "HTTP/1.1 0").await;
    change(&platform, &json!({"tls": tls(&ours, "app.internal")})).await;
    change(&platform, &json!({"tls": {"verify": null}})).await;
    served(&platform, "HTTP/1.1 0").await;
}

#[tokio::test]
async fn two_upstreams_with_one_address_share_no_connection() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let server = server(&ours, None, &[]).await;
    let tls = |ca: &Authority| json!({"ca_pem": ca.pem(), "server_name": "app.internal"});
    let platform =
        platform_with(&json!({"endpoints": endpoints(&[&server]), "tls": tls(&ours)})).await;
    let api = platform.api();
    let doubtful =
        json!({"id": "doubtful", "endpoints": endpoints(&[&server]), "tls": tls(&other)});
    let doubtful = serde_json::from_value(doubtful).unwrap();
    api.upstreams().create(&doubtful).await.unwrap();
    let route =
        json!({"id": "doubtful", "match": {"path_prefix": "/doubtful"}, "upstream": "doubtful"});
    let route = api.routes().create(&serde_json::from_value(route).unwrap()).await.unwrap();
    platform.enforced(route.revision).await;
    for _ in 0..3 {
        served(&platform, "HTTP/1.1 0").await;
        assert_eq!(get(&platform, "/doubtful").await.status, 502);
    }
}

#[tokio::test]
async fn a_server_that_asks_who_we_are() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let server = server(&servers, Some(&clients), &[]).await;
    let tls = json!({"ca_pem": servers.pem(), "server_name": "app.internal"});
    let mut platform =
        platform_with(&json!({"endpoints": endpoints(&[&server]), "tls": tls})).await;
    refused(&platform).await;
    let show = |authority: &Authority| -> Value {
        let ours = authority.client("gateway.internal");
        json!({"tls": {"client_certificate_pem": ours.certificate_pem, "client_key_pem": ours.key_pem}})
    };
    let ours = show(&clients);
    change(&platform, &ours).await;
    served(&platform, "HTTP/1.1 0").await;
    // The proxy keeps the key sealed, and knows it again without the control plane.
    let key = ours["tls"]["client_key_pem"].as_str().unwrap();
    let file = std::fs::read_to_string(platform.path("data/proxy/last-known-good.ndjson")).unwrap();
    assert!(file.contains("client_key_pem") && !file.contains(key.lines().nth(1).unwrap()));
    platform.kill_control_plane();
    platform.kill_proxy();
    platform.start_proxy().await;
    served(&platform, "HTTP/1.1 0").await;
    platform.start_control_plane().await;
    change(&platform, &show(&servers)).await;
    refused(&platform).await;
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_asked_for() {
    let authority = Authority::new("ours");
    let tls = json!({"ca_pem": authority.pem(), "server_name": "app.internal"});
    let (both, old) = (
        server(&authority, None, &["h2", "http/1.1"]).await,
        server(&authority, None, &["http/1.1"]).await,
    );
    let platform = platform_with(&json!({"endpoints": endpoints(&[&both]), "tls": tls})).await;
    served(&platform, "HTTP/1.1 0").await;
    change(&platform, &json!({"protocol": "auto"})).await;
    served(&platform, "HTTP/2 0").await;
    let post = platform.request(http::Method::POST, "open.example", "/").body(vec![b'x'; 200_000]);
    assert_eq!(post.send().await.body, "HTTP/2 200000");
    change(&platform, &json!({"endpoints": endpoints(&[&old])})).await;
    served(&platform, "HTTP/1.1 0").await;
    change(&platform, &json!({"protocol": "http2", "endpoints": endpoints(&[&both])})).await;
    served(&platform, "HTTP/2 0").await;
    let connections = both.connections();
    let together = futures::future::join_all((0..20).map(|_| get(&platform, "/"))).await;
    assert!(together.iter().all(|answer| answer.body == "HTTP/2 0"));
    assert!(both.connections() < connections + 20, "streams share connections");
}

#[tokio::test]
async fn http2_without_tls_and_checks_over_it() {
    let server = Server::start(|stream| serve_http2(stream, answer)).await;
    let platform = platform_with(&json!({
        "endpoints": endpoints(&[&server]), "protocol": "http2",
        "health_check": {"type": "http", "interval_ms": 500, "timeout_ms": 500, "unhealthy_after": 1},
    }))
    .await;
    served(&platform, "HTTP/2 0").await;
    // One connection for the request, and another for the checks, whichever came first.
    tenantry_test_support::eventually("it was checked", async || {
        (server.connections() >= 2).then_some(())
    })
    .await;
    super::until(&platform, &server, "healthy").await;
    served(&platform, "HTTP/2 0").await;
}
