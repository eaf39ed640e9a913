//! The account that is taken after each fault: what was acknowledged is there, what was not is there
//! whole or not at all, the chain of the audit log is whole, and what was due is done.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_api::{AuditQuery, Client, ListQuery, TenantBody, VerifyAuditQuery};
use tenantry_test_support::{ControlPlane, eventually};

use super::load::{Tenant, View, Writer};

/// The end of the chain when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Account(VerifyAuditQuery);

/// What proxies are told of one tenant.
#[derive(Debug, Default)]
struct Enforced {
    state: Option<String>,
    domains: BTreeSet<String>,
    keys: usize,
}

/// Everything that is looked at once for all tenants.
struct Whole {
    enforced: BTreeMap<String, Enforced>,
    /// Identifiers by slug, as the audit log names whoever was made.
    made: BTreeMap<String, String>,
}

impl Account {
    /// Takes it of the tenants touched since the last time, and goes on with what is found.
    pub(super) async fn take(&mut self, control_plane: &ControlPlane, writers: &mut [Writer]) {
        let api = control_plane.api();
        let tenants = writers.iter_mut().flat_map(|writer| &mut writer.tenants);
        let mut touched: Vec<_> = tenants.filter(|tenant| tenant.touched).collect();
        for tenant in &touched {
            due_is_done(&api, tenant).await;
        }
        let whole = Whole::look(control_plane, &api).await;
        for tenant in &mut touched {
            let found = whole.view(&api, &tenant.slug).await;
            let fits = tenant.possible().find(|done| tenant.view(*done) == found);
            assert!(fits.is_some(), "{tenant:?} is {found:#?}");
            tenant.done = fits.unwrap();
            (tenant.in_doubt, tenant.touched) = (false, false);
        }
        self.follow_chain(&api).await;
    }

    /// The same, of all tenants there ever were.
    pub(super) async fn take_of_all(
        &mut self,
        control_plane: &ControlPlane,
        writers: &mut [Writer],
    ) {
        for tenant in writers.iter_mut().flat_map(|writer| &mut writer.tenants) {
            tenant.touched = true;
        }
        self.take(control_plane, writers).await;
    }

    /// Whole at every moment, and, once all is linked, the continuation of what it was before.
    async fn follow_chain(&mut self, api: &Client) {
        let found = eventually("all audit entries are linked", async || {
            let found = api.verify_audit(&self.0).await.unwrap();
            assert!(found.intact, "{found:?}");
            (found.unsealed == 0).then_some(found)
        })
        .await;
        self.0 = VerifyAuditQuery { sequence: Some(found.sequence), hash: Some(found.hash) };
    }
}

/// Waits until nothing is left of a tenant whose retention has ended.
async fn due_is_done(api: &Client, tenant: &Tenant) {
    eventually(&format!("what is due of {} is done", tenant.slug), async || {
        let found = api.tenants().get(&tenant.slug).await;
        let is_due = found
            .is_ok_and(|tenant| tenant.purge_at.is_some_and(|at| Some(at) == tenant.deleted_at));
        (!is_due).then_some(())
    })
    .await;
}

impl Whole {
    async fn look(control_plane: &ControlPlane, api: &Client) -> Self {
        let enforced = eventually("proxies are told of purges", async || {
            let enforced = enforced(control_plane).await;
            let purged = api.tenants().list_purged(&everything()).await.unwrap().items;
            let is_told = |tenant: &str| !enforced.contains_key(tenant);
            purged.iter().all(|purged| is_told(&purged.tenant.to_string())).then_some(enforced)
        })
        .await;
        let query =
            AuditQuery { action: Some("tenant.create".to_owned()), ..AuditQuery::default() };
        let made = audit(api, query).await.into_iter().map(|entry| {
            let slug = entry.after["resource"]["slug"].as_str().unwrap().to_owned();
            (slug, entry.tenant.unwrap().to_string())
        });
        let made: Vec<_> = made.collect();
        let count = made.len();
        let made: BTreeMap<_, _> = made.into_iter().collect();
        assert_eq!(made.len(), count, "no slug was made twice");
        Self { enforced, made }
    }

