//! Sends the newest report until the control plane has taken it.
//!
//! Only the newest matters: the ack of a revision is the ack of all before it. So a report that is
//! overtaken while the control plane is slow is never sent, and reports never pile up.

use reqwest::{Client, StatusCode, header::AUTHORIZATION};
use tenantry_distribution::{STATUS_PATH, StatusReport};
use tokio::sync::watch;

use crate::{Options, backoff::Backoff, connection::address, progress::Publisher};

/// The sender of reports.
pub(crate) struct Reporter {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) reports: watch::Receiver<Option<StatusReport>>,
    pub(crate) publisher: Publisher,
}

#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("the control plane answered {0}")]
    Status(StatusCode),
    #[error("the connection failed: {0}")]
    Transport(reqwest::Error),
}

impl Reporter {
    /// Runs until there can be no more reports.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.options.backoff, self.options.jitter.clone());
        while self.reports.changed().await.is_ok() {
            while let Err(error) = self.send().await {
                let wait = backoff.next_wait();
                tracing::warn!(%error, ?wait, "the state could not be reported; trying again");
                tokio::time::sleep(wait).await;
            }
            backoff.reset();
        }
    }

    async fn send(&mut self) -> Result<(), ReportError> {
        let Some(report) = self.reports.borrow_and_update().clone() else {
            return Ok(());
        };
        let response = self
            .client
            .post(address(&self.options, STATUS_PATH))
            .header(AUTHORIZATION, self.options.token.header())
            .timeout(self.options.report_timeout)
            .json(&report)
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
