//! Which proxies enforce a change, as the answer to it says.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What came of waiting for a change: how many of the proxies that are connected enforce it.
///
/// As the header `Tenantry-Applied` it is a dictionary (RFC 9651, section 3.2):
/// `revision=42, enforced=1, behind=1, refused=1, behind-at=("edge-2"), refused-at=("edge-3";resource="route/all")`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Enforcement {
    /// A revision that holds the change.
    pub revision: u64,
    /// How many enforce it.
    pub enforced: u64,
    /// How many do not yet.
    pub behind: u64,
    /// How many refuse a part of it, and keep that part as it was.
    pub refused: u64,
    /// Which do not yet, up to 32 of them; for whoever may see the proxies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind_at: Vec<String>,
    /// Which refuse it, up to 32 of them; for whoever may see the proxies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_at: Vec<RefusingProxy>,
}

/// A proxy that refuses a part of a change.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusingProxy {
    /// Its name.
    pub node: String,
    /// What it refuses, written `kind/id`; the first, if it refuses more.
    pub resource: String,
}

impl Enforcement {
    /// The most names that are told.
    pub const MAX_NAMES: usize = 32;

    /// For whoever may not see the proxies: numbers alone.
    #[must_use]
    pub fn without_names(self) -> Self {
        Self { behind_at: Vec::new(), refused_at: Vec::new(), ..self }
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, enforced, behind, refused, behind_at, refused_at } = self;
        write!(f, "revision={revision}, enforced={enforced}, behind={behind}, refused={refused}")?;
        // Names of proxies and of resources hold nothing that would have to be escaped.
        if !behind_at.is_empty() {
            let names: Vec<_> = behind_at.iter().map(|node| format!("\"{node}\"")).collect();
            write!(f, ", behind-at=({})", names.join(" "))?;
        }
        if !refused_at.is_empty() {
            let named = |RefusingProxy { node, resource }: &RefusingProxy| {
                format!("\"{node}\";resource=\"{resource}\"")
            };
            let names: Vec<_> = refused_at.iter().map(named).collect();
            write!(f, ", refused-at=({})", names.join(" "))?;
        }
        Ok(())
    }
}

/// It is no text of an [`Enforcement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this says not which proxies enforce a change")]
pub struct NotEnforcement;

impl FromStr for Enforcement {
    type Err = NotEnforcement;

    /// Members that are not known are passed over.
    fn from_str(text: &str) -> Result<Self, NotEnforcement> {
        let mut read = Self::default();
        let mut has_revision = false;
        for member in text.split(',') {
            let (key, value) = member.trim().split_once('=').unwrap_or((member, ""));
            let number = || value.parse().map_err(|_| NotEnforcement);
            let list = || {
                let inner = value.strip_prefix('(').and_then(|value| value.strip_suffix(')'));
                inner.map(str::split_whitespace).ok_or(NotEnforcement)
            };
            match key {
                "revision" => (read.revision, has_revision) = (number()?, true),
                "enforced" => read.enforced = number()?,
                "behind" => read.behind = number()?,
                "refused" => read.refused = number()?,
                "behind-at" => {
                    let names = list()?.map(|name| unquoted(name).map(str::to_owned));
                    read.behind_at = names.collect::<Option<_>>().ok_or(NotEnforcement)?;
                }
                "refused-at" => {
                    let refusing = list()?.map(refusing).collect::<Option<_>>();
                    read.refused_at = refusing.ok_or(NotEnforcement)?;
                }
                _ => {}
            }
        }
        if has_revision { Ok(read) } else { Err(NotEnforcement) }
    }
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn refusing(text: &str) -> Option<RefusingProxy> {
    let (node, resource) = text.split_once(";resource=")?;
    let (node, resource) = (unquoted(node)?.to_owned(), unquoted(resource)?.to_owned());
    Some(RefusingProxy { node, resource })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_what_was_counted() {
        let counted = Enforcement {
            revision: 42,
            enforced: 2,
            behind: 1,
            refused: 1,
            behind_at: vec!["edge-2".to_owned(), "4".to_owned()],
            refused_at: vec![RefusingProxy {
                node: "eu.edge_3".to_owned(),
                resource: "domain/*.a.example".to_owned(),
            }],
        };
        let text = counted.to_string();
        assert_eq!(
            text,
            r#"revision=42, enforced=2, behind=1, refused=1, behind-at=("edge-2" "4"), refused-at=("eu.edge_3";resource="domain/*.a.example")"#
        );
        assert_eq!(text.parse(), Ok(counted.clone()));
        let bare = counted.without_names();
        assert_eq!(bare.to_string().parse(), Ok(bare));
        assert_eq!(
            "revision=1, newer, newest=?0".parse(),
            Ok(Enforcement { revision: 1, ..Default::default() })
        );
        for wrong in ["", "revision", "enforced=1", "revision=x", r#"revision=1, behind-at="a""#] {
            assert_eq!(wrong.parse::<Enforcement>(), Err(NotEnforcement), "{wrong}");
        }
    }
}
