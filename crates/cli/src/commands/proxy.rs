//! `tenantry proxy`.

use clap::Subcommand;

use crate::{
    error::CliError,
    output::{Answer, Rest},
    session::Session,
};

/// What can be asked about proxies.
#[derive(Debug, Subcommand)]
pub(crate) enum ProxyVerb {
    /// Show all, with the revision each enforces
    List,
}

pub(super) async fn run(verb: &ProxyVerb, session: &Session) -> Result<Answer, CliError> {
    match verb {
        ProxyVerb::List => {
            let page = session.ask(session.client.proxies()).await?;
            Ok(Answer::list(&page.items, Rest::Nothing))
        }
    }
}
