//! The composition root: everything is put together here, and taken apart again.

use std::{
    fs::{self, DirBuilder},
    io,
    net::SocketAddr,
    num::NonZeroU32,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tenantry_store::{OpenError, OpenOptions, ReadOnly, SledStore, Store, StoreId};
use tenantry_tenancy::{Clock, Tenancy};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use crate::{
    Bootstrap, Random,
    addresses::Addresses,
    compaction,
    courier::{self, Courier},
    directory,
    distributor::{self, Distributor, Nodes, Questions, Waits},
    http::{
        attempts::Attempts,
        body::BodyTimeout,
        cors::Origin,
        denials::{self, Denials},
        idempotency::InProgress,
        rate::{Rate, RateLimiter},
        shown::ShownTenants,
    },
    master_key,
    metrics::Metrics,
    notary,
    passwords::Passwords,
    reconciler,
    rollouts::{self, Rollouts},
    router,
    serve::serve,
    tls::{Files, Tls},
    token::Token,
};

/// Imports that run at once. Each may hold some megabytes.
const MAX_IMPORTS: usize = 2;
/// How late it may be noticed that the store must be opened again.
const LOOK_AT_STORE: Duration = Duration::from_secs(1);

/// What every request handler shares.
pub struct App {
    pub(crate) tenancy: Tenancy,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) distributor: Arc<Distributor>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) waits: Waits,
    pub(crate) questions: Questions,
    pub(crate) rollouts: Rollouts,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    pub(crate) root_token: Token,
    pub(crate) node_token: Token,
    /// Tells streams that a node's token may not be good any more.
    pub(crate) enrolments: watch::Sender<()>,
    pub(crate) heartbeat: Duration,
    /// How long a proxy may take nothing of its stream.
    pub(crate) stalled: Duration,
    pub(crate) in_progress: Arc<InProgress>,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) shown_tenants: ShownTenants,
    pub(crate) body_timeout: BodyTimeout,
    pub(crate) cors_origins: Vec<Origin>,
    pub(crate) passwords: Passwords,
    pub(crate) attempts: Attempts,
    pub(crate) denials: Denials,
    pub(crate) courier: Courier,
    /// Room for imports that run at once.
    pub(crate) imports: Arc<Semaphore>,
    /// Becomes true when the process is to stop.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Why the control plane did not start. Each text is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {source}", path.display())]
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A token file cannot be used.
    #[error("cannot use the token file {}: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The master key cannot be used.
    #[error("cannot use the master key{}: {source}", from(file.as_deref()))]
    MasterKey {
        /// Where it is, if it is in a file.
        file: Option<PathBuf>,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The way that mail is to be sent cannot be used.
    #[error("cannot send mail: {0}")]
    Mail(String),
    /// The certificate of the distribution cannot be used.
    #[error("cannot speak TLS for distribution: {0}")]
    Tls(#[source] io::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// An address cannot be bound.
    #[error("cannot listen on {address} for the {what}: {source}")]
    Listen {
        /// What for.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// Whether the same start is worth trying again without anything having been changed here: the
    /// disk is full, and somebody makes space.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Store(OpenError::Full(_)) => true,
            Self::DataDirectory { source, .. } | Self::Token { source, .. } => {
                let kind = source.kind();
                matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// A control plane at work.
pub struct Running {
    /// Where the API listens.
    pub api: SocketAddr,
    /// Where distribution listens.
    pub distribution: SocketAddr,
    /// The token of the API.
    pub root_token: Token,
    /// The token of proxies.
    pub node_token: Token,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    grace: Duration,
    store: Arc<SledStore>,
}

impl App {
    /// Whether changes are taken now. What works in the background waits until they are: it could not
    /// note what it did, and would do it again.
    pub(crate) async fn takes_changes(&self) -> bool {
        self.store.status().await.writable()
    }

    /// Starts a control plane; returns when both listeners are bound and the store is open.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(
        bootstrap: Bootstrap,
        clock: Arc<dyn Clock>,
        random: Random,
    ) -> Result<Running, StartError> {
        let rate_limiter = rate_limiter(&bootstrap);
        let (data_dir, terms) = (bootstrap.data_dir.clone(), bootstrap.terms());
        create_private(&data_dir)?;
        let store = open(&data_dir, &bootstrap, &random).await?;
        let root_token = token(bootstrap.root_token, data_dir.join("root-token"), &random)?;
        let node_token = token(bootstrap.node_token, data_dir.join("node-token"), &random)?;
        let master_keys = master_key::load(
            bootstrap.master_key.as_ref(),
            bootstrap.master_key_file.as_deref(),
        )
        .map_err(|source| StartError::MasterKey { file: bootstrap.master_key_file, source })?;
        let courier =
            Courier::new(&bootstrap.mail_url, &bootstrap.mail_from, data_dir.join("mail"))
                .map_err(StartError::Mail)?;
        let tls = tls(bootstrap.distribution_tls_cert_file, bootstrap.distribution_tls_key_file)?;
        let api = listen("API", bootstrap.api_addr).await?;
        let distribution = listen("distribution", bootstrap.distribution_addr).await?;
        let addresses = Addresses {
            api: bound("API", bootstrap.api_addr, &api)?,
            distribution: bound("distribution", bootstrap.distribution_addr, &distribution)?,
        };

        let (stop, stopping) = watch::channel(false);
        let shared: Arc<dyn Store> = Arc::<SledStore>::clone(&store);
        let heartbeat = Duration::from_secs(u64::from(bootstrap.heartbeat_seconds.get()));
        let app = Arc::new(Self {
            tenancy: Tenancy::new(Arc::clone(&shared), Arc::clone(&clock), random.fork())
                .with_master_keys(master_keys)
                .with_terms(terms)
                .with_invitation_url(bootstrap.invitation_url),
            store: Arc::clone(&shared),
            distributor: Arc::new(Distributor::new(
                bootstrap.full_states,
                bootstrap.debounce_ms.into(),
                Arc::clone(&clock),
            )),
            nodes: Arc::new(Nodes::new()),
            waits: Waits::default(),
            questions: Questions::default(),
            rollouts: Rollouts::default(),
            metrics: Metrics::new(),
            clock,
            random,
            root_token: root_token.clone(),
            node_token: node_token.clone(),
            enrolments: watch::Sender::new(()),
            heartbeat,
            stalled: seconds(bootstrap.stalled_seconds),
            in_progress: Arc::default(),
            rate_limiter,
            shown_tenants: ShownTenants::new(mib(bootstrap.tenant_cache_mib)),
            body_timeout: BodyTimeout(seconds(bootstrap.request_body_seconds)),
            cors_origins: bootstrap.cors_origins,
            passwords: Passwords::new(),
            attempts: Attempts::default(),
            denials: Denials::default(),
            courier,
            imports: Arc::new(Semaphore::new(MAX_IMPORTS)),
            stopping: stopping.clone(),
        });
        match app.tenancy.removal_allowed().await {
            Ok(Some(allowed)) => app.distributor.allow_removal(allowed.until),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "whether a mass removal is meant is not known"),
        }
        let follower =
            distributor::follow(shared, Arc::clone(&app.distributor), heartbeat, stopping.clone());
        let compaction = compaction::run(
            Arc::clone(&app.store),
            u64::from(bootstrap.kept_revisions.get()),
            stopping.clone(),
        );
        let head_timeout = seconds(bootstrap.request_head_seconds);
        let mut tasks = vec![
            tokio::spawn(follower),
            tokio::spawn(compaction),
            tokio::spawn(courier::run(Arc::clone(&app), stopping.clone())),
            tokio::spawn(directory::run(Arc::clone(&app), stopping.clone())),
            tokio::spawn(denials::run(Arc::clone(&app), stopping.clone())),
            tokio::spawn(notary::run(Arc::clone(&app), stopping.clone())),
            tokio::spawn(reconciler::run(Arc::clone(&app), stopping.clone())),
            tokio::spawn(rollouts::run(Arc::clone(&app), stopping.clone())),
            serve(api, router::api(Arc::clone(&app)), head_timeout, None, stopping.clone()),
        ];
        if let Some(tls) = &tls {
            tasks.push(tokio::spawn(Arc::clone(tls).renew(stopping.clone())));
        }
        let router = router::distribution(app);
        tasks.push(serve(distribution, router, head_timeout, tls, stopping));
        addresses
            .write(&data_dir)
            .map_err(|source| StartError::DataDirectory { path: data_dir, source })?;
        tracing::info!(api = %addresses.api, distribution = %addresses.distribution, "listening");
        Ok(Running {
            api: addresses.api,
            distribution: addresses.distribution,
            root_token,
            node_token,
            stop,
            tasks,
            grace: Duration::from_secs(u64::from(bootstrap.shutdown_seconds.get())),
            store,
        })
    }
}

impl Running {
    /// Waits until only a fresh start can go on: a full disk has interrupted a write, and there is room
    /// again.
    pub async fn interrupted(&self) {
        let mut interval = tokio::time::interval(LOOK_AT_STORE);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.store.status().await.read_only != Some(ReadOnly::Interrupted) {
            interval.tick().await;
        }
    }

    /// Takes no more requests, lets those in progress finish within the time given for it, and closes
    /// the store.
    pub async fn stop(self) {
        // Nobody listening means that everything has ended already.
        let _ = self.stop.send(true);
        let mut tasks = self.tasks;
        let finish = async {
            for task in &mut tasks {
                // A task that panicked has ended, which is all that is waited for.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(self.grace, finish).await.is_err() {
            tracing::warn!("requests were still in progress and are cut off");
            for task in &tasks {
                task.abort();
            }
        }
        let store = self.store;
        if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
            tracing::error!("the store could not be closed in order");
        }
        tracing::info!("stopped");
    }
}

fn from(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| format!(" in {}", file.display()))
}

fn create_private(path: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::DataDirectory { path: path.to_owned(), source };
    if !path.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    }
    fs::read_dir(path).map(drop).map_err(failed)
}

