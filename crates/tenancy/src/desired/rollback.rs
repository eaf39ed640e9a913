//! Back to what there were documents of at some revision.
//!
//! It is done by the operations that would do it one by one, drafted on top of each other like documents
//! that are applied ([`walk`](super::walk)), and in new revisions: history only ever grows. What is compared
//! are records and not names, so a tenant that was renamed is renamed back, and one that was deleted is
//! brought back with its keys, its people and whatever else it has. What is no document does not go back:
//! keys, people, states, what is used, the audit log. A key that was revoked stays so, and the shared secret of
//! an issuer that is gone is gone.
//!
//! The order is that of documents: what came since gives up the domains that others had, then all that there
//! was is made as it was, and then what came since goes, users before what they use.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tenantry_model::{DomainPattern, Issuer, IssuerId, ResourceKind, Route, TenantId};

use super::{
    Difference, MassRemoval,
    declared::{Declared, Name},
    issuers::DeclaredIssuer,
    past::{Known, State, differences},
    removal::removed,
    told_of,
    undo::{Todo, Undo},
    walk::{Step, Walk},
};
use crate::{
    Caller, Error, Fault, Tenancy, Transition,
    draft::Draft,
    idempotency::{Answer, Known as Remembered, Outdated},
};

/// How often everything is decided anew because what was read was changed by others.
const MAX_ATTEMPTS: usize = 8;
/// The most things that are named because they cannot come back.
const MAX_TOLD: usize = 100;

/// What came of going back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The revision that was gone back to.
    pub to: u64,
    /// In how many commits.
    pub chunks: usize,
    /// What was changed, as documents.
    pub changes: Vec<Difference>,
    /// What came since and is still there, because something needs it that stays.
    pub kept: Vec<Left>,
    /// What was there and could not come back.
    pub lost: Vec<Left>,
}

impl Answer for RolledBack {}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// What it is.
    pub kind: ResourceKind,
    /// Which.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Left {
    fn new((kind, name): Name, reason: impl Into<String>) -> Self {
        Self { kind, name, reason: reason.into() }
    }
}

/// What has to be done.
#[derive(Default)]
struct Plan {
    todo: Vec<Todo>,
    lost: Vec<Left>,
    /// Tenants that are gone for good.
    gone: BTreeSet<TenantId>,
}

/// What came of trying it.
#[derive(Default)]
struct Tried {
    done: Vec<Todo>,
    kept: Vec<Left>,
    lost: Vec<Left>,
}

impl Tenancy {
    /// Makes everything there are documents of what it was at a revision. If something cannot come back,
    /// nothing is done, or, if that is asked for, all that can be.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::RevisionForgotten`]; [`Error::NotRestorable`], [`Error::MassRemoval`]: nothing was
    /// changed then.
    /// After any other error some of it may have been done, if it does not fit one commit; the same again does
    /// the rest.
    pub async fn rollback(
        &self,
        caller: &Caller,
        to: u64,
        is_partial: bool,
        removal: MassRemoval,
    ) -> Result<RolledBack, Error> {
        let mut before: Option<RolledBack> = None;
        for _ in 0..MAX_ATTEMPTS {
            let outdated = match self.known(caller).await? {
                Some(Remembered::Answered(answer)) if !caller.is_rehearsal => {
                    return Ok(answer.value);
                }
                Some(Remembered::Not(outdated)) => outdated,
                _ => Outdated::default(),
            };
            match self.try_rollback(caller, to, (is_partial, removal), outdated, &mut before).await
            {
                Err(Error::ConcurrentChange) => {}
                outcome => return outcome,
            }
        }
        Err(Error::ConcurrentChange)
    }

