//! Roll-outs to look at.

use std::str::FromStr as _;

use tenantry_model::RolloutId;

use super::RolloutRecord;
use crate::{
    Error, Listing, PageRequest, Tenancy, Versioned, layout,
    listing::{bound, unbound},
    tenancy::decoded,
};

/// More than there can be.
const ALL: usize = super::KEPT * 2;

impl Tenancy {
    /// One roll-out.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn rollout(&self, id: RolloutId) -> Result<Versioned<RolloutRecord>, Error> {
        let found = self.find(&layout::rollout(id), None).await?;
        found.ok_or_else(|| Error::not_found("roll-out", id))
    }

    /// All roll-outs that are remembered, newest first.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], and what reading can end in.
    pub async fn rollouts(&self, request: &PageRequest) -> Result<Listing<RolloutRecord>, Error> {
        let before = match request.cursor() {
            None => None,
            Some(cursor) => {
                let id = RolloutId::from_str(unbound(layout::ROLLOUTS, "", cursor)?);
                Some(id.map_err(|_| Error::InvalidCursor("the cursor is not one of this list"))?)
            }
        };
        let page = self.store.scan(layout::ROLLOUTS.as_bytes(), None, ALL).await?;
        let mut found = Vec::new();
        for row in page.rows.iter().rev() {
            let rollout: Versioned<RolloutRecord> = decoded(row)?;
            if before.is_none_or(|before| rollout.value.id < before) {
                found.push(rollout);
            }
        }
        let is_all = found.len() <= request.limit();
        found.truncate(request.limit());
        let last = found.last().filter(|_| !is_all).map(|last| last.value.id.to_string());
        let next_cursor = last.map(|last| bound(layout::ROLLOUTS, "", &last));
        Ok(Listing { items: found, at: page.at, next_cursor })
    }
}
