//! Flags of groups.

use clap::Args;
use tenantry_model::FeatureId;

use super::{document::Fields, plan::LimitFlags};
use crate::{body::Body, error::CliError, session::Session};

#[derive(Debug, Args)]
pub(crate) struct GroupFields {
    /// Its name for people [default on create: the identifier]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    limits: LimitFlags,
    /// A feature that is off for its tenants, whatever their plans and they themselves say; may be repeated
    #[arg(long = "feature-off", value_name = "FEATURE")]
    features_off: Vec<FeatureId>,
}

impl Fields for GroupFields {
    async fn write(&self, body: &mut Body, _session: &Session) -> Result<(), CliError> {
        body.set("name", self.name.as_ref());
        self.limits.write(body);
        body.set_list("features_off", &self.features_off);
        Ok(())
    }

    fn defaults(body: &mut Body, id: Option<&str>) {
        if let Some(id) = id {
            body.set_default("name", id);
        }
    }
}
