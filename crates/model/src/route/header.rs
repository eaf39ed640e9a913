//! Headers that routes ask for and change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};

use crate::Invalid;

const MAX_NAME_BYTES: usize = 128;
const MAX_VALUE_BYTES: usize = 4096;
/// The most headers one route may ask for.
const MAX_HEADER_CONDITIONS: usize = 16;
/// The most changes one route may make to the headers of one message.
const MAX_HEADER_EDITS: usize = 64;

/// What frames a message or belongs to one connection (RFC 9110, section 7.6.1), and what the gateway
/// alone says: no route may touch it.
const UNTOUCHABLE: [&str; 19] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "via",
];
const UNTOUCHABLE_PREFIXES: [&str; 2] = ["x-tenant-", "x-forwarded-"];
/// What carries credentials: a route is no place to keep one.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "set-cookie", "x-api-key"];

/// A header's name in lower case (RFC 9110, section 5.1): names compare without case.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", min_length = 1, max_length = 128))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderName(Arc<str>);

impl HeaderName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Some servers read `_` in a name as `-`, so one is as good as the other.
    fn reads_as(&self, other: &str) -> bool {
        self.0.len() == other.len() && self.starts_like(other)
    }

    fn starts_like(&self, prefix: &str) -> bool {
        let alike = |(a, b): (u8, u8)| a == b || (a == b'_' && b == b'-');
        self.0.len() >= prefix.len() && self.0.bytes().zip(prefix.bytes()).all(alike)
    }

    fn is_untouchable(&self) -> bool {
        UNTOUCHABLE.iter().any(|name| self.reads_as(name))
            || UNTOUCHABLE_PREFIXES.iter().any(|prefix| self.starts_like(prefix))
    }

    fn is_credential(&self) -> bool {
        CREDENTIALS.iter().any(|name| self.reads_as(name))
    }
}

impl FromStr for HeaderName {
    type Err = Invalid;

    /// A `token` (RFC 9110, section 5.6.2), which leaves no room for pseudo headers either.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_name = (1..=MAX_NAME_BYTES).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if is_name {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(Invalid::new("header name", text, "use 1 to 128 letters, digits and `-`"))
        }
    }
}

/// A header's value: printable ASCII, with spaces inside and none around.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^([!-~]([ -~]*[!-~])?)?$", max_length = 4096))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HeaderText(Arc<str>);

impl HeaderText {
    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderText {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_value = text.len() <= MAX_VALUE_BYTES
            && text.trim() == text
            && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if is_value {
            Ok(Self(text.into()))
        } else {
            let rule =
                "use at most 4096 printable ASCII characters, the first and last not a space";
            Err(Invalid::new("header value", text, rule))
        }
    }
}

text_conversions!(HeaderName);
text_conversions!(HeaderText);

/// A header that a request must have.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawHeaderMatch")]
pub struct HeaderMatch {
    /// Its name.
    name: HeaderName,
    /// The value that one of its lines must have, letter for letter; any, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<HeaderText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeaderMatch {
    name: HeaderName,
    #[serde(default)]
    value: Option<HeaderText>,
}

impl HeaderMatch {
    /// The header's name.
    #[must_use]
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The value that one of its lines must have, letter for letter; any, if there is none.
    #[must_use]
    pub fn value(&self) -> Option<&HeaderText> {
        self.value.as_ref()
    }
}

impl TryFrom<RawHeaderMatch> for HeaderMatch {
    type Error = Invalid;

    /// What only the gateway may say is no condition on what a client says, the host has a condition
    /// of its own, and the value of a credential would be kept in the clear.
    fn try_from(raw: RawHeaderMatch) -> Result<Self, Invalid> {
        let RawHeaderMatch { name, value } = raw;
        let refused =
            |rule: &'static str| Err(Invalid::new("header to match", name.as_str(), rule));
        if name.reads_as("host") {
            return refused("match the host with `hosts`");
        }
        if name.is_untouchable() {
            return refused("it belongs to the connection or to the gateway");
        }
        if name.is_credential() && value.is_some() {
            return refused("a credential can be matched by its presence only");
        }
        Ok(Self { name, value })
    }
}

/// At most 16 headers, all of which a request must have.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = Vec<HeaderMatch>, max_items = 16))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<HeaderMatch>")]
pub struct HeaderMatches(Vec<HeaderMatch>);

impl HeaderMatches {
    /// The conditions, in the order they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[HeaderMatch] {
        &self.0
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<HeaderMatch>> for HeaderMatches {
    type Error = Invalid;

    fn try_from(conditions: Vec<HeaderMatch>) -> Result<Self, Invalid> {
        if conditions.len() <= MAX_HEADER_CONDITIONS {
            Ok(Self(conditions))
        } else {
            let count = conditions.len().to_string();
            Err(Invalid::new("number of headers to match", &count, "at most 16"))
        }
    }
}

/// Changes to the headers of a message: first removed, then set, then added.
///
/// Framing, what belongs to one connection, `Host`, and what the gateway itself says of a request
/// (`X-Tenant-*`, `X-Forwarded-*`, ...) cannot be changed, by any spelling.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawHeaderEdits")]
pub struct HeaderEdits {
    /// Headers that replace all of their name.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    set: BTreeMap<HeaderName, HeaderText>,
    /// Headers that are put beside those of their name.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    add: BTreeMap<HeaderName, HeaderText>,
    /// Headers that are taken away.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    remove: BTreeSet<HeaderName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeaderEdits {
    #[serde(default, deserialize_with = "distinct")]
    set: BTreeMap<HeaderName, HeaderText>,
    #[serde(default, deserialize_with = "distinct")]
    add: BTreeMap<HeaderName, HeaderText>,
    #[serde(default)]
    remove: BTreeSet<HeaderName>,
}

impl HeaderEdits {
    /// Headers that replace all of their name.
    #[must_use]
    pub fn set(&self) -> &BTreeMap<HeaderName, HeaderText> {
        &self.set
    }

