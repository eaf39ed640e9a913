//! Follows one stream after another and applies what they bring.

use std::{collections::BTreeSet, sync::Arc};

use reqwest::Client;
use tenantry_distribution::{
    Change, End, Event, Following, Question, Refusal, ResourceName, StatusReport, Update,
    UpdateKind,
};
use tokio::sync::{mpsc, watch};

use crate::{
    Applied, Link, Options, Source, Target,
    connection::{Connection, StreamEnd},
    progress::Publisher,
    recorder::Recorder,
};

/// What moves and waits around the half of a subscription that decides.
pub(crate) struct Follower<'a, T> {
    pub(crate) options: &'a Options,
    pub(crate) client: &'a Client,
    pub(crate) target: &'a T,
    pub(crate) following: Following,
    pub(crate) recorder: Option<&'a Recorder>,
    pub(crate) publisher: &'a Publisher,
    pub(crate) reports: watch::Sender<Option<StatusReport>>,
    pub(crate) questions: mpsc::Sender<Question>,
    /// Resources of kinds this build does not know.
    pub(crate) unknown: BTreeSet<ResourceName>,
}

impl<T: Target> Follower<'_, T> {
    /// Serves the state that the file held. It is reported once a stream is open.
    pub(crate) fn serve_recorded(&mut self, update: &Update) {
        let report = self.apply(update, Source::File);
        // Kept without waking the reporter: there is nobody to tell yet.
        self.reports.send_if_modified(|newest| {
            *newest = Some(report);
            false
        });
    }

    /// Follows streams for ever.
    pub(crate) async fn run(&mut self) {
        loop {
            let ended = self.follow().await;
            let wait = self.following.end(meaning(&ended), self.options.jitter.draw());
            let reason = ended.reason();
            let link = match ended {
                StreamEnd::Unauthorized(_) => {
                    tracing::error!(%reason, ?wait, "no updates: check this proxy's token; trying again");
                    Link::Unauthorized
                }
                StreamEnd::Protocol => {
                    tracing::error!(%reason, ?wait, "no updates; what was applied goes on serving");
                    Link::Down
                }
                _ => {
                    tracing::warn!(%reason, ?wait, "the stream ended; what was applied goes on serving");
                    Link::Down
                }
            };
            self.publisher.change(|standing| standing.link = link);
            tokio::time::sleep(wait).await;
        }
    }

    /// Follows one stream to its end.
    async fn follow(&mut self) -> StreamEnd {
        let from = self.following.ask();
        let mut connection = match Connection::open(self.client, self.options, from).await {
            Ok(connection) => connection,
            Err(end) => return end,
        };
        loop {
            let frame = match connection.next().await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            match self.following.take(frame) {
                Ok(event) => self.take(event),
                Err(error) => return StreamEnd::Continuity(error),
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Pending | Event::Announced(_) => {}
            Event::Opened => {
                self.publisher.change(|standing| standing.link = Link::Open);
                // A control plane that was restarted does not know what is enforced here.
                if self.reports.borrow().is_some() {
                    self.reports.send_modify(|_| {});
                }
            }
            Event::Update(update) => {
                let update = Arc::new(update);
                let report = self.apply(&update, Source::Stream);
                if let Some(recorder) = self.recorder {
                    recorder.record(Arc::clone(&update));
                }
                self.confirm();
                self.reports.send_replace(Some(report));
            }
            Event::Repeated | Event::Confirmed => self.confirm(),
            // Where there is no room, whoever asks is told that nobody answers.
            Event::Asked(question) => drop(self.questions.try_send(question)),
        }
    }

    fn confirm(&self) {
        let now = self.options.clock.now();
        self.publisher.change(|standing| standing.confirmed_at = Some(now));
    }
}

/// Applying, and saying so.
impl<T: Target> Follower<'_, T> {
    /// Serves the update, and answers with the report that says so.
    fn apply(&mut self, update: &Update, source: Source) -> StatusReport {
        let mut refused = self.target.apply(update);
        self.note_unknown(update);
        let at = self.options.clock.now();
        let refused_total = (refused.len() as u64).saturating_add(self.unknown.len() as u64);
        let room = StatusReport::MAX_REFUSED.saturating_sub(refused.len());
        let reason = "this build does not know resources of this kind";
        refused
            .extend(self.unknown.iter().take(room).map(|name| Refusal::new(name.clone(), reason)));
        refused.truncate(StatusReport::MAX_REFUSED);
        self.log_new(&refused);
        let tenants = self.following.tenants();
        let position = update.position();
        self.publisher.change(|standing| {
            standing.applied =
                Some(Applied { position, at, source, tenants, refused: refused_total });
        });
        tracing::debug!(revision = %update.to, changes = update.changes.len(), ?source, "applied");
        StatusReport {
            node: self.options.node.clone(),
            version: self.options.version.clone(),
            region: self.options.region.clone(),
            epoch: update.epoch,
            revision: update.to,
            hash: update.hash,
            applied_at: at,
            tenants,
            refused,
            refused_total,
            // Added when it is sent.
            keys_used: Vec::new(),
            traffic: None,
        }
    }

    /// Logs what was not refused before: the list is repeated with every update.
    fn log_new(&self, refused: &[Refusal]) {
        let before = self.reports.borrow();
        let known: BTreeSet<&ResourceName> = before
            .iter()
            .flat_map(|report| report.refused.iter().map(|refusal| &refusal.resource))
            .collect();
        for Refusal { resource, reason } in refused {
            if !known.contains(resource) {
                tracing::warn!(%resource, %reason, "a resource is refused");
            }
        }
    }

    fn note_unknown(&mut self, update: &Update) {
        if update.kind == UpdateKind::Full {
            self.unknown.clear();
        }
        for change in &update.changes {
            match change {
                Change::Unknown { name, json: Some(_) } => {
                    self.unknown.insert(name.clone());
                }
                Change::Unknown { name, json: None } => {
                    self.unknown.remove(name);
                }
                Change::Put { .. } | Change::Delete(_) => {}
            }
        }
    }
}

/// What the end of a stream means for the next one.
fn meaning(ended: &StreamEnd) -> End {
    match ended {
        StreamEnd::TurnedAway(wait) => End::TurnedAway(*wait),
        StreamEnd::Decode(_) => End::Unreadable,
        StreamEnd::Continuity(_) => End::Breach,
        StreamEnd::Unauthorized(_)
        | StreamEnd::Protocol
        | StreamEnd::Status(_)
        | StreamEnd::Transport(_)
        | StreamEnd::Silent(_)
        | StreamEnd::Closed => End::Lost,
    }
}
