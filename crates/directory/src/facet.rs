//! Fields that tenants are grouped by: each value has the set of its tenants.

use std::sync::Arc;

/// One value of one field, or that the field has any value. Written `plan=pro`, or `group` alone; no
/// name of a field has a `=`, so no two are written alike.
pub(crate) type Facet = Arc<str>;

/// That a field has this value.
pub(crate) fn value(field: &str, value: &str) -> Facet {
    format!("{field}={value}").into()
}

/// That a field has a value.
pub(crate) fn any(field: &str) -> Facet {
    field.into()
}

/// The field that a label is.
pub(crate) fn label(name: &str) -> String {
    format!("labels.{name}")
}
