//! Plans, features, upstreams and routes: the same verbs, different flags.

use clap::{Args, Subcommand};
use serde::{Serialize, de::DeserializeOwned};
use tenantry_api::{DocumentBody, client::Documents};

use crate::{
    body::{Body, ChangeBody, NewBody},
    error::CliError,
    output::{Answer, Columns},
    pages::{self, Listing},
    session::Session,
};

/// The flags of one kind of document.
pub(crate) trait Fields: Args {
    /// Writes what was given into a body.
    async fn write(&self, body: &mut Body, session: &Session) -> Result<(), CliError>;

    /// Writes what a new document has if nothing was given.
    fn defaults(_body: &mut Body, _id: Option<&str>) {}
}

/// What can be done with a document.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb<F: Args> {
    /// Make one
    Create {
        /// Its identifier
        #[arg(required_unless_present = "file")]
        id: Option<String>,
        #[command(flatten)]
        fields: Box<F>,
        #[command(flatten)]
        body: NewBody,
    },
    /// Show one
    Get {
        /// Its identifier
        id: String,
    },
    /// Show all, by identifier
    List {
        #[command(flatten)]
        listing: Listing,
    },
    /// Change some fields; a list that is given replaces the whole list
    Update {
        /// Its identifier
        id: String,
        #[command(flatten)]
        fields: Box<F>,
        #[command(flatten)]
        body: ChangeBody,
    },
    /// Replace all of it; what is not given falls back to its default
    Replace {
        /// Its identifier
        id: String,
        #[command(flatten)]
        fields: Box<F>,
        #[command(flatten)]
        body: NewBody,
        /// Replace it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
    /// Remove one; while something depends on it, that is refused
    Delete {
        /// Its identifier
        id: String,
        /// Remove it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
}

pub(super) async fn run<T, F>(
    what: &'static str,
    verb: &Verb<F>,
    documents: Documents<'_, T>,
    session: &Session,
) -> Result<Answer, CliError>
where
    T: Serialize + DeserializeOwned,
    F: Fields,
    DocumentBody<T>: Columns,
{
    match verb {
        Verb::Create { id, fields, body } => {
            let mut body = body.read()?;
            body.set("id", id.as_ref());
            fields.write(&mut body, session).await?;
            F::defaults(&mut body, id.as_deref());
            let resource: T = body.create(what)?;
            session.ask(documents.create(&resource)).await.map(Answer::item)
        }
        Verb::Get { id } => session.ask(documents.get(id)).await.map(Answer::item),
        Verb::List { listing } => {
            pages::collect(session, listing, async |query| documents.list(&query).await).await
        }
        Verb::Update { id, fields, body } => {
            let if_revision = body.if_revision;
            let mut body = body.read()?;
            fields.write(&mut body, session).await?;
            let patch = body.patch()?;
            session.ask(documents.patch(id, &patch, if_revision)).await.map(Answer::item)
        }
        Verb::Replace { id, fields, body, if_revision } => {
            let mut body = body.read()?;
            body.set("id", Some(id));
            fields.write(&mut body, session).await?;
            F::defaults(&mut body, Some(id));
            let resource: T = body.create(what)?;
            session.ask(documents.replace(id, &resource, *if_revision)).await.map(Answer::item)
        }
        Verb::Delete { id, if_revision } => {
            session.ask(documents.delete(id, *if_revision)).await?;
            Ok(Answer::Done(format!("{what} {id} is deleted")))
        }
    }
}
