//! Who is calling, as far as it decides which endpoint is asked.

use std::net::IpAddr;

use pingora::proxy::Session;
use tenantry_engine::CompiledUpstream;
use tenantry_model::{KeyId, TenantId, upstream::HashOn};

/// Who is calling.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// Nobody on a route that is exempt from tenancy.
    pub(super) tenant: Option<TenantId>,
    pub(super) key: Option<KeyId>,
    pub(super) client: IpAddr,
}

impl Caller {
    /// The hash over what was asked for; over the client's address where that is not there.
    pub(super) fn hash(&self, on: &HashOn, session: &Session) -> u64 {
        let text = match on {
            HashOn::Tenant => self.tenant.map(|tenant| tenant.to_string()),
            HashOn::Key => self.key.map(|key| key.to_string()),
            HashOn::Client => None,
            HashOn::Header(name) => {
                if let Some(value) = session.req_header().headers.get(name.as_str()) {
                    return CompiledUpstream::hash(value.as_bytes());
                }
                None
            }
        };
        CompiledUpstream::hash(text.unwrap_or_else(|| self.client.to_string()).as_bytes())
    }
}
