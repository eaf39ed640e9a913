//! Envoy with a virtual host for each tenant. A change is a new file of routes, which it watches.

use serde_json::{Value, json};

use super::{Contents, Place, Programs, is_same, shown};
use crate::{
    credentials::{AUDIENCE, ISSUER, TENANT_CLAIM},
    policy::{LIMITED_RATE, STANDARD_RATE, Tenant},
    process::{Launch, output},
    variant::Proof,
};

const API_KEYS: &str = "envoy.filters.http.api_key_auth";
const TOKENS: &str = "envoy.filters.http.jwt_authn";
const ACCESS: &str = "envoy.filters.http.rbac";
const RATE: &str = "envoy.filters.http.local_ratelimit";
const TENANT_HEADER: &str = "x-tenant-slug";

pub(super) fn version(programs: &Programs) -> anyhow::Result<String> {
    let printed = output(&programs.envoy, &["--version"])?;
    // `PATH version: COMMIT/1.2.3/...`
    let (_, version) = printed.split_once("version: ").unwrap_or_default();
    Ok(version.split('/').nth(1).unwrap_or_default().to_owned())
}

pub(super) fn launch(place: &Place<'_>) -> Launch {
    let file = shown(&place.directory.join("envoy.json"));
    let workers = place.workers().to_string();
    let arguments = ["-c", &file, "--concurrency", &workers, "--disable-hot-restart", "-l", "warn"];
    Launch::new(&place.programs.envoy, arguments)
}

pub(super) fn files(place: &Place<'_>, shut_out: Option<&Tenant>) -> Vec<Contents> {
    vec![
        ("envoy.json", bootstrap(place).to_string()),
        ("routes.json", routes(place, shut_out).to_string()),
    ]
}

/// A message of a type that is named in it.
fn typed(name: &str, mut message: Value) -> Value {
    if let Some(message) = message.as_object_mut() {
        message.insert("@type".to_owned(), format!("type.googleapis.com/{name}").into());
    }
    message
}

fn filter(name: &str, message_name: &str, message: Value) -> Value {
    let message = typed(&format!("envoy.extensions.filters.http.{message_name}"), message);
    json!({"name": name, "typed_config": message})
}

fn bootstrap(place: &Place<'_>) -> Value {
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let file = |name: &str| json!({"filename": shown(&place.directory.join(name))});
    let tls = typed(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        json!({"common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{
                "certificate_chain": file("certificate.pem"), "private_key": file("certificate.key"),
            }],
        }}),
    );
    let connections = json!({"name": "connections", "typed_config": connections(place)});
    let chain = json!({"filters": [connections]});
    let mut secure_chain = chain.clone();
    if let Some(chain) = secure_chain.as_object_mut() {
        chain.insert("transport_socket".to_owned(), json!({"name": "tls", "typed_config": tls}));
    }
    let listener = |name: &str, port, chain: &Value| json!({"name": name, "address": address(port), "filter_chains": [chain], "tcp_backlog_size": 4096});
    json!({
        "node": {"id": "bench", "cluster": "bench"},
        "static_resources": {
            "listeners": [
                listener("plain", place.plain, &chain),
                listener("tls", place.tls, &secure_chain),
            ],
            "clusters": [{
                "name": "origin",
                "type": "STATIC",
                "connect_timeout": "3s",
                "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": address(place.origin.port())}},
                ]}]},
            }],
        },
    })
}

fn connections(place: &Place<'_>) -> Value {
    let proof = match place.proof {
        Proof::Key => by_key(place),
        Proof::Token => by_token(place),
    };
    let filters = [
        proof,
        filter(ACCESS, "rbac.v3.RBAC", json!({})),
        filter(RATE, "local_ratelimit.v3.LocalRateLimit", json!({"stat_prefix": "rate"})),
        filter("envoy.filters.http.router", "router.v3.Router", json!({})),
    ];
    typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "clients",
            "use_remote_address": true,
            "strip_any_host_port": true,
            "common_http_protocol_options": {"max_requests_per_connection": 10_000, "idle_timeout": "60s"},
            "rds": {
                "route_config_name": "tenants",
                "config_source": {"path_config_source": {
                    "path": shown(&place.directory.join("routes.json")),
                }},
            },
            "http_filters": filters,
        }),
    )
}

