//! Flags of routes.

use clap::Args;
use tenantry_model::{
    AuthRequirement, DomainPattern, FeatureId, Method, PathPrefix, Scope, TenantId, UpstreamId,
};

use super::document::Fields;
use crate::{
    body::Body,
    error::CliError,
    session::Session,
    value::{self, Switch},
};

#[derive(Debug, Args)]
pub(crate) struct RouteFields {
    /// Where the requests go
    #[arg(long)]
    upstream: Option<UpstreamId>,
    /// A host it is for, any if none is given; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<DomainPattern>,
    /// The start of the paths it is for
    #[arg(long, value_name = "PREFIX")]
    path_prefix: Option<PathPrefix>,
    /// A method it is for, any if none is given; may be repeated
    #[arg(long = "method", value_name = "METHOD")]
    methods: Vec<Method>,
    /// A feature the tenant must have; may be repeated
    #[arg(long = "require-feature", value_name = "FEATURE")]
    require_features: Vec<FeatureId>,
    /// A scope the credential must have; may be repeated
    #[arg(long = "require-scope", value_name = "SCOPE")]
    require_scopes: Vec<Scope>,
    /// What a request must prove, beside what its tenant asks: none, any, api_key or jwt
    #[arg(long, value_parser = value::word::<AuthRequirement>)]
    auth: Option<AuthRequirement>,
    /// The tenant it belongs to, by id or slug; without it all tenants share it
    #[arg(long)]
    tenant: Option<String>,
    /// Whether the client's credential is passed on
    #[arg(long)]
    forward_credential: Option<Switch>,
}

impl Fields for RouteFields {
    async fn write(&self, body: &mut Body, session: &Session) -> Result<(), CliError> {
        let some = |given: bool| given.then_some(());
        body.set("upstream", self.upstream.as_ref());
        body.set_within("match", "hosts", some(!self.hosts.is_empty()).map(|()| &self.hosts));
        body.set_within("match", "path_prefix", self.path_prefix.as_ref());
        body.set_within("match", "methods", some(!self.methods.is_empty()).map(|()| &self.methods));
        body.set_list("require_features", &self.require_features);
        body.set_list("require_scopes", &self.require_scopes);
        body.set("auth", self.auth);
        body.set("forward_credential", self.forward_credential.map(Switch::is_on));
        if let Some(tenant) = &self.tenant {
            body.set("tenant", Some(tenant_id(tenant, session).await?));
        }
        Ok(())
    }
}

/// A route names its tenant by id, because a slug may change.
async fn tenant_id(tenant: &str, session: &Session) -> Result<TenantId, CliError> {
    match tenant.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(session.ask(session.client.tenants().get(tenant)).await?.id),
    }
}
