//! Tenantry: the real proxy, which begins with a snapshot file and then follows the real control plane. Metrics and
//! the counting of usage are on, as they always are. A change is a request to the API.
//!
//! The control plane is on the core of the load, and is not counted: it is no part of a request.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};
use tenantry_credentials::api_key;

use super::{Place, Programs, shown};
use crate::{
    credentials::{AUDIENCE, Credentials, ISSUER, TENANT_CLAIM},
    exchange::Connection,
    policy::{DOMAIN, LIMITED_RATE, LOCAL, Policy, STANDARD_RATE, Tenant},
    process::{Launch, Running, output},
};

/// A key for secrets that nobody has to keep.
const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
/// An import may have so many names, of which a tenant has three.
const AT_ONCE: usize = 500_000;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn version(programs: &Programs) -> anyhow::Result<String> {
    let printed = output(&programs.proxy, &["--version"])?;
    Ok(printed.rsplit(' ').next().unwrap_or_default().to_owned())
}

/// A control plane that holds the policy.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    running: Running,
    api: SocketAddr,
    distribution: SocketAddr,
    token: String,
    directory: PathBuf,
}

impl ControlPlane {
    /// Starts one, gives it the policy, and has it write a snapshot.
    pub(crate) async fn start(
        policy: &Policy,
        credentials: &Credentials,
        programs: &Programs,
        origin: SocketAddr,
        directory: &Path,
        cores: &[usize],
    ) -> anyhow::Result<Self> {
        let data = directory.join("data");
        fs::create_dir_all(&data)?;
        let any = "127.0.0.1:0";
        let launch = Launch::new(
            programs.ours.join("tenantry-control-plane"),
            ["--data-dir", &shown(&data), "--api-addr", any, "--distribution-addr", any],
        )
        .with("TENANTRY_MASTER_KEY", MASTER_KEY);
        let mut running = launch.start(cores, directory)?;
        let addresses = addresses(&data.join("control-plane.addresses.json"), &mut running).await?;
        let token = fs::read_to_string(data.join("root-token"))?.trim().to_owned();
        let mut control_plane = Self {
            running,
            api: address(&addresses, "api")?,
            distribution: address(&addresses, "distribution")?,
            token,
            directory: directory.to_owned(),
        };
        control_plane.ready().await?;
        control_plane.fill(policy, credentials, programs, origin).await?;
        Ok(control_plane)
    }

