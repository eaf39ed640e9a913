//! Plans, groups, features, upstreams and routes: documents under an identifier that the operator chose.
//!
//! They differ in what they refer to and in what may refer to them; everything else is done once,
//! here.

use std::{borrow::Cow, collections::BTreeSet, fmt::Display, str::FromStr};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tenantry_engine::CompiledTls;
use tenantry_model::{
    Feature, FeatureId, Group, GroupId, Plan, PlanId, Resource, ResourceKind, Route, RouteId,
    Target, TenantId, Upstream, UpstreamId,
};

use crate::{
    Caller, Error, Listing, PageRequest, Precondition, Record, Tenancy, Versioned,
    draft::{Draft, Operation, encoded},
    idempotency::Answer,
    layout, merge,
    tenancy::decoded,
    text,
};

/// A resource that is written as one document.
pub trait Document:
    Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its identifier.
    type Id: Clone + Display + FromStr + PartialEq + Send + Sync;
    /// Its kind.
    const KIND: ResourceKind;
    /// What the audit log calls the operations on it.
    const ACTIONS: Actions;
    /// What may refer to it, if anything may.
    const USER: Option<&'static str>;

    /// Its identifier.
    fn id(&self) -> &Self::Id;
    /// The tenant it belongs to.
    fn tenant(&self) -> Option<TenantId>;
    /// What must exist for it.
    fn needs(&self) -> Vec<Need>;
    /// The rules for its texts, which the model leaves open.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    fn check_texts(&self) -> Result<(), Error>;
    /// What speaks against deleting it, besides what refers to it.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    fn check_deletion(&self) -> Result<(), Error> {
        Ok(())
    }
    /// As any resource.
    fn into_resource(self) -> Resource;
    /// As it is shown: without what can be written and never be read.
    #[must_use]
    fn without_secrets(self) -> Self {
        self
    }
    /// As it is checked before it replaces `current`, if it replaces one: with its secrets open.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they cannot be opened, or were not sealed here.
    fn opened(&self, _tenancy: &Tenancy, _current: Option<&Self>) -> Result<Self, Error> {
        Ok(self.clone())
    }
    /// As it is stored in the place of `current`, if there is one: with its secrets sealed.
    ///
    /// # Errors
    /// [`Error::NoMasterKey`].
    fn sealed(self, _tenancy: &Tenancy, _current: Option<&Self>) -> Result<Self, Error> {
        Ok(self)
    }
    /// With the secrets of the document that this one replaces, where it was made from what is shown
    /// of that one.
    #[must_use]
    fn with_secrets_of(self, _current: &Self) -> Self {
        self
    }
}

/// What must exist: the kind, the identifier, and where in the document it is named.
pub type Need = (ResourceKind, String, Cow<'static, str>);

/// The names of operations on one kind.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each is named after its operation")]
pub struct Actions {
    pub create: &'static str,
    pub update: &'static str,
    pub delete: &'static str,
}

macro_rules! document {
    ($type:ident, $id:ty, $name:literal, $user:expr) => {
        type Id = $id;
        const KIND: ResourceKind = ResourceKind::$type;
        const ACTIONS: Actions = Actions {
            create: concat!($name, ".create"),
            update: concat!($name, ".update"),
            delete: concat!($name, ".delete"),
        };
        const USER: Option<&'static str> = $user;

        fn id(&self) -> &$id {
            &self.id
        }

        fn into_resource(self) -> Resource {
            Resource::$type(self.into())
        }
    };
}

impl Document for Plan {
    document!(Plan, PlanId, "plan", Some("tenant"));

    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    fn check_texts(&self) -> Result<(), Error> {
        text::name("/name", &self.name)
    }
}

impl Document for Group {
    document!(Group, GroupId, "group", Some("tenant"));

    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    fn check_texts(&self) -> Result<(), Error> {
        text::name("/name", &self.name)
    }
}

impl Document for Feature {
    document!(Feature, FeatureId, "feature", None);

    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    fn check_texts(&self) -> Result<(), Error> {
        text::description("/description", &self.description)
    }

    fn check_deletion(&self) -> Result<(), Error> {
        if !self.killed {
            return Ok(());
        }
        let detail = "it is killed, and deleting it would switch it on again for plans and tenants that name it: \
                      say `killed: false` first";
        Err(Error::invalid("/killed", detail))
    }
}

impl Document for Upstream {
    document!(Upstream, UpstreamId, "upstream", Some("route"));

    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    fn check_texts(&self) -> Result<(), Error> {
        let tls = self.tls.as_deref().map(CompiledTls::new).transpose();
        tls.map(drop).map_err(|fault| Error::invalid(fault.pointer, fault.reason))
    }

    fn without_secrets(mut self) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.client_key_pem = None;
        }
        self
    }

    fn opened(&self, tenancy: &Tenancy, current: Option<&Self>) -> Result<Self, Error> {
        tenancy.open_client_key(self.clone(), current)
    }

    fn sealed(self, tenancy: &Tenancy, current: Option<&Self>) -> Result<Self, Error> {
        tenancy.seal_client_key(self, current)
    }

    /// A certificate that comes without its key is the one that was there, or it is refused.
    fn with_secrets_of(mut self, current: &Self) -> Self {
        if let (Some(tls), Some(current)) = (&mut self.tls, &current.tls)
            && tls.client_key_pem.is_none()
            && tls.client_certificate_pem == current.client_certificate_pem
        {
            tls.client_key_pem.clone_from(&current.client_key_pem);
        }
        self
    }
}

