//! Features: named gates that are on or off for a tenant.

use std::{fmt, hash::Hasher as _};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
};
use siphasher::sip::SipHasher13;

use crate::{Bounded, FeatureId, TenantId};

/// A declared feature.
///
/// Plans, tenants and routes may name a feature that was never declared; it is then off unless the
/// tenant's plan or the tenant itself turns it on. Declaring it adds a default and a kill switch.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The name.
    pub id: FeatureId,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whether it is on for a tenant that neither its plan nor an override speaks of.
    #[serde(default)]
    pub default: FeatureDefault,
    /// The kill switch: off for everybody, whatever plans and tenants say.
    #[serde(default)]
    pub killed: bool,
}

/// For which tenants a feature is on of which nothing else speaks. In JSON `false`, `true`, or
/// `{"percentage": 25}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FeatureDefault {
    /// For none.
    #[default]
    Off,
    /// For all.
    On,
    /// For so many of a hundred, always the same ones.
    Percentage(Percentage),
}

/// A whole number from 0 to 100.
pub type Percentage = Bounded<0, 100>;

impl FeatureDefault {
    /// Whether it is on for a tenant.
    #[must_use]
    pub fn is_on(self, feature: &FeatureId, tenant: TenantId) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Percentage(percentage) => share(feature, tenant) < percentage.get(),
        }
    }
}

/// Where a tenant stands in the roll-out of a feature, 0 to 99: it is among the first so many of a
/// hundred. A larger percentage so never takes a feature from a tenant that has it.
///
/// The keys are fixed: every proxy and the control plane must say the same, after every restart. Tenants
/// do not choose their identifiers, so none can aim. The feature goes into the hash as well, or the same
/// tenants would be the first to try everything.
fn share(feature: &FeatureId, tenant: TenantId) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x7465_6e61_6e74_7279, 0x726f_6c6c_6f75_7401);
    hasher.write(feature.as_str().as_bytes());
    hasher.write(&tenant.to_u128().to_be_bytes());
    // The upper half of the product is spread as evenly as the hash is.
    u64::try_from((u128::from(hasher.finish()) * 100) >> 64).unwrap_or(99)
}

impl Serialize for FeatureDefault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_bool(false),
            Self::On => serializer.serialize_bool(true),
            Self::Percentage(percentage) => {
                RollOut { percentage: *percentage }.serialize(serializer)
            }
        }
    }
}

#[cfg(feature = "openapi")]
crate::openapi::text_schema!(FeatureDefault, crate::openapi::feature_default());

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RollOut {
    percentage: Percentage,
}

impl<'de> Deserialize<'de> for FeatureDefault {
    /// By hand, because an untagged enum would say nothing about what is wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = FeatureDefault;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or {\"percentage\": 0 to 100}")
    }

    fn visit_bool<E: de::Error>(self, is_on: bool) -> Result<FeatureDefault, E> {
        Ok(if is_on { FeatureDefault::On } else { FeatureDefault::Off })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FeatureDefault, A::Error> {
        let roll_out = RollOut::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(FeatureDefault::Percentage(roll_out.percentage))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_default_is_a_switch_or_a_share() {
        let read = serde_json::from_str::<FeatureDefault>;
        for (json, expected) in [
            ("false", FeatureDefault::Off),
            ("true", FeatureDefault::On),
            (r#"{"percentage":0}"#, FeatureDefault::Percentage(Bounded::clamped(0))),
            (r#"{"percentage":25}"#, FeatureDefault::Percentage(Bounded::clamped(25))),
        ] {
            assert_eq!(read(json).unwrap(), expected);
            assert_eq!(serde_json::to_string(&expected).unwrap(), json);
        }
        for (bad, part) in [
            (r#"{"percentage":101}"#, "0 to 100"),
            (r#"{"percentage":2.5}"#, "u64"),
            (r#"{"percentage":1,"of":2}"#, "unknown field"),
            ("{}", "missing field"),
            ("25", "percentage"),
            ("null", "percentage"),
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
        let old = r#"{"id":"a","description":"","default":true,"killed":false}"#;
        let feature: Feature = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&feature).unwrap(), old);
    }

    #[test]
    fn a_roll_out_grows_and_is_spread_evenly() {
        let feature: FeatureId = "reports".parse().unwrap();
        let other: FeatureId = "exports".parse().unwrap();
        let tenants: Vec<_> = (0..10_000_u128)
            .map(|number| TenantId::from_parts(1_700_000_000_000, number * 0x9e37_79b9_7f4a_7c15))
            .collect();
        let on = |feature: &FeatureId, percentage: u64| -> BTreeSet<TenantId> {
            let default = FeatureDefault::Percentage(Bounded::clamped(percentage));
            tenants.iter().copied().filter(|tenant| default.is_on(feature, *tenant)).collect()
        };
        let mut before = BTreeSet::new();
        for percentage in (0..=100).step_by(5) {
            let now = on(&feature, percentage);
            assert!(before.is_subset(&now), "{percentage} took it away");
            let expected = usize::try_from(percentage).unwrap() * 100;
            assert!(now.len().abs_diff(expected) < 250, "{percentage}: {}", now.len());
            before = now;
        }
        assert_eq!((on(&feature, 0).len(), on(&feature, 100).len()), (0, 10_000));
        // Who is first for one feature is not first for all.
        let (first, second) = (on(&feature, 20), on(&other, 20));
        let both = first.intersection(&second).count();
        assert!((300..500).contains(&both), "{both} of about 400");
    }

    #[test]
    fn a_share_never_changes() {
        // What was rolled out under one build must stay so under the next.
        let feature: FeatureId = "reports".parse().unwrap();
        let shares: Vec<_> =
            (0..8).map(|number| share(&feature, TenantId::from_parts(7, number))).collect();
        assert_eq!(shares, SHARES);
    }

    const SHARES: [u64; 8] = [90, 58, 39, 85, 31, 75, 39, 39];
}
