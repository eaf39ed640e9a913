//! `tenantry issuer`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tenantry_api::{CreateIssuer, client::Issuers};
use tenantry_model::Algorithm;

use crate::{
    body::{Body, NewBody},
    error::CliError,
    output::Answer,
    pages::{self, Listing},
    session::Session,
    value,
};

/// What can be done with a JWT issuer.
#[derive(Debug, Subcommand)]
pub(crate) enum IssuerVerb {
    /// Trust one
    Create {
        /// The exact `iss` claim
        #[arg(required_unless_present = "file")]
        issuer: Option<String>,
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        fields: Box<IssuerFields>,
        #[command(flatten)]
        body: NewBody,
    },
    /// Show those of one tenant or of all
    List {
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get {
        id: String,
        #[command(flatten)]
        owner: Owner,
    },
    /// Replace all of it; what is not given falls back to its default
    Replace {
        id: String,
        /// The exact `iss` claim
        #[arg(required_unless_present = "file")]
        issuer: Option<String>,
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        fields: Box<IssuerFields>,
        #[command(flatten)]
        body: NewBody,
        /// Replace it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
    /// Trust it no longer
    Delete {
        id: String,
        #[command(flatten)]
        owner: Owner,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Owner {
    /// The tenant it speaks for, by id or slug; without it, the issuers of all tenants are meant
    #[arg(long)]
    tenant: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct IssuerFields {
    /// An accepted `aud` claim; may be repeated
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// An accepted algorithm, such as RS256 or EdDSA; may be repeated
    #[arg(long = "algorithm", value_name = "ALGORITHM", value_parser = value::word::<Algorithm>)]
    algorithms: Vec<Algorithm>,
    /// The claim that holds a tenant's id or slug; an issuer of all tenants needs one
    #[arg(long, value_name = "CLAIM")]
    tenant_claim: Option<String>,
    /// Where its tokens say what the caller may do: a claim or a JSON pointer [default: scope or scp]
    #[arg(long, value_name = "CLAIM")]
    scope_claim: Option<String>,
    /// Where its tokens name the caller's roles: a claim or a JSON pointer such as /realm_access/roles
    #[arg(long, value_name = "CLAIM")]
    roles_claim: Option<String>,
    /// A file with its JWKS document
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_url")]
    jwks_file: Option<PathBuf>,
    /// The URL of its JWKS document
    #[arg(long, value_name = "URL")]
    jwks_url: Option<String>,
}

impl IssuerFields {
    fn write(&self, body: &mut Body) -> Result<(), CliError> {
        body.set_list("audiences", &self.audiences);
        body.set_list("algorithms", &self.algorithms);
        body.set("tenant_claim", self.tenant_claim.as_ref());
        body.set("scope_claim", self.scope_claim.as_ref());
        body.set("roles_claim", self.roles_claim.as_ref());
        body.set("jwks_url", self.jwks_url.as_ref());
        if let Some(file) = &self.jwks_file {
            body.set(
                "jwks",
                Some(Body::of_file(file)?.create::<serde_json::Value>("JWKS document")?),
            );
        }
        Ok(())
    }
}

pub(super) async fn run(verb: &IssuerVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        IssuerVerb::Create { issuer, owner, fields, body } => {
            let body = whole(issuer.as_ref(), fields, body)?;
            session.ask(issuers(owner, session).create(&body)).await.map(Answer::item)
        }
        IssuerVerb::List { owner, listing } => {
            let issuers = issuers(owner, session);
            pages::collect(session, listing, async |query| issuers.list(&query).await).await
        }
        IssuerVerb::Get { id, owner } => {
            session.ask(issuers(owner, session).get(id)).await.map(Answer::item)
        }
        IssuerVerb::Replace { id, issuer, owner, fields, body, if_revision } => {
            let body = whole(issuer.as_ref(), fields, body)?;
            let issuers = issuers(owner, session);
            session.ask(issuers.replace(id, &body, *if_revision)).await.map(Answer::item)
        }
        IssuerVerb::Delete { id, owner } => {
            session.ask(issuers(owner, session).delete(id)).await?;
            Ok(Answer::Done(format!("issuer {id} is no longer trusted")))
        }
    }
}

fn whole(
    issuer: Option<&String>,
    fields: &IssuerFields,
    body: &NewBody,
) -> Result<CreateIssuer, CliError> {
    let mut body = body.read()?;
    body.set("issuer", issuer);
    fields.write(&mut body)?;
    body.create("issuer")
}

fn issuers<'s>(owner: &Owner, session: &'s Session) -> Issuers<'s> {
    match &owner.tenant {
        Some(tenant) => session.client.issuers(tenant),
        None => session.client.shared_issuers(),
    }
}
