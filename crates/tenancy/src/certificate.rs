//! Certificates, of a tenant or of the platform.
//!
//! **Who may name what.** A tenant's certificate names domains that the tenant owns, each as it is
//! written there; such a domain cannot be taken away before the certificate has given it up. One of
//! the platform may name any domains, such as a wildcard over those of all tenants. For one name there
//! is at most one certificate of tenants and one of the platform, and the tenant's goes first: so a
//! platform's wildcard can serve everybody, and a tenant can still bring its own. Both are checks
//! inside the commit, on a row for each name.
//!
//! **The key** is checked against the leaf, sealed under the master key, and from there on opened by
//! proxies alone.

use std::{collections::BTreeSet, fmt};

use tenantry_certs::{CertificateError, Chain, provider};
use tenantry_credentials::sealing::{NonceBytes, SealError};
use tenantry_model::{
    Certificate, CertificateId, CertificatePem, Domain, DomainPattern, ResourceKind, SealedSecret,
    TenantId, certificate::MAX_CERTIFICATE_DOMAINS,
};

use crate::{
    Caller, CertificateRecord, DomainRecord, Error, Listing, PageRequest, Precondition, Tenancy,
    TenantRef, Versioned,
    draft::{Draft, Operation, encoded},
    layout,
    tenancy::decoded,
    tenant::not_deleted,
};

const KIND: ResourceKind = ResourceKind::Certificate;

/// What may be written of a certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateSpec {
    /// The names it is shown for; if there are none, all that the leaf has.
    pub domains: BTreeSet<DomainPattern>,
    /// The leaf, and what leads from it towards its authority.
    pub chain: CertificatePem,
    /// The private key as PEM.
    pub key_pem: String,
    /// Whether it is shown where no other fits.
    pub default: bool,
}

impl fmt::Debug for CertificateSpec {
    /// Leaves out the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateSpec").field("domains", &self.domains).finish_non_exhaustive()
    }
}

impl Tenancy {
    /// Stores a certificate of a tenant, or, without one, of the platform.
    ///
    /// # Errors
    /// [`Error::Invalid`] if chain, key and domains do not fit each other or the tenant;
    /// [`Error::CertificateTaken`]; [`Error::NoMasterKey`]; [`Error::NotFound`],
    /// [`Error::InvalidState`] as the tenant is missing or deleted.
    pub async fn create_certificate(
        &self,
        caller: &Caller,
        tenant: Option<&TenantRef>,
        spec: &CertificateSpec,
    ) -> Result<Versioned<CertificateRecord>, Error> {
        self.run(caller, &Create { tenant, spec }).await
    }

