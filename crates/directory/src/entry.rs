//! What of a tenant can be asked for.

use std::sync::Arc;

use tenantry_model::{Revision, Tenant, TenantId, TenantProfile, Timestamp};

use crate::{
    facet::{self, Facet},
    folded,
    order::{SortField, SortKey},
};

/// A tenant in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub(crate) id: TenantId,
    pub(crate) slug: Arc<str>,
    /// Folded.
    pub(crate) name: Arc<str>,
    pub(crate) facets: Box<[Facet]>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// Which state of the tenant this is.
    pub(crate) revision: Revision,
}

impl Entry {
    /// Of what is stored of a tenant.
    #[must_use]
    pub fn new(
        tenant: &Tenant,
        profile: &TenantProfile,
        created_at: Timestamp,
        updated_at: Timestamp,
        revision: Revision,
    ) -> Self {
        let mut facets = vec![
            facet::value("state", tenant.state.as_str()),
            facet::value("plan", tenant.plan.as_str()),
        ];
        let group = tenant.group.as_ref().map(|group| ("group", group.as_str()));
        let region = tenant.region.as_ref().map(|region| ("region", region.as_str()));
        for (field, value) in group.into_iter().chain(region) {
            facets.extend([facet::any(field), facet::value(field, value)]);
        }
        for (name, value) in &profile.labels {
            let field = facet::label(name);
            facets.extend([facet::any(&field), facet::value(&field, value)]);
        }
        Self {
            id: tenant.id,
            slug: tenant.slug.as_str().into(),
            name: folded(&profile.name).into(),
            facets: facets.into(),
            created_at,
            updated_at,
            revision,
        }
    }

    pub(crate) fn key(&self, field: SortField) -> SortKey {
        match field {
            SortField::CreatedAt => SortKey::Time(self.created_at),
            SortField::UpdatedAt => SortKey::Time(self.updated_at),
            SortField::Slug => SortKey::Text(Arc::clone(&self.slug)),
            SortField::Name => SortKey::Text(Arc::clone(&self.name)),
        }
    }

    /// Whether slug, name or either of them contains a folded text.
    pub(crate) fn contains(&self, field: Option<SortField>, text: &str) -> bool {
        match field {
            Some(SortField::Slug) => self.slug.contains(text),
            Some(SortField::Name) => self.name.contains(text),
            Some(SortField::CreatedAt | SortField::UpdatedAt) => false,
            None => self.texts().iter().any(|known| known.contains(text)),
        }
    }

    /// The texts that are searched.
    pub(crate) fn texts(&self) -> [&str; 2] {
        [&self.slug, &self.name]
    }
}
