//! Making a tenant, whole: record, slug, plan and domains in one commit.

use tenantry_model::{Domain, ResourceKind, TenantId};

use super::{NewTenant, check, placed};
use crate::{
    DomainRecord, Error, Tenancy, TenantRecord, domain,
    draft::{Draft, Operation, encoded},
    layout,
};

pub(super) struct Create {
    pub(super) tenant: NewTenant,
}

impl Operation for Create {
    type Output = TenantRecord;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<TenantRecord>, Error> {
        let NewTenant { spec, domains, state } = &self.tenant;
        check(tenancy, spec)?;
        check_domains(&self.tenant)?;
        let now = tenancy.now();
        let tenant = TenantId::from_parts(now.unix_ms(), tenancy.identifiers.random());
        let (resource, profile) = spec.clone().split(tenant, *state);
        let record = TenantRecord {
            resource,
            profile,
            subscription: None,
            suspended_reason: None,
            deleted_at: None,
            deleted_from: None,
            purge_at: None,
            purge: None,
            created_at: now,
            updated_at: now,
        };
        let (id, json) = (tenant.to_string(), encoded("tenant", &record)?);
        let resource = record.resource.clone();
        let target = (ResourceKind::Tenant, id.as_str());
        let draft = Draft::new("tenant.create", target, Some(tenant), record).shown_after()?;
        let draft = placed(tenancy, draft, None, &resource)
            .await?
            .put(layout::record(ResourceKind::Tenant, tenant), json);
        let mut draft = tenancy.named(draft, &spec.slug, tenant).await?;
        for (index, host) in domains.iter().enumerate() {
            let resource = Domain { host: host.clone(), tenant };
            let record = DomainRecord { resource, created_at: now };
            draft = domain::claimed(draft, &record, format!("/domains/{index}"))?;
        }
        Ok(draft)
    }
}

fn check_domains(tenant: &NewTenant) -> Result<(), Error> {
    let domains = &tenant.domains;
    if domains.len() > NewTenant::MAX_DOMAINS {
        let detail = format!(
            "a tenant is made with at most {} domains; add the others one by one",
            NewTenant::MAX_DOMAINS
        );
        return Err(Error::invalid("/domains", detail));
    }
    for (index, host) in domains.iter().enumerate() {
        if domains.iter().take(index).any(|earlier| earlier == host) {
            return Err(Error::invalid(
                format!("/domains/{index}"),
                format!("{host} stands twice"),
            ));
        }
    }
    Ok(())
}
