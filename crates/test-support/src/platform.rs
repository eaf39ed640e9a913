//! A whole platform: control plane and proxy as real processes, an origin, and a directory of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json as value};
use tempfile::TempDir;
use tenantry_api::{Client, CreateApiKey, CreateTenant};
use tenantry_model::{Plan, Route, Upstream};

use crate::{Origin, Process, Request, api_client, eventually};

/// 32 bytes that are the same; a key of tests alone.
pub(crate) const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// Turns JSON into any type of the API; panics if it does not fit.
#[must_use]
pub fn json<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// A running platform. Everything ends, and its directory goes, when it is dropped.
#[derive(Debug)]
pub struct Platform {
    // Before the directory, so that processes end before their files go.
    control_plane: Option<Process>,
    proxy: Option<Process>,
    /// The server behind the gateway.
    pub origin: Origin,
    api: SocketAddr,
    distribution: SocketAddr,
    clients: SocketAddr,
    tls_clients: SocketAddr,
    admin: SocketAddr,
    http: reqwest::Client,
    /// Environment of the proxy.
    settings: Vec<(String, String)>,
    directory: TempDir,
}

impl Platform {
    /// Starts a platform with upstream `main`, route `all` to it, and plan `pro` with feature
    /// `reports` and no limits.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a platform whose proxy has these settings: names as in its bootstrap config, without the
    /// prefix, such as `CONNECTIONS__HEAD_TIMEOUT_SECONDS`.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let unknown = SocketAddr::from((own_loopback(), 0));
        let mut platform = Self {
            control_plane: None,
            proxy: None,
            origin: Origin::start().await,
            api: unknown,
            distribution: unknown,
            clients: unknown,
            tls_clients: unknown,
            admin: unknown,
            http: http_client(),
            settings: settings
                .iter()
                .map(|(name, value)| (format!("TENANTRY_{name}"), (*value).to_owned()))
                .collect(),
            directory,
        };
        platform.start_control_plane().await;
        platform.start_proxy().await;
        platform.seed().await;
        platform
    }

    async fn seed(&self) {
        let api = self.api();
        let upstream: Upstream =
            json(value!({"id": "main", "endpoints": [{"address": self.origin.address()}]}));
        api.upstreams().create(&upstream).await.expect("an upstream");
        let plan: Plan = json(value!({"id": "pro", "name": "Pro", "features": ["reports"]}));
        api.plans().create(&plan).await.expect("a plan");
        let route: Route = json(value!({"id": "all", "upstream": "main"}));
        let route = api.routes().create(&route).await.expect("a route");
        self.enforced(route.revision).await;
    }

    /// Starts the control plane, on the addresses it had if it ran before.
    pub async fn start_control_plane(&mut self) {
        let data = self.path("data");
        let published = data.join("control-plane.addresses.json");
        let _ = fs::remove_file(&published);
        let arguments = [
            "--data-dir".to_owned(),
            data.display().to_string(),
            "--api-addr".to_owned(),
            self.api.to_string(),
            "--distribution-addr".to_owned(),
            self.distribution.to_string(),
        ];
        let process = Process::start(
            "tenantry-control-plane",
            &arguments,
            &[("TENANTRY_MASTER_KEY", MASTER_KEY)],
            self.directory.path(),
        );
        let process = self.control_plane.insert(process);
        let addresses = published_addresses(process, &published).await;
        self.api = address(&addresses, "api");
        self.distribution = address(&addresses, "distribution");
        self.ready(self.api).await;
    }

    /// Starts the proxy, on the addresses it had if it ran before.
    pub async fn start_proxy(&mut self) {
        self.launch_proxy(&[]).await;
    }

    /// Starts a successor that takes over from the running proxy, and returns the one that served until
    /// now.
    pub async fn upgrade_proxy(&mut self) -> Process {
        let predecessor = self.take_proxy();
        self.launch_proxy(&["--upgrade"]).await;
        predecessor
    }

    async fn launch_proxy(&mut self, more: &[&str]) {
        let published = self.path("data/proxy/addresses.json");
        let _ = fs::remove_file(&published);
        let mut arguments = vec![
            "--proxy-addr".to_owned(),
            self.clients.to_string(),
            "--proxy-tls-addr".to_owned(),
            self.tls_clients.to_string(),
            "--proxy-admin-addr".to_owned(),
            self.admin.to_string(),
            "--distribution-url".to_owned(),
            format!("http://{}", self.distribution),
            "--node-token-file".to_owned(),
            self.path("data/node-token").display().to_string(),
            "--proxy-data-dir".to_owned(),
            self.path("data/proxy").display().to_string(),
            "--node".to_owned(),
            "edge-1".to_owned(),
        ];
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let mut env = vec![
            ("TENANTRY_SHUTDOWN_GRACE_SECONDS", "0"),
            ("TENANTRY_THREADS", "2"),
            ("TENANTRY_JWKS__COOL_DOWN_SECONDS", "1"),
            ("TENANTRY_MASTER_KEY", MASTER_KEY),
        ];
        env.extend(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let process = Process::start("tenantry-proxy", &arguments, &env, self.directory.path());
        let process = self.proxy.insert(process);
        let addresses = published_addresses(process, &published).await;
        self.clients = address(&addresses, "proxy");
        self.tls_clients = address(&addresses, "proxy_tls");
        self.admin = address(&addresses, "proxy_admin");
        self.ready(self.admin).await;
    }

    /// Crashes the control plane.
    pub fn kill_control_plane(&mut self) {
        self.control_plane.take().expect("it was running").kill();
    }

    /// Crashes the proxy.
    pub fn kill_proxy(&mut self) {
        self.proxy.take().expect("it was running").kill();
    }

    /// The control plane's process.
    pub fn take_control_plane(&mut self) -> Process {
        self.control_plane.take().expect("it was running")
    }

    /// The proxy's process.
    pub fn take_proxy(&mut self) -> Process {
        self.proxy.take().expect("it was running")
    }

    /// Everything the proxy printed.
    #[must_use]
    pub fn proxy_printed(&self) -> String {
        self.proxy.as_ref().expect("it is running").printed()
    }

    /// The most memory that the proxy ever had at once, in KiB.
    #[must_use]
    pub fn proxy_peak_memory_kib(&self) -> u64 {
        self.proxy.as_ref().expect("it is running").peak_memory_kib()
    }

    /// Tells the proxy to open its files anew (SIGHUP).
    pub fn hang_up_proxy(&self) {
        self.proxy.as_ref().expect("it is running").hang_up();
    }

    /// A client of the API, with the root token.
    #[must_use]
    pub fn api(&self) -> Client {
        api_client(&format!("http://{}", self.api), &self.root_token())
    }

    /// The client that requests are sent with.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The API's address.
    #[must_use]
    pub fn api_address(&self) -> SocketAddr {
        self.api
    }

    /// The token with which everything may be done.
    #[must_use]
    pub fn root_token(&self) -> String {
        fs::read_to_string(self.path("data/root-token")).expect("a root token").trim().to_owned()
    }

    /// Where clients connect.
    #[must_use]
    pub fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// Where clients that speak TLS connect.
    #[must_use]
    pub fn tls_clients(&self) -> SocketAddr {
        self.tls_clients
    }

    /// A file in the platform's directory.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// Creates a tenant on plan `pro` with the domain `{slug}.example`, changed as given, and waits
    /// until it is enforced. Returns the secret of an API key of it.
    pub async fn tenant(&self, slug: &str, changes: Value) -> String {
        let mut body = value!({"slug": slug, "name": slug, "plan": "pro", "domains": [format!("{slug}.example")]});
        let fields = body.as_object_mut().expect("an object");
        fields.extend(changes.as_object().expect("an object").clone());
        let api = self.api();
        api.tenants().create(&json::<CreateTenant>(body)).await.expect("a tenant");
        let key: CreateApiKey = json(value!({"name": "test"}));
        let created = api.keys(slug).create(&key).await.expect("a key");
        self.enforced(created.key.revision).await;
        created.secret.expect("a key that was just made")
    }

    /// Waits until the proxy enforces a revision.
    pub async fn enforced(&self, revision: u64) {
        eventually(&format!("revision {revision} is enforced"), async || {
            let text = self.scrape().await;
            (metric(&text, "tenantry_snapshot_revision")? >= revision).then_some(())
        })
        .await;
    }

    /// The proxy's metrics.
    pub async fn scrape(&self) -> String {
        self.admin_get("/metrics").await.1
    }

    /// The value of one of the proxy's metrics, by its name and labels as they are printed.
    pub async fn metric(&self, name: &str) -> Option<u64> {
        metric(&self.scrape().await, name)
    }

    /// Gets a page of the proxy's admin listener.
    pub async fn admin_get(&self, path: &str) -> (u16, String) {
        let response =
            self.http.get(format!("http://{}{path}", self.admin)).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// Asks the proxy to explain a request.
    pub async fn explain(&self, request: &Value) -> Value {
        let response =
            self.http.post(format!("http://{}/explain", self.admin)).json(request).send().await;
        response.expect("an answer").json().await.expect("a JSON body")
    }

    /// A request through the gateway.
    pub fn get(&self, host: &str, path: &str) -> Request {
        self.request(http::Method::GET, host, path)
    }

    /// A request through the gateway, with any method.
    pub fn request(&self, method: http::Method, host: &str, path: &str) -> Request {
        Request::new(&self.http, self.clients, method, host, path)
    }

    async fn ready(&self, address: SocketAddr) {
        let url = format!("http://{address}/readyz");
        eventually(&format!("{url} answers 200"), async || {
            let response = self.http.get(&url).send().await.ok()?;
            response.status().is_success().then_some(())
        })
        .await;
    }
}

/// An address of this machine that is this process's own. Connections of all others begin at 127.0.0.1 and take ports
/// there, so a program that is started again could find the port it had taken.
#[must_use]
pub fn own_loopback() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // Others need not have more than the one.
    if cfg!(target_os = "linux") {
        Ipv4Addr::new(127, 64 | high, middle, low)
    } else {
        Ipv4Addr::LOCALHOST
    }
}

pub(crate) fn metric(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    let value: f64 = line.split(' ').next()?.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts and revisions"
    )]
    Some(value as u64)
}

pub(crate) async fn published_addresses(process: &mut Process, file: &Path) -> Value {
    eventually("a process publishes its addresses", async || {
        assert!(!process.has_ended(), "it ended; it printed:\n{}", process.printed());
        serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
    })
    .await
}

pub(crate) fn address(addresses: &Value, name: &str) -> SocketAddr {
    let text = addresses
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {name} in {addresses}"));
    text.parse().expect("an address")
}

/// Plain HTTP only, so the TLS that the client insists on may trust nobody.
pub(crate) fn http_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    client.redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}
