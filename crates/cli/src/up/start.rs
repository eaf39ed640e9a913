//! Starting both processes and waiting until they are ready.

use std::{
    ffi::OsString,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep};

use super::{
    DataDir, Progress, Up, UpError,
    processes::{Processes, Program},
};
use crate::http;

/// Short against the time a start takes, long against the cost of a look.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the control plane writes into the data directory.
const CONTROL_PLANE: &str = "control-plane.addresses.json";
/// What the proxy writes into its own directory.
const PROXY: &str = "addresses.json";
const PROXY_DIR: &str = "proxy";
const NODE_TOKEN: &str = "node-token";

/// The addresses that were bound; `addresses.json` in the data directory.
#[derive(Debug, Serialize)]
pub(super) struct Addresses {
    pub(super) proxy: Bound,
    pub(super) proxy_tls: Bound,
    pub(super) proxy_admin: Bound,
    pub(super) api: Bound,
    pub(super) distribution: Bound,
}

/// An address that something listens on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Bound(SocketAddr);

impl Bound {
    /// As a URL for this machine: "any address" is not one to connect to.
    pub(super) fn url(self) -> String {
        let mut address = self.0;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{address}")
    }

    /// The same, where TLS is spoken.
    pub(super) fn tls_url(self) -> String {
        self.url().replacen("http", "https", 1)
    }
}

#[derive(Deserialize)]
struct ControlPlaneAddresses {
    api: Bound,
    distribution: Bound,
}

#[derive(Deserialize)]
struct ProxyAddresses {
    proxy: Bound,
    proxy_tls: Bound,
    proxy_admin: Bound,
}

impl Addresses {
    /// What binds the same addresses once more.
    pub(super) fn to_bind_again(&self) -> Up {
        Up {
            demo: false,
            proxy_addr: Some(self.proxy.0),
            proxy_tls_addr: Some(self.proxy_tls.0),
            proxy_admin_addr: Some(self.proxy_admin.0),
            api_addr: Some(self.api.0),
            distribution_addr: Some(self.distribution.0),
        }
    }
}

/// Starts the control plane, then the proxy: the second needs the first one's token and address.
pub(super) async fn start(
    up: &Up,
    directory: &DataDir,
    processes: &mut Processes,
    progress: &mut Progress,
) -> Result<Addresses, UpError> {
    let path = directory.path();
    directory.remove(CONTROL_PLANE)?;
    directory.remove(&format!("{PROXY_DIR}/{PROXY}"))?;

    let master_key = directory.master_key()?;

    progress.begin("starting control plane");
    let began = now();
    processes.start(Program::ControlPlane, control_plane(up, path, &master_key))?;
    let file = path.join(CONTROL_PLANE);
    let awaited = ready::<ControlPlaneAddresses>(&file, |addresses| addresses.api);
    let ControlPlaneAddresses { api, distribution } = processes.while_alive(awaited).await?;
    progress.end(&since(began));

    progress.begin("starting proxy");
    let began = now();
    processes.start(Program::Proxy, proxy(up, path, distribution, &master_key))?;
    let file = path.join(PROXY_DIR).join(PROXY);
    let awaited = ready::<ProxyAddresses>(&file, |addresses| addresses.proxy_admin);
    let ProxyAddresses { proxy, proxy_tls, proxy_admin } = processes.while_alive(awaited).await?;
    progress.end(&since(began));
    Ok(Addresses { proxy, proxy_tls, proxy_admin, api, distribution })
}

pub(super) fn control_plane(up: &Up, data_dir: &Path, master_key: &Path) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.add("--master-key-file", Some(master_key));
    arguments.add("--data-dir", Some(data_dir));
    arguments.add("--api-addr", up.api_addr.map(|address| address.to_string()));
    arguments.add("--distribution-addr", up.distribution_addr.map(|address| address.to_string()));
    arguments.0
}

pub(super) fn proxy(
    up: &Up,
    data_dir: &Path,
    distribution: Bound,
    master_key: &Path,
) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.add("--master-key-file", Some(master_key));
    arguments.add("--proxy-data-dir", Some(data_dir.join(PROXY_DIR)));
    arguments.add("--node-token-file", Some(data_dir.join(NODE_TOKEN)));
    arguments.add("--distribution-url", Some(distribution.url()));
    arguments.add("--proxy-addr", up.proxy_addr.map(|address| address.to_string()));
    arguments.add("--proxy-tls-addr", up.proxy_tls_addr.map(|address| address.to_string()));
    arguments.add("--proxy-admin-addr", up.proxy_admin_addr.map(|address| address.to_string()));
    arguments.0
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, flag: &str, value: Option<impl Into<OsString>>) {
        if let Some(value) = value {
            self.0.extend([flag.into(), value.into()]);
        }
    }
}

/// Looks until the process has written where it listens and says there that it is ready.
async fn ready<A: DeserializeOwned>(file: &Path, admin: impl Fn(&A) -> Bound) -> A {
    loop {
        if let Some(addresses) = read::<A>(file)
            && let Ok((status, _)) = http::get(&admin(&addresses).url(), "/readyz").await
            && status.is_success()
        {
            return addresses;
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// A file that is not there yet, or cannot be read, is looked for again.
fn read<A: DeserializeOwned>(file: &Path) -> Option<A> {
    let content: io::Result<Vec<u8>> = fs::read(file);
    serde_json::from_slice(&content.ok()?).ok()
}

pub(super) fn now() -> Instant {
    Instant::now()
}

/// How long a step took.
pub(super) fn since(began: Instant) -> String {
    format!("ready in {:.1} s", began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_becomes_one_to_connect_to() {
        let url = |text: &str| Bound(text.parse().unwrap()).url();
        assert_eq!(url("0.0.0.0:8080"), "http://127.0.0.1:8080");
        assert_eq!(url("[::]:8080"), "http://[::1]:8080");
        assert_eq!(url("192.0.2.1:80"), "http://192.0.2.1:80");
    }
}
