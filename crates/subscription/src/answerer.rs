//! Answers what the control plane asks.
//!
//! Whoever asks waits for some seconds only, so an answer is sent once and never again, and what is asked while others
//! are still to be answered may be dropped.

use std::sync::Arc;

use reqwest::{Client, header::AUTHORIZATION};
use tenantry_distribution::{ANSWER_PATH, Answer, Question};
use tokio::sync::mpsc;

use crate::{Options, Target, connection::address};

/// Questions that wait to be answered.
pub(crate) const WAITING: usize = 16;

/// The sender of answers.
pub(crate) struct Answerer<T> {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) questions: mpsc::Receiver<Question>,
    pub(crate) target: Arc<T>,
}

impl<T: Target> Answerer<T> {
    /// Runs until nothing can be asked any more.
    pub(crate) async fn run(mut self) {
        while let Some(question) = self.questions.recv().await {
            let explanation = self.target.explain(&question.request);
            let node = self.options.node.clone();
            let answer = Answer { node, id: question.id, explanation };
            let sent = self
                .client
                .post(address(&self.options, ANSWER_PATH))
                .header(AUTHORIZATION, self.options.token.header())
                .timeout(self.options.report_timeout)
                .json(&answer)
                .send()
                .await;
            if let Err(error) = sent {
                tracing::debug!(%error, "an answer was not taken");
            }
        }
    }
}
