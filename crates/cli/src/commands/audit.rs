//! `tenantry audit`.

use std::io::{self, Write as _};

use clap::{Args, Subcommand};
use tenantry_api::{AuditQuery, VerifyAuditQuery};
use tenantry_model::Timestamp;

use crate::{
    error::CliError,
    output::Answer,
    pages::{self, Listing},
    session::Session,
};

/// What can be asked of the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Show what was done; what changed is in `-o json`
    List {
        /// Only what concerns this tenant, by id or slug: all that its own tokens may see
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        listing: Listing,
    },
    /// Write all of it to standard output, newest first, a line of JSON for each entry
    Export {
        #[command(flatten)]
        filter: Filter,
    },
    /// Follow the hash chain over all entries; exits with 1 if it is broken
    Verify {
        /// The sequence and hash of a link that was noted before
        #[arg(long, num_args = 2, value_names = ["SEQUENCE", "HASH"])]
        noted: Option<Vec<String>>,
    },
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only what was done to this, such as plan/pro or tenant/ten_01J...
    #[arg(long, value_name = "KIND/ID")]
    target: Option<String>,
    /// Only what this actor did
    #[arg(long)]
    actor: Option<String>,
    /// Only this, such as tenant.suspend, or tenant.* for all that begins so
    #[arg(long)]
    action: Option<String>,
    /// Only what this request did
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only what was done at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only what was done before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl Filter {
    fn query(&self) -> AuditQuery {
        let Self { target, actor, action, request_id, since, until } = self;
        AuditQuery {
            limit: None,
            cursor: None,
            target: target.clone(),
            actor: actor.clone(),
            action: action.clone(),
            request_id: request_id.clone(),
            since: *since,
            until: *until,
        }
    }
}

pub(super) async fn run(verb: &AuditVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        AuditVerb::List { tenant, filter, listing } => {
            pages::collect(session, listing, async |page| {
                let query = AuditQuery { limit: page.limit, cursor: page.cursor, ..filter.query() };
                match tenant {
                    Some(tenant) => session.client.tenant_audit(tenant, &query).await,
                    None => session.client.audit(&query).await,
                }
            })
            .await
        }
        AuditVerb::Export { filter } => export(&filter.query(), session).await,
        AuditVerb::Verify { noted } => verify(noted.as_deref(), session).await,
    }
}

async fn export(query: &AuditQuery, session: &Session) -> Result<Answer, CliError> {
    let mut download = session.ask(session.client.export_audit(query)).await?;
    while let Some(piece) = session.ask(download.next()).await? {
        io::stdout().write_all(&piece).map_err(CliError::Write)?;
    }
    Ok(Answer::Nothing)
}

async fn verify(noted: Option<&[String]>, session: &Session) -> Result<Answer, CliError> {
    let mut query = VerifyAuditQuery::default();
    if let Some([sequence, hash]) = noted {
        let number = sequence.parse();
        let number =
            number.map_err(|_| CliError::Usage(format!("{sequence} is no sequence number")))?;
        query = VerifyAuditQuery { sequence: Some(number), hash: Some(hash.clone()) };
    }
    // Following a long chain takes longer than other answers.
    let found = session.ask_patiently(session.client.verify_audit(&query)).await?;
    match found.fault {
        Some(fault) => Err(CliError::BrokenAudit(fault)),
        None => Ok(Answer::item(found)),
    }
}
