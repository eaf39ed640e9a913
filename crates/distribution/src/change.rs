//! One change of one resource, as it travels.
//!
//! A resource is carried as the exact bytes of its JSON, not as a parsed value: the hash is taken
//! over those bytes, so a proxy that does not know a newer field still agrees with the control plane,
//! and a resource that this build cannot parse is one refusal and not the end of the stream.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tenantry_model::{ResourceKind, ResourceRef};

/// One change. Within an update no resource is named twice by a well-behaved sender; if one is, the
/// later change wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The resource is now this. The JSON is well-formed, but nobody has yet looked whether it is a
    /// valid resource, or whether it carries the identifier it is named by.
    Put {
        /// Which resource.
        reference: ResourceRef,
        /// Its JSON, byte for byte as it was sent.
        json: ResourceJson,
    },
    /// The resource is gone.
    Delete(ResourceRef),
    /// A change of a resource whose kind this build does not know. It counts in the hash and cannot
    /// be enforced: a target skips it, and the subscription reports it as refused.
    Unknown {
        /// Which resource.
        name: ResourceName,
        /// Its JSON, or nothing if it is gone.
        json: Option<ResourceJson>,
    },
}

impl Change {
    /// A change of the named resource to `json`, or its removal.
    #[must_use]
    pub fn new(name: ResourceName, json: Option<ResourceJson>) -> Self {
        match (name.known_kind(), json) {
            (Some(kind), Some(json)) => {
                Self::Put { reference: ResourceRef { kind, id: name.id }, json }
            }
            (Some(kind), None) => Self::Delete(ResourceRef { kind, id: name.id }),
            (None, json) => Self::Unknown { name, json },
        }
    }

    /// The kind of the resource, as text.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Put { reference, .. } | Self::Delete(reference) => reference.kind.as_str(),
            Self::Unknown { name, .. } => &name.kind,
        }
    }

    /// The identifier of the resource.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Put { reference, .. } | Self::Delete(reference) => &reference.id,
            Self::Unknown { name, .. } => &name.id,
        }
    }

    /// What the resource is now; nothing if it is gone.
    #[must_use]
    pub fn json(&self) -> Option<&ResourceJson> {
        match self {
            Self::Put { json, .. } => Some(json),
            Self::Delete(_) => None,
            Self::Unknown { json, .. } => json.as_ref(),
        }
    }

    /// Which resource, and what it is now.
    #[must_use]
    pub fn into_parts(self) -> (ResourceName, Option<ResourceJson>) {
        match self {
            Self::Put { reference, json } => (reference.into(), Some(json)),
            Self::Delete(reference) => (reference.into(), None),
            Self::Unknown { name, json } => (name, json),
        }
    }
}

/// Kind and identifier as text. Unlike [`ResourceRef`] it can name a kind this build does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceName {
    /// The kind.
    pub kind: String,
    /// The identifier within the kind.
    pub id: String,
}

impl ResourceName {
    /// The kind, if this build knows it.
    #[must_use]
    pub fn known_kind(&self) -> Option<ResourceKind> {
        ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == self.kind)
    }
}

impl From<ResourceRef> for ResourceName {
    fn from(reference: ResourceRef) -> Self {
        Self { kind: reference.kind.as_str().to_owned(), id: reference.id }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// Well-formed JSON on one line, kept byte for byte.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceJson(Box<RawValue>);

/// Why bytes cannot travel as a resource.
#[derive(Debug, thiserror::Error)]
pub enum InvalidJson {
    /// They are not JSON.
    #[error("a resource must be JSON")]
    Syntax(#[source] serde_json::Error),
    /// They hold a line break between two tokens, which would end the frame.
    #[error("the JSON of a resource must stand on one line")]
    LineBreak,
}

impl ResourceJson {
    /// Checks and copies the bytes. White space around the value is dropped; inside it is kept.
    ///
    /// # Errors
    /// If they are not JSON, or not on one line.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidJson> {
        let json: Box<RawValue> = serde_json::from_slice(bytes).map_err(InvalidJson::Syntax)?;
        // Inside a JSON string a line break is always escaped, so one in the text is white space.
        if json.get().contains('\n') { Err(InvalidJson::LineBreak) } else { Ok(Self(json)) }
    }

    /// The JSON.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.get().as_bytes()
    }

    /// The JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for ResourceJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ResourceJson {}

impl fmt::Debug for ResourceJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_and_line_breaks_refused() {
        let kept = r#"{ "b" : 1,"a":"\u0041\n", "b":2 }"#;
        assert_eq!(ResourceJson::from_slice(kept.as_bytes()).unwrap().as_str(), kept);
        assert_eq!(ResourceJson::from_slice(b"\n7\n").unwrap().as_bytes(), b"7");
        assert!(matches!(ResourceJson::from_slice(b"[1,\n2]"), Err(InvalidJson::LineBreak)));
        for wrong in [&b""[..], b"{", b"{}{}", b"\"\xff\"", b"\"a\nb\""] {
            assert!(matches!(ResourceJson::from_slice(wrong), Err(InvalidJson::Syntax(_))));
        }
    }

    #[test]
    fn every_known_kind_is_recognised() {
        for kind in ResourceKind::ALL {
            let name = ResourceName::from(ResourceRef { kind, id: "x".to_owned() });
            assert_eq!(name.known_kind(), Some(kind));
        }
        let name = ResourceName { kind: "unheard-of".to_owned(), id: "x".to_owned() };
        assert!(matches!(Change::new(name, None), Change::Unknown { json: None, .. }));
    }
}
