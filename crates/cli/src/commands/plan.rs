//! Flags of plans, and of limits wherever they stand.

use std::num::{NonZeroU32, NonZeroU64};

use clap::Args;
use tenantry_model::{FeatureId, RateLimit};

use super::document::Fields;
use crate::{body::Body, error::CliError, session::Session, value};

#[derive(Debug, Args)]
pub(crate) struct PlanFields {
    /// Its name for people [default on create: the identifier]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    limits: LimitFlags,
    /// A feature that is on; may be repeated
    #[arg(long = "feature", value_name = "FEATURE")]
    features: Vec<FeatureId>,
}

/// Limits of a plan, ceilings of a group, or a tenant's own in place of them.
#[derive(Debug, Args)]
pub(crate) struct LimitFlags {
    /// A rate limit NAME=QUOTA/WINDOW[:BURST], such as burst=100/1s:200; may be repeated
    #[arg(long = "limit", value_name = "LIMIT", value_parser = value::rate_limit)]
    rates: Vec<RateLimit>,
    /// How many requests may be in progress at once
    #[arg(long, value_name = "N")]
    concurrent_requests: Option<NonZeroU32>,
    /// The largest request body, in bytes
    #[arg(long, value_name = "BYTES")]
    request_body_bytes: Option<NonZeroU64>,
    /// How many connections may carry requests at once
    #[arg(long, value_name = "N")]
    connections: Option<NonZeroU32>,
    /// Bytes of request bodies a second; more are slowed down
    #[arg(long, value_name = "BYTES")]
    request_bytes_per_second: Option<NonZeroU64>,
    /// Bytes of response bodies a second; more are slowed down
    #[arg(long, value_name = "BYTES")]
    response_bytes_per_second: Option<NonZeroU64>,
}

impl LimitFlags {
    pub(super) fn write(&self, body: &mut Body) {
        body.set_within("limits", "requests", (!self.rates.is_empty()).then_some(&self.rates));
        body.set_within("limits", "concurrent_requests", self.concurrent_requests);
        body.set_within("limits", "request_body_bytes", self.request_body_bytes);
        body.set_within("limits", "connections", self.connections);
        body.set_within("limits", "request_bytes_per_second", self.request_bytes_per_second);
        body.set_within("limits", "response_bytes_per_second", self.response_bytes_per_second);
    }
}

impl Fields for PlanFields {
    async fn write(&self, body: &mut Body, _session: &Session) -> Result<(), CliError> {
        body.set("name", self.name.as_ref());
        self.limits.write(body);
        body.set_list("features", &self.features);
        Ok(())
    }

    fn defaults(body: &mut Body, id: Option<&str>) {
        if let Some(id) = id {
            body.set_default("name", id);
        }
    }
}
