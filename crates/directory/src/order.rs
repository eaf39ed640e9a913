//! The orders that tenants can be listed in.

use std::{str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use tenantry_model::{TenantId, Timestamp};

/// What tenants are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SortField {
    /// When they were made.
    #[default]
    CreatedAt,
    /// When they were last written.
    UpdatedAt,
    /// Their slug.
    Slug,
    /// Their name, whatever the case.
    Name,
}

impl SortField {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::CreatedAt, Self::UpdatedAt, Self::Slug, Self::Name];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::Slug => "slug",
            Self::Name => "name",
        }
    }
}

/// An order, as in `order_by=name desc`. Tenants that are equal in it come by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    /// By what.
    pub field: SortField,
    /// The greatest first.
    pub is_descending: bool,
}

/// A text is no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write created_at, updated_at, slug or name, and `desc` behind it for the other way round")]
pub struct OrderError;

impl FromStr for Order {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<Self, OrderError> {
        let mut words = text.split_ascii_whitespace();
        let name = words.next().ok_or(OrderError)?;
        let field = SortField::ALL.into_iter().find(|field| field.as_str() == name);
        let is_descending = match (words.next(), words.next()) {
            (None, None) | (Some("asc"), None) => false,
            (Some("desc"), None) => true,
            _ => return Err(OrderError),
        };
        field.map(|field| Self { field, is_descending }).ok_or(OrderError)
    }
}

/// What one tenant is ordered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum SortKey {
    #[serde(rename = "at")]
    Time(Timestamp),
    #[serde(rename = "is")]
    Text(Arc<str>),
}

/// A place in an order: right behind a tenant, whether it is still there or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position(pub(crate) SortKey, pub(crate) TenantId);

impl Position {
    /// Whether it is one of this order.
    pub(crate) fn is_of(&self, field: SortField) -> bool {
        match field {
            SortField::CreatedAt | SortField::UpdatedAt => matches!(self.0, SortKey::Time(_)),
            SortField::Slug | SortField::Name => matches!(self.0, SortKey::Text(_)),
        }
    }
}
