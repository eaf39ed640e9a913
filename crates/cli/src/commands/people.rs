//! `tenantry user`, `member`, `role` and `invitation`.

use clap::{Args, Subcommand};
use tenantry_api::{
    AcceptInvitation, AddMember, ChangeMember, CreateInvitation, CreateRole, CreateUser,
    ReplaceRole, UserQuery,
};
use tenantry_model::{Email, Permission, RoleId, UserId};

use crate::{
    body::{ChangeBody, NewBody},
    error::CliError,
    output::Answer,
    pages::{self, Listing},
    session::Session,
};

/// What can be done with a user, named by its id.
#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// Make one who belongs to no tenant yet
    Create {
        #[command(flatten)]
        fields: UserFields,
        #[command(flatten)]
        body: NewBody,
    },
    /// Show all, or the one with an address
    List {
        #[arg(long)]
        email: Option<Email>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get { user: String },
    /// Show the tenants that one belongs to
    Memberships {
        user: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Change some fields
    Update {
        user: String,
        #[command(flatten)]
        fields: UserFields,
        #[command(flatten)]
        body: ChangeBody,
    },
    /// Remove one who belongs to no tenant
    Delete { user: String },
}

#[derive(Debug, Args)]
pub(crate) struct UserFields {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// Where mail reaches it
    #[arg(long)]
    email: Option<Email>,
    /// The issuer whose tokens name it, together with --subject
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// What that issuer calls it
    #[arg(long)]
    subject: Option<String>,
}

/// What can be done with a member of a tenant.
#[derive(Debug, Subcommand)]
pub(crate) enum MemberVerb {
    /// Make somebody a member without asking; `tenantry invitation create` asks
    Add {
        tenant: String,
        /// Whoever has this address; a user is made if nobody has
        #[arg(required_unless_present = "user")]
        email: Option<Email>,
        /// A user, by id
        #[arg(long, conflicts_with = "email")]
        user: Option<UserId>,
        /// owner, admin, developer, viewer, or a role that the tenant has defined
        #[arg(long)]
        role: RoleId,
    },
    /// Show the members of a tenant
    List {
        tenant: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get { tenant: String, user: String },
    /// Give one another role
    SetRole { tenant: String, user: String, role: RoleId },
    /// End a membership; the user stays
    Remove { tenant: String, user: String },
}

/// What can be done with a role that a tenant defines.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleVerb {
    /// Define one
    Create {
        tenant: String,
        role: RoleId,
        #[command(flatten)]
        fields: RoleFields,
    },
    /// Show those that a tenant has defined
    List {
        tenant: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get { tenant: String, role: String },
    /// Define one anew; it holds from the next call on
    Replace {
        tenant: String,
        role: String,
        #[command(flatten)]
        fields: RoleFields,
    },
    /// Remove one that nobody has
    Delete { tenant: String, role: String },
}

#[derive(Debug, Args)]
pub(crate) struct RoleFields {
    /// What it may do, such as keys:write; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<Permission>,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
}

/// What can be done with an invitation.
#[derive(Debug, Subcommand)]
pub(crate) enum InvitationVerb {
    /// Invite somebody to a tenant
    Create {
        tenant: String,
        email: Email,
        /// owner, admin, developer, viewer, or a role that the tenant has defined
        #[arg(long)]
        role: RoleId,
    },
    /// Show those of a tenant
    List {
        tenant: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get { tenant: String, invitation: String },
    /// Send a new token; the old one is void
    Resend { tenant: String, invitation: String },
    /// Take one back
    Revoke { tenant: String, invitation: String },
    /// Become a member, with the token from the letter
    Accept { token: String },
}

impl UserFields {
    fn write(&self, body: &mut crate::body::Body) {
        body.set("name", self.name.as_ref());
        body.set("email", self.email.as_ref());
        body.set("issuer", self.issuer.as_ref());
        body.set("subject", self.subject.as_ref());
    }
}

pub(super) async fn user(verb: &UserVerb, session: &Session) -> Result<Answer, CliError> {
    let users = session.client.users();
    match verb {
        UserVerb::Create { fields, body } => {
            let mut body = body.read()?;
            fields.write(&mut body);
            let body: CreateUser = body.create("user")?;
            session.ask(users.create(&body)).await.map(Answer::item)
        }
        UserVerb::List { email, listing } => {
            pages::collect(session, listing, async |page| {
                let email = email.clone();
                users.find(&UserQuery { limit: page.limit, cursor: page.cursor, email }).await
            })
            .await
        }
        UserVerb::Get { user } => session.ask(users.get(user)).await.map(Answer::item),
        UserVerb::Memberships { user, listing } => {
            pages::collect(session, listing, async |query| users.memberships(user, &query).await)
                .await
        }
        UserVerb::Update { user, fields, body } => {
            let if_revision = body.if_revision;
            let mut body = body.read()?;
            fields.write(&mut body);
            let patch = body.patch()?;
            session.ask(users.patch(user, &patch, if_revision)).await.map(Answer::item)
        }
        UserVerb::Delete { user } => {
            session.ask(users.delete(user)).await?;
            Ok(Answer::Done(format!("user {user} is removed")))
        }
    }
}

pub(super) async fn member(verb: &MemberVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        MemberVerb::Add { tenant, email, user, role } => {
            let body = AddMember { user: *user, email: email.clone(), role: role.clone() };
            session.ask(session.client.members(tenant).create(&body)).await.map(Answer::item)
        }
        MemberVerb::List { tenant, listing } => {
            let members = session.client.members(tenant);
            pages::collect(session, listing, async |query| members.list(&query).await).await
        }
        MemberVerb::Get { tenant, user } => {
            session.ask(session.client.members(tenant).get(user)).await.map(Answer::item)
        }
        MemberVerb::SetRole { tenant, user, role } => {
            let change = ChangeMember { role: role.clone() };
            let members = session.client.members(tenant);
            session.ask(members.change(user, &change, None)).await.map(Answer::item)
        }
        MemberVerb::Remove { tenant, user } => {
            session.ask(session.client.members(tenant).delete(user)).await?;
            Ok(Answer::Done(format!("user {user} is no member of tenant {tenant} any more")))
        }
    }
}

pub(super) async fn role(verb: &RoleVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        RoleVerb::Create { tenant, role, fields } => {
            let body = CreateRole {
                id: role.clone(),
                description: fields.description.clone(),
                permissions: fields.permissions.iter().copied().collect(),
            };
            session.ask(session.client.roles(tenant).create(&body)).await.map(Answer::item)
        }
        RoleVerb::List { tenant, listing } => {
            let roles = session.client.roles(tenant);
            pages::collect(session, listing, async |query| roles.list(&query).await).await
        }
        RoleVerb::Get { tenant, role } => {
            session.ask(session.client.roles(tenant).get(role)).await.map(Answer::item)
        }
        RoleVerb::Replace { tenant, role, fields } => {
            let body = ReplaceRole {
                description: fields.description.clone(),
                permissions: fields.permissions.iter().copied().collect(),
            };
            let roles = session.client.roles(tenant);
            session.ask(roles.replace(role, &body, None)).await.map(Answer::item)
        }
        RoleVerb::Delete { tenant, role } => {
            session.ask(session.client.roles(tenant).delete(role)).await?;
            Ok(Answer::Done(format!("role {role} of tenant {tenant} is removed")))
        }
    }
}

pub(super) async fn invitation(
    verb: &InvitationVerb,
    session: &Session,
) -> Result<Answer, CliError> {
    match verb {
        InvitationVerb::Create { tenant, email, role } => {
            let body = CreateInvitation { email: email.clone(), role: role.clone() };
            session.ask(session.client.invitations(tenant).create(&body)).await.map(Answer::item)
        }
        InvitationVerb::List { tenant, listing } => {
            let invitations = session.client.invitations(tenant);
            pages::collect(session, listing, async |query| invitations.list(&query).await).await
        }
        InvitationVerb::Get { tenant, invitation } => {
            session.ask(session.client.invitations(tenant).get(invitation)).await.map(Answer::item)
        }
        InvitationVerb::Resend { tenant, invitation } => {
            let invitations = session.client.invitations(tenant);
            session.ask(invitations.resend(invitation)).await.map(Answer::item)
        }
        InvitationVerb::Revoke { tenant, invitation } => {
            session.ask(session.client.invitations(tenant).delete(invitation)).await?;
            Ok(Answer::Done(format!("invitation {invitation} is taken back")))
        }
        InvitationVerb::Accept { token } => {
            let accept = AcceptInvitation { token: token.clone() };
            session.ask(session.client.accept_invitation(&accept)).await.map(Answer::item)
        }
    }
}
