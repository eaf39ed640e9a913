//! A control plane in this process, and the plainest of clients.

use std::{net::SocketAddr, sync::Arc};

use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tenantry_api::{Client, CreateTenant, Exchange};
use tenantry_control_plane::{App, Arguments, Bootstrap, Random, Running};
use tenantry_model::{Plan, TenantSpec, Timestamp};
use tenantry_tenancy::Clock;
use tenantry_test_support::{Contract, api_client};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// 32 bytes that are the same.
const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000)
    }
}

pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) client: Client,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start_in(directory: tempfile::TempDir) -> Self {
        let arguments = arguments(&directory);
        Self::start_with(directory, arguments, &[("TENANTRY_MASTER_KEY", MASTER_KEY)]).await
    }

    async fn start_with(
        directory: tempfile::TempDir,
        arguments: Arguments,
        environment: &[(&str, &str)],
    ) -> Self {
        Self::start_at(directory, arguments, environment, Arc::new(FixedClock)).await
    }

    /// By this clock.
    pub(crate) async fn clocked(clock: Arc<dyn Clock>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let arguments = arguments(&directory);
        Self::start_at(directory, arguments, &[], clock).await
    }

    async fn start_at(
        directory: tempfile::TempDir,
        arguments: Arguments,
        environment: &[(&str, &str)],
        clock: Arc<dyn Clock>,
    ) -> Self {
        // The clock stands still, so nothing that was spent is earned back.
        let usual = [
            ("TENANTRY_HEARTBEAT_SECONDS", "1"),
            ("TENANTRY_API_REQUESTS_BURST", "1000000"),
            ("TENANTRY_ANONYMOUS_REQUESTS_BURST", "1000000"),
        ];
        let environment = usual.iter().chain(environment);
        let environment =
            environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let bootstrap = Bootstrap::load(&arguments, environment).unwrap();
        let random = Random::new(StdRng::seed_from_u64(1));
        let running = App::start(bootstrap, clock, random).await.unwrap();
        let base = format!("http://{}", running.api);
        let client = api_client(&base, running.root_token.expose());
        Self { running, client, directory }
    }

    /// With these settings.
    pub(crate) async fn configured(environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let arguments = arguments(&directory);
        Self::start_with(directory, arguments, environment).await
    }

    /// With the plan `pro` and the tenant `acme`.
    pub(crate) async fn with_acme() -> Self {
        Self::start().await.and_acme().await
    }

    /// The same, and mail goes to a server.
    pub(crate) async fn with_mail_to(url: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let arguments = arguments(&directory);
        let environment = [("TENANTRY_MASTER_KEY", MASTER_KEY), ("TENANTRY_MAIL_URL", url)];
        Self::start_with(directory, arguments, &environment).await.and_acme().await
    }

    /// The same, and nothing to seal secrets with.
    pub(crate) async fn without_master_key() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let arguments = arguments(&directory);
        Self::start_with(directory, arguments, &[]).await.and_acme().await
    }

    pub(crate) async fn and_acme(self) -> Self {
        let server = self;
        let plan: Plan = serde_json::from_str(r#"{"id":"pro","name":"Pro"}"#).unwrap();
        server.client.plans().create(&plan).await.unwrap();
        server.create_tenant("acme", &["acme.example.com"]).await;
        server
    }

    pub(crate) async fn create_tenant(&self, slug: &str, domains: &[&str]) -> u64 {
        let mut tenant = CreateTenant::new(TenantSpec::new(
            slug.parse().unwrap(),
            "Acme",
            "pro".parse().unwrap(),
        ));
        tenant.start.domains = domains.iter().map(|host| host.parse().unwrap()).collect();
        self.client.tenants().create(&tenant).await.unwrap().tenant.revision
    }

    /// One request with the root token and a JSON body.
    pub(crate) async fn send(&self, line: &str, headers: &str, body: &str) -> Answer {
        self.sending(line, headers, body).await
    }

    /// The same, to be done by another task.
    pub(crate) fn sending(
        &self,
        line: &str,
        headers: &str,
        body: &str,
    ) -> impl Future<Output = Answer> + Send + 'static {
        self.sending_as(self.running.root_token.expose(), line, headers, body)
    }

    /// The same with another token.
    pub(crate) async fn send_as(
        &self,
        token: &str,
        line: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        self.sending_as(token, line, headers, body).await
    }

    fn sending_as(
        &self,
        token: &str,
        line: &str,
        headers: &str,
        body: &str,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let headers =
            format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n{headers}");
        let (to, line, body) = (self.running.api, line.to_owned(), body.to_owned());
        async move { exchange(to, &line, &headers, &body).await }
    }
}

fn arguments(directory: &tempfile::TempDir) -> Arguments {
    let any = Some("127.0.0.1:0".parse().unwrap());
    Arguments {
        data_dir: Some(directory.path().to_owned()),
        api_addr: any,
        distribution_addr: any,
        ..Arguments::default()
    }
}

/// One request, byte for byte; `headers` end with a line break each.
pub(crate) async fn exchange(to: SocketAddr, line: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    );
    // A server that refuses a large body need not read it to its end.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { joined(body) } else { body.to_owned() };
    let answer = Answer { status, head: head.to_owned(), body };
    witness(line, &answer);
    answer
}

/// A body that came in chunks (RFC 9112, section 7.1).
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        let (chunk, rest) = rest.split_at(length);
        body += chunk;
        chunks = rest.strip_prefix("\r\n").unwrap_or_default();
    }
    body
}

/// What the API answers is what its description says.
fn witness(line: &str, answer: &Answer) {
    let (method, target) = line.split_once(' ').unwrap();
    let headers = answer.head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let path = target.split('?').next().unwrap();
    // What was cut down to some fields lacks what the schema requires.
    let is_cut = target.contains("fields=") && answer.status == 200;
    if !(path.starts_with("/distribution/") || is_cut) {
        Contract::committed().hold(&Exchange {
            method: &method.parse().unwrap(),
            path,
            status: answer.status,
            headers: &headers.collect(),
            body: answer.body.as_bytes(),
        });
    }
}
