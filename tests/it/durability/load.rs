//! Writers that do real things to tenants of their own, and remember what they were told.

use std::collections::BTreeSet;

use serde_json::json;
use tenantry_api::{Client, ClientError, CreateApiKey, CreateTenant, DeleteTenantQuery, Problem};
use tenantry_test_support::{ControlPlane, json as body};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinSet,
};

const WRITERS: usize = 4;
/// Tenants that are deleted without a word on their retention are purged at once.
pub(super) const NO_RETENTION: (&str, &str) = ("RETENTION_DAYS", "0");

/// What is done to a tenant, in this order. Each is one operation: one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Rename,
    AddKey,
    Suspend,
    Resume,
    Delete,
    Undelete,
    /// Deleted for as long as [`NO_RETENTION`] says: the reconciler is to purge it, in commits of its own.
    Discard,
}

const SCRIPT: [Step; 8] = [
    Step::Create,
    Step::Rename,
    Step::AddKey,
    Step::Suspend,
    Step::Resume,
    Step::Delete,
    Step::Undelete,
    Step::Discard,
];

/// Everything that a tenant is after some steps; what is to be seen of it must be this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) state: String,
    pub(super) name: String,
    pub(super) keys: BTreeSet<String>,
    /// What the audit log says, oldest first.
    pub(super) audit: Vec<String>,
}

/// A tenant, and how far its writer knows it to be.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) slug: String,
    script: &'static [Step],
    /// So many steps were acknowledged.
    pub(super) done: usize,
    /// One more was sent, and not answered.
    pub(super) in_doubt: bool,
    /// Whether something was done to it since it was looked at last.
    pub(super) touched: bool,
}

#[derive(Debug)]
pub(super) struct Writer {
    name: usize,
    pub(super) tenants: Vec<Tenant>,
}

impl Tenant {
    fn new(slug: String, script: &'static [Step]) -> Self {
        Self { slug, script, done: 0, in_doubt: false, touched: false }
    }

    /// What it must be; none if it must not be there at all.
    pub(super) fn view(&self, done: usize) -> Option<View> {
        let steps = &self.script[..done];
        steps.iter().fold(None, |view, step| Some(step.applied(view.unwrap_or_default())))
    }

    /// How far it may be: what was acknowledged, and what was not answered.
    pub(super) fn possible(&self) -> std::ops::RangeInclusive<usize> {
        self.done..=self.done + usize::from(self.in_doubt)
    }

    async fn proceed(&mut self, api: &Client) -> Result<(), ClientError> {
        (self.in_doubt, self.touched) = (true, true);
        self.script[self.done].take(api, &self.slug).await?;
        (self.in_doubt, self.done) = (false, self.done + 1);
        Ok(())
    }
}

impl Step {
    async fn take(self, api: &Client, slug: &str) -> Result<(), ClientError> {
        let tenants = api.tenants();
        match self {
            Self::Create => {
                let domains = [format!("{slug}.example"), format!("*.{slug}.example")];
                let tenant: CreateTenant =
                    body(json!({"slug": slug, "name": "made", "plan": "pro",
                    "domains": domains, "key": {"name": "first"}}));
                tenants.create(&tenant).await.map(drop)
            }
            Self::Rename => tenants.patch(slug, &json!({"name": "renamed"}), None).await.map(drop),
            Self::AddKey => {
                let key: CreateApiKey = body(json!({"name": "second"}));
                api.keys(slug).create(&key).await.map(drop)
            }
            Self::Suspend => tenants.suspend(slug, "unpaid").await.map(drop),
            Self::Resume => tenants.resume(slug).await.map(drop),
            Self::Delete => {
                let query = DeleteTenantQuery { retention_days: Some(7) };
                tenants.delete(slug, &query, None).await.map(drop)
            }
            Self::Undelete => tenants.undelete(slug).await.map(drop),
            Self::Discard => {
                tenants.delete(slug, &DeleteTenantQuery::default(), None).await.map(drop)
            }
        }
    }

    fn applied(self, mut view: View) -> View {
        let (state, audit) = match self {
            Self::Create => ("active", "tenant.create"),
            Self::Rename => ("active", "tenant.update"),
            Self::AddKey => ("active", "key.create"),
            Self::Suspend => ("suspended", "tenant.suspend"),
            Self::Resume => ("active", "tenant.resume"),
            Self::Delete => ("deleting", "tenant.delete"),
            Self::Undelete => ("active", "tenant.undelete"),
            Self::Discard => ("purged", "tenant.delete"),
        };
        state.clone_into(&mut view.state);
        view.audit.push(audit.to_owned());
        match self {
            Self::Create => {
                "made".clone_into(&mut view.name);
                view.keys.insert("first".to_owned());
            }
            Self::Rename => "renamed".clone_into(&mut view.name),
            Self::AddKey => drop(view.keys.insert("second".to_owned())),
            _ => {}
        }
        view
    }
}

impl Writer {
    /// The writers of one test.
    pub(super) fn all() -> Vec<Self> {
        (0..WRITERS).map(|name| Self { name, tenants: Vec::new() }).collect()
    }

    /// What every tenant needs.
    pub(super) async fn prepare(api: &Client) {
        api.plans().create(&body(json!({"id": "pro", "name": "Pro"}))).await.unwrap();
    }

    /// Works until it is refused, or not answered; returns what it was refused with.
    async fn work(&mut self, api: &Client, acknowledged: &UnboundedSender<()>) -> Option<Problem> {
        loop {
            match self.current().proceed(api).await {
                // Nobody counts any more once enough was acknowledged.
                Ok(()) => drop(acknowledged.send(())),
                Err(ClientError::Problem(problem)) => return Some(*problem),
                Err(_) => return None,
            }
        }
    }

    /// The tenant that is worked on: the last one, until its script is over.
    fn current(&mut self) -> &mut Tenant {
        if self.tenants.last().is_none_or(|tenant| tenant.done == tenant.script.len()) {
            let number = self.tenants.len();
            // Some stay, so that there is more and more to recover.
            let script =
                if number.is_multiple_of(2) { &SCRIPT[..] } else { &SCRIPT[..SCRIPT.len() - 1] };
            self.tenants.push(Tenant::new(format!("w{}-{number}", self.name), script));
        }
        self.tenants.last_mut().unwrap()
    }
}

/// Lets all writers work, each on connections of its own, until so much was acknowledged; then strikes,
/// waits until each has noticed, and returns what they were refused with.
pub(super) async fn work_until(
    control_plane: &mut ControlPlane,
    writers: &mut Vec<Writer>,
    enough: usize,
    strike: impl AsyncFnOnce(&mut ControlPlane),
) -> Vec<Problem> {
    let (acknowledged, mut count) = unbounded_channel();
    let mut working = JoinSet::new();
    for mut writer in writers.drain(..) {
        let (api, acknowledged) = (control_plane.api(), acknowledged.clone());
        working.spawn(async move {
            let problem = writer.work(&api, &acknowledged).await;
            (writer, problem)
        });
    }
    drop(acknowledged);
    for _ in 0..enough {
        count.recv().await.unwrap();
    }
    strike(control_plane).await;
    let mut problems = Vec::new();
    while let Some(ended) = working.join_next().await {
        let (writer, problem) = ended.unwrap();
        writers.push(writer);
        problems.extend(problem);
    }
    problems
}
