//! From rows to resources: what of the store a proxy gets to see.

use serde::Deserialize;
use serde_json::value::RawValue;
use tenantry_model::ResourceKind;

/// Which resource the row of this key holds; none for index rows and the audit log.
#[must_use]
pub fn resource_key(key: &[u8]) -> Option<(ResourceKind, &str)> {
    let (kind, id) = std::str::from_utf8(key).ok()?.split_once('/')?;
    let kind = ResourceKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    Some((kind, id))
}

/// The resource inside a record, byte for byte as it was stored, so that its hash never depends on
/// who reads it.
///
/// # Errors
/// If the value is not a record.
pub fn resource_json(value: &[u8]) -> Result<&RawValue, serde_json::Error> {
    #[derive(Deserialize)]
    struct Stored<'a> {
        #[serde(borrow)]
        resource: &'a RawValue,
    }
    serde_json::from_slice::<Stored<'_>>(value).map(|stored| stored.resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_are_resources() {
        assert_eq!(resource_key(b"plan/pro"), Some((ResourceKind::Plan, "pro")));
        assert_eq!(resource_key(b"domain/*.a.com"), Some((ResourceKind::Domain, "*.a.com")));
        for other in ["slug/acme", "ref/plan/pro/tenant/x", "of/-/issuer/x", "audit/0", "plan", ""]
        {
            assert_eq!(resource_key(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_resource_keeps_its_bytes() {
        let json = resource_json(br#"{"created_at":1,"resource":{ "a" : 1.0 },"x":{}}"#).unwrap();
        assert_eq!(json.get(), r#"{ "a" : 1.0 }"#);
        assert!(resource_json(b"{}").is_err());
    }
}
