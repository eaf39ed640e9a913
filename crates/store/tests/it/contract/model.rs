//! Random operations against a map that is copied at every revision.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tenantry_store::{
    Batch, Change, Check, CommitError, Cursor, Op, ReadError, Revision, Row, Store,
};

use super::{Backend, batch, commits, scan};

#[derive(Clone, Debug)]
enum Step {
    Commit { checks: Vec<ModelCheck>, ops: Vec<(u8, Option<Value>)> },
    Get { key: u8, revision: prop::sample::Index },
    Scan { prefix: u8, limit: usize, revision: prop::sample::Index },
    Compact { revision: prop::sample::Index },
    Reopen,
}

#[derive(Clone, Debug)]
enum ModelCheck {
    /// The revision is the true one, or the one before it.
    Unchanged {
        key: u8,
        is_true: bool,
    },
    NoneUnder {
        prefix: u8,
    },
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Short(u8),
    /// Long enough to be kept in parts.
    Long(u8),
}

type State = BTreeMap<Vec<u8>, Row>;

struct Model {
    states: BTreeMap<Revision, State>,
    log: Vec<(Revision, Vec<Change>)>,
    oldest: Revision,
}

pub(crate) fn check<B: Backend>() {
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let steps = prop::collection::vec(step(), 1..40);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run::<B>(steps))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        4 => any::<u8>().prop_map(Value::Short),
        1 => any::<u8>().prop_map(Value::Long),
    ];
    let check = prop_oneof![
        3 => (any::<u8>(), prop::bool::weighted(0.8))
            .prop_map(|(key, is_true)| ModelCheck::Unchanged { key, is_true }),
        1 => any::<u8>().prop_map(|prefix| ModelCheck::NoneUnder { prefix }),
    ];
    let op = (any::<u8>(), prop::option::weighted(0.6, value));
    let checks = prop::collection::vec(check, 0..2);
    let revision = any::<prop::sample::Index>;
    prop_oneof![
        12 => (checks, prop::collection::vec(op, 0..5))
            .prop_map(|(checks, ops)| Step::Commit { checks, ops }),
        4 => (any::<u8>(), revision()).prop_map(|(key, revision)| Step::Get { key, revision }),
        4 => (any::<u8>(), 1..6_usize, revision())
            .prop_map(|(prefix, limit, revision)| Step::Scan { prefix, limit, revision }),
        1 => revision().prop_map(|revision| Step::Compact { revision }),
        1 => Just(Step::Reopen),
    ]
}

async fn run<B: Backend>(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut backend = B::open().await;
    let mut model = Model {
        states: BTreeMap::from([(Revision::ZERO, State::new())]),
        log: Vec::new(),
        oldest: Revision::ZERO,
    };
    for step in steps {
        match step {
            Step::Reopen => backend.reopen().await,
            step => model.take(&*backend.store(), step).await?,
        }
    }
    model.compare(&*backend.store()).await
}