impl Document for Route {
    document!(Route, RouteId, "route", None);

    fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    fn needs(&self) -> Vec<Need> {
        let is_split = matches!(self.target, Target::Upstreams(_));
        let upstreams = self.target.upstreams().enumerate().map(|(index, upstream)| {
            let pointer = match is_split {
                true => format!("/upstreams/{index}/upstream").into(),
                false => "/upstream".into(),
            };
            (ResourceKind::Upstream, upstream.to_string(), pointer)
        });
        let tenant =
            self.tenant.map(|tenant| (ResourceKind::Tenant, tenant.to_string(), "/tenant".into()));
        upstreams.chain(tenant).collect()
    }

    fn check_texts(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Tenancy {
    /// Stores a new document.
    ///
    /// # Errors
    /// [`Error::IdTaken`]; [`Error::Invalid`] if what it refers to does not exist.
    pub async fn create<D: Document>(
        &self,
        caller: &Caller,
        document: D,
    ) -> Result<Versioned<Record<D>>, Error> {
        self.run(caller, &Create { document }).await
    }

    /// One document.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get<D: Document>(&self, id: &D::Id) -> Result<Versioned<Record<D>>, Error> {
        let found = self.find(&layout::record(D::KIND, id), None).await?;
        found.ok_or_else(|| Error::not_found(D::KIND.as_str(), id))
    }

    /// Documents of a kind, by identifier.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn documents<D: Document>(
        &self,
        request: &PageRequest,
    ) -> Result<Listing<Record<D>>, Error> {
        self.list(&layout::records(D::KIND), "", request, |row| decoded(row).map(Some)).await
    }

    /// Replaces a document by one of the same identifier.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`], [`Error::Invalid`].
    pub async fn replace<D: Document>(
        &self,
        caller: &Caller,
        document: D,
        precondition: &Precondition,
    ) -> Result<Versioned<Record<D>>, Error> {
        let id = document.id().clone();
        let change = |current: &D| Ok(document.clone().with_secrets_of(current));
        self.run(caller, &Change { id, precondition, change }).await
    }

    /// Changes a document by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub async fn patch<D: Document>(
        &self,
        caller: &Caller,
        id: &D::Id,
        patch: &Value,
        precondition: &Precondition,
    ) -> Result<Versioned<Record<D>>, Error> {
        let change = |current: &D| {
            let patched: D = merge::patched(current, patch)?;
            if patched.id() == id {
                Ok(patched)
            } else {
                Err(Error::invalid("/id", "an identifier never changes"))
            }
        };
        self.run(caller, &Change { id: id.clone(), precondition, change }).await
    }

    /// Removes a document that nothing refers to.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`], [`Error::InUse`].
    pub async fn delete<D: Document>(
        &self,
        caller: &Caller,
        id: &D::Id,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        let operation = Delete::<D> { id: id.clone(), precondition };
        self.run(caller, &operation).await.map(drop)
    }
}

impl Tenancy {
    /// The document as it is written, whether or not it is there: a part of a larger change.
    pub(crate) async fn draft_written<D: Document>(
        &self,
        document: &D,
    ) -> Result<Draft<()>, Error> {
        let id = document.id().clone();
        let found = self.find::<Record<D>>(&layout::record(D::KIND, &id), None).await?;
        if found.is_none() {
            let create = Create { document: document.clone() };
            return Ok(create.draft(self).await?.answering(drop));
        }
        let change = |current: &D| Ok(document.clone().with_secrets_of(current));
        let change = Change { id, precondition: &Precondition::None, change };
        Ok(change.draft(self).await?.answering(drop))
    }

    /// The document is removed: a part of a larger change.
    pub(crate) async fn draft_deleted<D: Document>(&self, id: &D::Id) -> Result<Draft<()>, Error> {
        let precondition = &Precondition::None;
        Delete::<D> { id: id.clone(), precondition }.draft(self).await
    }
}

impl<D: Document> Answer for Record<D> {
    fn kept(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(Self { resource: self.resource.clone().without_secrets(), ..*self })
    }
}

struct Create<D> {
    document: D,
}

