//! Does what is due: ends of retention, of reservations, of whatever else has a time.
//!
//! What is due is in the store, and doing it removes it from there in the same commit. So this loop keeps
//! nothing, and may be ended at any point and begun again.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::MissedTickBehavior};

use crate::app::App;

/// How late something due may be noticed.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks for what is due at intervals, until told to stop.
pub async fn run(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The other end gone means that the process is ending.
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = interval.tick() => {}
        }
        if !app.takes_changes().await {
            continue;
        }
        match app.tenancy.reconcile().await {
            Ok(reconciled) => {
                for (row, error) in reconciled.failed {
                    tracing::warn!(row, %error, "something due could not be done, and is tried again");
                }
            }
            Err(error) => tracing::warn!(%error, "what is due could not be read"),
        }
    }
}
