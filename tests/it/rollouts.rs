//! Changes that are released to some proxies first: by real processes, with kills on both sides.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::json;
use tenantry_api::{
    Client, RolloutDetailBody, RolloutStateBody, StartRolloutQuery, TakeBackRollout,
};
use tenantry_model::Plan;
use tenantry_test_support::{ControlPlane, Edge, Origin, eventually, json as body};

use crate::nodes::{enrolled, seeded};

/// A control plane, an origin, and three proxies of which the first is labelled.
struct Fleet {
    control_plane: ControlPlane,
    origin: Origin,
    edges: [Edge; 3],
}

impl Fleet {
    async fn start(directory: &Path, region_of_first: Option<&str>) -> Self {
        let control_plane = ControlPlane::start(directory, &[]).await;
        let origin = Origin::start().await;
        seeded(&control_plane.api(), &origin).await;
        let edges = [
            edge(&control_plane, "edge-1", "first", region_of_first).await,
            edge(&control_plane, "edge-2", "later", region_of_first).await,
            edge(&control_plane, "edge-3", "later", None).await,
        ];
        let fleet = Self { control_plane, origin, edges };
        fleet.settled().await;
        fleet
    }

    fn api(&self) -> Client {
        self.control_plane.api()
    }

    /// Waits until every proxy holds what it is to hold of all that was changed.
    async fn settled(&self) {
        let (api, head) = (self.api(), self.head().await);
        eventually("all proxies are up to date", async || {
            let all = api.proxies().await.ok()?.items;
            let is_there = |it: &tenantry_api::ProxyBody| {
                it.connected && it.enforced_through >= Some(head) && it.hash_expected == it.hash
            };
            (all.len() == self.edges.len() && all.iter().all(is_there)).then_some(())
        })
        .await;
    }

    /// A revision of this moment.
    async fn head(&self) -> u64 {
        let touched = json!({"metadata": {"touched": true}});
        self.api().tenants().patch("acme", &touched, None).await.unwrap().revision
    }

    async fn start_rollout(&self, documents: &str, query: StartRolloutQuery) -> RolloutDetailBody {
        let query = StartRolloutQuery {
            label: Some("ring=first".to_owned()),
            min_requests: Some(20),
            ..query
        };
        self.api().start_rollout(documents.as_bytes().to_vec(), &query).await.unwrap()
    }

    /// Waits until the chosen proxy has it.
    async fn released_to_the_first(&self, id: &str) {
        let api = self.api();
        eventually("the first proxy has the change", async || {
            let watch = api.rollout(id).await.ok()?.watch?;
            watch.proxies.iter().all(|proxy| proxy.enforces && proxy.connected).then_some(())
        })
        .await;
    }

    /// How many streams there were since the control plane began, by how they began.
    async fn openings(&self) -> BTreeMap<String, u64> {
        let (_, page) = self.control_plane.get("/metrics").await.unwrap();
        let count = |line: &str| {
            let (opening, count) = line
                .strip_prefix("tenantry_control_plane_streams_total{opening=\"")?
                .split_once("\"} ")?;
            Some((opening.to_owned(), count.parse().unwrap()))
        };
        let openings: BTreeMap<_, _> = page.lines().filter_map(count).collect();
        assert!(!openings.is_empty(), "{page}");
        openings
    }

    /// What a proxy has recorded, once that is what it enforces.
    async fn recorded(&self, index: usize) -> Vec<u8> {
        let edge = &self.edges[index];
        eventually("it has written down what it enforces", async || {
            let at = edge.metric("tenantry_snapshot_recorded_revision").await?;
            (edge.metric("tenantry_snapshot_revision").await? == at).then_some(())
        })
        .await;
        fs::read(edge.file("last-known-good.ndjson")).unwrap()
    }

    async fn ended(&self, id: &str) -> RolloutDetailBody {
        let api = self.api();
        eventually("the roll-out has ended", async || {
            api.rollout(id).await.ok().filter(|it| it.rollout.state.is_end())
        })
        .await
    }

