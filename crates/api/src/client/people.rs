//! `/api/v1/users`, members and roles.

use reqwest::Method;
use serde_json::Value;

use super::{
    Client, ClientError,
    collections::{Collection, collection},
    send::{if_revision, merge_patch, segment},
};
use crate::{
    AddMember, ChangeMember, CreateRole, CreateUser, ListQuery, MemberBody, PageBody, ReplaceRole,
    RoleBody, UserBody, UserQuery,
};

collection!(
    /// Users; one who belongs to a tenant cannot be deleted.
    Users, CreateUser => UserBody, UserBody
);
collection!(
    /// Members of one tenant, by user.
    Members, AddMember => MemberBody, MemberBody
);
collection!(
    /// Roles that one tenant has defined, by name.
    Roles, CreateRole => RoleBody, RoleBody
);

impl Users<'_> {
    /// Users, or the one with an address.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn find(&self, query: &UserQuery) -> Result<PageBody<UserBody>, ClientError> {
        self.0.client.send(self.0.client.list(&self.0.path, query)?).await
    }

    /// Changes some fields of one, by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch(
        &self,
        id: &str,
        patch: &Value,
        revision: Option<u64>,
    ) -> Result<UserBody, ClientError> {
        let request = merge_patch(self.0.request(Method::PATCH, id), patch);
        self.0.client.send(if_revision(request, revision)).await
    }

    /// The tenants that one belongs to.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn memberships(
        &self,
        id: &str,
        query: &ListQuery,
    ) -> Result<PageBody<MemberBody>, ClientError> {
        let path = format!("/users/{}/memberships", segment(id));
        self.0.client.send(self.0.client.list(&path, query)?).await
    }
}

impl Members<'_> {
    /// Gives one another role.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change(
        &self,
        user: &str,
        change: &ChangeMember,
        revision: Option<u64>,
    ) -> Result<MemberBody, ClientError> {
        let request = self.0.request(Method::PATCH, user).json(change);
        self.0.client.send(if_revision(request, revision)).await
    }
}

impl Roles<'_> {
    /// Defines one anew.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replace(
        &self,
        role: &str,
        body: &ReplaceRole,
        revision: Option<u64>,
    ) -> Result<RoleBody, ClientError> {
        let request = self.0.request(Method::PUT, role).json(body);
        self.0.client.send(if_revision(request, revision)).await
    }
}

impl Client {
    /// `/api/v1/users`.
    #[must_use]
    pub fn users(&self) -> Users<'_> {
        Users(Collection { client: self, path: "/users".to_owned() })
    }

    /// `/api/v1/tenants/{tenant}/members`; the tenant's id or slug.
    #[must_use]
    pub fn members(&self, tenant: &str) -> Members<'_> {
        Members(Collection::of_tenant(self, tenant, "members"))
    }

    /// `/api/v1/tenants/{tenant}/roles`; the tenant's id or slug.
    #[must_use]
    pub fn roles(&self, tenant: &str) -> Roles<'_> {
        Roles(Collection::of_tenant(self, tenant, "roles"))
    }
}
