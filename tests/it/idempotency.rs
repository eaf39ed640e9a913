//! A change that is asked for until it is answered is made once, whatever becomes of the control plane.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tenantry_api::{AuditQuery, CreateApiKey, CreateTenant};
use tenantry_test_support::{Platform, json as body};

const ROUNDS: u64 = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_around_the_commit_neither_doubles_nor_loses() {
    let mut platform = Platform::start().await;
    platform.kill_proxy();
    let acme: CreateTenant = body(json!({"slug": "acme", "name": "Acme", "plan": "pro"}));
    platform.api().tenants().create(&acme).await.unwrap();
    let (mut answered, mut cut_off) = (0, 0);
    for round in 0..ROUNDS {
        // Not unique in anything but its idempotency key: nothing else would keep it from being made twice.
        let key: CreateApiKey = body(json!({"name": format!("round-{round}")}));
        let api = platform.api().keyed(format!("round-{round}"));
        let keys = api.keys("acme");
        let asked = keys.create(&key);
        // The commit takes some milliseconds; the crashes are spread over them.
        let crash = tokio::time::sleep(Duration::from_micros(round * 400));
        tokio::pin!(asked);
        let first = tokio::select! {
            biased;
            answer = &mut asked => Some(answer.unwrap()),
            () = crash => None,
        };
        platform.kill_control_plane();
        let seen = match first {
            Some(answer) => Some(answer),
            None => asked.await.ok(),
        };
        platform.start_control_plane().await;
        let api = platform.api().keyed(format!("round-{round}"));
        let again = api.keys("acme").create(&key).await.unwrap();
        match seen {
            Some(seen) => {
                answered += 1;
                assert_eq!(seen.key, again.key, "what was answered is answered again");
            }
            None => cut_off += 1,
        }
    }
    assert!(answered > 0 && cut_off > 0, "crashes met both: {answered} and {cut_off}");
    let page = platform.api().keys("acme").list(&Default::default()).await.unwrap();
    let mut made = BTreeMap::<_, usize>::new();
    for key in page.items {
        *made.entry(key.name).or_default() += 1;
    }
    let expected: BTreeMap<_, _> = (0..ROUNDS).map(|round| (format!("round-{round}"), 1)).collect();
    assert_eq!(made, expected);
    let audit = AuditQuery { limit: Some(1000), ..AuditQuery::default() };
    let audit = platform.api().audit(&audit).await.unwrap();
    let created = audit.items.iter().filter(|entry| entry.action == "key.create").count();
    assert_eq!(u64::try_from(created).unwrap(), ROUNDS);
}
