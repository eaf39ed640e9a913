//! What a node that is enrolled for a region is sent, and in which states.

use std::collections::BTreeSet;

use serde_json::json;
use tenantry_api::{AllowRemoval, CreateApiKey, CreateIssuer, CreateTenant};
use tenantry_distribution::{Assembler, Encoding, Event, Removal, Update, UpdateKind};
use tenantry_test_support::json as body;

use super::{Proxy, fresh};
use crate::server::Server;

/// A token of the node for this region.
async fn enrolled(server: &Server, region: &str) -> String {
    let node = json!({"name": "edge-1", "region": region}).to_string();
    let node = server.send("POST /api/v1/nodes", "", &node).await;
    assert_eq!(node.status, 201, "{}", node.body);
    node.json()["secret"].as_str().unwrap().to_owned()
}

async fn connect(server: &Server, token: &str, held: Assembler) -> Proxy {
    Proxy::connect_as(server, token, held, Encoding::Plain).await
}

/// A tenant with all that can be its, and what of it concerns proxies.
async fn resident(server: &Server, slug: &str, region: &str) -> (BTreeSet<String>, u64) {
    let host = format!("{slug}.example");
    let new = json!({
        "slug": slug, "name": slug, "plan": "pro", "region": region, "domains": [host],
    });
    let tenant = server.client.tenants().create(&body::<CreateTenant>(new)).await.unwrap();
    let tenant = format!("tenant/{}", tenant.tenant.id);
    let key = json!({"name": "first"});
    let key = server.client.keys(slug).create(&body::<CreateApiKey>(key)).await.unwrap();
    let issuer = json!({
        "issuer": format!("https://id.{slug}.test/"), "audiences": ["api"], "algorithms": ["ES256"],
        "jwks_url": format!("https://id.{slug}.test/keys"),
    });
    let issuer = server.client.issuers(slug).create(&body::<CreateIssuer>(issuer)).await.unwrap();
    let its = [
        tenant,
        format!("domain/{host}"),
        format!("api_key/{}", key.key.id),
        format!("issuer/{}", issuer.id),
    ];
    (BTreeSet::from(its), issuer.revision)
}

async fn moved(server: &Server, slug: &str, region: &str) {
    let patch = json!({"region": region});
    server.client.tenants().patch(slug, &patch, None).await.unwrap();
}

/// What an update puts, and what it removes.
fn told(update: &Update) -> (BTreeSet<String>, BTreeSet<String>) {
    let (put, removed): (Vec<_>, Vec<_>) =
        update.changes.iter().partition(|change| change.json().is_some());
    let names = |changes: Vec<&tenantry_distribution::Change>| -> BTreeSet<String> {
        changes.iter().map(|it| format!("{}/{}", it.kind(), it.id())).collect()
    };
    (names(put), names(removed))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_moved_while_proxy_and_control_plane_were_away_is_taken_from_it() {
    let server = Server::with_acme().await;
    let eu = enrolled(&server, "eu").await;
    let (boston, _) = resident(&server, "boston", "us").await;
    let (paris, _) = resident(&server, "paris", "eu").await;
    let (_, last) = resident(&server, "oslo", "eu").await;
    let mut proxy = connect(&server, &eu, fresh()).await;
    let (held, _) = told(&proxy.update().await);
    assert!(held.is_superset(&paris) && held.is_disjoint(&boston), "{held:?}");
    proxy.until(last).await;
    let held = proxy.assembler;
    drop(proxy.stream);
    moved(&server, "paris", "us").await;
    moved(&server, "boston", "eu").await;
    // Neither of them is ever named to it.
    resident(&server, "miami", "us").await;
    moved(&server, "miami", "asia").await;
    let Server { running, directory, .. } = server;
    running.stop().await;

    let server = Server::start_in(directory).await;
    let from = held.held().unwrap().revision;
    let mut proxy = connect(&server, &eu, held).await;
    let missed = proxy.update().await;
    assert_eq!((missed.kind, missed.from), (UpdateKind::Delta, from));
    assert_eq!(told(&missed), (boston, paris));
    // The hash at its end is that of the view as it is read whole.
    assert_eq!(proxy.event().await, Event::Confirmed);
    let mut whole = connect(&server, &eu, fresh()).await;
    assert_eq!(whole.update().await.hash, missed.hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_saw_more_is_sent_nothing_older_than_what_it_holds() {
    let server = Server::with_acme().await;
    let eu = enrolled(&server, "eu").await;
    let acme = server.client.tenants().get("acme").await.unwrap();
    // The view of its region is in use, and nothing happens there any more.
    let mut beside = connect(&server, &eu, fresh()).await;
    beside.until(acme.revision).await;
    let (boston, last) = resident(&server, "boston", "us").await;
    let mut all = Proxy::connect(&server, fresh()).await;
    all.until(last).await;
    assert!(beside.held().revision.as_u64() < last);

    let mut proxy = connect(&server, &eu, all.assembler).await;
    let Event::Update(less) = proxy.event().await else { panic!("it is sent what it sees now") };
    assert_eq!(less.kind, UpdateKind::Full);
    assert!(less.to.as_u64() >= last, "{}", less.to);
    assert!(told(&less).0.is_disjoint(&boston));
    assert_eq!(proxy.event().await, Event::Confirmed);
    // Others of the view come along, and need nothing for it.
    let nothing = beside.update().await;
    assert_eq!((nothing.kind, nothing.changes.len()), (UpdateKind::Delta, 0));
    assert_eq!(beside.held(), proxy.held());

    // One that trusts nothing it has been sent asks for everything, and says only in its report where it stands.
    let (_, last) = resident(&server, "miami", "us").await;
    let mut all = Proxy::connect(&server, fresh()).await;
    all.until(last).await;
    all.token = eu;
    all.report(&server, &[]).await;
    beside.until(last).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_removal_is_meant_is_said_in_every_view() {
    let server = Server::with_acme().await;
    let eu = enrolled(&server, "eu").await;
    let acme = server.client.tenants().get("acme").await.unwrap();
    let mut proxy = connect(&server, &eu, fresh()).await;
    assert_eq!(proxy.update().await.removal, Removal::Guarded);
    proxy.until(acme.revision).await;
    server.client.allow_removal(&AllowRemoval { minutes: 1 }).await.unwrap();
    // It leaves the view, and with it go all tenants that there are.
    moved(&server, "acme", "us").await;
    let delta = proxy.update().await;
    assert_eq!((delta.kind, delta.removal), (UpdateKind::Delta, Removal::Meant));
    assert_eq!(proxy.assembler.tenants(), 0);
    let mut whole = connect(&server, &eu, fresh()).await;
    assert_eq!(whole.update().await.removal, Removal::Meant);
}
