//! Which tenants a list shows, written as an expression:
//!
//! ```text
//! state = active AND (plan = pro OR plan = enterprise) AND NOT labels.tier = trial
//! ```
//!
//! | field | what may be asked of it |
//! |---|---|
//! | `id`, `state`, `plan` | `=`, `!=` |
//! | `group`, `region`, `labels.NAME` | `=`, `!=`; `:*` for those that have any |
//! | `slug`, `name` | `=`, `!=`; `:` for those that contain a text; whatever the case |
//! | `created_at`, `updated_at` | `<`, `<=`, `>`, `>=`, with an RFC 3339 time |
//!
//! Values with spaces or parentheses stand in double quotes. `AND` and `OR` are joined with
//! parentheses only, because people differ on which of them binds tighter. The form is a part of
//! what Google's AIP-160 describes.

mod grammar;

use std::{ops::Bound, str::FromStr};

use tenantry_model::{TenantId, TenantState, Timestamp};

use crate::{
    facet::{self, Facet},
    folded,
    order::SortField,
};

/// The most characters of a filter.
pub const MAX_FILTER_CHARACTERS: usize = 2000;

/// An expression that holds for some tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of these hold. Without any, it holds for all tenants.
    All(Vec<Filter>),
    /// One of these holds.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// One field is as it is asked for.
    Is(Test),
}

/// What is asked of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test(pub(crate) Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Id(TenantId),
    Facet(Facet),
    /// Slug or name is this text, folded.
    Equal(SortField, String),
    /// Slug or name contains this text, folded and not empty.
    Contains(SortField, String),
    Between(SortField, Bound<Timestamp>, Bound<Timestamp>),
}

/// A text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {problem}")]
pub struct FilterError {
    /// Where, counted from 1.
    pub at: usize,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        grammar::parse(text)
    }
}

impl Filter {
    /// A field has this value: one of `state`, `plan`, `group` and `region`.
    #[must_use]
    pub fn field(field: &str, value: &str) -> Self {
        Self::Is(Test(Kind::Facet(facet::value(field, value))))
    }

    /// It is this tenant.
    #[must_use]
    pub fn id(id: TenantId) -> Self {
        Self::Is(Test(Kind::Id(id)))
    }

    /// A label has this value.
    #[must_use]
    pub fn label(name: &str, value: &str) -> Self {
        Self::field(&facet::label(name), value)
    }
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Has,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What one comparison asks, or why it cannot be asked.
fn comparison(field: &str, operator: Operator, value: &str) -> Result<Filter, String> {
    let kind = match field {
        "id" => {
            equal(field, operator, Kind::Id(value.parse().map_err(|error| format!("{error}"))?))
        }
        "state" => equal(field, operator, Kind::Facet(facet::value(field, state(value)?))),
        "plan" => equal(field, operator, Kind::Facet(facet::value(field, value))),
        "group" | "region" => facet(field, operator, value),
        "slug" => text(SortField::Slug, operator, value),
        "name" => text(SortField::Name, operator, value),
        "created_at" => time(SortField::CreatedAt, operator, value),
        "updated_at" => time(SortField::UpdatedAt, operator, value),
        _ if field.starts_with("labels.") => facet(field, operator, value),
        _ => Err(format!(
            "there is no field `{field}`: ask for id, slug, name, state, plan, group, region, \
             labels.NAME, created_at or updated_at"
        )),
    }?;
    let test = Filter::Is(Test(kind));
    Ok(if operator == Operator::NotEqual { Filter::Not(Box::new(test)) } else { test })
}

fn equal(field: &str, operator: Operator, kind: Kind) -> Result<Kind, String> {
    match operator {
        Operator::Equal | Operator::NotEqual => Ok(kind),
        _ => Err(format!("`{field}` is compared with `=` or `!=`")),
    }
}

fn facet(field: &str, operator: Operator, value: &str) -> Result<Kind, String> {
    match (operator, value) {
        (Operator::Equal | Operator::NotEqual, _) => Ok(Kind::Facet(facet::value(field, value))),
        (Operator::Has, "*") => Ok(Kind::Facet(facet::any(field))),
        _ => Err(format!("`{field}` is compared with `=` or `!=`, or asked for with `:*`")),
    }
}

fn text(field: SortField, operator: Operator, value: &str) -> Result<Kind, String> {
    let name = field.as_str();
    match operator {
        Operator::Has if value.is_empty() => Err(format!("`{name}:` needs a text to look for")),
        Operator::Has => Ok(Kind::Contains(field, folded(value))),
        Operator::Equal | Operator::NotEqual => Ok(Kind::Equal(field, folded(value))),
        _ => Err(format!("`{name}` is compared with `=` or `!=`, or searched with `:`")),
    }
}

fn time(field: SortField, operator: Operator, value: &str) -> Result<Kind, String> {
    let name = field.as_str();
    let at: Timestamp = value.parse().map_err(|error| format!("{error}"))?;
    let (from, to) = match operator {
        Operator::Less => (Bound::Unbounded, Bound::Excluded(at)),
        Operator::LessOrEqual => (Bound::Unbounded, Bound::Included(at)),
        Operator::Greater => (Bound::Excluded(at), Bound::Unbounded),
        Operator::GreaterOrEqual => (Bound::Included(at), Bound::Unbounded),
        _ => return Err(format!("`{name}` is compared with `<`, `<=`, `>` or `>=`")),
    };
    Ok(Kind::Between(field, from, to))
}

fn state(value: &str) -> Result<&str, String> {
    let states = TenantState::ALL.map(TenantState::as_str);
    if states.contains(&value) {
        Ok(value)
    } else {
        Err(format!("there is no state `{value}`: it is one of {}", states.join(", ")))
    }
}
