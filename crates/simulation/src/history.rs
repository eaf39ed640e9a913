//! What is stored: commits with revisions, as far back as they are kept.

use std::collections::BTreeMap;

use tenantry_distribution::{
    Change, Epoch, Ledger, ResourceJson, ResourceName, Revision, StateHash,
};

use crate::random::Random;

/// Resources by name, each as its JSON.
pub(crate) type State = BTreeMap<ResourceName, ResourceJson>;

/// How far revisions jump when an older state is restored.
const GAP: u64 = 1 << 32;
/// Kinds that are drawn from; the last is one that no build knows.
const KINDS: [&str; 4] = ["tenant", "domain", "plan", "unheard-of"];
/// A resource that is never removed: a proxy keeps what it has rather than lose all of its tenants.
const KEPT: (&str, &str) = ("tenant", "kept");

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) revision: Revision,
    pub(crate) changes: Vec<Change>,
}

#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) epoch: Epoch,
    /// The oldest state that is kept.
    base: (Revision, State),
    commits: Vec<Commit>,
    state: State,
}

impl History {
    pub(crate) fn new(epoch: Epoch) -> Self {
        let base = (Revision::new(0), State::new());
        let mut history = Self { epoch, base, commits: Vec::new(), state: State::new() };
        history.commit(vec![change(KEPT.0, KEPT.1, Some("{}"))]);
        history
    }

    pub(crate) fn head(&self) -> Revision {
        self.commits.last().map_or(self.base.0, |commit| commit.revision)
    }

    pub(crate) fn oldest(&self) -> Revision {
        self.base.0
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn commit(&mut self, changes: Vec<Change>) -> Revision {
        let revision = self.head().next();
        apply(&mut self.state, &changes);
        self.commits.push(Commit { revision, changes });
        revision
    }

    /// What was committed after a revision; none if it is not kept.
    pub(crate) fn after(&self, revision: Revision) -> Option<&[Commit]> {
        let start = self.commits.partition_point(|commit| commit.revision <= revision);
        (revision >= self.oldest()).then(|| self.commits.get(start..).unwrap_or_default())
    }

    /// The state at a revision; none if it is not kept.
    pub(crate) fn at(&self, revision: Revision) -> Option<State> {
        if revision < self.oldest() {
            return None;
        }
        let mut state = self.base.1.clone();
        let until = self.commits.iter().take_while(|commit| commit.revision <= revision);
        until.for_each(|commit| apply(&mut state, &commit.changes));
        Some(state)
    }

    /// Forgets all but so many commits.
    pub(crate) fn compact(&mut self, keep: usize) {
        let forgotten = self.commits.len().saturating_sub(keep);
        for commit in self.commits.drain(..forgotten) {
            apply(&mut self.base.1, &commit.changes);
            self.base.0 = commit.revision;
        }
    }

    /// Goes back to an earlier state, as a backup does, under another identity and beyond any revision
    /// that was ever given out.
    pub(crate) fn restore(&mut self, epoch: Epoch, lost: usize) {
        let newest = self.head();
        let kept = self.commits.len().saturating_sub(lost).max(1);
        self.commits.truncate(kept);
        self.state = self.at(self.head()).unwrap_or_default();
        self.epoch = epoch;
        self.commits.push(Commit { revision: newest.plus(GAP), changes: Vec::new() });
        self.compact(1);
    }
}

pub(crate) fn apply(state: &mut State, changes: &[Change]) {
    for change in changes {
        let (name, json) = change.clone().into_parts();
        match json {
            Some(json) => state.insert(name, json),
            None => state.remove(&name),
        };
    }
}

pub(crate) fn hash(state: &State) -> StateHash {
    let mut ledger = Ledger::new();
    for (name, json) in state {
        ledger.put(&name.kind, &name.id, json.as_bytes());
    }
    ledger.hash()
}

/// A few random changes, or none that concern proxies.
pub(crate) fn changes(random: &mut Random) -> Vec<Change> {
    let count = random.below(4);
    (0..count).map(|_| any_change(random)).collect()
}

fn any_change(random: &mut Random) -> Change {
    let kind = KINDS.get(random.below(KINDS.len())).copied().unwrap_or_default();
    let id = random.below(8).to_string();
    if random.percent(30) {
        return change(kind, &id, None);
    }
    // A record is often written anew with nothing in it that concerns proxies.
    if random.percent(40) {
        return change(kind, &id, Some("{}"));
    }
    let space = " ".repeat(random.below(3));
    let text = "x".repeat(random.below(200));
    let number = random.below(1_000);
    change(kind, &id, Some(&format!(r#"{{"n":{space}{number},"text":"{text}"}}"#)))
}

fn change(kind: &str, id: &str, json: Option<&str>) -> Change {
    let name = ResourceName { kind: kind.to_owned(), id: id.to_owned() };
    Change::new(name, json.and_then(|json| ResourceJson::from_slice(json.as_bytes()).ok()))
}
