//! Who is calling, as far as it decides which endpoint is asked.

use std::net::IpAddr;

use tenantry_engine::{CompiledUpstream, HeaderLookup};
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
    pub(super) fn hash(&self, on: &HashOn, headers: &dyn HeaderLookup) -> u64 {
        let text = match on {
            HashOn::Tenant => self.tenant.map(|tenant| tenant.to_string()),
            HashOn::Key => self.key.map(|key| key.to_string()),
            HashOn::Client => None,
            HashOn::Header(name) => {
                if let Some(value) = headers.lines(name.as_str()).first() {
                    return CompiledUpstream::hash(value);
                }
                None
            }
        };
        CompiledUpstream::hash(text.unwrap_or_else(|| self.client.to_string()).as_bytes())
    }
}
