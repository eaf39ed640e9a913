//! Making a tenant, whole: record, slug, plan, domains, a first key and a first invitation in one commit.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_model::{Domain, ResourceKind, TenantId};

use super::{NewTenant, check, placed};
use crate::{
    Caller, CreatedKey, DomainRecord, Error, InvitationRecord, Tenancy, TenantRecord, domain,
    draft::{Draft, Operation, encoded, unencodable},
    idempotency::Answer,
    key::{self, without_digest},
    layout,
    record::masked,
};

/// A tenant that was just made, and what it was made with.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreatedTenant {
    /// The tenant.
    pub record: TenantRecord,
    /// Its first key, if one was asked for.
    pub key: Option<CreatedKey>,
    /// Its first invitation, if one was asked for.
    pub invitation: Option<InvitationRecord>,
}

impl Answer for CreatedTenant {
    fn kept(&self) -> Result<Value, serde_json::Error> {
        let kept = without_digest(serde_json::to_value(self)?, "/key/record/resource/digest");
        Ok(without_digest(kept, "/invitation/digest"))
    }
}

pub(super) struct Create<'a> {
    pub(super) caller: &'a Caller,
    pub(super) tenant: NewTenant,
}

impl Operation for Create<'_> {
    type Output = CreatedTenant;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<CreatedTenant>, Error> {
        let NewTenant { spec, domains, state, key, invitation } = &self.tenant;
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
        let mut after = masked(&record).map_err(|_| unencodable())?;
        let draft = Draft::new("tenant.create", target, Some(tenant), ());
        let draft = placed(tenancy, draft, None, &resource)
            .await?
            .put(layout::record(ResourceKind::Tenant, tenant), json);
        let mut draft = tenancy.named(draft, &spec.slug, tenant).await?;
        for (index, host) in domains.iter().enumerate() {
            let resource = Domain { host: host.clone(), tenant };
            let record = DomainRecord { resource, created_at: now };
            draft = domain::claimed(draft, &record, format!("/domains/{index}"))?;
        }
        let key = match key {
            Some(spec) => {
                let (with_key, key) = key::first(tenancy, draft, tenant, spec)?;
                draft = with_key;
                note(&mut after, "first_key", key.record.resource.id.to_string());
                Some(key)
            }
            None => None,
        };
        let invitation = match invitation {
            Some(new) => {
                let named = (tenant, spec.name.as_str());
                let (invited, invitation) = tenancy.invited(draft, self.caller, named, new).await?;
                draft = invited;
                note(&mut after, "first_invitation", invitation.id.to_string());
                Some(invitation)
            }
            None => None,
        };
        let made = CreatedTenant { record, key, invitation };
        Ok(draft.answering(|()| made).saying(after))
    }
}

/// Adds to what the audit entry shows of the tenant.
pub(super) fn note(after: &mut Value, what: &str, id: String) {
    if let Value::Object(members) = after {
        members.insert(what.to_owned(), id.into());
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
