//! Plans, features, upstreams and routes.
//!
//! Each is one document under an identifier that the operator chose. What is sent to write one is the
//! model's own type; what comes back is the same with its bookkeeping.

use serde::{Deserialize, Serialize};
use tenantry_model::Timestamp;

/// A stored document: the fields of the resource, and beside them what the platform keeps about it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentBody<T> {
    /// The resource, field by field.
    #[serde(flatten)]
    pub resource: T,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that last wrote it; also its `ETag`.
    pub revision: u64,
}

#[cfg(test)]
mod tests {
    use tenantry_model::{Feature, Plan, Route, Upstream};

    use super::*;

    fn check<T>(resource: &str)
    where
        T: serde::de::DeserializeOwned + Serialize + PartialEq + std::fmt::Debug,
    {
        let resource: T = serde_json::from_str(resource).unwrap();
        let body = DocumentBody {
            resource,
            created_at: Timestamp::from_unix_ms(1),
            updated_at: Timestamp::from_unix_ms(2),
            revision: 3,
        };
        let json = serde_json::to_string(&body).unwrap();
        assert_eq!(serde_json::from_str::<DocumentBody<T>>(&json).unwrap(), body, "{json}");
        let newer = json.replacen('{', r#"{"from_the_future":1,"#, 1);
        assert_eq!(serde_json::from_str::<DocumentBody<T>>(&newer).unwrap(), body, "{newer}");
    }

    #[test]
    fn every_kind_survives_json() {
        check::<Plan>(
            r#"{"id":"pro","name":"Pro","limits":{"requests":[{"name":"burst","quota":100,
                "window_seconds":1,"burst":200}],"concurrent_requests":100},"features":["reports"]}"#,
        );
        check::<Feature>(r#"{"id":"reports","default":true}"#);
        check::<Upstream>(r#"{"id":"main","endpoints":[{"address":"127.0.0.1:9000","weight":1}]}"#);
        check::<Route>(
            r#"{"id":"reports","match":{"hosts":[],"path_prefix":"/reports","methods":["GET"]},
                "require_features":["reports"],"upstream":"main"}"#,
        );
    }
}
