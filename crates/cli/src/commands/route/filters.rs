//! What a route changes on the way.

use std::num::NonZeroU32;

use clap::Args;
use serde_json::Value;
use tenantry_model::{Host, PathPrefix, route::HeaderName};

use crate::{body::Body, value};

#[derive(Debug, Args)]
pub(super) struct FilterFlags {
    /// What takes the place of the matched prefix
    #[arg(long, value_name = "PREFIX")]
    rewrite_path_prefix: Option<PathPrefix>,
    /// The host that the upstream is told
    #[arg(long, value_name = "HOST")]
    rewrite_host: Option<Host>,
    /// Set a header NAME=VALUE of the request; may be repeated
    #[arg(long, value_name = "HEADER", value_parser = value::pair)]
    set_request_header: Vec<(String, String)>,
    /// Add a header NAME=VALUE to the request; may be repeated
    #[arg(long, value_name = "HEADER", value_parser = value::pair)]
    add_request_header: Vec<(String, String)>,
    /// Remove a header from the request; may be repeated
    #[arg(long, value_name = "NAME")]
    remove_request_header: Vec<HeaderName>,
    /// Set a header NAME=VALUE of the answer; may be repeated
    #[arg(long, value_name = "HEADER", value_parser = value::pair)]
    set_response_header: Vec<(String, String)>,
    /// Add a header NAME=VALUE to the answer; may be repeated
    #[arg(long, value_name = "HEADER", value_parser = value::pair)]
    add_response_header: Vec<(String, String)>,
    /// Remove a header from the answer; may be repeated
    #[arg(long, value_name = "NAME")]
    remove_response_header: Vec<HeaderName>,
    /// The longest time to the head of the answer, in place of the upstream's
    #[arg(long, value_name = "MS")]
    first_byte_timeout_ms: Option<NonZeroU32>,
    /// The longest silence, in place of the upstream's
    #[arg(long, value_name = "MS")]
    idle_timeout_ms: Option<NonZeroU32>,
    /// The longest time for all of it, in place of the upstream's
    #[arg(long, value_name = "MS")]
    total_timeout_ms: Option<NonZeroU32>,
}

impl FilterFlags {
    pub(super) fn write(&self, body: &mut Body) {
        body.set_within("rewrite", "path_prefix", self.rewrite_path_prefix.as_ref());
        body.set_within("rewrite", "host", self.rewrite_host.as_ref());
        let (set, add) = (&self.set_request_header, &self.add_request_header);
        write_edits(body, "request_headers", set, add, &self.remove_request_header);
        let (set, add) = (&self.set_response_header, &self.add_response_header);
        write_edits(body, "response_headers", set, add, &self.remove_response_header);
        body.set_within("timeouts", "first_byte_ms", self.first_byte_timeout_ms);
        body.set_within("timeouts", "idle_ms", self.idle_timeout_ms);
        body.set_within("timeouts", "total_ms", self.total_timeout_ms);
    }
}

fn write_edits(
    body: &mut Body,
    field: &str,
    set: &[(String, String)],
    add: &[(String, String)],
    remove: &[HeaderName],
) {
    let object = |pairs: &[(String, String)]| {
        let members = pairs.iter().map(|(name, text)| (name.to_lowercase(), text.clone().into()));
        (!pairs.is_empty()).then(|| Value::Object(members.collect()))
    };
    body.set_within(field, "set", object(set));
    body.set_within(field, "add", object(add));
    body.set_within(field, "remove", (!remove.is_empty()).then_some(remove));
}