    /// Headers that are put beside those of their name.
    #[must_use]
    pub fn add(&self) -> &BTreeMap<HeaderName, HeaderText> {
        &self.add
    }

    /// Headers that are taken away.
    #[must_use]
    pub fn remove(&self) -> &BTreeSet<HeaderName> {
        &self.remove
    }

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// Two spellings of one name would leave it to chance which of them counts.
fn distinct<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<HeaderName, HeaderText>, D::Error> {
    struct Distinct;

    impl<'de> Visitor<'de> for Distinct {
        type Value = BTreeMap<HeaderName, HeaderText>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of header names and values")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
            let mut headers = BTreeMap::new();
            while let Some((name, value)) = members.next_entry::<HeaderName, HeaderText>()? {
                if headers.contains_key(&name) {
                    return Err(M::Error::custom(format!("the header {name} stands twice")));
                }
                headers.insert(name, value);
            }
            Ok(headers)
        }
    }

    deserializer.deserialize_map(Distinct)
}

impl TryFrom<RawHeaderEdits> for HeaderEdits {
    type Error = Invalid;

    fn try_from(raw: RawHeaderEdits) -> Result<Self, Invalid> {
        let RawHeaderEdits { set, add, remove } = raw;
        let refused = |name: &str, rule: &'static str| Invalid::new("header change", name, rule);
        let count = set.len() + add.len() + remove.len();
        if count > MAX_HEADER_EDITS {
            return Err(refused(&count.to_string(), "a route makes at most 64 of them"));
        }
        let written = || set.keys().chain(add.keys());
        if let Some(name) = written().chain(&remove).find(|name| name.is_untouchable()) {
            return Err(refused(
                name.as_str(),
                "it frames the message, or belongs to the connection or to the gateway",
            ));
        }
        if let Some(name) = written().find(|name| name.is_credential()) {
            return Err(refused(
                name.as_str(),
                "a route is no place for a credential; it can only remove one",
            ));
        }
        Ok(Self { set, add, remove })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(json: &str) -> Result<HeaderEdits, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_frames_or_belongs_to_the_gateway_is_untouchable() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "Transfer_Encoding",
            "Host",
            "Connection",
            "X-Tenant-Id",
            "x_tenant_id",
            "X-TENANT_anything",
            "X-Forwarded-For",
            "Forwarded",
            "X-Request-Id",
            "Upgrade",
            "TE",
            ":path",
            ":authority",
            "a b",
            "a:b",
            "",
            "ä",
            "a\r\nb",
        ] {
            let name = serde_json::to_string(name).unwrap();
            assert!(edits(&format!(r#"{{"set":{{{name}:"x"}}}}"#)).is_err(), "{name}");
            assert!(edits(&format!(r#"{{"add":{{{name}:"x"}}}}"#)).is_err(), "{name}");
            assert!(edits(&format!(r#"{{"remove":[{name}]}}"#)).is_err(), "{name}");
        }
        let fine =
            edits(r#"{"set":{"X-A":"1"},"add":{"x-b":""},"remove":["Server","Authorization"]}"#);
        let fine = fine.unwrap();
        assert_eq!(fine.set().keys().next().unwrap().as_str(), "x-a");
        assert!(edits(r#"{"set":{"Authorization":"Bearer x"}}"#).is_err());
        assert!(edits(r#"{"sett":{}}"#).is_err());
        assert!(edits(r#"{"set":{"X-A":"1","x-a":"2"}}"#).is_err());
    }

    #[test]
    fn values_cannot_end_a_line() {
        for bad in ["a\r\nb: c", "a\n", "\u{0}", " a", "a ", "\t", "ä", &"x".repeat(4097)] {
            assert!(bad.parse::<HeaderText>().is_err(), "{bad:?}");
        }
        for good in ["", "a b", "max-age=60, public", &"x".repeat(4096)] {
            assert!(good.parse::<HeaderText>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn conditions_are_on_what_clients_may_say() {
        let parse = |json: &str| serde_json::from_str::<HeaderMatch>(json);
        assert_eq!(
            parse(r#"{"name":"X-Version","value":"2"}"#).unwrap().name().as_str(),
            "x-version"
        );
        assert!(parse(r#"{"name":"authorization"}"#).is_ok());
        for bad in [
            r#"{"name":"authorization","value":"Bearer x"}"#,
            r#"{"name":"x-tenant-id","value":"x"}"#,
            r#"{"name":"host","value":"x"}"#,
            r#"{"name":"x","valeu":"x"}"#,
            r#"{"value":"x"}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = vec![serde_json::json!({"name": "x"}); 17];
        assert!(serde_json::from_value::<HeaderMatches>(many.into()).is_err());
    }
}