impl Model {
    async fn take(&mut self, store: &dyn Store, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Commit { checks, ops } => self.commit(store, &checks, ops).await,
            Step::Get { key, revision } => {
                let (key, at) = (key_of(key), self.pick(revision));
                let expected = self.at(at).map(|state| (at, state.get(&key).cloned()));
                prop_assert_eq!(store.get(&key, Some(at)).await, expected);
                Ok(())
            }
            Step::Scan { prefix, limit, revision } => {
                self.scan(store, prefix_of(prefix), limit, self.pick(revision)).await
            }
            Step::Compact { revision } => {
                let upto = self.pick(revision);
                let expected = match upto > self.head() {
                    true => Err(ReadError::StoreChanged),
                    false => Ok(()),
                };
                prop_assert_eq!(store.compact(upto).await, expected);
                if expected.is_ok() {
                    self.oldest = self.oldest.max(upto);
                }
                Ok(())
            }
            Step::Reopen => Ok(()),
        }
    }

    async fn commit(
        &mut self,
        store: &dyn Store,
        checks: &[ModelCheck],
        ops: Vec<(u8, Option<Value>)>,
    ) -> Result<(), TestCaseError> {
        let batch = self.batch(checks, ops);
        let failed = batch.checks.iter().find(|check| !self.holds(check));
        let expected = match failed {
            Some(check) => Err(CommitError::Conflict { key: Some(check.subject().clone()) }),
            None => Ok(self.apply(&batch)),
        };
        prop_assert_eq!(store.commit(batch).await, expected);
        Ok(())
    }

    fn batch(&self, checks: &[ModelCheck], ops: Vec<(u8, Option<Value>)>) -> Batch {
        let checked = checks.iter().fold(batch(), |batch, check| match check {
            ModelCheck::NoneUnder { prefix } => batch.none_under(prefix_of(*prefix)),
            ModelCheck::Unchanged { key, is_true } => {
                let mod_rev = self.mod_rev(&key_of(*key)).as_u64();
                let claimed = if *is_true { mod_rev } else { mod_rev.wrapping_sub(1) };
                batch.unchanged(key_of(*key), Revision::new(claimed))
            }
        });
        let unique: BTreeMap<_, _> = ops.into_iter().map(|(key, op)| (key_of(key), op)).collect();
        unique.into_iter().fold(checked, |batch, (key, op)| match op {
            Some(value) => batch.put(key, bytes_of(value)),
            None => batch.delete(key),
        })
    }

    fn holds(&self, check: &Check) -> bool {
        match check {
            Check::Unchanged { key, mod_rev } => self.mod_rev(key) == *mod_rev,
            Check::NoneUnder { prefix } => !self.now().keys().any(|key| key.starts_with(prefix)),
        }
    }

    fn apply(&mut self, batch: &Batch) -> Revision {
        let (revision, mut state) = (self.head().next(), self.now().clone());
        let mut changes = Vec::new();
        for op in &batch.ops {
            match op {
                Op::Put { key, value } => {
                    let (key, value) = (key.clone(), value.clone());
                    let row = Row { key: key.clone(), value, mod_rev: revision };
                    state.insert(key.to_vec(), row.clone());
                    changes.push(Change::Put(row));
                }
                Op::Delete { key } => {
                    let removed = state.remove(key.as_ref());
                    changes.extend(removed.map(|row| Change::Delete(row.key)));
                }
            }
        }
        if !changes.is_empty() {
            self.states.insert(revision, state);
            self.log.push((revision, changes));
        }
        self.head()
    }

    async fn scan(
        &self,
        store: &dyn Store,
        prefix: Vec<u8>,
        limit: usize,
        at: Revision,
    ) -> Result<(), TestCaseError> {
        let id = store.status().await.id;
        let mut cursor = Some(Cursor { store: id, at, after: prefix.clone().into() });
        let expected = self.at(at).map(|state| {
            let rows = state.values();
            // A cursor stands behind its key, so a row named like the prefix is not read.
            let rows = rows.filter(|row| row.key.starts_with(&prefix) && row.key != prefix);
            rows.cloned().collect::<Vec<_>>()
        });
        let mut rows = Ok(Vec::new());
        while let (Some(next), Ok(read)) = (cursor.take(), rows.as_mut()) {
            match store.scan(&prefix, Some(next), limit).await {
                Ok(page) => {
                    prop_assert!(page.rows.len() <= limit);
                    read.extend(page.rows);
                    cursor = page.next;
                }
                Err(error) => rows = Err(error),
            }
        }
        prop_assert_eq!(rows, expected);
        Ok(())
    }

    async fn compare(&self, store: &dyn Store) -> Result<(), TestCaseError> {
        let status = store.status().await;
        prop_assert_eq!((status.oldest, status.head), (self.oldest, self.head()));
        let rows: Vec<_> = self.now().values().cloned().collect();
        prop_assert_eq!(scan(store, "", 3).await, (self.head(), rows));
        let kept = self.log.iter().filter(|commit| commit.0 >= self.oldest);
        let seen = commits(store, "", self.oldest, self.head()).await;
        prop_assert_eq!(seen, kept.cloned().collect::<Vec<_>>());
        Ok(())
    }

    /// A revision around those that are kept: some too old, one too new.
    fn pick(&self, index: prop::sample::Index) -> Revision {
        let choices = self.head().as_u64() + 2;
        Revision::new(index.index(usize::try_from(choices).unwrap()) as u64)
    }

    fn at(&self, at: Revision) -> Result<&State, ReadError> {
        if at > self.head() {
            Err(ReadError::StoreChanged)
        } else if at < self.oldest {
            Err(ReadError::Compacted { oldest: self.oldest })
        } else {
            Ok(&self.states[&at])
        }
    }

    fn now(&self) -> &State {
        &self.states[&self.head()]
    }

    fn mod_rev(&self, key: &[u8]) -> Revision {
        self.now().get(key).map_or(Revision::ZERO, |row| row.mod_rev)
    }

    fn head(&self) -> Revision {
        *self.states.last_key_value().unwrap().0
    }
}

/// Few keys, so that steps meet; some are prefixes of others.
fn key_of(number: u8) -> Vec<u8> {
    let keys: [&[u8]; 8] =
        [b"a", b"a/", b"a/x", b"a/x\x01", b"a/\xff", b"a0", b"\x01", b"\xff\xff"];
    keys[usize::from(number) % keys.len()].to_vec()
}

fn prefix_of(number: u8) -> Vec<u8> {
    let prefixes: [&[u8]; 5] = [b"", b"a", b"a/", b"a/x", b"\xff"];
    prefixes[usize::from(number) % prefixes.len()].to_vec()
}

fn bytes_of(value: Value) -> Vec<u8> {
    match value {
        Value::Short(byte) => vec![byte],
        Value::Long(byte) => vec![byte; 20_000 + usize::from(byte)],
    }
}
