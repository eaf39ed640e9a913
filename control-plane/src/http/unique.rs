//! JSON in which no object names a member twice.
//!
//! RFC 8259, section 4, leaves open what a repeated name means, and parsers differ: the first, the last,
//! an error. What two readers of one body would read differently is refused.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

/// Reads any JSON and keeps nothing; an error if a member stands twice.
pub(super) struct UniqueMembers;

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

macro_rules! scalars {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<UniqueMembers, E> {
            Ok(UniqueMembers)
        })*
    };
}

impl<'de> Visitor<'de> for Walk {
    type Value = UniqueMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<UniqueMembers, E> {
        Ok(UniqueMembers)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<UniqueMembers, A::Error> {
        while list.next_element::<UniqueMembers>()?.is_some() {}
        Ok(UniqueMembers)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<UniqueMembers, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, _)) = object.next_entry::<String, UniqueMembers>()? {
            if let Some(twice) = names.replace(name) {
                return Err(A::Error::custom(format!("the member `{twice}` stands twice")));
            }
        }
        Ok(UniqueMembers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, is_unique: bool) {
        assert_eq!(serde_json::from_str::<UniqueMembers>(json).is_ok(), is_unique, "{json}");
    }

    #[test]
    fn a_member_stands_once_at_any_depth() {
        check(r#"{"a": 1, "b": [null, true, 1.5, -1, "x", {"a": {}}]}"#, true);
        check(r#"[{"a": 1}, {"a": 1}]"#, true);
        check(r#"{"a": 1, "a": 1}"#, false);
        check(r#"{"a": [{"b": {"c": 1, "c": 2}}]}"#, false);
        // However it is spelled.
        check(r#"{"a": 1, "\u0061": 1}"#, false);
    }
}
