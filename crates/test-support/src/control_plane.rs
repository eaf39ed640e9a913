//! A control plane alone, on a data directory that may be anywhere.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;
use tenantry_api::Client;

use crate::{
    Process, api_client, eventually,
    platform::{MASTER_KEY, address, http_client, own_loopback, published_addresses},
};

/// A control plane that can be crashed and started again. It ends when it is dropped; its data stays.
#[derive(Debug)]
pub struct ControlPlane {
    process: Option<Process>,
    api: SocketAddr,
    distribution: SocketAddr,
    data: PathBuf,
    /// Environment, without the prefix of the names.
    settings: Vec<(String, String)>,
    http: reqwest::Client,
    /// Where it prints to.
    scratch: TempDir,
}

impl ControlPlane {
    /// Starts one, with settings as in its bootstrap config.
    pub async fn start(data: &Path, settings: &[(&str, &str)]) -> Self {
        let unknown = SocketAddr::from((own_loopback(), 0));
        let named =
            |(name, value): &(&str, &str)| (format!("TENANTRY_{name}"), (*value).to_owned());
        let mut control_plane = Self {
            process: None,
            api: unknown,
            distribution: unknown,
            data: data.to_owned(),
            settings: settings.iter().map(named).collect(),
            http: http_client(),
            scratch: tempfile::tempdir().expect("a temporary directory"),
        };
        control_plane.start_again().await;
        control_plane
    }

    /// Starts it, on the addresses it had before, and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.launch().await;
        eventually("the control plane is ready", async || {
            (self.get("/readyz").await?.0 == 200).then_some(())
        })
        .await;
    }

    /// Starts it, and waits only until it is at work.
    pub async fn launch(&mut self) {
        let published = self.data.join("control-plane.addresses.json");
        let _ = fs::remove_file(&published);
        let arguments = [
            "--data-dir".to_owned(),
            self.data.display().to_string(),
            "--api-addr".to_owned(),
            self.api.to_string(),
            "--distribution-addr".to_owned(),
            self.distribution.to_string(),
        ];
        let mut env = vec![("TENANTRY_MASTER_KEY", MASTER_KEY)];
        env.extend(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let name = "tenantry-control-plane";
        let process = Process::start(name, &arguments, &env, self.scratch.path());
        let process = self.process.insert(process);
        let addresses = published_addresses(process, &published).await;
        self.api = address(&addresses, "api");
        self.distribution = address(&addresses, "distribution");
    }

    /// Crashes it.
    pub fn kill(&mut self) {
        self.process.take().expect("it was running").kill();
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        let status = self.process.take().expect("it was running").terminate().await;
        assert!(status.success(), "it ended with {status}");
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it is running")
    }

    /// A client of its own connections, with the root token.
    #[must_use]
    pub fn api(&self) -> Client {
        let token = fs::read_to_string(self.data.join("root-token")).expect("a root token");
        api_client(&format!("http://{}", self.api), token.trim())
    }

    /// Where the API is.
    #[must_use]
    pub fn api_address(&self) -> SocketAddr {
        self.api
    }

    /// Where distribution is.
    #[must_use]
    pub fn distribution(&self) -> SocketAddr {
        self.distribution
    }

    /// The token that is good for any node.
    #[must_use]
    pub fn node_token(&self) -> String {
        let token = fs::read_to_string(self.data.join("node-token")).expect("a node token");
        token.trim().to_owned()
    }

    /// A page that needs no token: its status and its body.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = self.http.get(format!("http://{}{path}", self.api)).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    /// Everything that a proxy is told which knows nothing yet: the resources.
    pub async fn resources(&self) -> Vec<Value> {
        let url = format!("http://{}/distribution/v1/stream?node=test", self.distribution);
        let request = self.http.get(url).bearer_auth(self.node_token());
        let mut stream = request.send().await.expect("a stream");
        let (mut text, mut resources) = (Vec::new(), Vec::new());
        loop {
            let chunk = stream.chunk().await.expect("the stream goes on");
            text.extend(chunk.expect("a full state comes before the end"));
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let mut frame: Value = serde_json::from_slice(&line).expect("a frame of JSON");
                if frame.get("commit").is_some() {
                    return resources;
                }
                resources.extend(frame.get_mut("put").map(Value::take));
            }
        }
    }
}
