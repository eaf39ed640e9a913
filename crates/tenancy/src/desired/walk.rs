//! Changes, drafted one on top of the other, and committed in chunks.

use std::{collections::BTreeSet, sync::Arc};

use tenantry_model::{
    DomainPattern, KeyDigest, KeySpec, Resource, ResourceKind, ResourceRef, TenantState,
};
use tenantry_store::{CommitError, Revision, Store};

use super::{
    declared::{Declared, DeclaredTenant, within},
    overlay::{Chunk, Overlay, StagedRecord},
    undo::Undo,
};
use crate::{
    Caller, Error, NewTenant, StoreFault, Tenancy, TenantRef, Transition, Versioned, audit,
    draft::Draft, layout,
};

/// Commits when it has to, or only counts how often it would have to.
pub(super) struct Walk<'t> {
    tenancy: &'t Tenancy,
    caller: &'t Caller,
    overlay: Arc<Overlay>,
    staged: Tenancy,
    pub(super) chunk: Chunk,
    /// How many came before that one.
    pub(super) chunks: usize,
    pub(super) commits: bool,
    /// What is gone back to, for the audit log.
    pub(super) rollback_to: Option<Revision>,
}

impl<'t> Walk<'t> {
    pub(super) fn new(tenancy: &'t Tenancy, caller: &'t Caller, commits: bool) -> Self {
        let (overlay, staged) = fresh(tenancy);
        let chunk = Chunk::default();
        let rollback_to = None;
        Self { tenancy, caller, overlay, staged, chunk, chunks: 0, commits, rollback_to }
    }

    /// The resources that were drafted: each as it will be, or nothing where it will be gone.
    pub(super) fn resources(&self) -> Result<Vec<(ResourceRef, Option<Resource>)>, Error> {
        self.overlay.resources()
    }

    /// The same as they will be stored.
    pub(super) fn records(&self) -> Vec<StagedRecord> {
        self.overlay.records()
    }

    /// Takes from a tenant the domains that it is not meant to have.
    pub(super) async fn leave(&mut self, tenant: &DeclaredTenant) -> Result<(), Error> {
        let slug = TenantRef::Slug(tenant.spec.slug.clone());
        let Some(domains) = &tenant.domains else { return Ok(()) };
        let domains: BTreeSet<_> = domains.iter().collect();
        for host in self.tenancy.hosts(&slug).await? {
            if !domains.contains(&host) {
                self.step(Step::Leave(&slug, &host)).await?;
            }
        }
        Ok(())
    }

    /// Makes a tenant as it is meant to be; what it is to give up, it has given up before.
    pub(super) async fn tenant(&mut self, tenant: &DeclaredTenant) -> Result<(), Error> {
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
                self.tenancy.hosts(&slug).await?
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

    /// Adds a step to the chunk, or begins another one with it.
    pub(super) async fn step(&mut self, step: Step<'_>) -> Result<(), Error> {
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

    /// Adds what nothing that is drafted looks at, and the audit log says nothing of.
    pub(super) async fn beside(&mut self, draft: &Draft<()>) -> Result<(), Error> {
        if self.chunk.with(&draft.batch).is_none() {
            self.close().await?;
        }
        let grown = self.chunk.with(&draft.batch);
        self.chunk = grown.ok_or_else(|| StoreFault::Limit("one change alone".to_owned()))?;
        Ok(())
    }

    /// A step with its audit entry, and that one's key.
    async fn draft(&self, step: &Step<'_>) -> Result<(String, Draft<()>), Error> {
        let mut draft = step.draft(&self.staged, self.caller).await?;
        let tenancy = self.tenancy;
        self.caller.principal.reaches(draft.entry.as_ref().and_then(|entry| entry.tenant))?;
        let (now, id) = (tenancy.now(), tenancy.identifiers.rising(tenancy.now()));
        if let Some(mut entry) = draft.entry.take() {
            entry.rollback_to = self.rollback_to;
            for (key, value) in audit::rows(id, now, self.caller, &entry)? {
                draft = draft.put(key, value);
            }
        }
        Ok((layout::audit(id), draft))
    }

    /// Ends the chunk.
    pub(super) async fn close(&mut self) -> Result<(), Error> {
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

impl Tenancy {
    /// The domains of a tenant as they are stored; none, if it is not stored.
    pub(super) async fn hosts(&self, tenant: &TenantRef) -> Result<BTreeSet<DomainPattern>, Error> {
        let Some(record) = found(self.tenant(tenant).await)? else { return Ok(BTreeSet::new()) };
        let prefix = layout::owned(Some(record.value.resource.id), ResourceKind::Domain);
        let (mut hosts, mut cursor) = (BTreeSet::new(), None);
        loop {
            let page = self.store.scan(prefix.as_bytes(), cursor, 1000).await?;
            for row in &page.rows {
                let host = row.key.strip_prefix(prefix.as_bytes());
                let host = host.and_then(|host| std::str::from_utf8(host).ok()?.parse().ok());
                hosts.insert(host.ok_or_else(|| crate::tenancy::damaged(&row.key))?);
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(hosts),
            }
        }
    }
}

fn fresh(tenancy: &Tenancy) -> (Arc<Overlay>, Tenancy) {
    let overlay = Arc::new(Overlay::new(Arc::clone(&tenancy.store)));
    let store: Arc<dyn Store> = Arc::<Overlay>::clone(&overlay);
    let staged = tenancy.on(store);
    (overlay, staged)
}

/// What was found; nothing, if there is no such thing.
pub(super) fn found<T>(found: Result<Versioned<T>, Error>) -> Result<Option<Versioned<T>>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One change, which has one audit entry.
pub(super) enum Step<'s> {
    Document(&'s Declared),
    Create(&'s DeclaredTenant),
    Import(&'s NewTenant, Option<&'s (KeySpec, KeyDigest)>),
    Respecify(&'s TenantRef, &'s DeclaredTenant),
    Subscribe(&'s TenantRef, &'s DeclaredTenant),
    Join(&'s TenantRef, usize, &'s DomainPattern),
    Leave(&'s TenantRef, &'s DomainPattern),
    Delete(&'s str),
    Undo(&'s Undo),
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
            Self::Import(tenant, key) => tenancy.draft_imported(caller, tenant, *key).await,
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
            Self::Undo(undo) => undo.draft(tenancy).await,
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
        Declared::Issuer(issuer) => {
            let owner = issuer.tenant.clone().map(TenantRef::Slug);
            if let Some(owner) = &owner {
                let missing = || Error::invalid("/tenant", format!("there is no tenant {owner}"));
                found(tenancy.tenant(owner).await)?.ok_or_else(missing)?;
            }
            match tenancy.draft_issuer(owner.as_ref(), issuer.id, issuer.new_issuer()).await {
                // It was there when this began.
                Err(Error::NotFound { .. }) => Err(Error::ConcurrentChange),
                drafted => drafted,
            }
        }
    }
}
