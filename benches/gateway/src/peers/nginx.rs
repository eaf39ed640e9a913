//! nginx with `map`, `geo` and `limit_req`. A change is a new file and a reload.

use std::path::Path;

use super::{Contents, Place, common, filled, is_same, lines, shown};
use crate::{
    policy::{LIMITED_RATE, LOCAL, Policy, STANDARD_RATE, Tenant},
    process::{Launch, output},
};

const PROGRAM: &str = "nginx";

pub(super) fn version() -> anyhow::Result<String> {
    let printed = output(Path::new(PROGRAM), &["-v"])?;
    Ok(printed.rsplit('/').next().unwrap_or_default().to_owned())
}

pub(super) fn files(place: &Place<'_>, shut_out: Option<&Tenant>) -> Vec<Contents> {
    let policy = place.policy;
    let networks = lines(policy, |tenant| format!("{} {};", tenant.network, tenant.network_name));
    let allowed =
        lines(policy, |Tenant { slug, network_name, .. }| format!("{slug}|{network_name} 1;"));
    let from_here = policy.tenants.iter().filter(|tenant| !is_same(tenant, shut_out));
    let from_here: String = from_here.map(|tenant| format!("{}|local 1;\n", tenant.slug)).collect();
    let limited = policy.limited();
    vec![
        ("nginx.conf", configuration(place)),
        ("hosts.map", lines(policy, |tenant| format!("{} {};", tenant.host, tenant.slug))),
        ("keys.map", lines(policy, |tenant| format!("{} {};", tenant.key, tenant.slug))),
        ("networks.geo", format!("{LOCAL} local;\n{networks}")),
        ("allowed.map", allowed + &from_here),
        ("limited.map", format!("{} {};\n", limited.slug, limited.slug)),
    ]
}

fn configuration(place: &Place<'_>) -> String {
    let mut values = common(place);
    values.extend([
        ("hash_size", (place.policy.tenants.len() * 4).max(2048).to_string()),
        ("zone_mib", zone_mib(place.policy).to_string()),
        ("standard_rate", STANDARD_RATE.to_string()),
        ("limited_rate", LIMITED_RATE.to_string()),
        // Those that may come at once, beside the first.
        ("limited_burst", (LIMITED_RATE - 1).to_string()),
    ]);
    filled(include_str!("templates/nginx.conf"), &values)
}

/// Shared memory for what tenants have spent.
pub(super) fn zone_mib(policy: &Policy) -> usize {
    (policy.tenants.len() / 2000).max(10)
}

pub(super) fn launch(place: &Place<'_>) -> Launch {
    let prefix = shown(&place.directory);
    let file = shown(&place.directory.join("nginx.conf"));
    let errors = shown(&place.directory.join("error.log"));
    Launch::new(PROGRAM, ["-p", &prefix, "-c", &file, "-e", &errors])
}