    async fn try_rollback(
        &self,
        caller: &Caller,
        to: u64,
        (is_partial, removal): (bool, MassRemoval),
        outdated: Outdated,
        before: &mut Option<RolledBack>,
    ) -> Result<RolledBack, Error> {
        let revision = self.kept(to).await?;
        let head = self.store.status().await.head;
        let (mut then, now) = self.both(revision, head).await?;
        self.brake(removal, removed(&now, &then)).await?;
        let Plan { todo, lost, .. } = Plan::of(&then, &now)?;
        let mut trial = Walk::new(self, caller, false);
        trial.rollback_to = Some(revision);
        let mut tried = trial.tried(todo, &now).await?;
        tried.lost.splice(0..0, lost);
        if !tried.lost.is_empty() && !is_partial {
            return Err(not_restorable(&tried.lost));
        }
        let Tried { done, kept, lost } = tried;
        let mut answer = RolledBack {
            to,
            chunks: trial.chunks + usize::from(!trial.chunk.is_empty()),
            changes: changes(&mut then, &now, &kept, &lost)?,
            kept,
            lost,
        };
        if caller.is_rehearsal {
            return Ok(answer);
        }
        // What was done before somebody else interfered was done, too.
        if let Some(before) = before {
            answer.chunks += before.chunks;
            answer.changes.clone_from(&before.changes);
        }
        let named = self.named_by(caller, Draft::quiet(answer.clone()), outdated)?;
        let named = named.answering(drop);
        let (mut walk, steps) = match trial.chunks {
            // What was tried is what is committed.
            0 => (trial, [].as_slice()),
            _ => (Walk::new(self, caller, true), done.as_slice()),
        };
        (walk.commits, walk.rollback_to) = (true, Some(revision));
        walk.finish(steps, &named, before, &answer).await?;
        Ok(answer)
    }
}

impl Walk<'_> {
    /// Finds out what can be done.
    async fn tried(&mut self, todo: Vec<Todo>, now: &State) -> Result<Tried, Error> {
        let mut tried = Tried::default();
        for mut todo in todo {
            let mut outcome = self.step(Step::Undo(&todo.undo)).await;
            // Somebody else has its slug: then all but that comes back.
            if let (Err(Error::SlugTaken(slug)), Undo::Respecify(tenant, spec)) =
                (&outcome, &mut todo.undo)
                && let Some(known) = now.tenants.get(tenant)
            {
                let reason = Error::SlugTaken(slug.clone()).to_string();
                tried.lost.push(Left::new(todo.name.clone(), reason));
                spec.slug = known.record.resource.slug.clone();
                outcome = self.step(Step::Undo(&todo.undo)).await;
            }
            match outcome {
                Ok(()) => tried.done.push(todo),
                Err(error) => {
                    let is_needed = matches!(error, Error::InUse { .. });
                    let (_, reason) = told_of(error)?;
                    let left = Left::new(todo.name, reason);
                    let is_kept = is_needed && todo.undo.is_removal();
                    if is_kept { &mut tried.kept } else { &mut tried.lost }.push(left);
                }
            }
        }
        Ok(tried)
    }

    /// Does what was found possible, and writes down under which name it was asked for.
    async fn finish(
        mut self,
        steps: &[Todo],
        named: &Draft<()>,
        before: &mut Option<RolledBack>,
        answer: &RolledBack,
    ) -> Result<(), Error> {
        let earlier = before.as_ref().map_or(0, |before| before.chunks);
        let outcome = async {
            for todo in steps {
                if let Err(error) = self.step(Step::Undo(&todo.undo)).await {
                    // It was good when it was tried: somebody else has changed something since.
                    return Err(told_of(error).map_or_else(|e| e, |_| Error::ConcurrentChange));
                }
            }
            if !named.batch.ops.is_empty() {
                self.beside(named).await?;
            }
            self.close().await
        }
        .await;
        if outcome.is_err() && self.chunks > 0 {
            *before = Some(RolledBack { chunks: earlier + self.chunks, ..answer.clone() });
        }
        outcome
    }
}

fn not_restorable(lost: &[Left]) -> Error {
    let told = lost.iter().take(MAX_TOLD).map(|Left { kind, name, reason }| Fault {
        pointer: "?partial".to_owned(),
        detail: format!("{kind} {name}: {reason}"),
    });
    Error::NotRestorable(told.collect())
}

