//! A platform to try things on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{SeedableRng as _, rngs::StdRng};
use tenantry_credentials::sealing::MasterKeys;
use tenantry_model::{Plan, Route, TenantSpec, TenantState, Timestamp, Upstream};
use tenantry_store::{OpenOptions, SledStore, Store, StoreId};
use tenantry_tenancy::{
    AuditEntry, AuditFilter, Caller, Clock, Error, NewTenant, PageRequest, Principal, Tenancy,
    TenantRecord, TenantRef, Versioned,
};

/// Each look at it takes a millisecond, unless it stands still.
pub(crate) struct ManualClock {
    unix_ms: AtomicU64,
    step: AtomicU64,
}

impl ManualClock {
    pub(crate) fn pass(&self, time: Duration) {
        self.unix_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    fn at(unix_ms: u64) -> Arc<Self> {
        Arc::new(Self { unix_ms: AtomicU64::new(unix_ms), step: AtomicU64::new(1) })
    }

    pub(crate) fn stand_still_at(&self, time: &str) {
        let time: Timestamp = time.parse().unwrap();
        self.unix_ms.store(time.unix_ms(), Ordering::Relaxed);
        self.step.store(0, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let step = self.step.load(Ordering::Relaxed);
        Timestamp::from_unix_ms(self.unix_ms.fetch_add(step, Ordering::Relaxed))
    }
}

pub(crate) struct Platform {
    pub(crate) tenancy: Arc<Tenancy>,
    pub(crate) store: Arc<SledStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn caller() -> Caller {
    Caller {
        principal: Principal::Root,
        request_id: "test".to_owned(),
        source_address: None,
        idempotency: None,
        is_rehearsal: false,
    }
}

pub(crate) fn parsed<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
    serde_json::from_value(json).unwrap()
}

pub(crate) fn new_tenant(slug: &str, domains: &[&str]) -> NewTenant {
    let spec: TenantSpec = parsed(serde_json::json!({"slug": slug, "name": "Acme", "plan": "pro"}));
    NewTenant {
        spec,
        domains: domains.iter().map(|host| host.parse().unwrap()).collect(),
        state: TenantState::Active,
        key: None,
        invitation: None,
    }
}

pub(crate) fn named(tenant: &str) -> TenantRef {
    tenant.parse().unwrap()
}

impl Platform {
    /// With the plan `pro`.
    pub(crate) async fn new() -> Self {
        Self::opened(&OpenOptions::new(StoreId::from_bytes([7; 16]))).await
    }

    /// The same, where watchers may fall so many commits behind.
    pub(crate) async fn with_watch_backlog(watch_backlog: usize) -> Self {
        let options = OpenOptions::new(StoreId::from_bytes([7; 16]));
        Self::opened(&OpenOptions { watch_backlog, ..options }).await
    }

    async fn opened(options: &OpenOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SledStore::open(directory.path(), options).unwrap());
        let clock = ManualClock::at(1_700_000_000_000);
        let random = Box::new(StdRng::seed_from_u64(1));
        let shared: Arc<dyn Store> = Arc::<SledStore>::clone(&store);
        let tenancy = Arc::new(Tenancy::new(shared, Arc::<ManualClock>::clone(&clock), random));
        let platform = Self { tenancy, store, clock, directory };
        platform.create_plan("pro").await;
        platform
    }

    /// The same store, with something to seal secrets with.
    pub(crate) fn sealing(&self, keys: MasterKeys) -> Tenancy {
        self.beside(2).with_master_keys(keys)
    }

    /// The same store, for somebody who shares nothing else with others.
    pub(crate) fn beside(&self, seed: u64) -> Tenancy {
        let clock = ManualClock::at(1_800_000_000_000);
        let store: Arc<dyn Store> = Arc::<SledStore>::clone(&self.store);
        Tenancy::new(store, clock, Box::new(StdRng::seed_from_u64(seed)))
    }

    pub(crate) async fn create_plan(&self, id: &str) {
        let plan: Plan = parsed(serde_json::json!({"id": id, "name": "A plan"}));
        self.tenancy.create(&caller(), plan).await.unwrap();
    }

    pub(crate) async fn create_route(&self) -> Result<(), Error> {
        let upstream: Upstream =
            parsed(serde_json::json!({"id": "main", "endpoints": [{"address": "127.0.0.1:1"}]}));
        self.tenancy.create(&caller(), upstream).await?;
        let route: Route = parsed(serde_json::json!({"id": "all", "upstream": "main"}));
        self.tenancy.create(&caller(), route).await.map(drop)
    }

    pub(crate) async fn create_tenant(&self, slug: &str) -> Versioned<TenantRecord> {
        let made = self.tenancy.create_tenant(&caller(), new_tenant(slug, &[])).await.unwrap();
        Versioned { value: made.value.record, revision: made.revision }
    }

    /// The newest first.
    pub(crate) async fn audit(&self) -> Vec<Versioned<AuditEntry>> {
        let request = PageRequest::new(Some(1000), None).unwrap();
        self.tenancy.audit(&AuditFilter::default(), &request).await.unwrap().items
    }

    /// Every row there is.
    pub(crate) async fn rows(&self) -> Vec<(String, Vec<u8>)> {
        let page = self.store.scan(b"", None, 10_000).await.unwrap();
        assert!(page.next.is_none());
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
        page.rows.iter().map(|row| (text(&row.key), row.value.to_vec())).collect()
    }
}