    /// How each proxy answers.
    async fn answers(&self, path: &str) -> [u16; 3] {
        let [first, second, third] = &self.edges;
        let ask = async |edge: &Edge| edge.get("acme.example", path).status().await;
        [ask(first).await, ask(second).await, ask(third).await]
    }
}

async fn edge(control_plane: &ControlPlane, node: &str, ring: &str, region: Option<&str>) -> Edge {
    let labels = json!({"ring": ring});
    enrolled(control_plane, json!({"name": node, "labels": labels, "region": region})).await
}

fn manual() -> StartRolloutQuery {
    StartRolloutQuery {
        release: Some(tenantry_api::RolloutRelease::Manual),
        ..StartRolloutQuery::default()
    }
}

/// What is asked for under a path is sent elsewhere, and a domain is given up.
const REDIRECTED: &str = "
documents:
- {kind: tenant, slug: acme, name: Acme, plan: pro, auth: none, domains: [acme.example]}
- {kind: route, id: beta, match: {path_prefix: /beta}, redirect: {status: 307, host: beta.example}}
";

#[tokio::test]
async fn some_proxies_have_a_change_first_through_crashes_of_both_ends() {
    first_through_crashes(None).await;
}

#[tokio::test]
async fn so_have_proxies_of_a_region() {
    first_through_crashes(Some("eu")).await;
}

async fn first_through_crashes(region: Option<&str>) {
    let directory = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(directory.path(), region).await;
    let domain = json!({"host": "old.example"});
    fleet.api().domains("acme").create(&body(domain)).await.unwrap();
    fleet.settled().await;
    assert_eq!(fleet.answers("/beta").await, [200, 200, 200]);
    let file = fleet.edges[0].file("last-known-good.ndjson");
    let before = fleet.recorded(0).await;
    let rollout = fleet.start_rollout(REDIRECTED, manual()).await;
    let id = rollout.rollout.id.to_string();
    assert_eq!(
        rollout.rollout.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["edge-1"]
    );
    fleet.released_to_the_first(&id).await;
    assert_eq!(fleet.answers("/beta").await, [307, 200, 200]);

    // Everything else goes on for all.
    fleet.api().tenants().suspend("acme", "test").await.unwrap();
    fleet.settled().await;
    assert_eq!(fleet.answers("/").await, [403, 403, 403]);
    fleet.api().tenants().resume("acme").await.unwrap();
    fleet.settled().await;

    // A control plane that knows only what it has stored sends each the same as before.
    fleet.control_plane.kill();
    fleet.control_plane.start_again().await;
    fleet.settled().await;
    fleet.released_to_the_first(&id).await;
    assert_eq!(fleet.answers("/beta").await, [307, 200, 200]);

    // A chosen proxy that was away while other things changed, and one that lost all it had.
    let [first, second, _] = &mut fleet.edges;
    first.kill();
    second.kill();
    fleet.head().await;
    fs::remove_file(&file).unwrap();
    for index in [0, 1] {
        fleet.edges[index].start_again().await;
    }
    fleet.settled().await;
    assert_eq!(fleet.answers("/beta").await, [307, 200, 200]);
    assert_eq!(fleet.edges[0].get("old.example", "/").status().await, 404);
    assert_eq!(fleet.edges[1].get("old.example", "/").status().await, 200);

    // One that has only what it had before it was chosen, when the control plane forgot what it had sent.
    fleet.edges[0].kill();
    let plan = json!({"id": "more", "name": "More"});
    fleet.api().plans().create(&body::<Plan>(plan)).await.unwrap();
    fs::write(&file, before).unwrap();
    fleet.control_plane.kill();
    fleet.control_plane.start_again().await;
    fleet.edges[0].start_again().await;
    fleet.settled().await;
    assert_eq!(fleet.answers("/beta").await, [307, 200, 200]);
    let openings = fleet.openings().await;
    assert_eq!(openings.get("full"), None, "{openings:?}");
    let printed = fleet.control_plane.process().printed();
    assert!(printed.contains("a difference was put together from the log"), "{printed}");

    // Taken back while the chosen one is away, by a control plane that is gone again when it comes back.
    fleet.edges[0].kill();
    let reason = TakeBackRollout { reason: Some("not today".to_owned()) };
    let ended = fleet.api().take_back_rollout(&id, &reason).await.unwrap();
    assert_eq!(ended.rollout.state, RolloutStateBody::TakenBack);
    assert!(ended.rollout.reason.unwrap().contains("not today"));
    fleet.control_plane.kill();
    fleet.control_plane.start_again().await;
    fleet.edges[0].start_again().await;
    fleet.settled().await;
    assert_eq!(fleet.answers("/beta").await, [200, 200, 200]);

    // The next one is released, and leaves all proxies with one state.
    let rollout = fleet.start_rollout(REDIRECTED, manual()).await;
    let id = rollout.rollout.id.to_string();
    fleet.released_to_the_first(&id).await;
    fleet.api().release_rollout(&id).await.unwrap();
    assert_eq!(fleet.ended(&id).await.rollout.state, RolloutStateBody::Released);
    fleet.settled().await;
    assert_eq!(fleet.answers("/beta").await, [307, 307, 307]);
    // There are no tenants of any region here, so all views are the same.
    let hashes: Vec<_> =
        fleet.api().proxies().await.unwrap().items.into_iter().map(|proxy| proxy.hash).collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[tokio::test]
async fn a_change_that_harms_is_taken_back_before_others_have_it() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(directory.path(), None).await;
    let broken = "
documents:
- {kind: upstream, id: main, endpoints: [{address: '127.0.0.1:1'}]}
";
    let rollout = fleet.start_rollout(broken, StartRolloutQuery::default()).await;
    let id = rollout.rollout.id.to_string();
    fleet.released_to_the_first(&id).await;
    let mut harmed = 0;
    let ended = eventually("clients meet it, and it is taken back", async || {
        let [at_first, at_second, at_third] = fleet.answers("/").await;
        assert_eq!((at_second, at_third), (200, 200));
        harmed += u64::from(at_first >= 500);
        fleet.api().rollout(&id).await.ok().filter(|it| it.rollout.state.is_end())
    })
    .await;
    assert_eq!(ended.rollout.state, RolloutStateBody::TakenBack);
    let reason = ended.rollout.reason.unwrap();
    assert!(reason.contains("5xx"), "{reason}");
    assert!(harmed >= 20, "not before there was enough to judge by: {harmed}");
    fleet.settled().await;
    assert_eq!(fleet.answers("/").await, [200, 200, 200]);
    assert!(fleet.origin.served() > 0);
}

