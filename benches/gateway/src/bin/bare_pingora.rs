//! Pingora as it comes, with no policy at all: what is left of Tenantry's cost if all of ours is taken away.
//!
//! `bare-pingora PLAIN TLS ORIGIN CERTIFICATE KEY`: two addresses to listen on, one to forward to, two files.

use std::{env, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use pingora::{
    Result,
    listeners::tls::TlsSettings,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{RunArgs, Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Unused connections to the origin that are kept, as everywhere in this comparison.
const KEPT: usize = 128;

struct Forward {
    origin: String,
}

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin.as_str(), false, String::new())))
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [plain, tls, origin, certificate, key, threads] = arguments.as_slice() else {
        anyhow::bail!("usage: bare-pingora PLAIN TLS ORIGIN CERTIFICATE KEY THREADS");
    };
    pingora::tls::install_default_crypto_provider();
    let configuration = ServerConf {
        threads: threads.parse().context("THREADS is a number")?,
        upstream_keepalive_pool_size: KEPT,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();
    let forward = Forward { origin: origin.clone() };
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), forward);
    service.add_tcp(plain);
    let mut settings = TlsSettings::intermediate(certificate, key)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("the certificate is not usable")?;
    settings.enable_h2();
    service.add_tls_with_settings(tls, None, settings);
    server.add_service(service);
    server.run(RunArgs::default());
    Ok(())
}
