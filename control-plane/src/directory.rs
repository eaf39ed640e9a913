//! Keeps the directory of tenants warm.
//!
//! Lists bring it up to date themselves. This is so that the first one finds it made, and the next one
//! after a long time has little to catch up with.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::MissedTickBehavior};

use crate::app::App;

/// How far it may fall behind while nobody asks for a list.
const INTERVAL: Duration = Duration::from_secs(1);

/// Brings it up to date at intervals, until told to stop.
pub async fn run(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The other end gone means that the process is ending.
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = interval.tick() => {}
        }
        if let Err(error) = app.tenancy.refresh_directory().await {
            tracing::warn!(%error, "the directory of tenants could not be brought up to date");
        }
    }
}
