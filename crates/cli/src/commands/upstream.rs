//! Flags of upstreams.

use clap::Args;
use serde_json::Value;
use tenantry_model::RegionId;

use super::document::Fields;
use crate::{body::Body, error::CliError, session::Session, value};

#[derive(Debug, Args)]
pub(crate) struct UpstreamFields {
    /// A server HOST:PORT[@WEIGHT]; may be repeated
    #[arg(long = "endpoint", value_name = "ENDPOINT", value_parser = value::endpoint)]
    endpoints: Vec<Value>,
    /// Where its servers stand; tenants of another region are never sent to them
    #[arg(long)]
    region: Option<RegionId>,
}

impl Fields for UpstreamFields {
    async fn write(&self, body: &mut Body, _session: &Session) -> Result<(), CliError> {
        body.set_list("endpoints", &self.endpoints);
        body.set("region", self.region.as_ref());
        Ok(())
    }
}
