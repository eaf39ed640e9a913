//! Lists: one envelope and one way to page for every collection.

use serde::{Deserialize, Serialize};

/// How many items a page has when the client does not say.
pub const DEFAULT_PAGE_ITEMS: usize = 100;

/// The most items on one page.
pub const MAX_PAGE_ITEMS: usize = 1000;

/// One page of a list.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageBody<T> {
    /// The items. A page may be short, even empty, without being the last.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last one. All pages of one walk show one state.
    pub next_cursor: Option<String>,
}

/// Which page is asked for, where a list has no filters.
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// How many items a page has at most: 1 to 1000; 100, if not given.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u64>, minimum = 1, maximum = 1000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before, with the same filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
