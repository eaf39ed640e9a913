//! Flags of features.

use clap::Args;

use super::document::Fields;
use crate::{body::Body, error::CliError, session::Session, value::Switch};

#[derive(Debug, Args)]
pub(crate) struct FeatureFields {
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// Whether it is on where neither plan nor tenant say
    #[arg(long)]
    default: Option<Switch>,
    /// The kill switch: on means off for everybody
    #[arg(long)]
    killed: Option<Switch>,
}

impl Fields for FeatureFields {
    async fn write(&self, body: &mut Body, _session: &Session) -> Result<(), CliError> {
        body.set("description", self.description.as_ref());
        body.set("default", self.default.map(Switch::is_on));
        body.set("killed", self.killed.map(Switch::is_on));
        Ok(())
    }
}
