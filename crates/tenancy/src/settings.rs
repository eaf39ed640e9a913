//! Settings of a tenant: which keys there are, and what each may hold.

use serde_json::{Map, Value};

use crate::{Error, merge::escaped};

/// Refuses keys that nobody has defined.
pub(crate) fn check(settings: &Map<String, Value>) -> Result<(), Error> {
    match settings.keys().next() {
        Some(key) => {
            let detail = format!("there is no setting {key}");
            Err(Error::invalid(format!("/settings/{}", escaped(key)), detail))
        }
        None => Ok(()),
    }
}
