//! A proxy that is nothing but its subscription and a map.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tenantry_distribution::{Change, Refusal, Revision, Traffic, Update, UpdateKind};
use tenantry_model::Timestamp;
use tenantry_subscription::{
    BackoffBounds, BearerToken, Clock, Options, Progress, Standing, Subscription, Target,
};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::soon;

/// Keeps what it is given; refuses every resource that says `"bad"`.
#[derive(Default)]
pub(crate) struct Memory {
    held: Mutex<Held>,
    traffic: Mutex<Option<Traffic>>,
}

#[derive(Default)]
struct Held {
    resources: BTreeMap<(String, String), String>,
    applied: Vec<(UpdateKind, u64)>,
}

impl Memory {
    pub(crate) fn resources(&self) -> BTreeMap<(String, String), String> {
        self.held.lock().unwrap().resources.clone()
    }

    pub(crate) fn applied(&self) -> Vec<(UpdateKind, u64)> {
        self.held.lock().unwrap().applied.clone()
    }
}

impl Memory {
    /// It has answered so much.
    pub(crate) fn answers(&self, traffic: Traffic) {
        *self.traffic.lock().unwrap() = Some(traffic);
    }
}

impl Target for Memory {
    fn traffic(&self) -> Option<Traffic> {
        *self.traffic.lock().unwrap()
    }

    fn apply(&self, update: &Update) -> Vec<Refusal> {
        let mut held = self.held.lock().unwrap();
        held.applied.push((update.kind, update.to.as_u64()));
        if update.kind == UpdateKind::Full {
            held.resources.clear();
        }
        for change in &update.changes {
            let key = (change.kind().to_owned(), change.id().to_owned());
            match change {
                Change::Put { json, .. } => {
                    held.resources.insert(key, json.as_str().to_owned());
                }
                Change::Delete(_) => {
                    held.resources.remove(&key);
                }
                Change::Unknown { .. } => {}
            }
        }
        let bad = held.resources.iter().filter(|(_, json)| json.contains("bad"));
        bad.map(|((kind, id), _)| {
            let (kind, id) = (kind.clone(), id.clone());
            Refusal::new(tenantry_distribution::ResourceName { kind, id }, "it is bad")
        })
        .collect()
    }
}

pub(crate) struct Proxy {
    pub(crate) target: Arc<Memory>,
    pub(crate) progress: Progress,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub(crate) const NOW_UNIX_MS: u64 = 1_700_000_000_000;

pub(crate) fn options(address: SocketAddr) -> Options {
    let token = BearerToken::new("tnt_secret").unwrap();
    let mut options =
        Options::new(&format!("http://{address}"), None, "edge-1".parse().unwrap(), "0.1.0", token)
            .unwrap();
    let (initial, max) = (Duration::from_millis(1), Duration::from_millis(20));
    options.backoff = BackoffBounds { initial, max };
    options.clock = Clock::new(|| Timestamp::from_unix_ms(NOW_UNIX_MS));
    options
}

pub(crate) fn options_with_file(address: SocketAddr, file: &Path) -> Options {
    let mut options = options(address);
    options.file = Some(file.to_owned());
    options
}

impl Proxy {
    pub(crate) fn start(options: Options) -> Self {
        let target = Arc::new(Memory::default());
        let subscription = Subscription::new(options, Arc::clone(&target)).unwrap();
        let progress = subscription.progress();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(subscription.run(async move {
            let _ = stopped.await;
        }));
        Self { target, progress, stop, task }
    }

    pub(crate) async fn until(&mut self, condition: impl FnMut(&Standing) -> bool) -> Standing {
        soon(self.progress.wait_for(condition)).await.unwrap()
    }

    /// Waits until this revision is served.
    pub(crate) async fn at(&mut self, revision: u64) -> Standing {
        self.until(|standing| {
            standing
                .applied
                .is_some_and(|applied| applied.position.revision == Revision::new(revision))
        })
        .await
    }

    /// Stops in order: afterwards the file holds all that was applied.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        soon(self.task).await.unwrap();
    }
}
