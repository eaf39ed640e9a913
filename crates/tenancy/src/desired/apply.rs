//! Making things as they are meant to be.

use std::sync::Arc;

use serde_json::Value;
use tenantry_model::{DomainPattern, ResourceKind, TenantState};
use tenantry_store::{CommitError, Store};

use super::{
    Applied, LabelSelector, Wanted,
    declared::{Declared, DeclaredTenant, within},
    fault,
    overlay::{Chunk, Overlay},
    told,
};
use crate::{
    Caller, Error, NewTenant, StoreFault, Tenancy, TenantRef, Transition, Versioned, audit,
    draft::Draft, layout,
};

/// How often everything is decided anew because what was read was changed by others.
const MAX_ATTEMPTS: usize = 8;

/// What is done in one go: each looks at what is there before it decides what is left of it to do.
enum Item<'w> {
    /// A tenant gives up domains. All do this first, since others may be meant to have these.
    Leave(usize, &'w DeclaredTenant),
    Write(usize, &'w Declared),
    Prune(&'w str),
}

/// Commits when it has to, or only counts how often it would have to.
struct Walk<'t> {
    tenancy: &'t Tenancy,
    caller: &'t Caller,
    overlay: Arc<Overlay>,
    staged: Tenancy,
    chunk: Chunk,
    chunks: usize,
    commits: bool,
}

impl Tenancy {
    /// Makes everything as the documents say, and deletes tenants with the label `prune` that no document
    /// is of. A dry run does all but that.
    ///
    /// # Errors
    /// [`Error::Faults`] if a document is at fault: nothing was changed then. After any other error some
    /// of it may have been done, if it does not fit one commit; the same again does the rest.
    pub async fn apply(
        &self,
        caller: &Caller,
        documents: Vec<Value>,
        prune: Option<&LabelSelector>,
        dry_run: bool,
    ) -> Result<Applied, Error> {
        let mut done = Applied { chunks: 0, changes: Vec::new() };
        for _ in 0..MAX_ATTEMPTS {
            match self.try_apply(caller, documents.clone(), prune, dry_run, &mut done).await {
                Err(Error::ConcurrentChange) => {}
                outcome => return outcome.map(|()| done),
            }
        }
        Err(Error::ConcurrentChange)
    }

    async fn try_apply(
        &self,
        caller: &Caller,
        documents: Vec<Value>,
        prune: Option<&LabelSelector>,
        dry_run: bool,
        done: &mut Applied,
    ) -> Result<(), Error> {
        let mut wanted = self.wanted(documents, prune).await?;
        let mut faults = std::mem::take(&mut wanted.faults);
        let mut faulty = std::mem::take(&mut wanted.faulty);
        let mut trial = Walk::new(self, caller, false);
        for item in items(&wanted) {
            if item.needs().any(|need| faulty.contains(&need)) {
                continue;
            }
            if let Err(error) = trial.done(&item).await {
                faults.push(item.fault(error)?);
                faulty.extend(item.name());
            }
        }
        told(faults)?;
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

impl<'t> Walk<'t> {
    fn new(tenancy: &'t Tenancy, caller: &'t Caller, commits: bool) -> Self {
        let (overlay, staged) = fresh(tenancy);
        let chunk = Chunk::default();
        Self { tenancy, caller, overlay, staged, chunk, chunks: 0, commits }
    }

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

    async fn leave(&mut self, tenant: &DeclaredTenant) -> Result<(), Error> {
        let slug = TenantRef::Slug(tenant.spec.slug.clone());
        let Some(domains) = &tenant.domains else { return Ok(()) };
        for host in self.hosts(&slug).await? {
            if !domains.contains(&host) {
                self.step(Step::Leave(&slug, &host)).await?;
            }
        }
        Ok(())
    }

    async fn tenant(&mut self, tenant: &DeclaredTenant) -> Result<(), Error> {
        let slug = TenantRef::Slug(tenant.spec.slug.clone());
        let declared = tenant.domains.as_deref().unwrap_or_default();
        let found = found(self.staged.tenant(&slug).await)?;
        let owned = match &found {
            None => {
                self.step(Step::Create(tenant)).await?;
                declared.iter().take(NewTenant::MAX_DOMAINS).cloned().collect()
            }
            Some(record) => {
                // One that is deleted says so, whatever would be changed of it.
                let is_deleted = record.value.resource.state == TenantState::Deleting;
                if record.value.spec() != tenant.spec || is_deleted {
                    self.step(Step::Respecify(&slug, tenant)).await?;
                }
                self.hosts(&slug).await?
            }
        };
        for (index, host) in declared.iter().enumerate() {
            if !owned.contains(host) {
                self.step(Step::Join(&slug, index, host)).await?;
            }
        }
        let Some(terms) = &tenant.subscription else { return Ok(()) };
        let current = found.and_then(|record| record.value.subscription);
        let is_same = current.is_some_and(|current| {
            (current.period, Some(current.anchor), current.auto_renew, current.grace_days)
                == (terms.period, terms.anchor, terms.auto_renew, terms.grace_days)
        });
        if is_same { Ok(()) } else { self.step(Step::Subscribe(&slug, tenant)).await }
    }

    /// The domains of a tenant as they are stored; none, if it is not stored.
    async fn hosts(&self, slug: &TenantRef) -> Result<Vec<DomainPattern>, Error> {
        let Some(record) = found(self.tenancy.tenant(slug).await)? else { return Ok(Vec::new()) };
        let prefix = layout::owned(Some(record.value.resource.id), ResourceKind::Domain);
        let (mut hosts, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.tenancy.store.scan(prefix.as_bytes(), cursor, 1000).await?;
            for row in &page.rows {
                let host = row.key.strip_prefix(prefix.as_bytes());
                let host = host.and_then(|host| std::str::from_utf8(host).ok()?.parse().ok());
                hosts.push(host.ok_or_else(|| crate::tenancy::damaged(&row.key))?);
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(hosts),
            }
        }
    }

    /// Adds a step to the chunk, or begins another one with it.
    async fn step(&mut self, step: Step<'_>) -> Result<(), Error> {
        let draft = self.draft(&step).await?;
        if let Some(grown) = self.chunk.with(&draft.1.batch) {
            return self.staged(grown, draft).await;
        }
        if self.chunk.is_empty() {
            return Err(StoreFault::Limit("one change alone".to_owned()).into());
        }
        self.close().await?;
        let draft = if self.commits { self.draft(&step).await? } else { draft };
        match self.chunk.with(&draft.1.batch) {
            Some(grown) => self.staged(grown, draft).await,
            None => Err(StoreFault::Limit("one change alone".to_owned()).into()),
        }
    }

    async fn staged(
        &mut self,
        grown: Chunk,
        (proof, draft): (String, Draft<()>),
    ) -> Result<(), Error> {
        self.overlay.stage(&draft).await?;
        self.chunk = grown;
        self.chunk.proof.get_or_insert(proof);
        Ok(())
    }

    /// A step with its audit entry, and that one's key.
    async fn draft(&self, step: &Step<'_>) -> Result<(String, Draft<()>), Error> {
        let mut draft = step.draft(&self.staged, self.caller).await?;
        let tenancy = self.tenancy;
        self.caller.principal.reaches(draft.entry.as_ref().and_then(|entry| entry.tenant))?;
        let (now, id) = (tenancy.now(), tenancy.identifiers.rising(tenancy.now()));
        if let Some(entry) = draft.entry.take() {
            for (key, value) in audit::rows(id, now, self.caller, &entry)? {
                draft = draft.put(key, value);
            }
        }
        Ok((layout::audit(id), draft))
    }

    /// Ends the chunk.
    async fn close(&mut self) -> Result<(), Error> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        if !self.commits {
            self.chunks += 1;
            return Ok(());
        }
        match self.tenancy.store.commit(chunk.batch()).await {
            Ok(_) => {}
            Err(CommitError::Conflict { .. }) => return Err(Error::ConcurrentChange),
            Err(CommitError::Unknown) => self.settle(chunk.proof.as_deref()).await?,
            Err(error) => return Err(StoreFault::from(error).into()),
        }
        self.chunks += 1;
        (self.overlay, self.staged) = fresh(self.tenancy);
        Ok(())
    }

    /// Finds out whether a chunk was committed: if so, its audit entries are there.
    async fn settle(&self, proof: Option<&str>) -> Result<(), Error> {
        let key = proof.unwrap_or_default();
        match self.tenancy.store.get(key.as_bytes(), None).await {
            Ok((_, Some(_))) => Ok(()),
            Ok((_, None)) | Err(_) => Err(StoreFault::Unknown.into()),
        }
    }
}

fn fresh(tenancy: &Tenancy) -> (Arc<Overlay>, Tenancy) {
    let overlay = Arc::new(Overlay::new(Arc::clone(&tenancy.store)));
    let store: Arc<dyn Store> = Arc::<Overlay>::clone(&overlay);
    let staged = tenancy.on(store);
    (overlay, staged)
}

fn found<T>(found: Result<Versioned<T>, Error>) -> Result<Option<Versioned<T>>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One change, which has one audit entry.
enum Step<'s> {
    Document(&'s Declared),
    Create(&'s DeclaredTenant),
    Respecify(&'s TenantRef, &'s DeclaredTenant),
    Subscribe(&'s TenantRef, &'s DeclaredTenant),
    Join(&'s TenantRef, usize, &'s DomainPattern),
    Leave(&'s TenantRef, &'s DomainPattern),
    Delete(&'s str),
}

impl Step<'_> {
    async fn draft(&self, tenancy: &Tenancy, caller: &Caller) -> Result<Draft<()>, Error> {
        match self {
            Self::Document(declared) => document(tenancy, declared).await,
            Self::Create(tenant) => {
                let domains = tenant.domains.iter().flatten().take(NewTenant::MAX_DOMAINS);
                let domains = domains.cloned().collect();
                let (spec, state) = (tenant.spec.clone(), TenantState::Active);
                let (key, invitation) = (None, None);
                let tenant = NewTenant { spec, domains, state, key, invitation };
                tenancy.draft_tenant(caller, tenant).await
            }
            Self::Respecify(slug, tenant) => tenancy.draft_respecified(slug, &tenant.spec).await,
            Self::Subscribe(slug, tenant) => {
                let Some(terms) = &tenant.subscription else { return Ok(Draft::quiet(())) };
                let drafted = tenancy.draft_subscribed(slug, &terms.spec()).await;
                drafted.map_err(|error| within("subscription", error))
            }
            Self::Join(slug, index, host) => {
                let pointer = format!("/domains/{index}");
                tenancy.draft_added_domain(slug, (*host).clone(), pointer).await
            }
            Self::Leave(slug, host) => tenancy.draft_removed_domain(slug, host).await,
            Self::Delete(slug) => {
                let transition = Transition::Delete { retention_days: None };
                tenancy.draft_moved(&slug.parse()?, &transition).await
            }
        }
    }
}

async fn document(tenancy: &Tenancy, declared: &Declared) -> Result<Draft<()>, Error> {
    match declared {
        Declared::Feature(feature) => tenancy.draft_written(feature).await,
        Declared::Plan(plan) => tenancy.draft_written(plan).await,
        Declared::Group(group) => tenancy.draft_written(group).await,
        Declared::Upstream(upstream) => tenancy.draft_written(upstream.as_ref()).await,
        Declared::Route(route) => {
            let Some(slug) = &route.tenant else {
                return tenancy.draft_written(&route.of(None)).await;
            };
            let tenant = found(tenancy.tenant(&TenantRef::Slug(slug.clone())).await)?;
            let missing = || Error::invalid("/tenant", format!("there is no tenant {slug}"));
            let tenant = tenant.ok_or_else(missing)?.value.resource.id;
            tenancy.draft_written(&route.of(Some(tenant))).await
        }
        // A tenant is more than one step.
        Declared::Tenant(_) => Ok(Draft::quiet(())),
    }
}
