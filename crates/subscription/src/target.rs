//! What a subscription feeds.

use serde_json::Value;
use tenantry_distribution::{KeyUse, Refusal, Traffic, Update};

/// The holder of the state that requests see.
pub trait Target: Send + Sync {
    /// Makes the update the state that is served, and answers with **every** resource that is refused
    /// in that state, whichever update brought it: a delta that leaves an earlier bad resource alone
    /// answers with that resource again, and one that heals it (say, by adding the plan it lacked) no
    /// longer does. Only the target can know this.
    ///
    /// A full update replaces everything, a delta stands on what was applied before. Changes apply in
    /// order. A refused resource keeps its previous form and holds up no other. Resources of a kind
    /// this build does not know ([`Change::Unknown`](tenantry_distribution::Change::Unknown)) are to
    /// be skipped; the subscription adds them to the report by itself.
    ///
    /// It is called from the subscription's task only, one update at a time, and blocks that task: the
    /// subscription belongs on a runtime that serves no requests.
    fn apply(&self, update: &Update) -> Vec<Refusal>;

    /// How a described request would be decided now; nothing, if that cannot be said. What is asked may hold
    /// credentials: it is neither kept nor shown.
    fn explain(&self, _request: &Value) -> Option<Value> {
        None
    }

    /// At most so many uses of API keys that the control plane was not told of yet. They are told, or
    /// [put back](Self::put_back_keys_used).
    fn take_keys_used(&self, _at_most: usize) -> Vec<KeyUse> {
        Vec::new()
    }

    /// What was answered since the process began, if that is counted.
    fn traffic(&self) -> Option<Traffic> {
        None
    }

    /// Takes back what could not be told.
    fn put_back_keys_used(&self, _uses: Vec<KeyUse>) {}
}