impl<D: Document> Operation for Create<D> {
    type Output = Record<D>;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<Record<D>>, Error> {
        let id = self.document.id().to_string();
        let now = tenancy.now();
        check(&self.document.opened(tenancy, None)?)?;
        let resource = self.document.clone().sealed(tenancy, None)?;
        let record = Record { resource, created_at: now, updated_at: now };
        let json = encoded(D::KIND.as_str(), &record)?;
        let owner = self.document.tenant();
        let draft = Draft::new(D::ACTIONS.create, (D::KIND, &id), owner, record).shown_after()?;
        let mut draft = with_needs(tenancy, draft, &self.document).await?;
        for row in index_rows(&self.document) {
            draft = draft.put(row, Vec::new());
        }
        let key = layout::record(D::KIND, &id);
        Ok(draft.claim(key, json, Error::IdTaken { kind: D::KIND.as_str(), id }))
    }
}

struct Change<'a, D: Document, F> {
    id: D::Id,
    precondition: &'a Precondition,
    change: F,
}

impl<D, F> Operation for Change<'_, D, F>
where
    D: Document,
    F: Fn(&D) -> Result<D, Error> + Sync,
{
    type Output = Record<D>;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<Record<D>>, Error> {
        let current = tenancy.get::<D>(&self.id).await?;
        self.precondition.check(current.revision)?;
        let resource = (self.change)(&current.value.resource)?;
        check(&resource.opened(tenancy, Some(&current.value.resource))?)?;
        let resource = resource.sealed(tenancy, Some(&current.value.resource))?;
        let (id, owner) = (self.id.to_string(), resource.tenant());
        let (old, new) = (index_rows(&current.value.resource), index_rows(&resource));
        let created_at = current.value.created_at;
        let record = Record { resource: resource.clone(), created_at, updated_at: tenancy.now() };
        let json = encoded(D::KIND.as_str(), &record)?;
        let key = layout::record(D::KIND, &id);
        let draft = Draft::new(D::ACTIONS.update, (D::KIND, &id), owner, record)
            .before(&current.value)?
            .shown_after()?
            .unchanged(key.clone(), current.revision)
            .put(key, json);
        let draft = with_needs(tenancy, draft, &resource).await?;
        let draft = old.difference(&new).cloned().fold(draft, Draft::delete);
        Ok(new.difference(&old).cloned().fold(draft, |draft, row| draft.put(row, Vec::new())))
    }
}

struct Delete<'a, D: Document> {
    id: D::Id,
    precondition: &'a Precondition,
}

impl<D: Document> Operation for Delete<'_, D> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let current = tenancy.get::<D>(&self.id).await?;
        self.precondition.check(current.revision)?;
        current.value.resource.check_deletion()?;
        let (id, owner) = (self.id.to_string(), current.value.resource.tenant());
        let key = layout::record(D::KIND, &id);
        let draft = Draft::new(D::ACTIONS.delete, (D::KIND, &id), owner, ())
            .before(&current.value)?
            .unchanged(key.clone(), current.revision)
            .delete(key);
        let rows = index_rows(&current.value.resource);
        let draft = rows.into_iter().fold(draft, Draft::delete);
        let Some(user) = D::USER else { return Ok(draft) };
        let references = layout::references(D::KIND, &id);
        Ok(draft.none_under(references, Error::InUse { kind: D::KIND.as_str(), id, user }))
    }
}

/// Checks what the model leaves open, and whether the document compiles.
fn check<D: Document>(opened: &D) -> Result<(), Error> {
    opened.check_texts()?;
    tenantry_engine::check(&opened.clone().into_resource())
        .map_err(|reason| Error::invalid("", reason))
}

/// Checks that what the document refers to is there and stays until the commit.
async fn with_needs<D: Document, T>(
    tenancy: &Tenancy,
    mut draft: Draft<T>,
    document: &D,
) -> Result<Draft<T>, Error> {
    for (kind, id, pointer) in document.needs() {
        let key = layout::record(kind, &id);
        let (_, row) = tenancy.store.get(key.as_bytes(), None).await?;
        let row = row.ok_or_else(|| Error::invalid(pointer, format!("there is no {kind} {id}")))?;
        draft = draft.unchanged(key, row.mod_rev);
    }
    Ok(draft)
}

/// What other rows say about the document. A tenant is found from its routes by the row that says
/// whose they are; nothing may be removed that a reference row points to.
pub(crate) fn index_rows<D: Document>(document: &D) -> BTreeSet<String> {
    let id = document.id();
    let needed = document.needs().into_iter().filter(|(kind, ..)| *kind != ResourceKind::Tenant);
    let references = needed.map(|(kind, needed, _)| layout::reference(kind, needed, D::KIND, id));
    let owner =
        document.tenant().map(|tenant| format!("{}{id}", layout::owned(Some(tenant), D::KIND)));
    references.chain(owner).collect()
}
