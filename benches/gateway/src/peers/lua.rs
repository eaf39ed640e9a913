//! nginx with the policy in Lua. A change is a new file and a reload.

use std::{fmt::Write as _, net::Ipv4Addr};

use super::{Contents, Place, common, filled, is_same, nginx};
use crate::policy::{LIMITED_RATE, LOCAL, STANDARD_RATE, Tenant};

/// Where Debian puts modules.
const MODULES: &str = "/usr/lib/nginx/modules";

pub(super) fn version() -> anyhow::Result<String> {
    nginx::version()
}

pub(super) fn files(place: &Place<'_>, shut_out: Option<&Tenant>) -> Vec<Contents> {
    let mut values = common(place);
    values.extend([
        ("modules", MODULES.to_owned()),
        ("zone_mib", nginx::zone_mib(place.policy).to_string()),
    ]);
    vec![
        ("nginx.conf", filled(include_str!("templates/lua.conf"), &values)),
        ("gateway.lua", include_str!("templates/gateway.lua").to_owned()),
        ("policy.lua", policy(place, shut_out)),
    ]
}

/// A chunk of Lua may hold 65,536 constants, so tenants are added by calls, some in each function.
fn policy(place: &Place<'_>, shut_out: Option<&Tenant>) -> String {
    let mut text = String::from(
        "local policy = {hosts = {}, keys = {}}\n\
         local function add(slug, host, key, interval, tolerance, networks)\n\
         \x20   local tenant = {slug = slug, interval = interval, tolerance = tolerance, networks = networks}\n\
         \x20   policy.hosts[host], policy.keys[key] = tenant, tenant\n\
         end\n",
    );
    for some in place.policy.tenants.chunks(1000) {
        text.push_str("(function()\n");
        for tenant in some {
            let (interval, tolerance) = rate(tenant);
            let networks = networks(tenant, is_same(tenant, shut_out));
            let Tenant { slug, host, key, .. } = tenant;
            // Writing to a text never fails.
            let _ = writeln!(
                text,
                "add(\"{slug}\", \"{host}\", \"{key}\", {interval}, {tolerance}, {{ {networks}}})"
            );
        }
        text.push_str("end)();\n");
    }
    text + "return policy\n"
}

/// Seconds between requests that come evenly, and how far ahead of that they may be.
fn rate(tenant: &Tenant) -> (f64, f64) {
    if tenant.is_limited {
        let interval = 60.0 / f64::from(LIMITED_RATE);
        // A little less, because of what is lost in rounding.
        (interval, interval * (f64::from(LIMITED_RATE) - 1.0) + 0.001)
    } else {
        (1.0 / f64::from(STANDARD_RATE), 1.0)
    }
}

/// Bases and masks, signed as `bit` makes them.
fn networks(tenant: &Tenant, is_shut_out: bool) -> String {
    let local = (!is_shut_out).then_some(LOCAL);
    let all = local.into_iter().chain([tenant.network.as_str()]);
    all.filter_map(|network| {
        let (base, bits) = network.split_once('/')?;
        let base = base.parse::<Ipv4Addr>().ok()?.to_bits().cast_signed();
        let mask = u32::MAX.checked_shl(32 - bits.parse::<u32>().ok()?)?.cast_signed();
        Some(format!("{{base = {base}, mask = {mask}}},"))
    })
    .collect()
}
