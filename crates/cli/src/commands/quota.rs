//! `tenantry quota`.

use clap::Subcommand;
use tenantry_api::{ConfirmQuota, ReleaseQuota, ReserveQuota, SetQuota};
use tenantry_model::{MeterName, ReservationId};

use crate::{
    error::CliError,
    output::{Answer, Rest},
    session::Session,
};

/// What can be done with the quotas of a tenant.
#[derive(Debug, Subcommand)]
pub(crate) enum QuotaVerb {
    /// Show all of them, and how much of each is taken
    List { tenant: String },
    /// Take room: all that is asked for, or none
    Reserve {
        tenant: String,
        meter: MeterName,
        /// How many
        #[arg(long, default_value_t = 1)]
        amount: u64,
        /// Let it come back after so many seconds unless it is confirmed
        #[arg(long, value_name = "SECONDS")]
        lease_seconds: Option<u32>,
    },
    /// Keep leased room for good
    Confirm { tenant: String, meter: MeterName, reservation: ReservationId },
    /// Give room back: a lease, or some of what was kept for good
    Release {
        tenant: String,
        meter: MeterName,
        /// The lease
        #[arg(long, value_name = "ID", conflicts_with = "amount")]
        reservation: Option<ReservationId>,
        /// How many [default: 1]
        #[arg(long)]
        amount: Option<u64>,
    },
    /// Say how many are there in truth, whatever was counted
    Set { tenant: String, meter: MeterName, current: u64 },
}

pub(super) async fn run(verb: &QuotaVerb, session: &Session) -> Result<Answer, CliError> {
    let of = |tenant: &str| session.client.quotas(tenant);
    let change = match verb {
        QuotaVerb::List { tenant } => {
            let quotas = session.ask(of(tenant).list()).await?;
            return Ok(Answer::list(&quotas.items, Rest::Nothing));
        }
        QuotaVerb::Reserve { tenant, meter, amount, lease_seconds } => {
            let body = ReserveQuota { amount: *amount, lease_seconds: *lease_seconds };
            session.ask(of(tenant).reserve(meter.as_str(), &body)).await
        }
        QuotaVerb::Confirm { tenant, meter, reservation } => {
            let body = ConfirmQuota { reservation: *reservation };
            session.ask(of(tenant).confirm(meter.as_str(), &body)).await
        }
        QuotaVerb::Release { tenant, meter, reservation, amount } => {
            let body = ReleaseQuota { reservation: *reservation, amount: *amount };
            session.ask(of(tenant).release(meter.as_str(), &body)).await
        }
        QuotaVerb::Set { tenant, meter, current } => {
            session.ask(of(tenant).set(meter.as_str(), &SetQuota { current: *current })).await
        }
    };
    change.map(Answer::item)
}
