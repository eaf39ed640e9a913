//! Links audit entries into their hash chain, in the background.

use std::{sync::Arc, time::Duration};

use tenantry_model::Revision;
use tokio::{sync::watch, time::MissedTickBehavior};

use crate::app::App;

/// How long an entry stays without a link, as long as nothing is wrong.
const INTERVAL: Duration = Duration::from_millis(250);

/// Links new entries at intervals, until told to stop.
pub async fn run(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = Revision::ZERO;
    loop {
        tokio::select! {
            // The other end gone means that the process is ending.
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = interval.tick() => {}
        }
        if !app.takes_changes().await {
            continue;
        }
        match app.tenancy.seal_audit(known).await {
            Ok(sealed) => known = sealed.upto,
            Err(error) => tracing::warn!(%error, "new audit entries are not linked yet"),
        }
    }
}