    /// What a tenant is, as all that tells of it says alike.
    async fn view(&self, api: &Client, slug: &str) -> Option<View> {
        let by_slug = found(api, slug).await;
        let Some(id) = self.made.get(slug) else {
            assert_eq!(by_slug, None, "there without an audit entry");
            let domain = format!("{slug}.example");
            let left = self.enforced.values().find(|enforced| enforced.domains.contains(&domain));
            assert!(left.is_none(), "enforced without an audit entry: {left:?}");
            return None;
        };
        assert_eq!(by_slug, found(api, id).await, "by slug and by id");
        let query = AuditQuery { target: Some(format!("tenant/{id}")), ..AuditQuery::default() };
        let mut audit: Vec<_> =
            audit(api, query).await.into_iter().rev().map(|entry| entry.action).collect();
        let enforced = self.enforced.get(id);
        let Some(tenant) = by_slug else {
            assert!(enforced.is_none(), "enforced after its purge: {enforced:?}");
            let certificate =
                eventually("the purge ends", async || api.tenants().purged(id).await.ok());
            let removed = certificate.await.removed;
            assert_eq!((removed["domain"], removed["api_key"]), (2, 2), "{slug}");
            let begin = audit.iter().position(|action| action == "tenant.purge.begin").unwrap();
            let purge = audit.split_off(begin);
            let ends = purge.iter().filter(|action| *action == "tenant.purge").count();
            assert_eq!((purge.last().unwrap().as_str(), ends), ("tenant.purge", 1), "{slug}");
            let keys = ["first", "second"].map(str::to_owned).into();
            return Some(View {
                state: "purged".to_owned(),
                name: "renamed".to_owned(),
                keys,
                audit,
            });
        };
        let state = tenant.state.as_str().to_owned();
        let all = everything();
        let domains = api.domains(slug).list(&all).await.unwrap().items;
        assert_eq!(domains.len(), 2, "{slug} has its domains");
        let keys: BTreeSet<_> = api
            .keys(slug)
            .list(&all)
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|key| key.name)
            .collect();
        assert!(enforced.is_some(), "{slug} is not enforced");
        let enforced = enforced.unwrap();
        assert_eq!(enforced.state.as_ref(), Some(&state), "{slug} as enforced");
        assert_eq!((enforced.domains.len(), enforced.keys), (2, keys.len()), "{slug} as enforced");
        Some(View { state, name: tenant.spec.name.to_string(), keys, audit })
    }
}

fn everything() -> ListQuery {
    ListQuery { limit: Some(1000), ..ListQuery::default() }
}

async fn enforced(control_plane: &ControlPlane) -> BTreeMap<String, Enforced> {
    let mut enforced = BTreeMap::<String, Enforced>::new();
    for put in control_plane.resources().await {
        let text = |name: &str| put["resource"][name].as_str().map(str::to_owned);
        match put["kind"].as_str().unwrap() {
            "tenant" => enforced.entry(text("id").unwrap()).or_default().state = text("state"),
            "domain" => {
                let tenant = enforced.entry(text("tenant").unwrap()).or_default();
                tenant.domains.insert(text("host").unwrap());
            }
            "api_key" => enforced.entry(text("tenant").unwrap()).or_default().keys += 1,
            _ => {}
        }
    }
    enforced
}

async fn found(api: &Client, tenant: &str) -> Option<TenantBody> {
    match api.tenants().get(tenant).await {
        Ok(found) => Some(found),
        Err(error) => {
            assert_eq!(error.problem().map(|problem| problem.status), Some(404), "{error}");
            None
        }
    }
}

async fn audit(api: &Client, mut query: AuditQuery) -> Vec<tenantry_api::AuditEntryBody> {
    query.limit = Some(1000);
    let mut entries = Vec::new();
    loop {
        let page = api.audit(&query).await.unwrap();
        entries.extend(page.items);
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return entries,
        }
    }
}
