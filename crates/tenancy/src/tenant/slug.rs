//! Whose a slug is.
//!
//! A slug that its tenant gives up, by taking another or by being purged, stays reserved for a while:
//! tokens that name tenants by slug may still be about, and must not name somebody else. Only the tenant
//! that had it can take it back before that.

use tenantry_model::{Slug, TenantId};

use crate::{
    Caller, Error, Tenancy,
    draft::{Draft, Operation},
    due::{Due, DueKind},
    layout,
};

/// What stands before the former owner in the row of a reserved slug.
const RESERVED: &str = "reserved:";

impl Tenancy {
    /// Adds to a draft that a slug becomes the tenant's.
    pub(super) async fn named<T>(
        &self,
        draft: Draft<T>,
        slug: &Slug,
        tenant: TenantId,
    ) -> Result<Draft<T>, Error> {
        let key = layout::slug(slug);
        let (_, row) = self.store.get(key.as_bytes(), None).await?;
        let is_own = |value: &[u8]| value == format!("{RESERVED}{tenant}").as_bytes();
        let value = tenant.to_string().into_bytes();
        Ok(match row {
            Some(row) if is_own(&row.value) => {
                draft.unchanged(key.clone(), row.mod_rev).put(key, value)
            }
            _ => draft.claim(key, value, Error::SlugTaken(slug.to_string())),
        })
    }

    /// Adds to a draft that a tenant gives up its slug.
    pub(super) fn freed<T>(&self, draft: Draft<T>, slug: &Slug, tenant: TenantId) -> Draft<T> {
        let key = layout::slug(slug);
        if self.terms.slug_reserve.is_zero() {
            return draft.delete(key);
        }
        let until = self.now().after(self.terms.slug_reserve);
        draft.put(key, format!("{RESERVED}{tenant}").into_bytes()).due(&Due::new(
            until,
            DueKind::Slug,
            slug,
        ))
    }

    /// The time of a reservation has ended.
    pub(crate) async fn end_reservation(
        &self,
        caller: &Caller,
        slug: Slug,
        due: &Due,
    ) -> Result<(), Error> {
        self.run(caller, &Release { slug, due }).await.map(drop)
    }
}

/// Whether the row of a slug says that nobody has it now.
pub(crate) fn is_reserved(value: &[u8]) -> bool {
    value.starts_with(RESERVED.as_bytes())
}

/// Frees a slug, unless it has been taken back, or taken back and given up again since.
struct Release<'a> {
    slug: Slug,
    due: &'a Due,
}

impl Operation for Release<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let key = layout::slug(&self.slug);
        let (_, row) = tenancy.store.get(key.as_bytes(), None).await?;
        let draft = Draft::quiet(()).not_due(self.due);
        let (_, due) = tenancy.store.get(self.due.key().as_bytes(), None).await?;
        Ok(match (row, due) {
            // Whoever gives up a slug writes both rows in one commit.
            (Some(row), Some(due)) if is_reserved(&row.value) && row.mod_rev == due.mod_rev => {
                draft.unchanged(key.clone(), row.mod_rev).delete(key)
            }
            _ => draft,
        })
    }
}