    /// Its process.
    pub(crate) fn family(&self) -> Vec<u32> {
        self.running.family()
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.ask("GET", "/readyz", None).await.is_err() {
            self.running.must_run()?;
            anyhow::ensure!(began.elapsed() < PATIENCE, "the control plane is not ready");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn fill(
        &self,
        policy: &Policy,
        credentials: &Credentials,
        programs: &Programs,
        origin: SocketAddr,
    ) -> anyhow::Result<()> {
        let rate = |rate: u32, seconds: u32| json!({"requests": [{"name": "requests", "quota": rate, "window_seconds": seconds}]});
        let resources = [
            ("upstreams", json!({"id": "origin", "endpoints": [{"address": origin}]})),
            // A key names a tenant even where the host does not; this keeps that to the tenants' own domain.
            (
                "routes",
                json!({"id": "all", "match": {"hosts": [format!("*.{DOMAIN}")]}, "upstream": "origin"}),
            ),
            (
                "plans",
                json!({"id": "standard", "name": "Standard", "limits": rate(STANDARD_RATE, 1)}),
            ),
            (
                "plans",
                json!({"id": "limited", "name": "Limited", "limits": rate(LIMITED_RATE, 60)}),
            ),
            (
                "issuers",
                json!({
                    "issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["ES256"],
                    "tenant_claim": TENANT_CLAIM, "jwks": credentials.token_keys,
                }),
            ),
            (
                "certificates",
                json!({
                    "chain_pem": credentials.certificate, "key_pem": credentials.certificate_key,
                }),
            ),
        ];
        for (path, body) in resources {
            self.ask("POST", &format!("/api/v1/{path}"), Some(&body)).await?;
        }
        let tenants = self.directory.join("tenants.ndjson");
        for some in policy.tenants.chunks(AT_ONCE) {
            fs::write(&tenants, lines(some)?)?;
            self.command(programs, &["import", &shown(&tenants)])?;
        }
        self.command(programs, &["snapshot", "export", "--file", &shown(&self.snapshot())])
    }

    fn snapshot(&self) -> PathBuf {
        self.directory.join("snapshot.ndjson")
    }

    /// Runs the operator's command.
    fn command(&self, programs: &Programs, arguments: &[&str]) -> anyhow::Result<()> {
        let (api, data) = (format!("http://{}", self.api), shown(&self.directory.join("data")));
        let arguments = [&["--api", &api, "--data-dir", &data], arguments].concat();
        output(&programs.ours.join("tenantry"), &arguments).map(drop)
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<()> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.api,
            self.token,
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" },
            body.len(),
        );
        let mut connection = Connection::open(self.api).await?;
        let head = connection.exchange(request.as_bytes()).await?;
        let answer = String::from_utf8_lossy(connection.body(&head));
        anyhow::ensure!(head.status < 300, "{method} {path}: {} {answer}", head.status);
        Ok(())
    }
}

/// A line for each tenant, as `tenantry import` reads them.
fn lines(tenants: &[Tenant]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for tenant in tenants {
        let digest = api_key::parse(&tenant.key)?.digest().to_string();
        let line = json!({
            "slug": tenant.slug,
            "name": tenant.slug,
            "plan": if tenant.is_limited { "limited" } else { "standard" },
            "auth": "any",
            "access": access(tenant, true),
            "domains": [tenant.host],
            "key": {"name": "load", "digest": digest},
        });
        lines.push_str(&format!("{line}\n"));
    }
    Ok(lines)
}

fn access(tenant: &Tenant, may_enter: bool) -> Value {
    let local = may_enter.then_some(LOCAL);
    let networks: Vec<&str> = local.into_iter().chain([tenant.network.as_str()]).collect();
    json!({"mode": "allowlist", "allow": networks})
}

async fn addresses(file: &Path, running: &mut Running) -> anyhow::Result<Value> {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(file).ok();
        if let Some(addresses) = text.and_then(|text| serde_json::from_str(&text).ok()) {
            return Ok(addresses);
        }
        running.must_run()?;
        anyhow::ensure!(began.elapsed() < PATIENCE, "nobody writes {}", file.display());
        tokio::time::sleep(LOOK).await;
    }
}

fn address(addresses: &Value, name: &str) -> anyhow::Result<SocketAddr> {
    let address = addresses.get(name).and_then(Value::as_str);
    Ok(address.with_context(|| format!("no address of {name}"))?.parse()?)
}

pub(super) fn launch(place: &Place<'_>) -> anyhow::Result<Launch> {
    let control_plane = place.control_plane.context("Tenantry's proxy needs its control plane")?;
    let local = |port: u16| format!("127.0.0.1:{port}");
    let launch = Launch::new(
        &place.programs.proxy,
        [
            ("--proxy-addr", local(place.plain)),
            ("--proxy-tls-addr", local(place.tls)),
            ("--proxy-admin-addr", local(place.admin)),
            ("--distribution-url", format!("http://{}", control_plane.distribution)),
            ("--node-token-file", shown(&control_plane.directory.join("data/node-token"))),
            ("--proxy-data-dir", shown(&place.directory.join("data"))),
            ("--node", "bench".to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value]),
    );
    Ok(launch
        .with("TENANTRY_THREADS", place.workers())
        .with("TENANTRY_MASTER_KEY", MASTER_KEY)
        .with("TENANTRY_SHUTDOWN_GRACE_SECONDS", 0)
        .with("TENANTRY_SNAPSHOT_FILE", shown(&control_plane.snapshot())))
}

/// Returns when the API has answered; the proxy hears of it by itself.
pub(super) async fn change(
    place: &Place<'_>,
    tenant: &Tenant,
    may_enter: bool,
) -> anyhow::Result<()> {
    let control_plane = place.control_plane.context("Tenantry's proxy needs its control plane")?;
    let body = json!({"access": access(tenant, may_enter)});
    control_plane.ask("PATCH", &format!("/api/v1/tenants/{}", tenant.slug), Some(&body)).await
}
