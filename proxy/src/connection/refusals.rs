//! Refusals of what never became a request: counted and logged like those of requests.

use std::{sync::Arc, time::Duration};

use tenantry_engine::{Finished, Reason};

use super::Connection;
use crate::{
    access_log::{AccessLog, Line, blamed, instant},
    active::Active,
    clock::Clock,
    request_id::{RequestId, RequestIds},
};

#[derive(Debug)]
pub(crate) struct Refusals {
    pub(crate) active: Arc<Active>,
    pub(crate) request_ids: Arc<RequestIds>,
    pub(crate) access_log: AccessLog,
    pub(crate) clock: Clock,
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
        if let Some(one_in) = self.access_log.takes(request_id, None, true) {
            self.access_log.write(&Line {
                time: instant(self.clock.now().unix),
                request_id: request_id.to_string(),
                client: connection.client.ip().to_string(),
                decision: reason.as_str(),
                blame: Some(blamed(reason)),
                status: Some(reason.status()),
                sampled_one_in: one_in.shown(),
                ..Line::default()
            });
        }
        request_id
    }
}
