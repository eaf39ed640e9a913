//! Flags of routes.

mod filters;
mod target;

use std::num::NonZeroU64;

use clap::Args;
use serde_json::Value;
use tenantry_model::{
    AuthRequirement, DomainPattern, ExactPath, FeatureId, Method, PathPrefix, RouteTenancy, Scope,
    TenantId,
};

use self::{filters::FilterFlags, target::TargetFlags};
use super::document::Fields;
use crate::{
    body::Body,
    error::CliError,
    session::Session,
    value::{self, Switch},
};

#[derive(Debug, Args)]
pub(crate) struct RouteFields {
    #[command(flatten)]
    target: TargetFlags,
    /// A host it is for, any if none is given; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<DomainPattern>,
    /// The start of the paths it is for
    #[arg(long, value_name = "PREFIX")]
    path_prefix: Option<PathPrefix>,
    /// The one path it is for
    #[arg(long, conflicts_with = "path_prefix")]
    path: Option<ExactPath>,
    /// A method it is for, any if none is given; may be repeated
    #[arg(long = "method", value_name = "METHOD")]
    methods: Vec<Method>,
    /// A header NAME or NAME=VALUE that its requests have; may be repeated
    #[arg(long = "header", value_name = "HEADER", value_parser = value::header_match)]
    headers: Vec<Value>,
    /// A feature the tenant must have; may be repeated
    #[arg(long = "require-feature", value_name = "FEATURE")]
    require_features: Vec<FeatureId>,
    /// A scope the credential must have; may be repeated
    #[arg(long = "require-scope", value_name = "SCOPE")]
    require_scopes: Vec<Scope>,
    /// A claim CLAIM=TEXT the token must make; repeated for one claim, any of the texts will do
    #[arg(long = "require-claim", value_name = "CLAIM", value_parser = value::pair)]
    require_claims: Vec<(String, String)>,
    /// What a request must prove, beside what its tenant asks: none, any, api_key or jwt
    #[arg(long, value_parser = value::word::<AuthRequirement>)]
    auth: Option<AuthRequirement>,
    /// Whether a tenant is required, or the route is exempt: required or exempt
    #[arg(long, value_parser = value::word::<RouteTenancy>)]
    tenancy: Option<RouteTenancy>,
    /// The tenant it belongs to, by id or slug; without it all tenants share it
    #[arg(long)]
    tenant: Option<String>,
    /// Whether the client's credential is passed on
    #[arg(long)]
    forward_credential: Option<Switch>,
    /// The largest request body, in bytes
    #[arg(long, value_name = "BYTES")]
    request_body_bytes: Option<NonZeroU64>,
    #[command(flatten)]
    filters: FilterFlags,
}

impl Fields for RouteFields {
    async fn write(&self, body: &mut Body, session: &Session) -> Result<(), CliError> {
        self.write_flags(body);
        if let Some(tenant) = &self.tenant {
            body.set("tenant", Some(tenant_id(tenant, session).await?));
        }
        Ok(())
    }
}

impl RouteFields {
    fn write_flags(&self, body: &mut Body) {
        let some = |given: bool| given.then_some(());
        self.target.write(body);
        body.set_within("match", "hosts", some(!self.hosts.is_empty()).map(|()| &self.hosts));
        // A route has one of the two: what is given takes the other's place.
        if let Some(path) = &self.path {
            body.set_within("match", "path", Some(path));
            body.set_within("match", "path_prefix", Some(Value::Null));
        }
        if let Some(path_prefix) = &self.path_prefix {
            body.set_within("match", "path_prefix", Some(path_prefix));
            body.set_within("match", "path", Some(Value::Null));
        }
        body.set_within("match", "methods", some(!self.methods.is_empty()).map(|()| &self.methods));
        body.set_within("match", "headers", some(!self.headers.is_empty()).map(|()| &self.headers));
        body.set_list("require_features", &self.require_features);
        body.set_list("require_scopes", &self.require_scopes);
        for (claim, _) in &self.require_claims {
            let texts = self.require_claims.iter().filter(|(name, _)| name == claim);
            let texts: Vec<_> = texts.map(|(_, text)| text).collect();
            body.set_within("require_claims", claim, Some(texts));
        }
        body.set("auth", self.auth);
        body.set("tenancy", self.tenancy);
        body.set("forward_credential", self.forward_credential.map(Switch::is_on));
        body.set("request_body_bytes", self.request_body_bytes);
        self.filters.write(body);
    }
}