    /// One certificate.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn certificate(
        &self,
        id: CertificateId,
    ) -> Result<Versioned<CertificateRecord>, Error> {
        let found = self.find(&layout::record(KIND, id), None).await?;
        found.ok_or_else(|| Error::not_found("certificate", id))
    }

    /// All certificates, or those of one tenant, in the order in which they were made.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such tenant.
    pub async fn certificates(
        &self,
        tenant: Option<&TenantRef>,
        request: &PageRequest,
    ) -> Result<Listing<CertificateRecord>, Error> {
        let records = layout::records(KIND);
        let Some(tenant) = tenant else {
            return self.list(&records, "", request, |row| decoded(row).map(Some)).await;
        };
        let owner = self.tenant(tenant).await?.value.resource.id;
        self.list_indexed(&layout::owned(Some(owner), KIND), &records, request).await
    }

    /// Replaces chain, key and domains of a certificate; whose it is never changes.
    ///
    /// # Errors
    /// As [`create_certificate`](Self::create_certificate), and [`Error::PreconditionFailed`].
    pub async fn replace_certificate(
        &self,
        caller: &Caller,
        id: CertificateId,
        spec: &CertificateSpec,
        precondition: &Precondition,
    ) -> Result<Versioned<CertificateRecord>, Error> {
        self.run(caller, &Replace { id, spec, precondition }).await
    }

    /// Removes a certificate. Connections that were made with it go on.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`].
    pub async fn delete_certificate(
        &self,
        caller: &Caller,
        id: CertificateId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Delete { id, precondition }).await.map(drop)
    }

    /// What a certificate is to be, checked in itself and with its key sealed.
    fn checked(
        &self,
        id: CertificateId,
        tenant: Option<TenantId>,
        spec: &CertificateSpec,
    ) -> Result<CertificateRecord, Error> {
        if tenant.is_some() && spec.default {
            let detail = "a tenant's certificate cannot be the default, which strangers are shown";
            return Err(Error::invalid("/default", detail));
        }
        let now = self.now();
        let chain = Chain::parse(&spec.chain).map_err(|error| at("/chain_pem", &error))?;
        chain.check_expiry(now).map_err(|error| at("/chain_pem", &error))?;
        let leaf = chain.leaf().clone();
        let domains = if spec.domains.is_empty() { &leaf.names } else { &spec.domains };
        if domains.len() > MAX_CERTIFICATE_DOMAINS {
            let detail = format!("a certificate serves at most {MAX_CERTIFICATE_DOMAINS} domains");
            return Err(Error::invalid("/domains", detail));
        }
        chain.covers(domains).map_err(|error| at("/domains", &error))?;
        chain
            .certified(spec.key_pem.as_bytes(), &provider())
            .map_err(|error| at("/key_pem", &error))?;
        let key = self.sealed(&spec.key_pem, &Certificate::sealing_context(id))?;
        let (domains, chain_pem, default) = (domains.clone(), spec.chain.clone(), spec.default);
        Ok(CertificateRecord {
            resource: Certificate { id, tenant, domains, chain_pem, key, default },
            names: leaf.names,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            fingerprint: leaf.fingerprint,
            created_at: now,
            updated_at: now,
        })
    }

    pub(crate) fn sealed(&self, secret: &str, context: &str) -> Result<SealedSecret, Error> {
        let mut nonce = NonceBytes::default();
        self.identifiers.fill(&mut nonce);
        self.master_keys.seal(secret.as_bytes(), context, nonce).map_err(|error| match error {
            SealError::NoMasterKey => Error::NoMasterKey,
            SealError::TooLarge => Error::invalid("", error.to_string()),
        })
    }

    /// Adds to a draft that the tenant is there and owns the domains, and that they stay its own as
    /// long as the certificate names them.
    async fn with_owner<T>(
        &self,
        mut draft: Draft<T>,
        tenant: TenantId,
        certificate: &Certificate,
    ) -> Result<Draft<T>, Error> {
        let owner = self.tenant(&TenantRef::Id(tenant)).await?;
        not_deleted(&owner.value)?;
        draft = draft.unchanged(layout::record(ResourceKind::Tenant, tenant), owner.revision);
        for host in &certificate.domains {
            let key = layout::record(ResourceKind::Domain, host);
            let found: Option<Versioned<DomainRecord>> = self.find(&key, None).await?;
            let own = found.filter(|found| {
                matches!(&found.value.resource, Domain { tenant: owner, .. } if *owner == tenant)
            });
            let own = own.ok_or_else(|| {
                let detail = format!("{host} is not a domain of the tenant; add it first");
                Error::invalid("/domains", detail)
            })?;
            draft = draft.unchanged(key, own.revision).put(reference(host, certificate.id), vec![]);
        }
        Ok(draft)
    }
}

fn at(pointer: &str, error: &CertificateError) -> Error {
    Error::invalid(pointer, error.to_string())
}

fn reference(host: &DomainPattern, id: CertificateId) -> String {
    layout::reference(ResourceKind::Domain, host, KIND, id)
}

/// The rows that only one certificate of this owner's kind may have, and what each is for.
fn claims(certificate: &Certificate) -> Vec<(String, String, &'static str)> {
    let names = certificate.domains.iter().map(|domain| {
        let key = layout::certificate_name(certificate.tenant, domain);
        (key, domain.to_string(), "/domains")
    });
    let default = certificate
        .default
        .then(|| (layout::CERTIFICATE_DEFAULT.to_owned(), "the default".to_owned(), "/default"));
    names.chain(default).collect()
}

