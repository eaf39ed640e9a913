//! Domains: each host name, exact or wildcard, belongs to at most one tenant.

use tenantry_model::{Domain, DomainPattern, ResourceKind, TenantId};

use crate::{
    Caller, DomainRecord, Error, Listing, PageRequest, Precondition, Tenancy, TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    layout,
    tenant::not_deleted,
};

const KIND: ResourceKind = ResourceKind::Domain;

impl Tenancy {
    /// Gives a tenant a domain.
    ///
    /// # Errors
    /// [`Error::DomainTaken`], in the same words whoever has it; [`Error::InvalidState`] if the tenant
    /// is deleted.
    pub async fn add_domain(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        host: DomainPattern,
    ) -> Result<Versioned<DomainRecord>, Error> {
        self.run(caller, &Add { tenant, host, pointer: "/host".to_owned() }).await
    }

    /// One domain of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another tenant's.
    pub async fn domain(
        &self,
        tenant: &TenantRef,
        host: &DomainPattern,
    ) -> Result<Versioned<DomainRecord>, Error> {
        let owner = self.tenant(tenant).await?.value.resource.id;
        self.domain_of(owner, host).await
    }

    /// The domains of a tenant, by host.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tenant.
    pub async fn domains(
        &self,
        tenant: &TenantRef,
        request: &PageRequest,
    ) -> Result<Listing<DomainRecord>, Error> {
        let owner = self.tenant(tenant).await?.value.resource.id;
        self.list_indexed(&layout::owned(Some(owner), KIND), &layout::records(KIND), request).await
    }

    /// Takes a domain from its tenant; anyone may have it then.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it is another tenant's; [`Error::InUse`] if a certificate of the
    /// tenant names it, which would then be shown for a name that another tenant may take.
    pub async fn remove_domain(
        &self,
        caller: &Caller,
        tenant: &TenantRef,
        host: &DomainPattern,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Remove { tenant, host, precondition }).await.map(drop)
    }

    pub(crate) async fn draft_added_domain(
        &self,
        tenant: &TenantRef,
        host: DomainPattern,
        pointer: String,
    ) -> Result<Draft<()>, Error> {
        Ok(Add { tenant, host, pointer }.draft(self).await?.answering(drop))
    }

    pub(crate) async fn draft_removed_domain(
        &self,
        tenant: &TenantRef,
        host: &DomainPattern,
    ) -> Result<Draft<()>, Error> {
        Remove { tenant, host, precondition: &Precondition::None }.draft(self).await
    }

    async fn domain_of(
        &self,
        owner: TenantId,
        host: &DomainPattern,
    ) -> Result<Versioned<DomainRecord>, Error> {
        let found: Option<Versioned<DomainRecord>> =
            self.find(&layout::record(KIND, host), None).await?;
        found
            .filter(|found| found.value.resource.tenant == owner)
            .ok_or_else(|| Error::not_found("domain", host))
    }
}

/// Adds to a draft that the domain becomes its tenant's.
pub(crate) fn claimed<T>(
    draft: Draft<T>,
    record: &DomainRecord,
    pointer: String,
) -> Result<Draft<T>, Error> {
    let Domain { host, tenant } = &record.resource;
    if matches!(host, DomainPattern::Wildcard(parent) if !parent.as_str().contains('.')) {
        let detail =
            "a wildcard stands before at least two labels: nobody owns all of a top-level domain";
        return Err(Error::invalid(pointer, detail));
    }
    let taken = Error::DomainTaken { host: host.to_string(), pointer };
    let json = encoded("domain", record)?;
    Ok(draft
        .claim(layout::record(KIND, host), json, taken)
        .put(format!("{}{host}", layout::owned(Some(*tenant), KIND)), Vec::new()))
}

struct Add<'a> {
    tenant: &'a TenantRef,
    host: DomainPattern,
    /// Where in the request it stands.
    pointer: String,
}

impl Operation for Add<'_> {
    type Output = DomainRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<DomainRecord>, Error> {
        let owner = tenancy.tenant(self.tenant).await?;
        not_deleted(&owner.value)?;
        let tenant = owner.value.resource.id;
        let resource = Domain { host: self.host.clone(), tenant };
        let record = DomainRecord { resource, created_at: tenancy.now() };
        let host = self.host.to_string();
        let draft = Draft::new("domain.add", (KIND, &host), Some(tenant), record.clone())
            .shown_after()?
            .unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision);
        claimed(draft, &record, self.pointer.clone())
    }
}

struct Remove<'a> {
    tenant: &'a TenantRef,
    host: &'a DomainPattern,
    precondition: &'a Precondition,
}

impl Operation for Remove<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let owner = tenancy.tenant(self.tenant).await?.value.resource.id;
        let current = tenancy.domain_of(owner, self.host).await?;
        self.precondition.check(current.revision)?;
        let (host, key) = (self.host.to_string(), layout::record(KIND, self.host));
        let used = Error::InUse { kind: "domain", id: host.clone(), user: "certificate" };
        Ok(Draft::new("domain.remove", (KIND, &host), Some(owner), ())
            .none_under(layout::references(KIND, self.host), used)
            .before(&current.value)?
            .unchanged(key.clone(), current.revision)
            .delete(key)
            .delete(format!("{}{host}", layout::owned(Some(owner), KIND))))
    }
}