/// A route names its tenant by id, because a slug may change.
async fn tenant_id(tenant: &str, session: &Session) -> Result<TenantId, CliError> {
    match tenant.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(session.ask(session.client.tenants().get(tenant)).await?.id),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;
    use tenantry_model::Route;

    use super::*;
    use crate::{
        args::{ApiCommand, Cli, Command},
        commands::document::Verb,
    };

    fn fields(line: &str) -> RouteFields {
        let words = ["tenantry", "route"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Api(ApiCommand::Route(
                Verb::Create { fields, .. } | Verb::Update { fields, .. },
            )) => *fields,
            other => panic!("{other:?}"),
        }
    }

    fn check_create(line: &str, mut expected: Value) {
        let mut body = Body::default();
        body.set("id", Some("r"));
        fields(&format!("create r {line}")).write_flags(&mut body);
        expected["id"] = "r".into();
        let expected: Route = serde_json::from_value(expected).unwrap();
        assert_eq!(body.create::<Route>("route").unwrap(), expected, "{line}");
    }

    #[test]
    fn flags_make_a_route() {
        check_create("--upstream main", json!({"upstream": "main"}));
        check_create(
            "--split main=95 --split canary=5 --host *.acme.com --path /v2 --method GET --header x-version=2 \
             --header x-beta --require-claim role=admin --require-claim role=owner --auth jwt \
             --request-body-bytes 1024 --rewrite-path-prefix /api --rewrite-host api.internal \
             --set-request-header x-a=1 --remove-request-header x-b --add-response-header x-c=2 \
             --first-byte-timeout-ms 500 --total-timeout-ms 2000",
            json!({
                "upstreams": [{"upstream": "main", "weight": 95}, {"upstream": "canary", "weight": 5}],
                "match": {"hosts": ["*.acme.com"], "path": "/v2", "methods": ["GET"],
                    "headers": [{"name": "x-version", "value": "2"}, {"name": "x-beta"}]},
                "require_claims": {"role": ["admin", "owner"]}, "auth": "jwt", "request_body_bytes": 1024,
                "rewrite": {"path_prefix": "/api", "host": "api.internal"},
                "request_headers": {"set": {"x-a": "1"}, "remove": ["x-b"]},
                "response_headers": {"add": {"x-c": "2"}},
                "timeouts": {"first_byte_ms": 500, "total_ms": 2000},
            }),
        );
        check_create(
            "--redirect-status 308 --redirect-scheme https --redirect-host new.acme.com --redirect-port 8443 \
             --redirect-path /x --tenancy exempt --path-prefix /login",
            json!({
                "redirect": {"status": 308, "scheme": "https", "host": "new.acme.com", "port": 8443, "path": "/x"},
                "tenancy": "exempt", "match": {"path_prefix": "/login"},
            }),
        );
    }

    #[test]
    fn another_target_or_path_takes_the_place_of_the_one_before() {
        let mut body = Body::default();
        fields("update r --split main=1 --path /a").write_flags(&mut body);
        let expected = json!({
            "upstream": null, "upstreams": [{"upstream": "main", "weight": 1}], "redirect": null,
            "match": {"path": "/a", "path_prefix": null},
        });
        assert_eq!(body.patch().unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_refused_before_it_is_sent() {
        for line in [
            "--upstream main --split main=1",
            "--split main",
            "--split main=0",
            "--upstream main --path /a --path-prefix /b",
            "--upstream main --header x-tenant-id=x",
            "--redirect-status 200",
            "--redirect-path //evil",
            "--upstream main --tenancy maybe",
        ] {
            let words =
                ["tenantry", "route", "create", "r"].into_iter().chain(line.split_whitespace());
            assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
