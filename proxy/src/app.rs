//! The composition root: puts the process together and runs it.

use std::{fs, io::Write as _, num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use pingora::{
    apps::http_app::HttpServer,
    proxy::http_proxy,
    server::{RunArgs, Server, ShutdownWatch, configuration::ServerConf},
    services::background::{BackgroundService, background_service},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tenantry_engine::{Runtime, RuntimeOptions, Table};
use tenantry_subscription::{BearerToken, Options, Subscription};
use tenantry_telemetry::init_tracing;

use crate::{
    access_log::{AccessLog, Rotation},
    active::Active,
    admin::Admin,
    bootstrap::{Bootstrap, Flags, Hidden},
    bundle,
    clock::Clock,
    connection::{
        places::Places,
        refusals::Refusals,
        service::{Door, DoorService, Speaks},
        trust::Trust,
        workers::Workers,
    },
    gateway::{Gateway, InFlightBound, Phases},
    jwks::Jwks,
    lifecycle::{
        Ending, Lifecycle,
        handover::{Predecessor, SOCKET, Sockets},
    },
    listener::{Bound, Listening},
    metrics::Metrics,
    request_id::RequestIds,
    secrets::{Secrets, master_keys},
    spans::Tracing,
    tls::TlsAcceptor,
    upstream::{Connector, Prober, Resolver},
};

const LAST_KNOWN_GOOD: &str = "last-known-good.ndjson";
/// Tries of one request, whatever its upstream says.
const MAX_ATTEMPTS: usize = 6;
const ADDRESSES: &str = "addresses.json";
/// What lines and spans that still wait may take when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs the proxy until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let bootstrap = Bootstrap::load(flags).context("the bootstrap config is not usable")?;
    init_tracing(&bootstrap.log_filter, bootstrap.log_format.parse()?)?;
    pingora::tls::install_default_crypto_provider();
    raise_descriptor_limit();
    let clock = Clock::start();
    let seed = rand::random();
    let runtime = Runtime::new(RuntimeOptions {
        named_tenants: bootstrap.named_tenants,
        token_cache_bytes: bootstrap.token_cache_bytes,
        limited_subjects: bootstrap.limited_subjects,
        max_in_flight: bootstrap.max_in_flight.get(),
        seed,
    });
    let runtime = Arc::new(runtime.naming_upstreams(bootstrap.upstream.named_upstreams));
    let master_key_file = bootstrap.master_key_file.as_deref();
    let master_keys =
        master_keys(bootstrap.master_key.as_ref().map(Hidden::expose), master_key_file)?;
    let secrets = Arc::new(Secrets::new(master_keys));
    let table = Table::new(runtime, seed);
    let active = Arc::new(Active::new(table, seed, Arc::clone(&secrets), clock));
    let subscription = subscribe(&bootstrap, &active)?;
    let progress = subscription.progress();
    let ready = subscription.progress();
    let jwks = Arc::new(
        Jwks::new(bootstrap.jwks.clone(), clock)
            .context("the client that fetches keys cannot be set up")?,
    );

    let (predecessor, mut inherited) = ask_predecessor(flags, &bootstrap.proxy_data_dir)?;
    let clients = Bound::new(bootstrap.proxy_addr, "clients", &mut inherited)?;
    let tls_clients = Bound::new(bootstrap.proxy_tls_addr, "tls-clients", &mut inherited)?;
    let admin = Bound::new(bootstrap.proxy_admin_addr, "admin", &mut inherited)?;
    let mut sockets = Sockets::default();
    sockets.add("clients", clients.listener())?;
    sockets.add("tls-clients", tls_clients.listener())?;
    sockets.add("admin", admin.listener())?;
    publish_addresses(&bootstrap.proxy_data_dir, &clients, &tls_clients, &admin)?;
    tracing::info!(proxy = %clients.address(), proxy_tls = %tls_clients.address(), proxy_admin = %admin.address(), "listening");

    let mut server = Server::new_with_opt_and_conf(None, configuration(&bootstrap));
    server.bootstrap();
    let resolver = Arc::new(Resolver::new(&bootstrap.upstream, clock));
    let threads = threads(&bootstrap);
    // Before a predecessor is relieved: without them nobody would be served.
    let workers = Workers::start(threads).context("cannot start the threads for connections")?;
    let connector = Connector::new(bootstrap.upstream, threads, clock, Arc::clone(&resolver));
    let connector = Arc::new(connector);
    let lifecycle = Lifecycle::new(predecessor.is_some());
    let bounds = &bootstrap.connections;
    let trust = Trust::new(&bounds.trusted_proxies, &bounds.proxy_protocol_from);
    let places = Arc::new(Places::new(bounds.max.get(), bounds.max_per_client.get()));
    let request_ids = Arc::new(RequestIds::new(rand::random()));
    let access_log = AccessLog::new(bootstrap.access_log.clone())?;
    let tracing = Tracing::new(&bootstrap.tracing, &node_name(&bootstrap))?;
    let gateway = Arc::new(Gateway {
        active: Arc::clone(&active),
        clock,
        request_ids: Arc::clone(&request_ids),
        trust: trust.clone(),
        bounds: bounds.clone(),
        jwks: Arc::clone(&jwks),
        connector: Arc::clone(&connector),
        in_flight: InFlightBound::new(hard_bound(bootstrap.max_in_flight)),
        access_log: access_log.clone(),
        tracing: tracing.clone(),
        lifecycle: lifecycle.clone(),
    });
    let phases = Phases(Arc::clone(&gateway));
    let door = Door {
        proxy: Arc::new(http_proxy(&server.configuration, phases)),
        gateway,
        refusals: Refusals {
            active: Arc::clone(&active),
            request_ids,
            access_log: access_log.clone(),
            clock,
        },
        places: Arc::clone(&places),
        trust,
        bounds: bounds.clone(),
        http2: bootstrap.http2,
        clock,
        tls: TlsAcceptor::new(Arc::clone(&active), secrets, bootstrap.tls)?,
    };
    let listeners = vec![(clients, Speaks::Plain), (tls_clients, Speaks::Tls)];
    server.add_service(DoorService::new(door, listeners, workers, lifecycle.clone()));

    let metrics = Arc::new(Metrics {
        active: Arc::clone(&active),
        progress,
        places,
        access_log: access_log.clone(),
        tracing: tracing.clone(),
        clock,
    });
    let app = Admin { active: Arc::clone(&active), metrics, clock, lifecycle: lifecycle.clone() };
    server.add_service(Listening::new(HttpServer::new_app(app), admin, lifecycle.closing_admin()));

    let prober = Prober::new(
        Arc::clone(&connector),
        Arc::clone(&resolver),
        Arc::clone(&active),
        clock,
        bootstrap.upstream.health_checks_at_once.get(),
    );
    let tending =
        Tending { prober: Arc::new(prober), resolver, connector, active: Arc::clone(&active) };
    let mut tending = background_service("upstreams", tending);
    tending.threads = Some(1);
    server.add_service(tending);

    let mut following =
        background_service("subscription", Following::new(subscription, jwks, active));
    following.threads = Some(1);
    server.add_service(following);
    let mut rotation = background_service("access-log", Rotation(access_log.clone()));
    rotation.threads = Some(1);
    server.add_service(rotation);
    let ending = Ending {
        lifecycle,
        delay: Duration::from_secs(bootstrap.shutdown_delay_seconds),
        deadline: Duration::from_secs(bootstrap.shutdown_grace_seconds),
        handover: bootstrap.proxy_data_dir.join(SOCKET),
        predecessor: predecessor.map(|predecessor| (predecessor, ready)).into(),
        sockets: sockets.into(),
    };
    server.run(RunArgs { shutdown_signal: Box::new(ending) });
    access_log.close(LAST_WORDS);
    if let Some(spans) = &tracing.spans {
        spans.close(LAST_WORDS);
    }
    Ok(())
}

/// Each connection takes a file descriptor, and the soft limit is often 1,024, which is there for programs
/// that use `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
}