/// What proxies answer while there is no control plane is not forgotten.
#[tokio::test]
async fn a_control_plane_that_was_away_judges_what_was_answered_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(directory.path(), None).await;
    let broken = "
documents:
- {kind: upstream, id: main, endpoints: [{address: '127.0.0.1:1'}]}
";
    let query = StartRolloutQuery { watch_seconds: Some(1), ..StartRolloutQuery::default() };
    let rollout = fleet.start_rollout(broken, query).await;
    fleet.edges[0].enforced(rollout.rollout.started_revision).await;
    fleet.control_plane.kill();
    for _ in 0..30 {
        assert!(fleet.edges[0].get("acme.example", "/").status().await >= 500);
    }
    fleet.control_plane.start_again().await;
    let ended = fleet.ended(&rollout.rollout.id.to_string()).await;
    assert_eq!(ended.rollout.state, RolloutStateBody::TakenBack);
    assert!(ended.rollout.reason.unwrap().contains("5xx"));
    fleet.settled().await;
    assert_eq!(fleet.answers("/").await, [200, 200, 200]);
}

/// A tenant that leaves a region takes with it what of it is rolled out there.
#[tokio::test]
async fn what_is_rolled_out_of_a_tenant_stays_in_its_region() {
    let directory = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(directory.path(), Some("eu")).await;
    for (slug, region) in [("euro", "eu"), ("dollar", "us")] {
        let new = json!({
            "slug": slug, "name": slug, "plan": "pro", "auth": "none", "region": region,
            "domains": [format!("{slug}.example")],
        });
        fleet.api().tenants().create(&body(new)).await.unwrap();
    }
    fleet.settled().await;
    let more = "
documents:
- {kind: tenant, slug: euro, name: euro, plan: pro, auth: none, region: eu, domains: [euro.example, euro-new.example]}
- {kind: tenant, slug: dollar, name: dollar, plan: pro, auth: none, region: us, domains: [dollar.example, dollar-new.example]}
- {kind: route, id: eurotop, tenant: euro, match: {path_prefix: /eurotop}, redirect: {status: 307, host: beta.example}}
";
    let rollout = fleet.start_rollout(more, manual()).await;
    fleet.released_to_the_first(&rollout.rollout.id.to_string()).await;
    let status = async |fleet: &Fleet, host: &str| fleet.edges[0].get(host, "/").status().await;
    assert_eq!(status(&fleet, "euro-new.example").await, 200);
    assert_eq!(status(&fleet, "dollar-new.example").await, 404);
    let recorded = String::from_utf8(fleet.recorded(0).await).unwrap();
    assert!(recorded.contains("eurotop") && !recorded.contains("dollar"), "{recorded}");

    let waiting = fleet.api().waiting(60);
    waiting.tenants().patch("euro", &json!({"region": "us"}), None).await.unwrap();
    assert_eq!(status(&fleet, "euro.example").await, 404);
    fleet.edges[0].kill();
    fs::remove_file(fleet.edges[0].file("last-known-good.ndjson")).unwrap();
    fleet.edges[0].start_again().await;
    fleet.settled().await;
    assert_eq!(status(&fleet, "euro-new.example").await, 404);
    let recorded = String::from_utf8(fleet.recorded(0).await).unwrap();
    assert!(!recorded.contains("euro"), "{recorded}");
    let ended = fleet.ended(&rollout.rollout.id.to_string()).await;
    assert_eq!(ended.rollout.state, RolloutStateBody::TakenBack);
}

