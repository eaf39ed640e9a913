//! `/api/v1/import`.
//!
//! A line in, a tenant in the store, and no more in memory than what is under way. Lines are read in
//! order and told of in order; between that, many are under way at once, and the store makes one write
//! of those that wait for it together.

mod claims;

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream, stream::FuturesOrdered};
use serde_json::{Map, Value};
use tenantry_api::{
    ConflictAction, CreateTenant, ImportCounts, ImportEvent, ImportQuery, Problem, ProblemKind,
};
use tenantry_tenancy::{Caller, Error, ImportTenant, Imported, OnConflict, merge};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use self::claims::Claims;
use super::tenants::first_admin;
use crate::{
    app::App,
    http::{
        body::{Parameters, misplaced, parse},
        changes::Awaiter,
        failure::Failure,
        lines::{Line, Piece, lines},
        request::Asking,
    },
};

/// The longest line: as much as one tenant may be sent in on its own.
const MAX_LINE_BYTES: usize = 1 << 20;
/// Tenants that are under way at once; twice as many as the store writes at once.
const IN_FLIGHT: usize = 128;
/// Answers that wait to be sent.
const WAITING: usize = 64;
/// How often it is said how far it has come, if it has.
const PROGRESS: Duration = Duration::from_millis(500);

/// Imports tenants, one from each line.
///
/// Each is made whole or not at all, with its own entry in the audit log; one that is there as its line
/// says is left alone, so an import that was cut off is sent again as it was. A line is what a tenant is
/// created with. Of a key, `digest` is given (SHA-256 of the secret, in hexadecimal), since no secret is
/// returned. The answer is lines, too: a line that has failed, how far it has come, and
/// at the end a summary. Read it while you send.
#[utoipa::path(
    post, path = "/api/v1/import", operation_id = "import", tag = "platform", params(ImportQuery),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = ImportEvent, content_type = "application/x-ndjson")),
    security(("bearer" = ["tenants:write", "domains:write", "keys:write"])),
)]
pub async fn import(
    State(app): State<Arc<App>>,
    Asking(caller): Asking,
    Parameters(query): Parameters<ImportQuery>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Failure> {
    if !is_lines(&headers) {
        let detail =
            "send a line of JSON for each tenant, with `Content-Type: application/x-ndjson`";
        return Err(Failure::new(ProblemKind::UnsupportedMediaType, detail));
    }
    if caller.idempotency.is_some() {
        let detail = "leave Idempotency-Key out: tenants can be imported again as they are";
        return Err(Failure::new(ProblemKind::InvalidHeader, detail));
    }
    let Ok(place) = Arc::clone(&app.imports).try_acquire_owned() else {
        let detail = "other imports are running; wait until one has ended";
        return Err(Failure::new(ProblemKind::RateLimited, detail).retry_after("5"));
    };
    let (sender, receiver) = mpsc::channel(WAITING);
    let patience = app.body_timeout.0;
    let awaiter = request.extensions().get().cloned();
    let import = Import {
        app,
        caller: Arc::new(caller),
        query,
        counts: ImportCounts::default(),
        told: 0,
        claims: Claims::default(),
        stopped: None,
        awaiter,
        answer: Answer { sender, patience },
    };
    tokio::spawn(import.run(request.into_body(), place));
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

fn is_lines(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson", "application/jsonl"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

/// Nobody reads the answer any more.
struct Gone;

struct Answer {
    sender: mpsc::Sender<Bytes>,
    patience: Duration,
}

impl Answer {
    async fn say(&self, event: &ImportEvent) -> Result<(), Gone> {
        let mut line = serde_json::to_vec(event).unwrap_or_default();
        line.push(b'\n');
        match tokio::time::timeout(self.patience, self.sender.send(line.into())).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// One line, once it is done.
struct Done {
    line: u64,
    slug: Option<String>,
    outcome: Result<Imported, Failed>,
}

/// Why a line has failed.
struct Failed {
    problem: Box<Problem>,
    /// Whether it is nothing that this line is to blame for: every other one would fail so.
    is_final: bool,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { problem: failure.into_problem(), is_final: false }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let is_final = matches!(error, Error::Store(_));
        Self { problem: Failure::from(error).into_problem(), is_final }
    }
}

struct Import {
    app: Arc<App>,
    caller: Arc<Caller>,
    query: ImportQuery,
    counts: ImportCounts,
    /// How many lines had ended when that was last said.
    told: u64,
    /// What the lines so far want.
    claims: Claims,
    /// Why no further line is begun.
    stopped: Option<String>,
    /// Who waits for proxies at the end, if anybody does.
    awaiter: Option<Awaiter>,
    answer: Answer,
}

impl Import {
    async fn run(mut self, body: Body, place: OwnedSemaphorePermit) {
        let (receiver, reader) = lines(body, MAX_LINE_BYTES, self.answer.patience);
        if self.all(receiver).await.is_err() {
            tracing::info!(lines = self.counts.lines, "whoever imported tenants has gone");
            return;
        }
        let revision = self.app.store.status().await.head;
        let applied = match self.awaiter.take() {
            Some(awaiter) => Some(awaiter.wait(&self.app, revision).await),
            None => None,
        };
        let summary = ImportEvent::Summary {
            counts: self.counts,
            dry_run: self.caller.is_rehearsal,
            stopped: self.stopped.take(),
            revision: revision.as_u64(),
            applied,
        };
        if self.answer.say(&summary).await.is_ok() {
            // A client that is cut off while it still sends may never read why.
            let _ = tokio::time::timeout(self.answer.patience, reader).await;
        }
        drop(place);
    }

    async fn all(&mut self, receiver: mpsc::Receiver<Piece>) -> Result<(), Gone> {
        let mut receiver = Some(receiver);
        let mut under_way = FuturesOrdered::new();
        let mut progress = tokio::time::interval(PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = self.app.stopping.clone();
        while receiver.is_some() || !under_way.is_empty() {
            let room = under_way.len() < IN_FLIGHT;
            tokio::select! {
                Some(done) = under_way.next() => {
                    self.ended(done).await?;
                }
                piece = next(&mut receiver), if room => match piece {
                    Some(Piece::Line(line)) => under_way.push_back(self.begun(line)),
                    Some(Piece::Cut(why)) => self.stop(why),
                    None => receiver = None,
                },
                _ = progress.tick() => self.tell().await?,
                () = told(&mut stopping), if self.stopped.is_none() => {
                    self.stop("the control plane is stopping");
                }
            }
            if self.stopped.is_some() {
                receiver = None;
            }
        }
        Ok(())
    }

    fn stop(&mut self, why: &str) {
        self.stopped.get_or_insert_with(|| why.to_owned());
    }

    async fn tell(&mut self) -> Result<(), Gone> {
        if self.counts.lines == self.told {
            return Ok(());
        }
        self.told = self.counts.lines;
        self.answer.say(&ImportEvent::Progress { counts: self.counts }).await
    }

    /// What will come of a line. Lines are told of in the order in which they came.
    fn begun(&mut self, line: Line) -> impl Future<Output = Done> + use<> {
        let number = line.number;
        let (slug, tenant) = match self.read(&line) {
            Ok(tenant) => (Some(tenant.spec.slug.to_string()), Ok(tenant)),
            Err((slug, failed)) => (slug, Err(failed)),
        };
        let on_conflict = match self.query.on_conflict {
            ConflictAction::Fail => OnConflict::Fail,
            ConflictAction::Skip => OnConflict::Skip,
            ConflictAction::Update => OnConflict::Update,
        };
        let (app, caller) = (Arc::clone(&self.app), Arc::clone(&self.caller));
        let dry_run = self.caller.is_rehearsal;
        // On its way at once, whether or not anybody asks what has come of it.
        let task: JoinHandle<Result<Imported, Failed>> = tokio::spawn(async move {
            let tenant = tenant?;
            let imported = app.tenancy.import_tenant(&caller, &tenant, on_conflict, dry_run).await;
            drop(line);
            Ok(imported?)
        });
        async move {
            let outcome = task.await.unwrap_or_else(|_| Err(Failure::internal().into()));
            Done { line: number, slug, outcome }
        }
    }

    /// The tenant of a line; if there is none, its slug as far as that can be seen.
    fn read(&mut self, line: &Line) -> Result<ImportTenant, (Option<String>, Failed)> {
        let nameless = |failure: Failure| (None, Failed::from(failure));
        let Some(text) = &line.text else {
            let detail = format!("a line is at most {MAX_LINE_BYTES} bytes long");
            return Err(nameless(Failure::new(ProblemKind::TooLarge, detail)));
        };
        let document: Map<String, Value> = parse(text).map_err(nameless)?;
        let slug = document.get("slug").and_then(Value::as_str).map(str::to_owned);
        let tenant = match tenant(document) {
            Ok(tenant) => tenant,
            Err(failure) => return Err((slug, failure.into())),
        };
        if self.claims.is_full() {
            self.stop("this import has more names than one may have; send the rest in another one");
        }
        match self.claims.take(&tenant) {
            Ok(()) => Ok(tenant),
            Err(failure) => Err((slug, failure.into())),
        }
    }

    async fn ended(&mut self, done: Done) -> Result<(), Gone> {
        let Done { line, slug, outcome } = done;
        self.counts.lines += 1;
        let counts = &mut self.counts;
        let count = match &outcome {
            Ok(Imported::Created) => &mut counts.created,
            Ok(Imported::Updated) => &mut counts.updated,
            Ok(Imported::Unchanged) => &mut counts.unchanged,
            Ok(Imported::Skipped) => &mut counts.skipped,
            Err(_) => &mut counts.failed,
        };
        *count += 1;
        let Err(failed) = outcome else { return Ok(()) };
        if failed.is_final {
            self.stop(&failed.problem.detail);
        } else if self.query.stop_on_error {
            self.stop(&format!("line {line} has failed"));
        }
        self.answer.say(&ImportEvent::Error { line, slug, problem: failed.problem }).await
    }
}

/// Waits until the process is to stop.
async fn told(stopping: &mut watch::Receiver<bool>) {
    // An error means that whoever would say so is gone, which says the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// The next piece; none at the end.
async fn next(receiver: &mut Option<mpsc::Receiver<Piece>>) -> Option<Piece> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// What a line says.
fn tenant(mut document: Map<String, Value>) -> Result<ImportTenant, Failure> {
    let digest = match document.get_mut("key") {
        Some(Value::Object(key)) => Some(key.remove("digest").unwrap_or(Value::Null)),
        _ => None,
    };
    let CreateTenant { spec, start } = CreateTenant::parse(document).map_err(misplaced)?;
    let key = match (start.key, digest) {
        (Some(key), Some(digest)) => {
            let why = "give the SHA-256 of the key's whole text: 64 lower-case hexadecimal digits";
            let digest = merge::parse(digest);
            Some((
                key,
                digest.map_err(|_| Failure::new(ProblemKind::Invalid, why).at("/key/digest"))?,
            ))
        }
        _ => None,
    };
    let invitation = start.admin.map(first_admin).transpose()?;
    let state = start.state.unwrap_or_default().into();
    Ok(ImportTenant { spec, domains: start.domains, state, key, invitation })
}