fn by_key(place: &Place<'_>) -> Value {
    let credentials = place.policy.tenants.iter();
    let credentials: Vec<_> =
        credentials.map(|tenant| json!({"key": tenant.key, "client": tenant.slug})).collect();
    let message = json!({
        "credentials": credentials,
        "key_sources": [{"header": "x-api-key"}],
    });
    filter(API_KEYS, "api_key_auth.v3.ApiKeyAuth", message)
}

fn by_token(place: &Place<'_>) -> Value {
    let provider = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": place.credentials.token_keys.to_string()},
        "claim_to_headers": [{"header_name": TENANT_HEADER, "claim_name": TENANT_CLAIM}],
        "jwt_cache_config": {"jwt_cache_size": place.policy.tenants.len() * 2},
    });
    let message = json!({
        "providers": {"bench": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
    });
    filter(TOKENS, "jwt_authn.v3.JwtAuthentication", message)
}

fn routes(place: &Place<'_>, shut_out: Option<&Tenant>) -> Value {
    let tenants = place.policy.tenants.iter();
    let mut hosts: Vec<Value> =
        tenants.map(|tenant| host(place.proof, tenant, is_same(tenant, shut_out))).collect();
    hosts.push(unknown_host(place.proof));
    let configuration =
        json!({"name": "tenants", "virtual_hosts": hosts, "ignore_port_in_host_matching": true});
    let configuration = typed("envoy.config.route.v3.RouteConfiguration", configuration);
    json!({"version_info": "1", "resources": [configuration]})
}

/// A host that nobody has is not found, whoever asks and with whatever.
fn unknown_host(proof: Proof) -> Value {
    let off = || typed("envoy.config.route.v3.FilterConfig", json!({"disabled": true}));
    let proof = if proof == Proof::Key { API_KEYS } else { TOKENS };
    json!({
        "name": "unknown",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 404}}],
        "typed_per_filter_config": {proof: off()},
    })
}

fn host(proof: Proof, tenant: &Tenant, is_shut_out: bool) -> Value {
    let mut filters = json!({
        ACCESS: access(proof, tenant, is_shut_out),
        RATE: rate(tenant),
    });
    if let (Proof::Key, Some(filters)) = (proof, filters.as_object_mut()) {
        let only = typed(
            "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
            json!({
                "allowed_clients": [tenant.slug],
                "forwarding": {"header": TENANT_HEADER, "hide_credentials": true},
            }),
        );
        filters.insert(API_KEYS.to_owned(), only);
    }
    json!({
        "name": tenant.slug,
        "domains": [tenant.host],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}],
        "typed_per_filter_config": filters,
    })
}

fn access(proof: Proof, tenant: &Tenant, is_shut_out: bool) -> Value {
    let own = tenant.network.split_once('/').map(|(base, bits)| (base, bits.parse().unwrap_or(32)));
    let local = (!is_shut_out).then_some(("127.0.0.1", 32_u32));
    let networks = own.into_iter().chain(local).map(
        |(base, bits)| json!({"direct_remote_ip": {"address_prefix": base, "prefix_len": bits}}),
    );
    let from_network = json!({"or_ids": {"ids": networks.collect::<Vec<_>>()}});
    let principal = match proof {
        Proof::Key => from_network,
        // Whose token it is, is in a header by then.
        Proof::Token => json!({"and_ids": {"ids": [
            from_network,
            {"header": {"name": TENANT_HEADER, "string_match": {"exact": tenant.slug}}},
        ]}}),
    };
    typed(
        "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
        json!({"rbac": {"rules": {"action": "ALLOW", "policies": {
            "own": {"permissions": [{"any": true}], "principals": [principal]},
        }}}}),
    )
}

fn rate(tenant: &Tenant) -> Value {
    let (tokens, interval) =
        if tenant.is_limited { (LIMITED_RATE, "60s") } else { (STANDARD_RATE, "1s") };
    let all = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        json!({
            "stat_prefix": "rate",
            "token_bucket": {"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": interval},
            "filter_enabled": all,
            "filter_enforced": all,
        }),
    )
}
