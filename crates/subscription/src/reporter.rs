//! Sends the newest report until the control plane has taken it.
//!
//! Only the newest matters: the ack of a revision is the ack of all before it. So a report that is
//! overtaken while the control plane is slow is never sent, and reports never pile up.
//!
//! Uses of API keys ride along. Where there is nothing else to report they are told every few seconds, and
//! where that fails they wait for the next time: nobody needs them soon. So do the numbers of requests
//! answered, if they are others than were told last.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, header::AUTHORIZATION};
use tenantry_distribution::{Backoff, KeyUse, STATUS_PATH, StatusReport, Traffic};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{Link, Options, Target, connection::address, progress::Publisher};

/// How often uses of keys and numbers of requests are told.
const TOLD_INTERVAL: Duration = Duration::from_secs(2);

/// The sender of reports.
pub(crate) struct Reporter<T> {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) reports: watch::Receiver<Option<StatusReport>>,
    pub(crate) publisher: Publisher,
    pub(crate) target: Arc<T>,
    /// What was told last.
    pub(crate) told: Option<Traffic>,
}

#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("the control plane answered {0}")]
    Status(StatusCode),
    #[error("the connection failed: {0}")]
    Transport(reqwest::Error),
}

impl<T: Target> Reporter<T> {
    /// Runs until there can be no more reports.
    pub(crate) async fn run(mut self) {
        let mut telling = interval(TOLD_INTERVAL);
        telling.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.reports.changed() => match changed {
                    Ok(()) => self.report().await,
                    Err(_) => return,
                },
                _ = telling.tick() => self.tell().await,
            }
        }
    }

    /// Sends the newest report, as often as it takes.
    async fn report(&mut self) {
        let mut backoff = Backoff::new(self.options.backoff);
        while let Err(error) = self.send_with(self.keys_used()).await {
            let wait = backoff.next_wait(self.options.jitter.draw());
            tracing::warn!(%error, ?wait, "the state could not be reported; trying again");
            sleep(wait).await;
        }
    }

    async fn tell(&mut self) {
        if self.publisher.progress().standing().link != Link::Open {
            return;
        }
        let uses = self.keys_used();
        if uses.is_empty() && self.target.traffic() == self.told {
            return;
        }
        if let Err(error) = self.send_with(uses).await {
            tracing::debug!(%error, "what was used and answered was not told; it will be later");
        }
    }

    fn keys_used(&self) -> Vec<KeyUse> {
        self.target.take_keys_used(StatusReport::MAX_KEYS_USED)
    }

    async fn send_with(&mut self, uses: Vec<KeyUse>) -> Result<(), ReportError> {
        let newest = self.reports.borrow_and_update().clone();
        let Some(report) = newest else {
            self.target.put_back_keys_used(uses);
            return Ok(());
        };
        let traffic = self.target.traffic();
        let report = StatusReport { keys_used: uses.clone(), traffic, ..report };
        let sent = self.send(&report).await;
        if sent.is_err() {
            self.target.put_back_keys_used(uses);
        } else {
            self.told = traffic;
        }
        sent
    }

    async fn send(&self, report: &StatusReport) -> Result<(), ReportError> {
        let response = self
            .client
            .post(address(&self.options, STATUS_PATH))
            .header(AUTHORIZATION, self.options.token.header())
            .timeout(self.options.report_timeout)
            .json(report)
            .send()
            .await
            .map_err(ReportError::Transport)?;
        if !response.status().is_success() {
            return Err(ReportError::Status(response.status()));
        }
        if report.is_ack() {
            self.publisher.change(|standing| standing.acknowledged = Some(report.revision));
        }
        Ok(())
    }
}
