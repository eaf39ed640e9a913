//! `tenantry audit`.

use clap::Subcommand;
use tenantry_api::AuditQuery;

use crate::{
    error::CliError,
    output::Answer,
    pages::{self, Listing},
    session::Session,
};

/// What can be asked of the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum ListAudit {
    /// Show what was done; what changed is in `-o json`
    List {
        /// Only what was done to this, such as plan/pro or tenant/ten_01J...
        #[arg(long, value_name = "KIND/ID")]
        target: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
}

pub(super) async fn run(verb: &ListAudit, session: &Session) -> Result<Answer, CliError> {
    match verb {
        ListAudit::List { target, listing } => {
            pages::collect(session, listing, async |page| {
                let target = target.clone();
                let query = AuditQuery { limit: page.limit, cursor: page.cursor, target };
                session.client.audit(&query).await
            })
            .await
        }
    }
}
