//! What is to be done at some time.
//!
//! Each thing to do is a row whose key begins with when, so that a scan from the start yields what is
//! due, in order. The row is written in the commit that makes the thing due and removed in the commit
//! that does it, so it is done once, whatever process ends when. A row may turn out to be stale (what
//! it speaks of has changed since); whoever handles it then removes it and does nothing else.

use std::str::FromStr;

use tenantry_model::{TenantId, Timestamp};
use tenantry_store::Row;

use crate::{
    Caller, Error, Tenancy,
    draft::{Draft, Operation},
    layout,
    tenancy::damaged,
};

/// How many rows are looked at in one go.
const BATCH: usize = 100;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What is to be done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum DueKind { $($(#[$doc])* $kind,)* }

        impl DueKind {
            const ALL: &[Self] = &[$(Self::$kind,)*];

            fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// The retention of a deleted tenant ends.
    Retention = "retention",
    /// A purge that was begun goes on.
    Purge = "purge",
    /// The reservation of a slug ends.
    Slug = "slug",
    /// A period of a tenant's subscription ends, or its grace.
    Subscription = "subscription",
    /// A named change is forgotten.
    Idempotency = "idempotency",
    /// A lease of room ends.
    Lease = "lease",
    /// A session ends.
    Session = "session",
    /// An invitation ends.
    Invitation = "invitation",
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) kind: DueKind,
    /// Of what; how it is written depends on the kind.
    pub(crate) id: String,
}

impl Due {
    pub(crate) fn new(at: Timestamp, kind: DueKind, id: impl ToString) -> Self {
        Self { at, kind, id: id.to_string() }
    }

    pub(crate) fn key(&self) -> String {
        layout::due(self.at, self.kind.as_str(), &self.id)
    }

    fn of(row: &Row) -> Option<Self> {
        let key = std::str::from_utf8(&row.key).ok()?.strip_prefix(layout::DUE)?;
        let (at, rest) = key.split_once('/')?;
        let (kind, id) = rest.split_once('/')?;
        let kind = DueKind::ALL.iter().copied().find(|known| known.as_str() == kind)?;
        let at = Timestamp::from_unix_ms(u64::from_str(at).ok()?);
        Some(Self { at, kind, id: id.to_owned() })
    }

    /// The identifier, if it is of this type.
    fn id<T: FromStr>(&self) -> Result<T, Error> {
        self.id.parse().map_err(|_| damaged(self.key().as_bytes()))
    }
}

impl<T> Draft<T> {
    /// This becomes due. What was taken away in the same draft, and is due again at the same instant, stays.
    pub(crate) fn due(mut self, due: &Due) -> Self {
        let key = due.key();
        self.batch.ops.retain(|op| op.key().as_ref() != key.as_bytes());
        self.put(key, Vec::new())
    }

    /// This is done, or need not be done any more.
    pub(crate) fn not_due(self, due: &Due) -> Self {
        self.delete(due.key())
    }
}

/// What came of doing what was due.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// How many things were done.
    pub done: usize,
    /// What could not be done, by its row; it is tried again the next time.
    pub failed: Vec<(String, Error)>,
}

impl Tenancy {
    /// Does everything that is due now. Whatever could not be done does not keep the rest from it.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn reconcile(&self) -> Result<Reconciled, Error> {
        let mut outcome = Reconciled::default();
        loop {
            let Reconciled { done, failed } = self.reconcile_once().await?;
            outcome.done += done;
            outcome.failed = failed;
            // What was done may have made something else due: a period that ended long ago is followed
            // by one that has ended, too.
            if done == 0 {
                return Ok(outcome);
            }
        }
    }

    async fn reconcile_once(&self) -> Result<Reconciled, Error> {
        let mut outcome = Reconciled::default();
        let mut cursor = None;
        loop {
            let page = self.store.scan(layout::DUE.as_bytes(), cursor, BATCH).await?;
            for row in &page.rows {
                let due = Due::of(row).ok_or_else(|| damaged(&row.key))?;
                if due.at > self.now() {
                    return Ok(outcome);
                }
                match self.fall_due(&due).await {
                    Ok(()) => outcome.done += 1,
                    // Done by somebody else meanwhile.
                    Err(_) if self.store.get(&row.key, None).await?.1.is_none() => {}
                    Err(error) => outcome.failed.push((due.key(), error)),
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(outcome),
            }
        }
    }

    async fn fall_due(&self, due: &Due) -> Result<(), Error> {
        let caller = Caller::system();
        match due.kind {
            DueKind::Slug => self.end_reservation(&caller, due.id()?, due).await,
            DueKind::Idempotency => self.forget_named(&caller, due).await,
            DueKind::Subscription => self.end_period(&caller, due.id::<TenantId>()?, due).await,
            DueKind::Invitation => self.end_invitation(&caller, due.id()?, due).await,
            DueKind::Session => self.sweep_session(&caller, due.id()?, due).await,
            DueKind::Lease => self.end_lease(&caller, due.id()?, due).await,
            DueKind::Retention => self.end_retention(&caller, due.id::<TenantId>()?, due).await,
            DueKind::Purge => self.go_on_purging(&caller, due.id::<TenantId>()?).await.map(drop),
        }
    }

    /// Forgets a row that has nothing to say any more.
    pub(crate) async fn forget(&self, caller: &Caller, due: &Due) -> Result<(), Error> {
        self.run(caller, &Forget { due }).await.map(drop)
    }
}

struct Forget<'a> {
    due: &'a Due,
}

impl Operation for Forget<'_> {
    type Output = ();

    async fn draft(&self, _: &Tenancy) -> Result<Draft<()>, Error> {
        Ok(Draft::quiet(()).not_due(self.due))
    }
}
