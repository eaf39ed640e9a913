//! `tenantry key`.

use clap::Subcommand;
use tenantry_api::CreateApiKey;
use tenantry_model::{Scope, Timestamp};

use crate::{
    error::CliError,
    output::{Answer, value},
    pages::{self, Listing},
    session::Session,
};

/// What can be done with an API key. The tenant is named by its id or its slug.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Make one; its secret is shown only this once
    Create {
        tenant: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do; may be repeated
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// When it stops working, such as 2030-01-31T12:00:00Z [default: never]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<Timestamp>,
    },
    /// Show the keys of a tenant
    List {
        tenant: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get { tenant: String, key: String },
    /// Refuse it from now on, for ever
    Revoke { tenant: String, key: String },
}

pub(super) async fn run(verb: &KeyVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        KeyVerb::Create { tenant, name, scopes, expires_at } => {
            let body = CreateApiKey {
                name: name.clone(),
                scopes: scopes.iter().cloned().collect(),
                expires_at: *expires_at,
            };
            let key = session.ask(session.client.keys(tenant).create(&body)).await?;
            Ok(match key.secret.clone() {
                Some(secret) => Answer::Secret { item: value(&key), secret },
                None => Answer::item(key),
            })
        }
        KeyVerb::List { tenant, listing } => {
            let keys = session.client.keys(tenant);
            pages::collect(session, listing, async |query| keys.list(&query).await).await
        }
        KeyVerb::Get { tenant, key } => {
            session.ask(session.client.keys(tenant).get(key)).await.map(Answer::item)
        }
        KeyVerb::Revoke { tenant, key } => {
            session.ask(session.client.keys(tenant).delete(key)).await?;
            Ok(Answer::Done(format!("key {key} of tenant {tenant} is revoked")))
        }
    }
}