/// Adds the rows that `new` needs and `old` did not have, and removes those it had alone.
/// Adds to a draft that names go from one form of a certificate to another.
pub(crate) fn claimed<T>(
    mut draft: Draft<T>,
    old: Option<&Certificate>,
    new: Option<&Certificate>,
) -> Draft<T> {
    let before = old.map(claims).unwrap_or_default();
    let after = new.map(claims).unwrap_or_default();
    let id = new.or(old).map(|certificate| certificate.id.to_string()).unwrap_or_default();
    for claim in before.iter().filter(|claim| !after.contains(claim)) {
        draft = draft.delete(claim.0.clone());
    }
    for claim in after.into_iter().filter(|claim| !before.contains(claim)) {
        let (key, what, pointer) = claim;
        draft = draft.claim(key, id.clone(), Error::CertificateTaken { what, pointer });
    }
    if let Some(old) = old.filter(|old| old.tenant.is_some()) {
        let kept = |host: &DomainPattern| new.is_some_and(|new| new.domains.contains(host));
        for host in old.domains.iter().filter(|host| !kept(host)) {
            draft = draft.delete(reference(host, old.id));
        }
    }
    draft
}

struct Create<'a> {
    tenant: Option<&'a TenantRef>,
    spec: &'a CertificateSpec,
}

impl Operation for Create<'_> {
    type Output = CertificateRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CertificateRecord>, Error> {
        let tenant = match self.tenant {
            Some(tenant) => Some(tenancy.tenant(tenant).await?.value.resource.id),
            None => None,
        };
        let random = tenancy.identifiers.random();
        let id = CertificateId::from_parts(tenancy.now().unix_ms(), random);
        let record = tenancy.checked(id, tenant, self.spec)?;
        let resource = record.resource.clone();
        let (id, json) = (id.to_string(), encoded("certificate", &record)?);
        let mut draft = Draft::new("certificate.create", (KIND, &id), tenant, record)
            .shown_after()?
            .put(layout::record(KIND, &id), json)
            .put(format!("{}{id}", layout::owned(tenant, KIND)), Vec::new());
        if let Some(tenant) = tenant {
            draft = tenancy.with_owner(draft, tenant, &resource).await?;
        }
        Ok(claimed(draft, None, Some(&resource)))
    }
}

struct Replace<'a> {
    id: CertificateId,
    spec: &'a CertificateSpec,
    precondition: &'a Precondition,
}

impl Operation for Replace<'_> {
    type Output = CertificateRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CertificateRecord>, Error> {
        let current = tenancy.certificate(self.id).await?;
        self.precondition.check(current.revision)?;
        let old = current.value.resource.clone();
        let record = CertificateRecord {
            created_at: current.value.created_at,
            ..tenancy.checked(self.id, old.tenant, self.spec)?
        };
        let new = record.resource.clone();
        let (id, json) = (self.id.to_string(), encoded("certificate", &record)?);
        let key = layout::record(KIND, &id);
        let mut draft = Draft::new("certificate.update", (KIND, &id), old.tenant, record)
            .before(&current.value)?
            .shown_after()?
            .unchanged(key.clone(), current.revision)
            .put(key, json);
        if let Some(tenant) = old.tenant {
            draft = tenancy.with_owner(draft, tenant, &new).await?;
        }
        Ok(claimed(draft, Some(&old), Some(&new)))
    }
}

struct Delete<'a> {
    id: CertificateId,
    precondition: &'a Precondition,
}

impl Operation for Delete<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let current = tenancy.certificate(self.id).await?;
        self.precondition.check(current.revision)?;
        let old = &current.value.resource;
        let (id, key) = (self.id.to_string(), layout::record(KIND, self.id));
        let draft = Draft::new("certificate.delete", (KIND, &id), old.tenant, ())
            .before(&current.value)?
            .unchanged(key.clone(), current.revision)
            .delete(key)
            .delete(format!("{}{id}", layout::owned(old.tenant, KIND)));
        Ok(claimed(draft, Some(old), None))
    }
}
