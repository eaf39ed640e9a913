//! Where a route's requests go.

use std::num::NonZeroU16;

use clap::Args;
use serde_json::Value;
use tenantry_model::{
    ExactPath, Host, PathPrefix, UpstreamId,
    route::{RedirectStatus, Scheme},
};

use crate::{body::Body, value};

/// One of an upstream, several with weights, and a redirect.
#[derive(Debug, Args)]
pub(super) struct TargetFlags {
    /// Where the requests go
    #[arg(long, conflicts_with_all = ["split", "redirect"])]
    upstream: Option<UpstreamId>,
    /// One of several upstreams UPSTREAM=WEIGHT over which tenants are split; may be repeated
    #[arg(long, value_name = "SHARE", value_parser = value::share, conflicts_with = "redirect")]
    split: Vec<Value>,
    #[command(flatten)]
    redirect: RedirectFlags,
}

#[derive(Debug, Args)]
#[group(id = "redirect", multiple = true)]
struct RedirectFlags {
    /// Send clients elsewhere with this status [default: 302]
    #[arg(long, value_name = "STATUS")]
    redirect_status: Option<RedirectStatus>,
    /// Send clients to this scheme: http or https
    #[arg(long, value_name = "SCHEME", value_parser = value::word::<Scheme>)]
    redirect_scheme: Option<Scheme>,
    /// Send clients to this host
    #[arg(long, value_name = "HOST")]
    redirect_host: Option<Host>,
    /// Send clients to this port
    #[arg(long, value_name = "PORT")]
    redirect_port: Option<NonZeroU16>,
    /// Send clients to this path
    #[arg(long, value_name = "PATH", conflicts_with = "redirect_path_prefix")]
    redirect_path: Option<ExactPath>,
    /// Send clients to this prefix in place of the matched one
    #[arg(long, value_name = "PREFIX")]
    redirect_path_prefix: Option<PathPrefix>,
}

impl TargetFlags {
    /// What is given takes the place of any other target.
    pub(super) fn write(&self, body: &mut Body) {
        let given = [
            ("upstream", self.upstream.is_some()),
            ("upstreams", !self.split.is_empty()),
            ("redirect", self.redirect.is_given()),
        ];
        if !given.iter().any(|(_, is_given)| *is_given) {
            return;
        }
        for (name, _) in given.iter().filter(|(_, is_given)| !is_given) {
            body.set(name, Some(Value::Null));
        }
        body.set("upstream", self.upstream.as_ref());
        body.set_list("upstreams", &self.split);
        self.redirect.write(body);
    }
}

impl RedirectFlags {
    fn is_given(&self) -> bool {
        self.redirect_status.is_some()
            || self.redirect_scheme.is_some()
            || self.redirect_host.is_some()
            || self.redirect_port.is_some()
            || self.redirect_path.is_some()
            || self.redirect_path_prefix.is_some()
    }

    fn write(&self, body: &mut Body) {
        body.set_within("redirect", "status", self.redirect_status);
        body.set_within("redirect", "scheme", self.redirect_scheme);
        body.set_within("redirect", "host", self.redirect_host.as_ref());
        body.set_within("redirect", "port", self.redirect_port);
        body.set_within("redirect", "path", self.redirect_path.as_ref());
        body.set_within("redirect", "path_prefix", self.redirect_path_prefix.as_ref());
    }
}
