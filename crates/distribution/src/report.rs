//! What a proxy says to the control plane: where it stands, and what it refuses.

use serde::{Deserialize, Serialize};
use tenantry_model::{KeyId, RegionId, Timestamp};

use crate::{Epoch, NodeName, PROTOCOL, Position, ResourceName, Revision, StateHash};

/// Where the stream is asked for (`GET`, with [`SubscribeQuery`]).
pub const STREAM_PATH: &str = "/distribution/v1/stream";

/// Where a [`StatusReport`] is sent (`POST`).
pub const STATUS_PATH: &str = "/distribution/v1/status";

/// Who subscribes, and which state it holds. Without a position, or with one the control plane does
/// not know, the stream begins with a full state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeQuery {
    /// The proxy's name.
    pub node: NodeName,
    /// The history of the state it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The revision it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The hash of what it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<StateHash>,
    /// The newest [protocol](crate::protocol) it speaks; without one, the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
}

impl SubscribeQuery {
    /// Of a proxy that holds this state, or wants the whole.
    #[must_use]
    pub fn new(node: NodeName, position: Option<Position>) -> Self {
        Self {
            node,
            epoch: position.map(|position| position.epoch),
            revision: position.map(|position| position.revision),
            hash: position.map(|position| position.hash),
            protocol: Some(PROTOCOL),
        }
    }

    /// The state the proxy holds, if it said all of it.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        Some(Position { epoch: self.epoch?, revision: self.revision?, hash: self.hash? })
    }

    /// Its fields as the pairs of a query string; the names are those serde reads.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let fields = [
            ("node", Some(self.node.to_string())),
            ("epoch", self.epoch.map(|epoch| epoch.to_string())),
            ("revision", self.revision.map(|revision| revision.to_string())),
            ("hash", self.hash.map(|hash| hash.to_string())),
            ("protocol", self.protocol.map(|protocol| protocol.to_string())),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// What a proxy holds and refuses. It says what is *enforced*, not what was received.
///
/// A report is the **ack** of its revision, and of all before it in the epoch, if nothing is refused;
/// otherwise it is the **nack** of the named resources, and of those only: a change to any other
/// resource is enforced ([`enforces`](Self::enforces)), so one bad resource never holds up the
/// confirmation of another tenant's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The proxy's name.
    pub node: NodeName,
    /// The version of its build.
    pub version: String,
    /// Where it stands, if it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// The history of the state it enforces.
    pub epoch: Epoch,
    /// The revision it enforces.
    pub revision: Revision,
    /// The hash of the state it holds; refused resources count in it.
    pub hash: StateHash,
    /// When it began to enforce it.
    pub applied_at: Timestamp,
    /// How many tenants the state holds.
    pub tenants: u64,
    /// Every resource of the state that it refuses now, whichever update brought it; cut at
    /// [`MAX_REFUSED`](Self::MAX_REFUSED).
    #[serde(default)]
    pub refused: Vec<Refusal>,
    /// How many it refuses in all.
    #[serde(default)]
    pub refused_total: u64,
    /// API keys that were used since the last report, as far as there is anything new to say; at most
    /// [`MAX_KEYS_USED`](Self::MAX_KEYS_USED).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys_used: Vec<KeyUse>,
    /// What it has answered; none of older proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
}

/// What a proxy has answered since its process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// When the process began: totals of different ones are not to be compared.
    pub since: Timestamp,
    /// All requests.
    pub requests: u64,
    /// Those answered 5xx, by whomever.
    pub server_errors: u64,
    /// Those that were refused because of who asked, for what, or how often.
    pub denied: u64,
}

/// An API key, and roughly when it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// Which key.
    pub key: KeyId,
    /// When, to the minute.
    pub at: Timestamp,
}

impl StatusReport {
    /// How many refusals a report names at most, so that its size is bounded.
    pub const MAX_REFUSED: usize = 1000;

    /// How many uses of keys a report tells at most; the others come with the next one.
    pub const MAX_KEYS_USED: usize = 250;

    /// Where the proxy stands.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, revision: self.revision, hash: self.hash }
    }

    /// Whether it says "applied, all of it".
    #[must_use]
    pub fn is_ack(&self) -> bool {
        self.refused.is_empty() && self.refused_total == 0
    }

    /// Whether it says that this change of this resource is enforced. False if it is not known: the
    /// list of refusals was cut.
    #[must_use]
    pub fn enforces(&self, epoch: Epoch, revision: Revision, resource: &ResourceName) -> bool {
        let whole =
            u64::try_from(self.refused.len()).is_ok_and(|named| named >= self.refused_total);
        self.epoch == epoch
            && self.revision >= revision
            && whole
            && !self.refused.iter().any(|refusal| refusal.resource == *resource)
    }
}

/// One resource that a proxy does not enforce in its newest form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which resource.
    pub resource: ResourceName,
    /// Why, in a sentence for operators.
    pub reason: String,
}

impl Refusal {
    /// Of this resource, for this reason.
    #[must_use]
    pub fn new(resource: impl Into<ResourceName>, reason: impl Into<String>) -> Self {
        Self { resource: resource.into(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pairs_are_what_serde_reads() {
        let node: NodeName = "edge-1".parse().unwrap();
        let position = Position {
            epoch: Epoch::from_u128(1),
            revision: Revision::new(2),
            hash: StateHash::from_u128(3),
        };
        for position in [None, Some(position)] {
            let query = SubscribeQuery::new(node.clone(), position);
            assert_eq!(query.position(), position);
            let serde_json::Value::Object(fields) = serde_json::to_value(&query).unwrap() else {
                panic!("a struct is an object");
            };
            let mut pairs: Vec<_> = query.pairs();
            pairs.sort();
            let expected: Vec<_> = fields
                .iter()
                .map(|(name, value)| {
                    (name.as_str(), value.as_str().map_or(value.to_string(), str::to_owned))
                })
                .collect();
            assert_eq!(pairs, expected);
        }
        for wrong in ["", "a b", "a/b", "é", &"a".repeat(254)] {
            assert!(wrong.parse::<NodeName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_holds_up_only_its_own_resource() {
        let name = |id: &str| ResourceName { kind: "tenant".to_owned(), id: id.to_owned() };
        let epoch = Epoch::from_u128(1);
        let mut report = StatusReport {
            node: "edge-1".parse().unwrap(),
            version: "0.1.0".to_owned(),
            region: None,
            epoch,
            revision: Revision::new(5),
            hash: StateHash::from_u128(0),
            applied_at: Timestamp::from_unix_ms(0),
            tenants: 2,
            refused: vec![Refusal::new(name("bad"), "no such plan")],
            refused_total: 1,
            keys_used: Vec::new(),
            traffic: None,
        };
        assert!(!report.is_ack());
        assert!(report.enforces(epoch, Revision::new(5), &name("good")));
        assert!(!report.enforces(epoch, Revision::new(5), &name("bad")));
        assert!(!report.enforces(epoch, Revision::new(6), &name("good")));
        assert!(!report.enforces(Epoch::from_u128(2), Revision::new(5), &name("good")));
        report.refused_total = 2;
        assert!(!report.enforces(epoch, Revision::new(5), &name("good")), "the list was cut");
    }
}
