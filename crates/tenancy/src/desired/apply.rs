//! Making things as they are meant to be.

use serde_json::Value;
use tenantry_model::ResourceKind;

use super::{
    Applied, LabelSelector, MassRemoval, Wanted,
    declared::{Declared, DeclaredTenant},
    fault, told,
    walk::{Step, Walk},
};
use crate::{Caller, Error, Tenancy};

/// How often everything is decided anew because what was read was changed by others.
pub(super) const MAX_ATTEMPTS: usize = 8;

/// What is done in one go: each looks at what is there before it decides what is left of it to do.
enum Item<'w> {
    /// A tenant gives up domains. All do this first, since others may be meant to have these.
    Leave(usize, &'w DeclaredTenant),
    Write(usize, &'w Declared),
    Prune(&'w str),
}

impl Tenancy {
    /// Makes everything as the documents say, and deletes tenants with the label `prune` that no document
    /// is of. A dry run does all but that.
    ///
    /// # Errors
    /// [`Error::Faults`] if a document is at fault, [`Error::MassRemoval`]: nothing was changed then. After any other error some
    /// of it may have been done, if it does not fit one commit; the same again does the rest.
    pub async fn apply(
        &self,
        caller: &Caller,
        documents: &[Value],
        prune: Option<&LabelSelector>,
        removal: MassRemoval,
        dry_run: bool,
    ) -> Result<Applied, Error> {
        let mut done = Applied { chunks: 0, changes: Vec::new() };
        for _ in 0..MAX_ATTEMPTS {
            match self.try_apply(caller, (documents, prune, removal), dry_run, &mut done).await {
                Err(Error::ConcurrentChange) => {}
                outcome => return outcome.map(|()| done),
            }
        }
        Err(Error::ConcurrentChange)
    }

    async fn try_apply(
        &self,
        caller: &Caller,
        (documents, prune, removal): (&[Value], Option<&LabelSelector>, MassRemoval),
        dry_run: bool,
        done: &mut Applied,
    ) -> Result<(), Error> {
        let mut wanted = self.wanted(documents, prune).await?;
        let mut trial = self.tried(caller, &mut wanted).await?;
        self.brake(removal, wanted.pruned.len()).await?;
        // What was done before somebody else interfered is no difference any more.
        if done.chunks == 0 {
            done.changes = std::mem::take(&mut wanted.changes);
        }
        let chunks = trial.chunks + usize::from(!trial.chunk.is_empty());
        if dry_run || chunks == 0 {
            done.chunks += chunks;
            return Ok(());
        }
        if chunks == 1 {
            // What was tried is what is committed.
            trial.commits = true;
            trial.close().await?;
            done.chunks += 1;
            return Ok(());
        }
        let mut walk = Walk::new(self, caller, true);
        let outcome = walk.all(&wanted).await;
        done.chunks += walk.chunks;
        outcome
    }
}

impl Tenancy {
    /// All that is wanted, as far as it can be done without committing anything: each step sees what those before it
    /// will have done.
    ///
    /// # Errors
    /// [`Error::Faults`] if a document is at fault.
    pub(super) async fn tried<'t>(
        &'t self,
        caller: &'t Caller,
        wanted: &mut Wanted,
    ) -> Result<Walk<'t>, Error> {
        let mut faults = std::mem::take(&mut wanted.faults);
        let mut faulty = std::mem::take(&mut wanted.faulty);
        let mut trial = Walk::new(self, caller, false);
        for item in items(wanted) {
            if item.needs().any(|need| faulty.contains(&need)) {
                continue;
            }
            if let Err(error) = trial.done(&item).await {
                faults.push(item.fault(error)?);
                faulty.extend(item.name());
            }
        }
        told(faults)?;
        Ok(trial)
    }
}

fn items(wanted: &Wanted) -> Vec<Item<'_>> {
    let leave = wanted.documents.iter().filter_map(|(index, declared)| match declared {
        Declared::Tenant(tenant) => Some(Item::Leave(*index, tenant)),
        _ => None,
    });
    let write = wanted.documents.iter().map(|(index, declared)| Item::Write(*index, declared));
    let prune = wanted.pruned.iter().map(|slug| Item::Prune(slug));
    leave.chain(write).chain(prune).collect()
}

impl Item<'_> {
    fn name(&self) -> Option<super::Name> {
        match self {
            Self::Leave(_, tenant) => Some((ResourceKind::Tenant, tenant.spec.slug.to_string())),
            Self::Write(_, declared) => Some(declared.name()),
            Self::Prune(_) => None,
        }
    }

    fn needs(&self) -> impl Iterator<Item = super::Name> {
        let needs = match self {
            Self::Write(_, declared) => declared.needs(),
            Self::Leave(..) | Self::Prune(_) => Vec::new(),
        };
        needs.into_iter()
    }

    fn fault(&self, error: Error) -> Result<crate::Fault, Error> {
        match self {
            Self::Leave(index, _) | Self::Write(index, _) => {
                fault(*index, self.name().as_ref(), error)
            }
            // What nobody sent cannot be at fault.
            Self::Prune(_) => Err(error),
        }
    }
}

impl Walk<'_> {
    async fn all(&mut self, wanted: &Wanted) -> Result<(), Error> {
        for item in items(wanted) {
            if let Err(error) = self.done(&item).await {
                // It was good when it was tried: somebody else has changed something since.
                return Err(item
                    .fault(error)
                    .map_or_else(|error| error, |_| Error::ConcurrentChange));
            }
        }
        self.close().await
    }

    async fn done(&mut self, item: &Item<'_>) -> Result<(), Error> {
        match item {
            Item::Leave(_, tenant) => self.leave(tenant).await,
            Item::Write(_, Declared::Tenant(tenant)) => self.tenant(tenant).await,
            Item::Write(_, declared) => self.step(Step::Document(declared)).await,
            Item::Prune(slug) => self.step(Step::Delete(slug)).await,
        }
    }
}
