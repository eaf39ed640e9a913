//! `/api/v1/tenants/{tenant}/invitations`, and accepting one.

use reqwest::Method;

use super::{
    Client, ClientError,
    collections::{Collection, collection},
    send::segment,
};
use crate::{AcceptInvitation, CreateInvitation, InvitationBody, ListQuery, MemberBody, PageBody};

collection!(
    /// Invitations of one tenant; deleting one takes it back.
    Invitations, CreateInvitation => InvitationBody, InvitationBody
);

impl Invitations<'_> {
    /// Sends a new token for one; the old one is void.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resend(&self, id: &str) -> Result<InvitationBody, ClientError> {
        let path = format!("{}/{}/resend", self.0.path, segment(id));
        self.0.client.send(self.0.client.request(Method::POST, &path)).await
    }
}

impl Client {
    /// `/api/v1/tenants/{tenant}/invitations`; the tenant's id or slug.
    #[must_use]
    pub fn invitations(&self, tenant: &str) -> Invitations<'_> {
        Invitations(Collection::of_tenant(self, tenant, "invitations"))
    }

    /// `POST /api/v1/invitations/accept`: whoever has the token becomes a member.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn accept_invitation(
        &self,
        accept: &AcceptInvitation,
    ) -> Result<MemberBody, ClientError> {
        self.send(self.request(Method::POST, "/invitations/accept").json(accept)).await
    }
}