/// What is different as documents, but for what stays as it is.
fn changes(
    then: &mut State,
    now: &State,
    kept: &[Left],
    lost: &[Left],
) -> Result<Vec<Difference>, Error> {
    for host in hosts(kept) {
        let owner = now.tenants.iter().find(|(_, known)| known.hosts.contains(&host));
        if let Some(known) = owner.and_then(|(id, _)| then.tenants.get_mut(id)) {
            known.hosts.insert(host);
        }
    }
    for host in hosts(lost) {
        for known in then.tenants.values_mut() {
            known.hosts.remove(&host);
        }
    }
    let left: BTreeSet<_> =
        kept.iter().chain(lost).map(|left| (left.kind, left.name.as_str())).collect();
    let mut changes = differences(now.current(), then.current())?;
    changes.retain(|change| !left.contains(&(change.kind, change.name.as_str())));
    Ok(changes)
}

/// Whether documents are of what belongs to this owner, then or now. A tenant that is deleted now and was not
/// then is brought back with all it has by now.
fn is_seen(then: &State, now: &State, owner: Option<TenantId>) -> bool {
    then.shows(owner) || now.shows(owner)
}

/// Domains among what is left.
fn hosts(left: &[Left]) -> impl Iterator<Item = DomainPattern> {
    let domains = left.iter().filter(|left| left.kind == ResourceKind::Domain);
    domains.filter_map(|left| left.name.parse().ok())
}

impl Plan {
    fn of(then: &State, now: &State) -> Result<Self, Error> {
        let mut plan = Self::default();
        plan.leave(then, now);
        plan.documents(then, now)?;
        plan.tenants(then, now);
        let dropped_routes = plan.routes(then, now);
        let dropped_issuers = plan.issuers(then, now);
        plan.todo.extend(dropped_routes);
        plan.todo.extend(dropped_issuers);
        plan.leaving_tenants(then, now);
        plan.leaving_documents(then, now);
        Ok(plan)
    }

    fn push(&mut self, kind: ResourceKind, name: impl ToString, undo: Undo) {
        self.todo.push(Todo { name: (kind, name.to_string()), undo });
    }

    /// Domains that their tenants had not, or that others had.
    fn leave(&mut self, then: &State, now: &State) {
        let was_shown = |id: &TenantId| then.tenants.get(id).filter(|known| !known.is_deleted());
        let owners: BTreeMap<&DomainPattern, TenantId> = then
            .tenants
            .iter()
            .filter(|(_, known)| !known.is_deleted())
            .flat_map(|(id, known)| known.hosts.iter().map(|host| (host, *id)))
            .collect();
        for (id, known) in &now.tenants {
            for host in &known.hosts {
                let stays = match was_shown(id) {
                    Some(then) => then.hosts.contains(host),
                    // A tenant that goes keeps what nobody else needs.
                    None => owners.get(host).is_none_or(|owner| owner == id),
                };
                if !stays {
                    self.push(ResourceKind::Domain, host, Undo::Leave(*id, host.clone()));
                }
            }
        }
    }

    fn documents(&mut self, then: &State, now: &State) -> Result<(), Error> {
        for (name, document) in &then.documents {
            let current = now.documents.get(name).map(Declared::written).transpose()?;
            if current != Some(document.written()?) {
                let undo = Undo::Document(Box::new(document.clone()));
                self.todo.push(Todo { name: name.clone(), undo });
            }
        }
        Ok(())
    }

    fn tenants(&mut self, then: &State, now: &State) {
        for (id, known) in then.tenants.iter().filter(|(_, known)| !known.is_deleted()) {
            let slug = &known.record.resource.slug;
            match now.tenants.get(id) {
                Some(current) if current.record.purge.is_none() => {
                    self.tenant(*id, known, current);
                }
                _ => {
                    let reason = format!("{id} was purged, and everything it had");
                    let name = (ResourceKind::Tenant, slug.to_string());
                    self.lost.push(Left::new(name, reason));
                    self.gone.insert(*id);
                }
            }
        }
    }

    fn tenant(&mut self, id: TenantId, then: &Known, now: &Known) {
        const KIND: ResourceKind = ResourceKind::Tenant;
        let slug = &then.record.resource.slug;
        if now.is_deleted() {
            self.push(KIND, slug, Undo::Move(id, Transition::Undelete));
        }
        let spec = then.record.spec();
        if spec != now.record.spec() {
            self.push(KIND, slug, Undo::Respecify(id, Box::new(spec)));
        }
        for host in then.hosts.difference(&now.hosts) {
            self.push(ResourceKind::Domain, host, Undo::Join(id, host.clone()));
        }
        let (then, now) = (then.declared().subscription, now.declared().subscription);
        if then != now {
            let terms = then.map(|terms| terms.spec());
            self.push(KIND, slug, Undo::Subscribe(id, terms));
        }
    }

