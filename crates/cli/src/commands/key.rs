//! `tenantry key`.

use clap::{Args, Subcommand};
use serde_json::Value;
use tenantry_api::{CreateApiKey, CreatedApiKey, RollApiKey};
use tenantry_model::{Bounded, RateLimit, Scope, Timestamp};

use crate::{
    body::{Body, ChangeBody, NewBody},
    error::CliError,
    output::{Answer, value as shown},
    pages::{self, Listing},
    session::Session,
    value::{self, Switch},
};

/// What can be done with an API key. The tenant is named by its id or its slug.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Make one; its secret is shown only this once
    Create {
        tenant: String,
        #[command(flatten)]
        fields: Box<KeyFields>,
        #[command(flatten)]
        body: NewBody,
    },
    /// Show the keys of a tenant
    List {
        tenant: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get { tenant: String, key: String },
    /// Change some fields; a list that is given replaces the whole list
    Update {
        tenant: String,
        key: String,
        #[command(flatten)]
        fields: Box<KeyFields>,
        #[command(flatten)]
        body: ChangeBody,
    },
    /// Replace all that may be written of it; what is not given falls back to its default
    Replace {
        tenant: String,
        key: String,
        #[command(flatten)]
        fields: Box<KeyFields>,
        #[command(flatten)]
        body: NewBody,
        /// Replace it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
    /// Make a new one in its place; its secret is shown only this once
    Roll {
        tenant: String,
        key: String,
        /// For so long the old one is good beside it, such as 0s, 1h or 7d
        #[arg(long, value_name = "TIME", value_parser = value::seconds_or_none)]
        overlap: u64,
        /// When the new one stops working [default: when the old one would have]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<Timestamp>,
    },
    /// Refuse it from now on, for ever
    Revoke { tenant: String, key: String },
}

/// What may be written of a key.
#[derive(Debug, Args)]
pub(crate) struct KeyFields {
    /// What it is for
    #[arg(long)]
    name: Option<String>,
    /// What it may do; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// When it stops working, such as 2030-01-31T12:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    /// Whether it is accepted at all
    #[arg(long)]
    enabled: Option<Switch>,
    /// A network it may be used from; may be repeated [default: anywhere]
    #[arg(long = "network", value_name = "CIDR", value_parser = value::network)]
    networks: Vec<String>,
    /// Let it be used from anywhere
    #[arg(long, conflicts_with = "networks")]
    any_network: bool,
    /// A rate limit of its own NAME=QUOTA/WINDOW[:BURST], such as burst=10/1s:20; may be repeated
    #[arg(long = "limit", value_name = "LIMIT", value_parser = value::rate_limit)]
    limits: Vec<RateLimit>,
}

impl KeyFields {
    fn write(&self, body: &mut Body) {
        body.set("name", self.name.as_ref());
        body.set_list("scopes", &self.scopes);
        body.set("expires_at", self.expires_at);
        body.set("enabled", self.enabled.map(Switch::is_on));
        body.set_list("allowed_networks", &self.networks);
        body.set("allowed_networks", self.any_network.then_some(Value::Null));
        body.set_list("rate_limits", &self.limits);
    }
}

pub(super) async fn run(verb: &KeyVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        KeyVerb::Create { tenant, fields, body } => {
            let mut body = body.read()?;
            fields.write(&mut body);
            let key: CreateApiKey = body.create("key")?;
            session.ask(session.client.keys(tenant).create(&key)).await.map(secret)
        }
        KeyVerb::List { tenant, listing } => {
            let keys = session.client.keys(tenant);
            pages::collect(session, listing, async |query| keys.list(&query).await).await
        }
        KeyVerb::Get { tenant, key } => {
            session.ask(session.client.keys(tenant).get(key)).await.map(Answer::item)
        }
        KeyVerb::Update { tenant, key, fields, body } => {
            let if_revision = body.if_revision;
            let mut body = body.read()?;
            fields.write(&mut body);
            let (keys, patch) = (session.client.keys(tenant), body.patch()?);
            session.ask(keys.patch(key, &patch, if_revision)).await.map(Answer::item)
        }
        KeyVerb::Replace { tenant, key, fields, body, if_revision } => {
            let mut body = body.read()?;
            fields.write(&mut body);
            let (keys, spec) = (session.client.keys(tenant), body.create("key")?);
            session.ask(keys.replace(key, &spec, *if_revision)).await.map(Answer::item)
        }
        KeyVerb::Roll { tenant, key, overlap, expires_at } => {
            let overlap_seconds = Bounded::try_from(*overlap)
                .map_err(|error| CliError::Usage(format!("--overlap: {error}")))?;
            let roll = RollApiKey { overlap_seconds, expires_at: *expires_at };
            session.ask(session.client.keys(tenant).roll(key, &roll)).await.map(secret)
        }
        KeyVerb::Revoke { tenant, key } => {
            session.ask(session.client.keys(tenant).delete(key)).await?;
            Ok(Answer::Done(format!("key {key} of tenant {tenant} is revoked")))
        }
    }
}

fn secret(key: CreatedApiKey) -> Answer {
    match key.secret.clone() {
        Some(secret) => Answer::Secret { item: shown(&key), secret },
        // The command was given before, under the same idempotency key, and printed it then.
        None => Answer::Item(shown(&key)),
    }
}
