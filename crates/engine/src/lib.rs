//! Compiles resources into an indexed table and decides one request.
//!
//! [`decide`] is the only place where policy is decided: the proxy, `explain`, the control plane and
//! the tests call the same function. The crate has no I/O, no async, reads no clock and has no
//! globals: time and seeds are passed in.

mod deny;
mod facts;
mod trace;

mod decide;
mod table;

mod feature;
mod guard;
mod issuer;
mod key_uses;
mod limiter;
mod network_set;
mod overload;
mod pacer;
mod path;
mod policy;
mod rewrite;
mod route;
mod runtime;
mod split;
mod tenant;
mod token_cache;
mod upstream;
mod usage;

pub use decide::{
    Admission, Decision, Denial, Forward, Identity, KeyIdentity, LimitLevel, LimitOwner, Recorded,
    Redirection, decide, explain, redecide,
};
pub use deny::{Blame, Reason};
pub use facts::{
    HeaderFacts, HeaderLines, HeaderLookup, Now, RequestFacts, Single, VerifiedClient,
};
pub use guard::{host_of, path_of};
pub use issuer::CompiledIssuer;
pub use key_uses::{KeyUse, KeyUses};
pub use limiter::{CompiledRateLimit, Level};
pub use network_set::NetworkSet;
pub use policy::Policy;
pub use route::CompiledRoute;
pub use runtime::{InFlight, Runtime, RuntimeOptions, TenantConnection, TenantRuntime};
pub use table::{Applied, Change, Refused, Table, check};
pub use tenant::CompiledTenant;
pub use token_cache::VerifiedToken;
pub use trace::{Explanation, Stage, Step, Trace};
pub use upstream::{
    Checked, CompiledTls, CompiledUpstream, EndpointReading, EndpointState, Held, Outcome, Pick,
    Picked, Standing, TlsFault, UpstreamCounts, UpstreamNames,
};
pub use usage::{
    Finished, LATENCY_BOUNDS_US, STATUS_CLASSES, Totals, Usage, UsageOwner, UsageReading, Usages,
};
