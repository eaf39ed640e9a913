//! For a while, proxies are told that it is meant if most tenants go.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenantry_model::Timestamp;

use crate::{
    Caller, Error, Tenancy, Versioned,
    draft::{Draft, Operation, encoded},
    idempotency::Answer,
    layout,
};

/// The longest that it can be allowed for.
const MAX_MINUTES: u8 = 60;

/// Until when a mass removal is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalAllowed {
    /// From this instant on it is not.
    pub until: Timestamp,
}

impl Answer for RemovalAllowed {}

impl Tenancy {
    /// From now on, and for so many minutes, what proxies are sent may take most tenants from them. It takes the
    /// place of what was allowed before.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub async fn allow_removal(
        &self,
        caller: &Caller,
        minutes: u8,
    ) -> Result<Versioned<RemovalAllowed>, Error> {
        self.run(caller, &Allow { minutes }).await
    }

    /// What was allowed last.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn removal_allowed(&self) -> Result<Option<RemovalAllowed>, Error> {
        Ok(self.find(layout::REMOVAL, None).await?.map(|found| found.value))
    }
}

struct Allow {
    minutes: u8,
}

impl Operation for Allow {
    type Output = RemovalAllowed;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<RemovalAllowed>, Error> {
        if !(1..=MAX_MINUTES).contains(&self.minutes) {
            let detail = format!("must be from 1 to {MAX_MINUTES}");
            return Err(Error::invalid("/minutes", detail));
        }
        let until = tenancy.now().after(Duration::from_secs(u64::from(self.minutes) * 60));
        let allowed = RemovalAllowed { until };
        let (key, json) = (layout::REMOVAL.to_owned(), encoded("removal", &allowed)?);
        Ok(Draft::about("distribution.allow_removal", key.clone(), None, allowed)
            .shown_after()?
            .put(key, json))
    }
}
