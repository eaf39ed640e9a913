//! Many tenants in one request: a line of JSON for each, and lines of JSON as the answer.

use serde::{Deserialize, Serialize};

use crate::{Enforcement, Problem};

/// What becomes of a tenant that is there and is not as its line says.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictAction {
    /// It stays as it is, and the line has failed.
    #[default]
    Fail,
    /// It stays as it is, and the line was skipped.
    Skip,
    /// It is changed to what the line says.
    Update,
}

/// How tenants are imported.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// What becomes of a tenant that is there and is not as its line says; `fail`, if not given.
    #[cfg_attr(feature = "openapi", param(inline))]
    #[serde(default)]
    pub on_conflict: ConflictAction,
    /// Whether no further line is begun once one has failed.
    #[serde(default)]
    pub stop_on_error: bool,
}

/// How many lines have ended how so far.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCounts {
    /// All that have ended; empty lines are none.
    pub lines: u64,
    /// Tenants that were made.
    pub created: u64,
    /// Tenants that were changed.
    pub updated: u64,
    /// Tenants that were already as their lines say.
    pub unchanged: u64,
    /// Tenants that were left as they were.
    pub skipped: u64,
    /// Lines that changed nothing because something is wrong with them.
    pub failed: u64,
}

/// One line of the answer.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ImportEvent {
    /// A line has failed.
    Error {
        /// Which, counted from 1.
        line: u64,
        /// The slug that stands in it, if one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slug: Option<String>,
        /// Why, with pointers into the line.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        problem: Box<Problem>,
    },
    /// How far it has come.
    Progress {
        /// So far.
        #[serde(flatten)]
        counts: ImportCounts,
    },
    /// The last line. An answer without one was cut off.
    Summary {
        /// In all.
        #[serde(flatten)]
        counts: ImportCounts,
        /// Whether nothing was changed, because that was asked for.
        dry_run: bool,
        /// Why it ended before the last line; nothing, if it did not.
        stopped: Option<String>,
        /// A revision that holds all of it.
        revision: u64,
        /// Which proxies enforce it, if that was waited for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        applied: Option<Enforcement>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_one_object_each() {
        let counts = ImportCounts { lines: 2, created: 1, failed: 1, ..ImportCounts::default() };
        let event = ImportEvent::Summary {
            counts,
            dry_run: false,
            stopped: None,
            revision: 7,
            applied: None,
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"event":"summary","lines":2,"created":1,"updated":0,"unchanged":0,"skipped":0,"failed":1,"dry_run":false,"stopped":null,"revision":7}"#
        );
        assert_eq!(serde_json::from_str::<ImportEvent>(&text).unwrap(), event);
    }
}
