//! Who may do what: the whole matrix, and what is said about it.

mod credentials;
mod letters;
mod matrix;
mod parts;

use serde_json::{Value, json};
use tenantry_api::{CreateOperator, CreateTenantToken, CreateToken};

use crate::server::Server;

pub(crate) const ADA: &str = "ada@example.com";

impl Server {
    /// An operator with these roles, and a token of it.
    pub(crate) async fn operator(&self, email: &str, roles: Value) -> (String, String) {
        let operator = json!({"name": "Ada", "email": email, "roles": roles});
        let operator: CreateOperator = serde_json::from_value(operator).unwrap();
        let id = self.client.operators().create(&operator).await.unwrap().id.to_string();
        let token: CreateToken = serde_json::from_value(json!({"name": "ci"})).unwrap();
        let token = self.client.operator_tokens(&id).create(&token).await.unwrap();
        (id, token.secret.unwrap())
    }

    /// The same, with a token of these scopes.
    pub(crate) async fn operator_with(
        &self,
        email: &str,
        roles: Value,
        scopes: Value,
    ) -> (String, String) {
        let (id, _) = self.operator(email, roles).await;
        let token = serde_json::from_value(json!({"name": "scoped", "scopes": scopes})).unwrap();
        let token = self.client.operator_tokens(&id).create(&token).await.unwrap();
        (id, token.secret.unwrap())
    }

    /// A token of a tenant, with `{"role": ..}` or `{"scopes": [..]}`.
    pub(crate) async fn tenant_token(&self, tenant: &str, grant: Value) -> String {
        let mut token: CreateTenantToken = serde_json::from_value(json!({"name": "ci"})).unwrap();
        token.role = grant.get("role").map(|role| serde_json::from_value(role.clone()).unwrap());
        token.scopes =
            grant.get("scopes").map(|scopes| serde_json::from_value(scopes.clone()).unwrap());
        self.client.tenant_tokens(tenant).create(&token).await.unwrap().secret.unwrap()
    }
}
