//! Flags of upstreams.

use clap::Args;
use serde_json::Value;

use super::document::Fields;
use crate::{body::Body, error::CliError, session::Session, value};

#[derive(Debug, Args)]
pub(crate) struct UpstreamFields {
    /// A server HOST:PORT[@WEIGHT]; may be repeated
    #[arg(long = "endpoint", value_name = "ENDPOINT", value_parser = value::endpoint)]
    endpoints: Vec<Value>,
}

impl Fields for UpstreamFields {
    async fn write(&self, body: &mut Body, _session: &Session) -> Result<(), CliError> {
        body.set_list("endpoints", &self.endpoints);
        Ok(())
    }
}