async fn open(
    data_dir: &Path,
    bootstrap: &Bootstrap,
    random: &Random,
) -> Result<Arc<SledStore>, StartError> {
    let mut options = OpenOptions::new(StoreId::from_bytes(random.bytes()));
    options.cache_bytes = mib(bootstrap.store_cache_mib);
    options.reserve_bytes = mib(bootstrap.store_reserve_mib);
    let path = data_dir.join("store");
    let opened = tokio::task::spawn_blocking({
        let path = path.clone();
        move || SledStore::open(&path, &options)
    });
    let stopped = |_| OpenError::Damaged { path, detail: "recovery panicked".to_owned() };
    Ok(Arc::new(opened.await.map_err(stopped)??))
}

fn token(given: Option<Token>, path: PathBuf, random: &Random) -> Result<Token, StartError> {
    match given {
        Some(token) => Ok(token),
        None => Token::load_or_create(&path, random)
            .map_err(|source| StartError::Token { path, source }),
    }
}

fn tls(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Arc<Tls>>, StartError> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let tls = Tls::load(Files { certificate, key });
            tls.map(|tls| Some(Arc::new(tls))).map_err(StartError::Tls)
        }
        _ => {
            let text =
                "give both distribution_tls_cert_file and distribution_tls_key_file, or neither";
            let source = io::Error::new(io::ErrorKind::InvalidInput, text);
            Err(StartError::Tls(source))
        }
    }
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { what, address, source })
}

fn bound(
    what: &'static str,
    address: SocketAddr,
    listener: &TcpListener,
) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { what, address, source })
}

fn mib(mib: NonZeroU32) -> u64 {
    u64::from(mib.get()) << 20
}

fn seconds(seconds: NonZeroU32) -> Duration {
    Duration::from_secs(u64::from(seconds.get()))
}

fn rate_limiter(bootstrap: &Bootstrap) -> RateLimiter {
    let rate = |per_second: NonZeroU32, burst: NonZeroU32| Rate {
        per_second: per_second.get(),
        burst: burst.get(),
    };
    RateLimiter::new(
        rate(bootstrap.api_requests_per_second, bootstrap.api_requests_burst),
        rate(bootstrap.anonymous_requests_per_second, bootstrap.anonymous_requests_burst),
    )
}
