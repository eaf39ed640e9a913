//! `tenantry subscription`.

use clap::Subcommand;
use tenantry_api::PutSubscription;
use tenantry_model::{BillingPeriod, Timestamp};

use crate::{error::CliError, output::Answer, session::Session, value};

/// What can be done with a tenant's subscription.
#[derive(Debug, Subcommand)]
pub(crate) enum SubscriptionVerb {
    /// Show it
    Get { tenant: String },
    /// Give the tenant one, or other terms of the one it has
    Set {
        tenant: String,
        /// How long each period is, such as 1month or 30days
        #[arg(long, value_parser = value::period)]
        period: BillingPeriod,
        /// When the first period begins, or began [default: now]
        #[arg(long, value_name = "TIME")]
        anchor: Option<Timestamp>,
        /// Let a period end without a next one: the tenant is then past due
        #[arg(long)]
        no_auto_renew: bool,
        /// For how many days a tenant that is past due is still served
        #[arg(long, value_name = "DAYS", default_value_t = 0)]
        grace_days: u16,
    },
    /// Note that the period that contains now is paid
    Renew { tenant: String },
    /// Note that the current period is not paid
    PastDue { tenant: String },
    /// End it with its current period
    Cancel {
        tenant: String,
        /// End it at once, and suspend the tenant
        #[arg(long)]
        now: bool,
    },
    /// Take it away
    Delete { tenant: String },
}

pub(super) async fn run(verb: &SubscriptionVerb, session: &Session) -> Result<Answer, CliError> {
    let of = |tenant: &str| session.client.subscription(tenant);
    let subscription = match verb {
        SubscriptionVerb::Get { tenant } => session.ask(of(tenant).get()).await,
        SubscriptionVerb::Set { tenant, period, anchor, no_auto_renew, grace_days } => {
            let body = PutSubscription {
                period: *period,
                anchor: *anchor,
                auto_renew: !no_auto_renew,
                grace_days: *grace_days,
            };
            session.ask(of(tenant).put(&body)).await
        }
        SubscriptionVerb::Renew { tenant } => session.ask(of(tenant).renew()).await,
        SubscriptionVerb::PastDue { tenant } => session.ask(of(tenant).past_due()).await,
        SubscriptionVerb::Cancel { tenant, now } => session.ask(of(tenant).cancel(!now)).await,
        SubscriptionVerb::Delete { tenant } => {
            session.ask(of(tenant).delete()).await?;
            return Ok(Answer::Done(format!("{tenant} has no subscription any more")));
        }
    };
    subscription.map(Answer::item)
}
