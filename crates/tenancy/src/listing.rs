//! Lists, one page at a time.
//!
//! A cursor continues one walk: it pins the state of the first page, so no page shows what came
//! later (those of tenants do not: see [`Tenancy::tenants`]), and it is bound to the list and its filters, so that it cannot be used to ask another
//! question half-way. A page may end early when filters let little pass, so that one request never
//! reads the whole store; only a missing cursor is the end.

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tenantry_store::{Cursor, Revision, Row};

use crate::{Error, Tenancy, Versioned, tenancy::damaged};

/// The most items on one page.
pub const MAX_ITEMS: usize = 1000;
const DEFAULT_ITEMS: usize = 100;
/// The most rows one request looks at.
const MAX_ROWS: usize = 5000;
/// Characters of a cursor that say which list it is of.
const BINDING_DIGITS: usize = 16;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    limit: usize,
    cursor: Option<String>,
}

impl PageRequest {
    /// A page of at most `limit` items (100, if not given), behind the cursor.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] if the limit is not 1 to [`MAX_ITEMS`].
    pub fn new(limit: Option<usize>, cursor: Option<String>) -> Result<Self, Error> {
        let limit = limit.unwrap_or(DEFAULT_ITEMS);
        if !(1..=MAX_ITEMS).contains(&limit) {
            let detail = format!("limit is 1 to {MAX_ITEMS}");
            return Err(Error::InvalidQuery { parameter: "limit", detail });
        }
        Ok(Self { limit, cursor })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<Versioned<T>>,
    /// The revision that all pages of the walk show.
    pub at: Revision,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

impl Tenancy {
    /// The rows under `prefix` of which `pick` makes an item. `filters` says which list this is.
    pub(crate) async fn list<T>(
        &self,
        prefix: &str,
        filters: &str,
        request: &PageRequest,
        pick: impl Fn(&Row) -> Result<Option<Versioned<T>>, Error> + Sync,
    ) -> Result<Listing<T>, Error> {
        let opened = |text| unbound(prefix, filters, text)?.parse().map_err(|_| foreign());
        let mut cursor = request.cursor().map(opened).transpose()?;
        let mut items = Vec::new();
        let mut looked_at = 0;
        loop {
            // Without filters every row is an item; with them, more rows are needed per item.
            let rows = if filters.is_empty() { request.limit } else { MAX_ROWS / 5 };
            let page = self.store.scan(prefix.as_bytes(), cursor, rows).await?;
            let (at, more) = (page.at, page.next);
            let count = page.rows.len();
            looked_at += count;
            for (index, row) in page.rows.iter().enumerate() {
                items.extend(pick(row)?);
                if items.len() == request.limit && (index + 1 < count || more.is_some()) {
                    let store = self.store.status().await.id;
                    let next = Cursor { store, at, after: row.key.clone() };
                    let next_cursor = Some(bound(prefix, filters, &next.to_string()));
                    return Ok(Listing { items, at, next_cursor });
                }
            }
            match more {
                Some(next) if looked_at >= MAX_ROWS => {
                    let next_cursor = Some(bound(prefix, filters, &next.to_string()));
                    return Ok(Listing { items, at, next_cursor });
                }
                Some(next) => cursor = Some(next),
                None => return Ok(Listing { items, at, next_cursor: None }),
            }
        }
    }
}

impl Tenancy {
    /// The records that the rows under an index prefix name by the last part of their keys.
    pub(crate) async fn list_indexed<T: DeserializeOwned>(
        &self,
        index: &str,
        records: &str,
        request: &PageRequest,
    ) -> Result<Listing<T>, Error> {
        let named = self.list(index, "", request, |row| last_part(row).map(Some)).await?;
        let Listing { items: names, at, next_cursor } = named;
        let mut items = Vec::with_capacity(names.len());
        for name in names {
            items.extend(self.find(&format!("{records}{}", name.value), Some(at)).await?);
        }
        Ok(Listing { items, at, next_cursor })
    }
}

fn last_part(row: &Row) -> Result<Versioned<String>, Error> {
    let last = std::str::from_utf8(&row.key).ok().and_then(|key| key.rsplit('/').next());
    let value = last.ok_or_else(|| damaged(&row.key))?.to_owned();
    Ok(Versioned { value, revision: row.mod_rev })
}

/// A cursor that is good for one list with these filters only.
pub(crate) fn bound(list: &str, filters: &str, cursor: &str) -> String {
    format!("{}{cursor}", binding(list, filters))
}

/// The cursor within one that is bound to this list and these filters.
pub(crate) fn unbound<'t>(list: &str, filters: &str, text: &'t str) -> Result<&'t str, Error> {
    match text.split_at_checked(BINDING_DIGITS) {
        Some((bound, cursor)) if bound == binding(list, filters) => Ok(cursor),
        _ => Err(foreign()),
    }
}

fn foreign() -> Error {
    Error::InvalidCursor(
        "the cursor is not one of this list with these filters; start again without it",
    )
}

fn binding(prefix: &str, filters: &str) -> String {
    let digest = Sha256::digest(format!("{prefix}\n{filters}").as_bytes());
    digest.iter().take(BINDING_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}