    /// Returns what is to go.
    fn routes(&mut self, then: &State, now: &State) -> Vec<Todo> {
        const KIND: ResourceKind = ResourceKind::Route;
        let seen = |route: &Route| is_seen(then, now, route.tenant);
        for (id, route) in &then.routes {
            let current = now.routes.get(id);
            let is_seen = seen(route) || current.is_some_and(seen);
            if is_seen && route.tenant.is_some_and(|tenant| self.gone.contains(&tenant)) {
                self.lose((KIND, id.to_string()));
            } else if is_seen && current != Some(route) {
                self.push(KIND, id, Undo::Route(Box::new(route.clone())));
            }
        }
        let came = now.routes.iter().filter(|(id, _)| !then.routes.contains_key(*id));
        let came = came.filter(|(_, route)| seen(route));
        let todo = came.map(|(id, _)| Todo {
            name: (KIND, id.to_string()),
            undo: Undo::DropRoute(id.clone()),
        });
        todo.collect()
    }

    /// Issuers are found by their identifiers, and then, since one that was made anew has another one, by
    /// what they are called. Returns what is to go.
    fn issuers(&mut self, then: &State, now: &State) -> Vec<Todo> {
        const KIND: ResourceKind = ResourceKind::Issuer;
        let shown = |state: &State, issuer: &Issuer| {
            let slug = state.slug(issuer.tenant()).cloned();
            DeclaredIssuer::of(slug, issuer.clone())
        };
        let mut came: BTreeMap<IssuerId, &Issuer> = now
            .issuers
            .iter()
            .filter(|(id, _)| !then.issuers.contains_key(id))
            .filter(|(_, issuer)| is_seen(then, now, issuer.tenant()))
            .map(|(id, issuer)| (*id, issuer))
            .collect();
        for (id, issuer) in &then.issuers {
            let owner = issuer.tenant();
            let there = now.issuers.get_key_value(id);
            if !is_seen(then, now, owner) {
                continue;
            }
            let wanted = shown(then, issuer);
            let name = (KIND, wanted.name());
            if owner.is_some_and(|owner| self.gone.contains(&owner)) {
                self.lose(name);
                continue;
            }
            let there = there.map(|(id, issuer)| (*id, issuer)).or_else(|| {
                let same = came
                    .iter()
                    .find(|(_, it)| it.tenant() == owner && it.issuer() == issuer.issuer());
                let same = same.map(|(id, _)| *id)?;
                came.remove(&same).map(|issuer| (same, issuer))
            });
            let new = wanted.new_issuer();
            if there.is_none_or(|(_, there)| shown(now, there).new_issuer() != new) {
                let id = there.map(|(id, _)| id);
                self.todo.push(Todo { name, undo: Undo::Issuer(owner, id, Box::new(new)) });
            }
        }
        let todo = came.into_iter().map(|(id, issuer)| Todo {
            name: (KIND, shown(now, issuer).name()),
            undo: Undo::DropIssuer(issuer.tenant(), id),
        });
        todo.collect()
    }

    fn lose(&mut self, name: Name) {
        self.lost.push(Left::new(name, "its tenant was purged"));
    }

    /// Tenants that came since, or were brought back since.
    fn leaving_tenants(&mut self, then: &State, now: &State) {
        for (id, known) in now.tenants.iter().filter(|(_, known)| !known.is_deleted()) {
            if then.tenants.get(id).is_none_or(Known::is_deleted) {
                let transition = Transition::Delete { retention_days: None };
                let slug = &known.record.resource.slug;
                self.push(ResourceKind::Tenant, slug, Undo::Move(*id, transition));
            }
        }
    }

    fn leaving_documents(&mut self, then: &State, now: &State) {
        let came = now.documents.keys().filter(|name| !then.documents.contains_key(*name));
        let todo = came.rev().map(|name| {
            let (kind, id) = name.clone();
            Todo { name: name.clone(), undo: Undo::Drop(kind, id) }
        });
        self.todo.extend(todo);
    }
}
