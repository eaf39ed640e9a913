//! The whole of it: file, stream, recorder and reporter.

use std::{collections::BTreeSet, sync::Arc};

use reqwest::Client;
use tenantry_distribution::{Assembler, Following, Update};
use tokio::sync::{mpsc, watch};

use crate::{
    Options, OptionsError, Progress, Target,
    answerer::{Answerer, WAITING},
    connection,
    file::LastKnownGood,
    follower::Follower,
    progress::Publisher,
    recorder::Recorder,
    reporter::Reporter,
};

/// A proxy's subscription to its control plane.
pub struct Subscription<T> {
    options: Options,
    target: Arc<T>,
    client: Client,
    publisher: Publisher,
}

impl<T: Target> Subscription<T> {
    /// Prepares a subscription; nothing is read or connected before [`run`](Self::run).
    ///
    /// # Errors
    /// If no HTTP client can be set up.
    pub fn new(options: Options, target: Arc<T>) -> Result<Self, OptionsError> {
        let client = connection::client(&options)?;
        Ok(Self { options, target, client, publisher: Publisher::new() })
    }

    /// A handle on how far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.publisher.progress()
    }

    /// Serves what the file holds, then follows the control plane until `shutdown` completes. It
    /// returns when the file holds all that was applied.
    ///
    /// It needs a Tokio runtime with I/O and time.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { options, target, client, publisher } = self;
        let (recorder, recorded) = open_file(&options, &publisher).await;
        let (update, assembler) = match recorded {
            Some((update, assembler)) => (Some(update), assembler),
            None => (None, Assembler::new(options.removal_brake)),
        };
        let (reports, newest_report) = watch::channel(None);
        let (questions, asked) = mpsc::channel(WAITING);
        let mut follower = Follower {
            options: &options,
            client: &client,
            target: target.as_ref(),
            following: Following::new(assembler.with_brake(options.removal_brake), options.backoff),
            recorder: recorder.as_ref(),
            publisher: &publisher,
            reports,
            questions,
            unknown: BTreeSet::new(),
        };
        if let Some(update) = update {
            follower.serve_recorded(&update);
        }
        let reporter = Reporter {
            client: client.clone(),
            options: options.clone(),
            reports: newest_report,
            publisher: publisher.clone(),
            target: Arc::clone(&target),
            told: None,
        };
        let answerer = Answerer {
            client: client.clone(),
            options: options.clone(),
            questions: asked,
            target: Arc::clone(&target),
        };
        tokio::select! {
            () = shutdown => {}
            () = follower.run() => {}
            () = reporter.run() => {}
            () = answerer.run() => {}
        }
        if let Some(recorder) = recorder {
            recorder.close().await;
        }
    }
}

/// Opens the file, off the runtime's own threads.
async fn open_file(
    options: &Options,
    publisher: &Publisher,
) -> (Option<Recorder>, Option<(Update, Assembler)>) {
    let Some(path) = options.file.clone() else {
        return (None, None);
    };
    let (compact_above_bytes, now) = (options.compact_above_bytes, options.clock.now());
    let opened =
        tokio::task::spawn_blocking(move || LastKnownGood::open(&path, compact_above_bytes, now));
    match opened.await {
        Ok((file, recorded)) => {
            publisher.change(|standing| {
                standing.recorded = file.position().map(|position| position.revision);
            });
            (Some(Recorder::start(file, publisher.clone())), recorded)
        }
        Err(error) => {
            tracing::error!(%error, "the last-known-good file was not read to its end");
            (None, None)
        }
    }
}
