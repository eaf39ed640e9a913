//! What proof of identity a tenant or a route asks for.

use serde::{Deserialize, Serialize};

/// The credential a request must carry. A host alone names a tenant; a credential proves it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthRequirement {
    /// The host is enough.
    None,
    /// An API key or a JWT.
    #[default]
    Any,
    /// An API key.
    ApiKey,
    /// A JWT of a trusted issuer.
    Jwt,
}
