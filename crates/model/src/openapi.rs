//! How the types of this crate that are parsed from text or numbers look as OpenAPI schemas.
//!
//! A pattern says what is plain to say in one. The whole rule is in the description, and what breaks
//! it is answered with the rule.

use std::ops::RangeInclusive;

use utoipa::openapi::{
    ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat,
    schema::{AdditionalProperties, Type},
};

/// Gives a type the schema that an expression makes.
macro_rules! text_schema {
    ($type:ident, $schema:expr) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema
            }
        }

        impl utoipa::ToSchema for $type {}
    };
}

/// Gives a type the schema of the one that it is parsed from.
macro_rules! same_schema {
    ($type:ident, $raw:ident, $name:literal) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                <$raw as utoipa::PartialSchema>::schema()
            }
        }

        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn schemas(
                schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>,
            ) {
                <$raw as utoipa::ToSchema>::schemas(schemas);
            }
        }
    };
}

pub(crate) use {same_schema, text_schema};

/// A text with a pattern and a length.
pub(crate) fn text(
    description: &str,
    pattern: &str,
    length: RangeInclusive<usize>,
) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(pattern))
        .min_length(Some(*length.start()))
        .max_length(Some(*length.end()))
        .into()
}

/// A name that somebody chose, with these characters between letters and digits.
pub(crate) fn name(rule: &str, inner: &[u8]) -> RefOr<Schema> {
    let inner: String = inner.iter().map(|byte| char::from(*byte)).rev().collect();
    // A hyphen stands for itself where it is the last.
    let pattern = format!("^[a-z0-9]([a-z0-9{inner}]*[a-z0-9])?$");
    text(rule, &pattern, 1..=crate::name::MAX_NAME_BYTES)
}

/// An identifier that the platform made.
pub(crate) fn id(what: &str, prefix: &str) -> RefOr<Schema> {
    let length = prefix.len() + 26;
    let pattern = format!("^{prefix}[0-7][0-9A-HJKMNP-TV-Z]{{25}}$");
    text(&format!("A {what}: `{prefix}` and a ULID."), &pattern, length..=length)
}

/// A whole number with bounds.
pub(crate) fn integer(min: u64, max: u64) -> RefOr<Schema> {
    let bound = |bound: u64| i64::try_from(bound).unwrap_or(i64::MAX);
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Int64)))
        .minimum(Some(bound(min)))
        .maximum(Some(bound(max)))
        .into()
}

/// `"off"`, or an object that says one line in how many.
pub(crate) fn access_logging() -> RefOr<Schema> {
    let off = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["off"]));
    let one_in = ObjectBuilder::new()
        .property("one_in", integer(1, u32::MAX.into()))
        .required("one_in")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    OneOfBuilder::new()
        .item(off)
        .item(one_in)
        .description(Some("How much is written: nothing, or one line in so many."))
        .into()
}

/// `false`, `true`, or an object that says for how many of a hundred tenants.
pub(crate) fn feature_default() -> RefOr<Schema> {
    let switch = ObjectBuilder::new().schema_type(Type::Boolean);
    let share = ObjectBuilder::new()
        .property("percentage", integer(0, 100))
        .required("percentage")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    OneOfBuilder::new()
        .item(switch)
        .item(share)
        .description(Some("For no tenant, for all, or for so many of a hundred."))
        .into()
}

/// A number, or the word for none.
pub(crate) fn quota_max() -> RefOr<Schema> {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["unlimited"]));
    OneOfBuilder::new()
        .item(integer(1, u64::MAX))
        .item(word)
        .description(Some("How many there may be at once."))
        .into()
}
