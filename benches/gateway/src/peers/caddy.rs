//! Caddy with a route for each tenant, as sites in a Caddyfile become. A change is a reload through its own API.
//!
//! Who owns a key is in a `map`, because a key of another tenant is answered otherwise than one of nobody.

use std::path::Path;

use serde_json::{Value, json};

use super::{Contents, Place, is_same, shown};
use crate::{
    exchange::Connection,
    policy::{LOCAL, Tenant},
    process::{Launch, output},
};

const PROGRAM: &str = "caddy";

pub(super) fn version() -> anyhow::Result<String> {
    let printed = output(Path::new(PROGRAM), &["version"])?;
    Ok(printed.split_whitespace().next().unwrap_or_default().trim_start_matches('v').to_owned())
}

pub(super) fn launch(place: &Place<'_>) -> Launch {
    let home = shown(&place.directory);
    Launch::new(PROGRAM, ["run", "--config", &shown(&place.directory.join("caddy.json"))])
        .with("GOMAXPROCS", place.workers())
        .with("HOME", &home)
        .with("XDG_DATA_HOME", &home)
        .with("XDG_CONFIG_HOME", &home)
}

pub(super) fn files(place: &Place<'_>, shut_out: Option<&Tenant>) -> Vec<Contents> {
    vec![("caddy.json", configuration(place, shut_out).to_string())]
}

pub(super) async fn reload(place: &Place<'_>) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(place.directory.join("caddy.json"))?;
    let (port, length) = (place.admin, text.len());
    let request = format!(
        "POST /load HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{text}"
    );
    let mut connection = Connection::open(([127, 0, 0, 1], port).into()).await?;
    let head = connection.exchange(request.as_bytes()).await?;
    anyhow::ensure!(head.status == 200, "Caddy did not take its configuration: {}", head.status);
    Ok(())
}

fn configuration(place: &Place<'_>, shut_out: Option<&Tenant>) -> Value {
    let tenants = &place.policy.tenants;
    let owners: Vec<_> = tenants
        .iter()
        .map(|tenant| json!({"input": tenant.key, "outputs": [tenant.slug]}))
        .collect();
    let owner = json!({"handle": [{
        "handler": "map",
        "source": "{http.request.header.X-Api-Key}",
        "destinations": ["{caller}"],
        "mappings": owners,
        "defaults": [""],
    }]});
    let mut routes = vec![owner];
    routes.extend(tenants.iter().map(|tenant| route(place, tenant, is_same(tenant, shut_out))));
    routes.push(json!({"handle": [refusal(404)]}));
    let server = |port: u16, tls: Value| {
        json!({
            "listen": [format!("127.0.0.1:{port}")],
            "routes": routes,
            "automatic_https": {"disable": true},
            "tls_connection_policies": tls,
        })
    };
    let file = |name: &str| shown(&place.directory.join(name));
    json!({
        "admin": {"listen": format!("127.0.0.1:{}", place.admin), "config": {"persist": false}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {
            "http": {"servers": {
                "plain": server(place.plain, Value::Null),
                "tls": server(place.tls, json!([{}])),
            }},
            "tls": {"certificates": {"load_files": [
                {"certificate": file("certificate.pem"), "key": file("certificate.key")},
            ]}},
        },
    })
}

fn refusal(status: u16) -> Value {
    json!({"handler": "static_response", "status_code": status})
}

fn route(place: &Place<'_>, tenant: &Tenant, is_shut_out: bool) -> Value {
    let mut networks = vec![tenant.network.as_str()];
    if !is_shut_out {
        networks.push(LOCAL);
    }
    let refuse = |matcher: Value, status| json!({"match": [matcher], "handle": [refusal(status)]});
    let routes = json!([
        refuse(json!({"vars": {"{caller}": [""]}}), 401),
        refuse(json!({"not": [{"vars": {"{caller}": [tenant.slug]}}]}), 403),
        refuse(json!({"not": [{"remote_ip": {"ranges": networks}}]}), 403),
        {"handle": [forward(place, tenant)]},
    ]);
    json!({
        "match": [{"host": [tenant.host]}],
        "handle": [{"handler": "subroute", "routes": routes}],
        "terminal": true,
    })
}

fn forward(place: &Place<'_>, tenant: &Tenant) -> Value {
    json!({
        "handler": "reverse_proxy",
        "upstreams": [{"dial": place.origin.to_string()}],
        "transport": {
            "protocol": "http",
            "compression": false,
            "keep_alive": {"enabled": true, "max_idle_conns_per_host": 128},
        },
        "headers": {"request": {
            "set": {"X-Tenant-Slug": [tenant.slug], "X-Request-Id": ["{http.request.uuid}"]},
            "delete": ["X-Api-Key"],
        }},
    })
}
