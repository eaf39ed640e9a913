//! What the control plane asks one proxy, and the answer: how it would decide a described request.
//!
//! A question travels on the proxy's stream and changes nothing there; a build that does not know it passes it over.
//! The answer comes back by itself. What is asked may hold credentials, so neither is ever shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::NodeName;

/// Where an [`Answer`] is sent (`POST`).
pub const ANSWER_PATH: &str = "/distribution/v1/answers";

/// What is asked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names the question in its answer; drawn at random.
    pub id: String,
    /// The request that is to be explained.
    pub request: Value,
}

/// What a proxy answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Who answers.
    pub node: NodeName,
    /// Which question.
    pub id: String,
    /// The explanation; none, if there is none to give.
    pub explanation: Option<Value>,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("node", &self.node).finish_non_exhaustive()
    }
}
