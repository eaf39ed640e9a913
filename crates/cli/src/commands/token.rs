//! `tenantry token`.

use clap::{Args, Subcommand};
use tenantry_api::{CreateTenantToken, CreateToken};
use tenantry_model::{Permission, RoleId, Timestamp, UserId};

use crate::{
    error::CliError,
    output::{Answer, value},
    pages::{self, Listing},
    session::Session,
};

/// What can be done with an access token, of an operator or of a tenant.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make one; its secret is shown only this once
    Create {
        #[command(flatten)]
        holder: Holder,
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do; may be repeated
        #[arg(long = "scope", value_name = "PERMISSION")]
        scopes: Vec<Permission>,
        /// A role of the tenant that says what it may do
        #[arg(long, conflicts_with_all = ["scopes", "operator"])]
        role: Option<RoleId>,
        /// A member of the tenant in whose name it acts
        #[arg(long, value_name = "USER", conflicts_with_all = ["scopes", "role", "operator"])]
        member: Option<UserId>,
        /// When it stops working, such as 2030-01-31T12:00:00Z [default: never]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<Timestamp>,
    },
    /// Show those of an operator or a tenant
    List {
        #[command(flatten)]
        holder: Holder,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get {
        token: String,
        #[command(flatten)]
        holder: Holder,
    },
    /// Refuse it from now on, for ever
    Revoke {
        token: String,
        #[command(flatten)]
        holder: Holder,
    },
}

/// Who holds it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Holder {
    /// The operator that holds it, by id
    #[arg(long)]
    operator: Option<String>,
    /// The tenant that holds it, by id or slug; it reaches nothing else
    #[arg(long)]
    tenant: Option<String>,
}

impl Holder {
    /// Either the operator or the tenant: the command line takes one of them.
    fn either(&self) -> Result<&str, &str> {
        match (&self.operator, &self.tenant) {
            (Some(operator), _) => Ok(operator),
            (None, tenant) => Err(tenant.as_deref().unwrap_or_default()),
        }
    }
}

pub(super) async fn run(verb: &TokenVerb, session: &Session) -> Result<Answer, CliError> {
    let client = &session.client;
    match verb {
        TokenVerb::Create { holder, name, scopes, role, member, expires_at } => {
            let (name, expires_at) = (name.clone(), *expires_at);
            let scopes = (!scopes.is_empty()).then(|| scopes.iter().copied().collect());
            let created = match holder.either() {
                Ok(operator) => {
                    let body = CreateToken { name, scopes, expires_at };
                    session.ask(client.operator_tokens(operator).create(&body)).await?
                }
                Err(tenant) => {
                    let (role, member) = (role.clone(), *member);
                    let body = CreateTenantToken { name, role, member, scopes, expires_at };
                    session.ask(client.tenant_tokens(tenant).create(&body)).await?
                }
            };
            let item = value(&created);
            // Without one, the command was given before, under the same idempotency key.
            Ok(match created.secret {
                Some(secret) => Answer::Secret { item, secret },
                None => Answer::Item(item),
            })
        }
        TokenVerb::List { holder, listing } => match holder.either() {
            Ok(operator) => {
                let tokens = client.operator_tokens(operator);
                pages::collect(session, listing, async |query| tokens.list(&query).await).await
            }
            Err(tenant) => {
                let tokens = client.tenant_tokens(tenant);
                pages::collect(session, listing, async |query| tokens.list(&query).await).await
            }
        },
        TokenVerb::Get { token, holder } => {
            let found = match holder.either() {
                Ok(operator) => session.ask(client.operator_tokens(operator).get(token)).await?,
                Err(tenant) => session.ask(client.tenant_tokens(tenant).get(token)).await?,
            };
            Ok(Answer::item(found))
        }
        TokenVerb::Revoke { token, holder } => {
            match holder.either() {
                Ok(operator) => session.ask(client.operator_tokens(operator).delete(token)).await?,
                Err(tenant) => session.ask(client.tenant_tokens(tenant).delete(token)).await?,
            }
            Ok(Answer::Done(format!("token {token} is revoked")))
        }
    }
}
