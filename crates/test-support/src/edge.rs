//! One proxy of several, at a control plane that is somebody else's.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use tempfile::TempDir;

use crate::{
    Process, Request, eventually,
    platform::{MASTER_KEY, address, http_client, metric, own_loopback, published_addresses},
};

/// How often whoever is patient looks.
const LOOK: Duration = Duration::from_millis(20);

/// What a proxy is started with.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// What it says that it is.
    pub node: String,
    /// Where distribution is, as a URL.
    pub distribution: String,
    /// What it proves itself with.
    pub token: String,
    /// Environment, without the prefix of the names.
    pub settings: Vec<(String, String)>,
}

/// A proxy that can be crashed and started again, with a directory of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Edge {
    process: Option<Process>,
    options: EdgeOptions,
    tool: Vec<String>,
    clients: SocketAddr,
    admin: SocketAddr,
    http: reqwest::Client,
    directory: TempDir,
}

/// Whoever asks one proxy.
#[derive(Debug, Clone)]
pub struct Clients {
    http: reqwest::Client,
    to: SocketAddr,
}

impl Clients {
    /// A request.
    pub fn get(&self, host: &str, path: &str) -> Request {
        Request::new(&self.http, self.to, http::Method::GET, host, path)
    }
}

impl Edge {
    /// Starts one, and waits until it listens. It may have no snapshot yet.
    pub async fn start(options: EdgeOptions) -> Self {
        Self::start_under(Vec::new(), options).await
    }

    /// Starts one under a tool that watches it, such as a profiler with its options.
    pub async fn start_under(tool: Vec<String>, options: EdgeOptions) -> Self {
        let unknown = SocketAddr::from((own_loopback(), 0));
        let mut edge = Self {
            process: None,
            options,
            tool,
            clients: unknown,
            admin: unknown,
            http: http_client(),
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        edge.start_again().await;
        edge
    }

    /// Starts it on the addresses it had before.
    pub async fn start_again(&mut self) {
        let published = self.file("addresses.json");
        let _ = fs::remove_file(&published);
        let token = self.directory.path().join("token");
        fs::write(&token, &self.options.token).expect("the token is written");
        let arguments = [
            ("--proxy-addr", self.clients.to_string()),
            ("--proxy-tls-addr", "127.0.0.1:0".to_owned()),
            ("--proxy-admin-addr", self.admin.to_string()),
            ("--distribution-url", self.options.distribution.clone()),
            ("--node-token-file", token.display().to_string()),
            ("--proxy-data-dir", self.file("").display().to_string()),
            ("--node", self.options.node.clone()),
        ];
        let arguments: Vec<_> =
            arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let settings = self.options.settings.iter();
        let settings: Vec<_> =
            settings.map(|(name, value)| (format!("TENANTRY_{name}"), value.clone())).collect();
        let mut env = vec![
            ("TENANTRY_SHUTDOWN_GRACE_SECONDS", "0"),
            ("TENANTRY_THREADS", "1"),
            ("TENANTRY_MASTER_KEY", MASTER_KEY),
        ];
        env.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let directory = self.directory.path();
        let process =
            Process::start_under(&self.tool, "tenantry-proxy", &arguments, &env, directory);
        let process = self.process.insert(process);
        let addresses = published_addresses(process, &published).await;
        self.clients = address(&addresses, "proxy");
        self.admin = address(&addresses, "proxy_admin");
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it is running")
    }

    /// Crashes it.
    pub fn kill(&mut self) {
        self.process.take().expect("it was running").kill();
    }

    /// What it has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        self.process.as_ref().expect("it is running").printed()
    }

    /// A file in its data directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("data").join(name)
    }

    /// Its name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.options.node
    }

    /// Clients of it, for tasks of their own. They find it again after a crash.
    #[must_use]
    pub fn reached_by(&self) -> Clients {
        Clients { http: self.http.clone(), to: self.clients }
    }

    /// A request through it.
    pub fn get(&self, host: &str, path: &str) -> Request {
        self.reached_by().get(host, path)
    }

    /// The value of one of its metrics, by name and labels as they are printed.
    pub async fn metric(&self, name: &str) -> Option<u64> {
        let response = self.http.get(format!("http://{}/metrics", self.admin)).send().await.ok()?;
        metric(&response.text().await.ok()?, name)
    }

    /// Where clients reach it.
    #[must_use]
    pub fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// Its resident memory, in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u64 {
        self.process.as_ref().expect("it is running").memory_kib()
    }

    /// Waits until it enforces a revision, however long its first state takes.
    pub async fn patiently_enforced(&self, revision: u64) {
        self.patiently("tenantry_snapshot_revision", revision).await;
    }

    /// Waits until its file holds a revision, however long that takes.
    pub async fn patiently_recorded(&self, revision: u64) {
        self.patiently("tenantry_snapshot_recorded_revision", revision).await;
    }

    async fn patiently(&self, name: &str, revision: u64) {
        while self.metric(name).await.is_none_or(|at| at < revision) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until it enforces a revision.
    pub async fn enforced(&self, revision: u64) {
        eventually(&format!("{} enforces revision {revision}", self.options.node), async || {
            (self.metric("tenantry_snapshot_revision").await? >= revision).then_some(())
        })
        .await;
    }
}