/// Tenants within their share are let in above the bound; this holds whatever they do.
fn hard_bound(max_in_flight: NonZeroU32) -> usize {
    usize::try_from(max_in_flight.get()).map_or(usize::MAX, |max| max.saturating_mul(2))
}

/// What runs beside the requests, on a thread of its own: applying a full snapshot takes a while.
struct Following {
    subscription: parking_lot::Mutex<Option<Subscription<Active>>>,
    jwks: Arc<Jwks>,
    active: Arc<Active>,
}

impl Following {
    fn new(subscription: Subscription<Active>, jwks: Arc<Jwks>, active: Arc<Active>) -> Self {
        Self { subscription: parking_lot::Mutex::new(Some(subscription)), jwks, active }
    }
}

#[async_trait]
impl BackgroundService for Following {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(subscription) = self.subscription.lock().take() else { return };
        let stop = async move {
            // The sender lives as long as the server; if it is gone, so is the server.
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        tokio::select! {
            () = subscription.run(stop) => {}
            () = Arc::clone(&self.jwks).keep_fresh(Arc::clone(&self.active)) => {}
        }
    }
}

/// What is found out about upstreams beside the requests.
struct Tending {
    prober: Arc<Prober>,
    resolver: Arc<Resolver>,
    connector: Arc<Connector>,
    active: Arc<Active>,
}

