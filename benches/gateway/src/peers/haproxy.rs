//! HAProxy with maps and a stick table. A change is a command on its runtime socket.

use std::path::Path;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{Contents, Place, common, filled, lines, shown};
use crate::{
    credentials::{AUDIENCE, ISSUER, TENANT_CLAIM},
    policy::{LIMITED_RATE, LOCAL, STANDARD_RATE, Tenant},
    process::{Launch, output},
    variant::Proof,
};

const PROGRAM: &str = "haproxy";

pub(super) fn version() -> anyhow::Result<String> {
    let printed = output(Path::new(PROGRAM), &["-v"])?;
    let version =
        printed.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    Ok(version.unwrap_or_default().to_owned())
}

pub(super) fn files(place: &Place<'_>) -> Vec<Contents> {
    let policy = place.policy;
    let networks = lines(policy, |tenant| format!("{} {}", tenant.network, tenant.network_name));
    let allowed = lines(policy, |Tenant { slug, network_name, .. }| {
        format!("{slug}|{network_name} 1\n{slug}|local 1")
    });
    vec![
        ("haproxy.cfg", configuration(place)),
        ("hosts.map", lines(policy, |tenant| format!("{} {}", tenant.host, tenant.slug))),
        ("keys.map", lines(policy, |tenant| format!("{} {}", tenant.key, tenant.slug))),
        ("networks.map", format!("{LOCAL} local\n{networks}")),
        ("allowed.map", allowed),
        ("limits.map", format!("{} {LIMITED_RATE}\n", policy.limited().slug)),
    ]
}

fn configuration(place: &Place<'_>) -> String {
    let (proof, header) = match place.proof {
        Proof::Key => (by_key(place), "X-Api-Key"),
        Proof::Token => (by_token(place), "Authorization"),
    };
    let mut values = common(place);
    values.extend([
        ("proof", proof),
        ("proof_header", header.to_owned()),
        ("standard_limit", (u64::from(STANDARD_RATE) * 60).to_string()),
        ("table_size", (place.policy.tenants.len() * 2).to_string()),
    ]);
    filled(include_str!("templates/haproxy.cfg"), &values)
}

fn by_key(place: &Place<'_>) -> String {
    let map = shown(&place.directory.join("keys.map"));
    format!("    http-request set-var(txn.caller) req.hdr(x-api-key),map_str({map})")
}

fn by_token(place: &Place<'_>) -> String {
    let key = shown(&place.directory.join("token-key.pem"));
    let payload = |claim: &str| format!("http_auth_bearer,jwt_payload_query('$.{claim}')");
    [
        format!("deny deny_status 401 unless {{ http_auth_bearer,jwt_verify(\"ES256\",\"{key}\") 1 }}"),
        format!("deny deny_status 401 unless {{ {} -m str {ISSUER} }}", payload("iss")),
        format!("deny deny_status 401 unless {{ {} -m str {AUDIENCE} }}", payload("aud")),
        "set-var(txn.now) date".to_owned(),
        "deny deny_status 401 unless { http_auth_bearer,jwt_payload_query('$.exp','int'),sub(txn.now) gt 0 }"
            .to_owned(),
        format!("set-var(txn.caller) {}", payload(TENANT_CLAIM)),
    ]
    .map(|rule| format!("    http-request {rule}"))
    .join("\n")
}

pub(super) fn launch(place: &Place<'_>) -> Launch {
    // In the foreground.
    Launch::new(PROGRAM, ["-db", "-f", &shown(&place.directory.join("haproxy.cfg"))])
}

pub(super) async fn change(
    place: &Place<'_>,
    tenant: &Tenant,
    may_enter: bool,
) -> anyhow::Result<()> {
    let (verb, value) = if may_enter { ("add", " 1") } else { ("del", "") };
    let (map, slug) = (shown(&place.directory.join("allowed.map")), &tenant.slug);
    let mut socket = UnixStream::connect(place.directory.join("runtime.sock")).await?;
    socket.write_all(format!("{verb} map {map} {slug}|local{value}\n").as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.trim().is_empty(), "HAProxy did not change its map: {answer}");
    Ok(())
}
