//! Flags of upstreams.
//!
//! What has many parts (a health check, retries, ejection) is written as JSON, in the words of the API.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::Value;
use tenantry_model::{
    RegionId,
    upstream::{Cap, Policy, Protocol, ServerName},
};

use super::document::Fields;
use crate::{body::Body, error::CliError, session::Session, value};

#[derive(Debug, Args)]
pub(crate) struct UpstreamFields {
    /// A server HOST:PORT[@WEIGHT]; may be repeated
    #[arg(long = "endpoint", value_name = "ENDPOINT", value_parser = value::endpoint)]
    endpoints: Vec<Value>,
    /// How a server is chosen: round_robin, least_requests or consistent_hash
    #[arg(long, value_name = "POLICY", value_parser = value::word::<Policy>)]
    balance: Option<Policy>,
    /// What consistent_hash is over: tenant, key, client, or header:NAME
    #[arg(long, value_name = "WHAT", value_parser = hash_on, requires = "balance")]
    hash_on: Option<Value>,
    /// Active checks, such as '{"type":"http","path":"/health"}'
    #[arg(long, value_name = "JSON", value_parser = value::json)]
    health_check: Option<Value>,
    /// When a failing server is left out, such as '{"consecutive_failures":5}'
    #[arg(long, value_name = "JSON", value_parser = value::json)]
    outlier: Option<Value>,
    /// Times to wait, such as '{"connect_ms":500,"first_byte_ms":5000}'
    #[arg(long, value_name = "JSON", value_parser = value::json)]
    timeouts: Option<Value>,
    /// Tries after the first, such as '{"attempts":2,"budget_percent":20}'
    #[arg(long, value_name = "JSON", value_parser = value::json)]
    retries: Option<Value>,
    /// The most requests in progress per proxy
    #[arg(long, value_name = "COUNT", value_parser = cap)]
    max_requests: Option<Cap>,
    /// The most connections per proxy
    #[arg(long, value_name = "COUNT", value_parser = cap)]
    max_connections: Option<Cap>,
    /// The version of HTTP: http1, http2 or auto
    #[arg(long, value_parser = value::word::<Protocol>)]
    protocol: Option<Protocol>,
    /// Speak TLS, checked by the machine's authorities
    #[arg(long)]
    tls: bool,
    /// Speak TLS, and demand this name of the server's certificate
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<ServerName>,
    /// Speak TLS, and believe only the authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Speak TLS, and show the certificate in this PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of that certificate; it can never be read again
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Where its servers stand; tenants of another region are never sent to them
    #[arg(long)]
    region: Option<RegionId>,
}

impl Fields for UpstreamFields {
    async fn write(&self, body: &mut Body, _session: &Session) -> Result<(), CliError> {
        body.set_list("endpoints", &self.endpoints);
        body.set_within("balance", "policy", self.balance);
        body.set_within("balance", "hash_on", self.hash_on.as_ref());
        body.set("health_check", self.health_check.as_ref());
        body.set("outlier", self.outlier.as_ref());
        body.set("timeouts", self.timeouts.as_ref());
        body.set("retries", self.retries.as_ref());
        body.set("max_requests", self.max_requests);
        body.set("max_connections", self.max_connections);
        body.set("protocol", self.protocol);
        body.set_within("tls", "verify", self.tls.then_some(true));
        body.set_within("tls", "server_name", self.tls_server_name.as_ref());
        body.set_within("tls", "ca_pem", file(self.tls_ca.as_ref())?);
        body.set_within("tls", "client_certificate_pem", file(self.tls_certificate.as_ref())?);
        body.set_within("tls", "client_key_pem", file(self.tls_key.as_ref())?);
        body.set("region", self.region.as_ref());
        Ok(())
    }
}

fn file(path: Option<&PathBuf>) -> Result<Option<String>, CliError> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path);
        text.map_err(|source| CliError::Read { path: path.clone(), source })
    };
    path.map(read).transpose()
}

fn hash_on(text: &str) -> Result<Value, String> {
    match text.strip_prefix("header:") {
        Some(name) => Ok(serde_json::json!({ "header": name })),
        None if matches!(text, "tenant" | "key" | "client") => Ok(text.into()),
        None => Err("write tenant, key, client or header:NAME".to_owned()),
    }
}

fn cap(text: &str) -> Result<Cap, String> {
    let number = text.parse::<u64>().map_err(|_| format!("{text:?} is not a number"))?;
    Cap::try_from(number).map_err(|error| error.to_string())
}
