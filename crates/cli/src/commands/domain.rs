//! `tenantry domain`.

use clap::Subcommand;
use tenantry_api::AddDomain;
use tenantry_model::DomainPattern;

use crate::{
    error::CliError,
    output::Answer,
    pages::{self, Listing},
    session::Session,
};

/// What can be done with a domain. The tenant is named by its id or its slug.
#[derive(Debug, Subcommand)]
pub(crate) enum DomainVerb {
    /// Give a tenant a host name, or `*.` and a host name
    Add { tenant: String, host: DomainPattern },
    /// Show the host names of a tenant
    List {
        tenant: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get { tenant: String, host: DomainPattern },
    /// Take a host name from a tenant
    Remove { tenant: String, host: DomainPattern },
}

pub(super) async fn run(verb: &DomainVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        DomainVerb::Add { tenant, host } => {
            let domains = session.client.domains(tenant);
            let body = AddDomain { host: host.clone() };
            session.ask(domains.create(&body)).await.map(Answer::item)
        }
        DomainVerb::List { tenant, listing } => {
            let domains = session.client.domains(tenant);
            pages::collect(session, listing, async |query| domains.list(&query).await).await
        }
        DomainVerb::Get { tenant, host } => session
            .ask(session.client.domains(tenant).get(&host.to_string()))
            .await
            .map(Answer::item),
        DomainVerb::Remove { tenant, host } => {
            session.ask(session.client.domains(tenant).delete(&host.to_string())).await?;
            Ok(Answer::Done(format!("domain {host} is removed from tenant {tenant}")))
        }
    }
}
