//! `tenantry proxy`.

use clap::{Args, Subcommand};
use tenantry_api::{AllowRemoval, EnrollNode};
use tenantry_model::{NodeName, RegionId, Timestamp};

use crate::{
    error::CliError,
    output::{Answer, Rest, value},
    pages::{self, Listing},
    session::Session,
    value::pair,
};

/// What can be asked about proxies, and which nodes may run one.
#[derive(Debug, Subcommand)]
pub(crate) enum ProxyVerb {
    /// Show all, with the revision each enforces
    List,
    /// Let proxies take it for meant if most of their tenants go, for a while
    AllowRemoval {
        /// For how many minutes
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=60))]
        minutes: u8,
    },
    /// Let a node's proxy subscribe: its token is shown only this once
    Enroll(Enroll),
    /// Show the nodes that are enrolled
    Nodes {
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one enrolled node, by the id of its enrolment
    Node { id: String },
    /// Refuse a node's token from now on, by the id of its enrolment; the proxy goes on serving what it has
    Revoke { id: String },
}

/// A node.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// What the proxy says that it is: its `node`, by default its host name
    name: NodeName,
    /// Where it stands: tenants of other regions never reach it [default: all do]
    #[arg(long)]
    region: Option<RegionId>,
    /// A label KEY=VALUE; may be repeated
    #[arg(long = "label", value_name = "LABEL", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// When the token stops working, such as 2030-01-31T12:00:00Z [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
}

impl Enroll {
    fn body(&self) -> EnrollNode {
        EnrollNode {
            name: self.name.clone(),
            region: self.region.clone(),
            labels: self.labels.iter().cloned().collect(),
            expires_at: self.expires_at,
        }
    }
}

pub(super) async fn run(verb: &ProxyVerb, session: &Session) -> Result<Answer, CliError> {
    let nodes = session.client.nodes();
    match verb {
        ProxyVerb::List => {
            let page = session.ask(session.client.proxies()).await?;
            Ok(Answer::list(&page.items, Rest::Nothing))
        }
        ProxyVerb::AllowRemoval { minutes } => {
            let request = AllowRemoval { minutes: *minutes };
            Ok(Answer::item(session.ask(session.client.allow_removal(&request)).await?))
        }
        ProxyVerb::Enroll(enroll) => {
            let enrolled = session.ask(nodes.create(&enroll.body())).await?;
            let item = value(&enrolled);
            // Without one, the command was given before, under the same idempotency key.
            Ok(match enrolled.secret {
                Some(secret) => Answer::Secret { item, secret },
                None => Answer::Item(item),
            })
        }
        ProxyVerb::Nodes { listing } => {
            pages::collect(session, listing, async |query| nodes.list(&query).await).await
        }
        ProxyVerb::Node { id } => Ok(Answer::item(session.ask(nodes.get(id)).await?)),
        ProxyVerb::Revoke { id } => {
            session.ask(nodes.delete(id)).await?;
            Ok(Answer::Done(format!("the token of {id} is revoked")))
        }
    }
}
