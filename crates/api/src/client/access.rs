//! `/api/v1/operators`, `/api/v1/nodes`, tokens, sessions, and who is asking.

use reqwest::Method;
use serde_json::Value;

use super::{
    Client, ClientError,
    collections::{Collection, collection},
    send::{if_revision, merge_patch, segment},
};
use crate::{
    CreateOperator, CreateTenantToken, CreateToken, CreatedToken, EnrollNode, EnrolledNode,
    ListQuery, LogIn, NodeBody, OperatorBody, PageBody, PrincipalBody, SessionBody, SetPassword,
    TokenBody,
};

collection!(
    /// Operators; deleting one voids its tokens and sessions.
    Operators, CreateOperator => OperatorBody, OperatorBody
);
collection!(
    /// Tokens of one operator; deleting one revokes it.
    Tokens, CreateToken => CreatedToken, TokenBody
);
collection!(
    /// Tokens of one tenant; deleting one revokes it.
    TenantTokens, CreateTenantToken => CreatedToken, TokenBody
);

collection!(
    /// Nodes that are enrolled; deleting one revokes its token.
    Nodes, EnrollNode => EnrolledNode, NodeBody
);

impl Operators<'_> {
    /// Changes some fields of one, by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch(
        &self,
        id: &str,
        patch: &Value,
        revision: Option<u64>,
    ) -> Result<OperatorBody, ClientError> {
        let request = merge_patch(self.0.request(Method::PATCH, id), patch);
        self.0.client.send(if_revision(request, revision)).await
    }

    /// Replaces the password of one, and ends its sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_password(
        &self,
        id: &str,
        password: &SetPassword,
    ) -> Result<OperatorBody, ClientError> {
        let path = format!("/operators/{}/password", segment(id));
        self.0.client.send(self.0.client.request(Method::PUT, &path).json(password)).await
    }
}

impl Client {
    /// `/api/v1/operators`.
    #[must_use]
    pub fn operators(&self) -> Operators<'_> {
        Operators(Collection { client: self, path: "/operators".to_owned() })
    }

    /// `/api/v1/nodes`.
    #[must_use]
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes(Collection { client: self, path: "/nodes".to_owned() })
    }

    /// `/api/v1/operators/{operator}/tokens`.
    #[must_use]
    pub fn operator_tokens(&self, operator: &str) -> Tokens<'_> {
        let path = format!("/operators/{}/tokens", segment(operator));
        Tokens(Collection { client: self, path })
    }

    /// `/api/v1/tenants/{tenant}/tokens`; the tenant's id or slug.
    #[must_use]
    pub fn tenant_tokens(&self, tenant: &str) -> TenantTokens<'_> {
        TenantTokens(Collection::of_tenant(self, tenant, "tokens"))
    }

    /// `POST /api/v1/sessions`: an operator logs in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_in(&self, log_in: &LogIn) -> Result<SessionBody, ClientError> {
        self.send(self.request(Method::POST, "/sessions").json(log_in)).await
    }

    /// `DELETE /api/v1/sessions/current`: the session that this client presents ends.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log_out(&self) -> Result<(), ClientError> {
        self.send_empty(self.request(Method::DELETE, "/sessions/current")).await
    }

    /// `GET /api/v1/me`: who this client is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn me(&self) -> Result<PrincipalBody, ClientError> {
        self.send(self.request(Method::GET, "/me")).await
    }
}
