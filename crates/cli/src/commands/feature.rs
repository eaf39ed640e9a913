//! Flags of features.

use clap::Args;
use tenantry_model::FeatureDefault;

use super::document::Fields;
use crate::{
    body::Body,
    error::CliError,
    session::Session,
    value::{self, Switch},
};

#[derive(Debug, Args)]
pub(crate) struct FeatureFields {
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// Whether it is on where nothing else speaks of it: on, off, or for a share of tenants such as 25%
    #[arg(long, value_name = "SHARE", value_parser = value::feature_default)]
    default: Option<FeatureDefault>,
    /// The kill switch: on means off for everybody
    #[arg(long)]
    killed: Option<Switch>,
}

impl Fields for FeatureFields {
    async fn write(&self, body: &mut Body, _session: &Session) -> Result<(), CliError> {
        body.set("description", self.description.as_ref());
        body.set("default", self.default);
        body.set("killed", self.killed.map(Switch::is_on));
        Ok(())
    }
}