#[tokio::test]
async fn who_changes_what_is_rolled_out_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(directory.path(), None).await;
    let closed = "
documents:
- {kind: tenant, slug: acme, name: Acme, plan: pro, auth: any, domains: [acme.example, new.example]}
";
    let openings = fleet.openings().await;
    let rollout = fleet.start_rollout(closed, manual()).await;
    let id = rollout.rollout.id.to_string();
    fleet.released_to_the_first(&id).await;
    assert_eq!(fleet.answers("/").await, [401, 200, 200]);
    assert_eq!(fleet.edges[0].get("new.example", "/").status().await, 401);
    assert_eq!(fleet.edges[1].get("new.example", "/").status().await, 404);
    // It is in force everywhere when it is said to be, whatever has become of the roll-out by then.
    let waiting = fleet.api().waiting(60);
    waiting.tenants().suspend("acme", "test").await.unwrap();
    assert_eq!(waiting.applied().pop().unwrap().enforced, 3);
    assert_eq!(fleet.answers("/").await, [403, 403, 403]);
    assert_eq!(fleet.ended(&id).await.rollout.state, RolloutStateBody::TakenBack);
    fleet.settled().await;
    assert_eq!(fleet.answers("/").await, [403, 403, 403]);
    assert_eq!(fleet.edges[0].get("new.example", "/").status().await, 404);
    assert_eq!(fleet.openings().await, openings, "all was told on the streams there were");
}

#[tokio::test]
async fn what_was_watched_for_long_enough_is_released_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(directory.path(), None).await;
    let query = StartRolloutQuery { watch_seconds: Some(1), ..StartRolloutQuery::default() };
    let streams = fleet.openings().await;
    let rollout = fleet.start_rollout(REDIRECTED, query).await;
    let ended = fleet.ended(&rollout.rollout.id.to_string()).await;
    assert_eq!(ended.rollout.state, RolloutStateBody::Released, "{:?}", ended.rollout.reason);
    fleet.settled().await;
    assert_eq!(fleet.answers("/beta").await, [307, 307, 307]);
    assert_eq!(fleet.openings().await, streams, "all was told on the streams there were");
}