#[async_trait]
impl BackgroundService for Tending {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {}
            () = Arc::clone(&self.prober).run() => {}
            () = Arc::clone(&self.resolver).keep_fresh(Arc::clone(&self.active)) => {}
            () = self.connector.keep_swept() => {}
        }
    }
}

/// With `--upgrade`, the sockets of the process that serves now.
fn ask_predecessor(
    flags: &Flags,
    directory: &Path,
) -> anyhow::Result<(Option<Predecessor>, Sockets)> {
    if !flags.upgrade {
        return Ok((None, Sockets::default()));
    }
    let path = directory.join(SOCKET);
    let (predecessor, sockets) = Predecessor::ask(&path).with_context(|| {
        format!(
            "there is no proxy to take over from at {}; start without --upgrade",
            path.display()
        )
    })?;
    Ok((Some(predecessor), sockets))
}

fn subscribe(bootstrap: &Bootstrap, active: &Arc<Active>) -> anyhow::Result<Subscription<Active>> {
    let directory = &bootstrap.proxy_data_dir;
    fs::create_dir_all(directory).with_context(|| {
        format!(
            "the data directory {} cannot be made; choose one that can be written",
            directory.display()
        )
    })?;
    let token = match &bootstrap.node_token {
        Some(token) => token.expose().to_owned(),
        None => fs::read_to_string(&bootstrap.node_token_file).with_context(|| {
            let file = bootstrap.node_token_file.display();
            format!("there is no node token: set TENANTRY_NODE_TOKEN, or name a file that holds it (tried {file})")
        })?,
    };
    let node = node_name(bootstrap);
    let token = BearerToken::new(token.trim()).context("the node token is not usable")?;
    let node = node.parse().context("the node name is not usable; set one with --node")?;
    let authority = bootstrap.distribution_ca_file.as_ref().map(|file| {
        fs::read(file).with_context(|| {
            format!("the authority of the distribution cannot be read from {}", file.display())
        })
    });
    let (url, authority) = (&bootstrap.distribution_url, authority.transpose()?);
    let version = env!("CARGO_PKG_VERSION");
    let mut options = Options::new(url, authority.as_deref(), node, version, token)?;
    options.region.clone_from(&bootstrap.region);
    let file = directory.join(LAST_KNOWN_GOOD);
    if let Some(snapshot) = bootstrap.snapshot_file.as_ref().filter(|_| !file.exists()) {
        bundle::install(snapshot, &file).with_context(|| {
            format!("the snapshot {} cannot be used to begin with", snapshot.display())
        })?;
    }
    options.file = Some(file);
    Subscription::new(options, Arc::clone(active)).context("the subscription cannot be set up")
}

/// The name under which this process reports.
fn node_name(bootstrap: &Bootstrap) -> String {
    bootstrap.node.clone().unwrap_or_else(host_name)
}

/// What the kernel calls this machine, or a name that says nothing.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "proxy".to_owned() } else { name.trim().to_owned() }
}

/// Tells other programs which ports were taken: written whole or not at all.
fn publish_addresses(
    directory: &Path,
    clients: &Bound,
    tls_clients: &Bound,
    admin: &Bound,
) -> anyhow::Result<()> {
    let json = serde_json::json!({
        "proxy": clients.address(),
        "proxy_tls": tls_clients.address(),
        "proxy_admin": admin.address(),
    });
    let (file, unfinished) =
        (directory.join(ADDRESSES), directory.join(format!("{ADDRESSES}.new")));
    let write = || {
        let mut new = fs::File::create(&unfinished)?;
        writeln!(new, "{json}")?;
        fs::rename(&unfinished, &file)
    };
    write().with_context(|| format!("{} cannot be written", file.display()))
}

/// Threads that serve clients: as many as there are processors, if it is not said.
fn threads(bootstrap: &Bootstrap) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if bootstrap.threads == 0 { processors() } else { bootstrap.threads }
}

fn configuration(bootstrap: &Bootstrap) -> ServerConf {
    ServerConf {
        threads: threads(bootstrap),
        // By then all connections are done, or cut.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        max_retries: MAX_ATTEMPTS,
        upstream_keepalive_pool_size: bootstrap.upstream.idle_connections.get(),
        ..ServerConf::default()
    }
}
