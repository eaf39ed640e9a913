//! What the demo makes through the API. Every step can be done again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use tenantry_api::{
    AddDomain, CreateApiKey, CreateIssuer, CreateTenant, ExplainRequest, TenantQuery,
    client::Documents,
};
use tenantry_credentials::signing::SigningKey;
use tenantry_model::{Algorithm, Feature, Plan, Route, TenantState, Upstream};

use crate::{error::CliError, explain, pages, session::Session, up::UpError};

const CAST: &str = include_str!("../../../../../config/demo.json");

/// The tenant that credentials are made for.
const TENANT: &str = "acme";
const KEY_NAME: &str = "demo";
const ISSUER: &str = "https://id.acme.localhost/";
const AUDIENCE: &str = "demo";
const KEY_ID: &str = "demo";
const TOKEN_SECONDS: u64 = 86_400;

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// `config/demo.json`.
#[derive(Deserialize)]
struct Cast {
    features: Vec<Feature>,
    plans: Vec<Plan>,
    routes: Vec<Route>,
    tenants: Vec<CreateTenant>,
}

/// What requests can prove themselves with.
pub(super) struct Credentials {
    pub(super) key: String,
    pub(super) jwt: String,
    /// The revision at which all of the demo is in place.
    pub(super) revision: u64,
}

/// The demo's records in the control plane.
pub(super) struct Records<'s> {
    pub(super) session: &'s Session,
    /// Seconds since 1970.
    pub(super) now: u64,
}

impl Records<'_> {
    /// Whether there is any tenant.
    pub(super) async fn has_tenants(&self) -> Result<bool, CliError> {
        let query = TenantQuery { limit: Some(1), ..TenantQuery::default() };
        let page = self.session.ask(self.session.client.tenants().list(&query)).await?;
        Ok(!page.items.is_empty())
    }

    /// Makes what is missing and puts back what was changed, in an order in which each thing finds
    /// what it refers to.
    pub(super) async fn put_in_place(&self, origin: SocketAddr) -> Result<Credentials, UpError> {
        let cast: Cast = serde_json::from_str(CAST).map_err(UpError::DemoFile)?;
        let upstream: Upstream = serde_json::from_value(
            json!({"id": "main", "endpoints": [{"address": origin.to_string()}]}),
        )
        .map_err(UpError::DemoFile)?;
        let client = &self.session.client;
        for feature in &cast.features {
            self.document(client.features(), feature.id.as_str(), feature).await?;
        }
        for plan in &cast.plans {
            self.document(client.plans(), plan.id.as_str(), plan).await?;
        }
        self.document(client.upstreams(), upstream.id.as_str(), &upstream).await?;
        for route in &cast.routes {
            self.document(client.routes(), route.id.as_str(), route).await?;
        }
        for tenant in &cast.tenants {
            self.tenant(tenant).await?;
        }
        let (key, _) = self.key().await?;
        let (jwt, revision) = self.issuer().await?;
        Ok(Credentials { key, jwt, revision })
    }

    async fn document<T>(
        &self,
        documents: Documents<'_, T>,
        id: &str,
        wanted: &T,
    ) -> Result<(), CliError>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        match self.session.ask(documents.get(id)).await {
            Ok(found) if found.resource == *wanted => {}
            Ok(_) => drop(self.session.ask(documents.replace(id, wanted, None)).await?),
            Err(error) if error.is_not_found() => {
                drop(self.session.ask(documents.create(wanted)).await?);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn tenant(&self, wanted: &CreateTenant) -> Result<(), CliError> {
        let (session, tenants) = (self.session, self.session.client.tenants());
        let slug = wanted.spec.slug.as_str();
        let mut found = match session.ask(tenants.get(slug)).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => {
                return session.ask(tenants.create(wanted)).await.map(drop);
            }
            Err(error) => return Err(error),
        };
        if found.state == TenantState::Deleting {
            found = session.ask(tenants.undelete(slug)).await?;
        }
        if found.state == TenantState::Suspended {
            found = session.ask(tenants.resume(slug)).await?;
        }
        if found.spec != wanted.spec {
            session.ask(tenants.replace(slug, &wanted.spec, None)).await?;
        }
        self.domains(wanted).await
    }

    async fn domains(&self, wanted: &CreateTenant) -> Result<(), CliError> {
        let domains = self.session.client.domains(wanted.spec.slug.as_str());
        let found = pages::all(self.session, async |query| domains.list(&query).await).await?;
        for host in &wanted.start.domains {
            if !found.iter().any(|domain| domain.host == *host) {
                let domain = AddDomain { host: host.clone() };
                self.session.ask(domains.create(&domain)).await?;
            }
        }
        Ok(())
    }

    /// A new API key in place of the one before.
    async fn key(&self) -> Result<(String, u64), CliError> {
        let keys = self.session.client.keys(TENANT);
        let found = pages::all(self.session, async |query| keys.list(&query).await).await?;
        for key in found.iter().filter(|key| key.name == KEY_NAME) {
            self.session.ask(keys.delete(&key.id.to_string())).await?;
        }
        let created = self.session.ask(keys.create(&CreateApiKey::named(KEY_NAME))).await?;
        Ok((created.secret.unwrap_or_default(), created.key.revision))
    }

    /// A new issuer in place of the one before, and a token of it.
    async fn issuer(&self) -> Result<(String, u64), UpError> {
        let signing = SigningKey::from_seed(&rand::random()).map_err(UpError::DemoKey)?;
        let issuers = self.session.client.issuers(TENANT);
        let found = pages::all(self.session, async |query| issuers.list(&query).await).await?;
        for issuer in found.iter().filter(|issuer| issuer.issuer == ISSUER) {
            self.session.ask(issuers.delete(&issuer.id.to_string())).await?;
        }
        let wanted = CreateIssuer {
            issuer: ISSUER.to_owned(),
            audiences: BTreeSet::from([AUDIENCE.to_owned()]),
            algorithms: BTreeSet::from([Algorithm::EdDSA]),
            tenant_claim: None,
            scope_claim: None,
            roles_claim: None,
            jwks: Some(json!({"keys": [signing.jwk(KEY_ID)]})),
            jwks_url: None,
        };
        let created = self.session.ask(issuers.create(&wanted)).await?;
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice",
            "iat": self.now, "exp": self.now.saturating_add(TOKEN_SECONDS),
        });
        Ok((signing.sign(&claims, KEY_ID), created.revision))
    }
}

/// Waits until the proxy decides by this revision or a later one.
pub(super) async fn enforced(proxy_admin: &str, revision: u64) {
    let request = ExplainRequest {
        host: format!("{TENANT}.localhost"),
        path: "/".to_owned(),
        method: "GET".to_owned(),
        key: None,
        jwt: None,
        from_ip: std::net::Ipv4Addr::LOCALHOST.into(),
        sni: None,
        client_certificate: false,
        headers: BTreeMap::new(),
        proxy: None,
    };
    loop {
        let explained = explain::ask(proxy_admin, &request).await;
        if explained.is_ok_and(|explained| explained.revision >= revision) {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_valid_and_has_its_tenant() {
        let cast: Cast = serde_json::from_str(CAST).unwrap();
        assert!(cast.tenants.iter().any(|tenant| tenant.spec.slug.as_str() == TENANT));
        for tenant in &cast.tenants {
            assert!(
                cast.plans.iter().any(|plan| plan.id == tenant.spec.plan),
                "{}",
                tenant.spec.slug
            );
        }
    }
}
