//! What goes with a tenant, of those who may act for it.

use tenantry_store::Row;

use crate::{
    Error, InvitationRecord, MemberRecord, TokenRecord,
    draft::Draft,
    due::{Due, DueKind},
    layout,
    tenancy::decoded,
    token::removed_index,
};

/// Adds to a draft that the index rows of something go, whose record goes.
pub(crate) fn without<T>(draft: Draft<T>, kind: &str, row: &Row) -> Result<Draft<T>, Error> {
    Ok(match kind {
        "token" => removed_index(draft, &decoded::<TokenRecord>(row)?.value),
        "member" => {
            let MemberRecord { tenant, user, role, .. } = decoded::<MemberRecord>(row)?.value;
            draft
                .delete(layout::member_of(user, tenant))
                .delete(layout::owner(tenant, user))
                .delete(layout::role_use(tenant, &role, "member", user))
        }
        "invitation" => {
            let invitation = decoded::<InvitationRecord>(row)?.value;
            let InvitationRecord { id, tenant, email, role, digest, expires_at, .. } = invitation;
            draft
                .delete(layout::invitation_digest(&digest))
                .delete(layout::invitation_pending(tenant, &email))
                .delete(layout::role_use(tenant, &role, "invitation", id))
                .not_due(&Due::new(expires_at, DueKind::Invitation, id))
        }
        _ => draft,
    })
}
