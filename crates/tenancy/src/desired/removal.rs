//! The brake on changes that take most tenants away at once: it is rarely what was meant.

use tenantry_model::TenantState;

use super::past::State;
use crate::{Error, Tenancy};

/// From so many tenants on, no more than half go at once. Of fewer, one is left: to remove two of three is
/// everyday work.
const MANY: u64 = 100;

/// What becomes of a change that takes all tenants away, or more than half of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MassRemoval {
    /// It is refused, and nothing is changed.
    Refused,
    /// It is meant.
    Meant,
}

impl MassRemoval {
    fn stops(self, tenants: u64, removed: u64) -> bool {
        let is_much = removed >= tenants || tenants >= MANY && removed.saturating_mul(2) > tenants;
        self == Self::Refused && removed > 0 && is_much
    }
}

impl Tenancy {
    /// Looks at how many tenants would be deleted, among those that are not.
    pub(super) async fn brake(&self, removal: MassRemoval, removed: usize) -> Result<(), Error> {
        let removed = removed as u64;
        if removed == 0 || removal == MassRemoval::Meant {
            return Ok(());
        }
        let deleted = TenantState::Deleting.as_str();
        let tenants = self.tenants.without(&*self.store, "state", deleted).await?;
        if removal.stops(tenants, removed) {
            return Err(Error::MassRemoval { tenants, removed });
        }
        Ok(())
    }
}

/// How many tenants there are now that there would not be.
pub(super) fn removed(now: &State, then: &State) -> usize {
    let goes = |id| then.tenants.get(id).is_none_or(super::past::Known::is_deleted);
    now.tenants.iter().filter(|(id, known)| !known.is_deleted() && goes(*id)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_few_and_half_of_many_are_too_much() {
        for (tenants, removed, expected) in [
            (0, 0, false),
            (1, 0, false),
            (1, 1, true),
            (3, 2, false),
            (3, 3, true),
            (99, 98, false),
            (100, 50, false),
            (100, 51, true),
            (1_000_000, 500_001, true),
        ] {
            assert_eq!(
                MassRemoval::Refused.stops(tenants, removed),
                expected,
                "{removed} of {tenants}"
            );
            assert!(!MassRemoval::Meant.stops(tenants, removed));
        }
    }
}
