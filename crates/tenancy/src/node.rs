//! Nodes that are enrolled: each has a token of its own, which opens the distribution to that node only.
//!
//! The secret is returned once, and only its digest is stored. A token that is replaced is not changed: the
//! node is enrolled once more, is given the new token, and the old enrolment is revoked.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_credentials::access_token::AccessSecret;
use tenantry_model::{KeyDigest, NodeId, NodeName, Permission, Permissions, RegionId, Timestamp};

use crate::{
    Caller, Error, Listing, PageRequest, Precondition, Tenancy, Versioned,
    draft::{Draft, Operation, encoded},
    idempotency::Answer,
    layout,
    tenancy::decoded,
    text,
};

/// `tnn_` and four of the 30 random characters, which leaves far too many to guess.
const HINT_CHARACTERS: usize = 8;

/// A node to be enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// What its proxy subscribes as.
    pub name: NodeName,
    /// Where it stands; tenants of other regions never reach it. All do, if none is said.
    pub region: Option<RegionId>,
    /// For whoever runs the platform.
    pub labels: BTreeMap<String, String>,
    /// From this instant on its token is refused.
    pub expires_at: Option<Timestamp>,
}

/// An enrolled node; its secret is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Never changes, and is not the secret.
    pub id: NodeId,
    /// What its proxy subscribes as.
    pub name: NodeName,
    /// Where it stands.
    pub region: Option<RegionId>,
    /// For whoever runs the platform.
    pub labels: BTreeMap<String, String>,
    /// What its token is found by.
    pub digest: KeyDigest,
    /// The first characters of the secret.
    pub hint: String,
    /// From this instant on its token is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was enrolled.
    pub created_at: Timestamp,
}

/// A node that was just enrolled, with its secret.
#[derive(Serialize, Deserialize)]
pub struct EnrolledNode {
    /// What is stored.
    pub record: NodeRecord,
    /// What is not; none where the request was sent before, and was answered with the secret then.
    #[serde(skip)]
    pub secret: Option<AccessSecret>,
}

impl Answer for EnrolledNode {
    /// Without the digest as well, which is kept for as long as the enrolment and no longer.
    fn kept(&self) -> Result<Value, serde_json::Error> {
        let mut kept = serde_json::to_value(self)?;
        if let Some(digest) = kept.pointer_mut("/record/digest") {
            *digest = "0".repeat(64).into();
        }
        Ok(kept)
    }
}

impl fmt::Debug for EnrolledNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

impl Tenancy {
    /// Enrols a node, which may be enrolled already: each enrolment has a token of its own.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Forbidden`] if the caller may not see what a node is sent.
    pub async fn enroll_node(
        &self,
        caller: &Caller,
        node: NewNode,
    ) -> Result<Versioned<EnrolledNode>, Error> {
        self.run(caller, &Enroll { caller, node }).await
    }

    /// One enrolment.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn node(&self, id: NodeId) -> Result<Versioned<NodeRecord>, Error> {
        let found = self.find(&layout::node(id), None).await?;
        found.ok_or_else(|| Error::not_found("node", id))
    }

    /// All enrolments, in the order in which they were made.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn nodes(&self, request: &PageRequest) -> Result<Listing<NodeRecord>, Error> {
        self.list(layout::NODES, "", request, |row| decoded(row).map(Some)).await
    }

    /// Which node presents a token of this digest, if one that may subscribe now.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn node_of(&self, digest: &KeyDigest) -> Result<Option<NodeRecord>, Error> {
        let id: Option<Versioned<NodeId>> = self.find(&layout::node_digest(digest), None).await?;
        let Some(id) = id else { return Ok(None) };
        let found: Option<Versioned<NodeRecord>> = self.find(&layout::node(id.value), None).await?;
        let now = self.now();
        let is_good = |node: &NodeRecord| node.expires_at.is_none_or(|expires_at| now < expires_at);
        Ok(found.map(|found| found.value).filter(is_good))
    }

    /// Revokes an enrolment for good.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::PreconditionFailed`].
    pub async fn revoke_node(
        &self,
        caller: &Caller,
        id: NodeId,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.run(caller, &Revoke { id, precondition }).await.map(drop)
    }
}

/// What whoever has a node's token can read: nobody gives what they may not see themselves.
fn shown_to_nodes() -> Permissions {
    [Permission::TenantsRead, Permission::PlansRead, Permission::GatewayRead].into()
}

struct Enroll<'a> {
    caller: &'a Caller,
    node: NewNode,
}

impl Operation for Enroll<'_> {
    type Output = EnrolledNode;

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<EnrolledNode>, Error> {
        let NewNode { name, region, labels, expires_at } = self.node.clone();
        let now = tenancy.now();
        self.caller.principal.can_grant(&shown_to_nodes())?;
        text::labels(&labels)?;
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Error::invalid("/expires_at", "the token would have expired already"));
        }
        let id = NodeId::from_parts(now.unix_ms(), tenancy.identifiers.random());
        let secret = AccessSecret::node(|| tenancy.random_byte());
        let digest = secret.digest();
        let hint = secret.expose().chars().take(HINT_CHARACTERS).collect();
        let record =
            NodeRecord { id, name, region, labels, digest, hint, expires_at, created_at: now };
        let (key, json) = (layout::node(id), encoded("node", &record)?);
        Ok(Draft::about("node.enroll", key.clone(), None, record)
            .shown_after()?
            .answering(|record| EnrolledNode { record, secret: Some(secret) })
            .absent(layout::node_digest(&digest))
            .put(layout::node_digest(&digest), encoded("id", &id)?)
            .put(key, json))
    }
}

struct Revoke<'a> {
    id: NodeId,
    precondition: &'a Precondition,
}

impl Operation for Revoke<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let current = tenancy.node(self.id).await?;
        self.precondition.check(current.revision)?;
        let key = layout::node(self.id);
        Ok(Draft::about("node.revoke", key.clone(), None, ())
            .before(&current.value)?
            .unchanged(key.clone(), current.revision)
            .delete(layout::node_digest(&current.value.digest))
            .delete(key))
    }
}
