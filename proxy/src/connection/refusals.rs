//! Refusals of what never became a request: counted and logged like those of requests.

use std::{sync::Arc, time::Duration};

use tenantry_engine::{Finished, Reason};

use super::Connection;
use crate::{
    active::Active,
    gateway::AccessLog,
    request_id::{RequestId, RequestIds},
};

#[derive(Debug)]
pub(crate) struct Refusals {
    pub(crate) active: Arc<Active>,
    pub(crate) request_ids: Arc<RequestIds>,
    pub(crate) access_log: AccessLog,
}

impl Refusals {
    /// Counts a refusal, and gives it an id to be told by.
    pub(super) fn record(&self, reason: Reason, connection: &Connection) -> RequestId {
        let request_id = self.request_ids.next();
        if let Some(state) = self.active.load() {
            let usage = state.table.runtime().usages.unresolved();
            usage.start();
            usage.finish(&Finished {
                status: reason.status(),
                reason: Some(reason),
                request_bytes: 0,
                response_bytes: 0,
                duration: Duration::ZERO,
            });
        }
        if self.access_log == AccessLog::On {
            tracing::info!(
                target: "tenantry::access",
                %request_id,
                client = %connection.client.ip(),
                status = reason.status(),
                reason = reason.as_str(),
            );
        }
        request_id
    }
}
