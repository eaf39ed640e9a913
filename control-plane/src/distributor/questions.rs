//! What is asked of one proxy, and whoever waits for the answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tenantry_distribution::{Answer, NodeName, Question};
use tokio::sync::oneshot;

use crate::app::App;

/// Questions that wait for an answer at once.
const MAX_OPEN: usize = 64;
/// How long an answer is waited for. A proxy answers in milliseconds, or it is busy with a whole state, or of a build
/// that knows no questions.
const PATIENCE: Duration = Duration::from_secs(5);

/// The questions that are not answered yet.
#[derive(Default)]
pub struct Questions(Mutex<HashMap<String, Open>>);

struct Open {
    node: NodeName,
    answered: oneshot::Sender<Option<Value>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// There is no proxy of this name.
    Unknown,
    /// It does not follow the stream now.
    Disconnected,
    /// It has said nothing.
    Silent,
    /// It has nothing to say: it holds no state.
    Nothing,
    /// Too much is asked already.
    TooMany,
}

impl Questions {
    /// Takes in what a proxy answers, if that was asked of it.
    pub fn answered(&self, answer: Answer) {
        let mut open = self.0.lock();
        if open.get(&answer.id).is_some_and(|open| open.node == answer.node)
            && let Some(Open { answered, .. }) = open.remove(&answer.id)
        {
            // Whoever has asked may have gone.
            let _ = answered.send(answer.explanation);
        }
    }
}

/// A question that is forgotten when nobody waits for it any more.
struct Asking<'a> {
    questions: &'a Questions,
    id: String,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.questions.0.lock().remove(&self.id);
    }
}

/// Asks a proxy how it would decide a request.
///
/// # Errors
/// [`Unanswered`].
pub async fn ask(app: &Arc<App>, node: &NodeName, request: Value) -> Result<Value, Unanswered> {
    let asked = app.nodes.named(node).ok_or(Unanswered::Unknown)?;
    let id = format!("{:032x}", u128::from_be_bytes(app.random.bytes()));
    let (answered, answer) = oneshot::channel();
    {
        let mut open = app.questions.0.lock();
        if open.len() >= MAX_OPEN {
            return Err(Unanswered::TooMany);
        }
        open.insert(id.clone(), Open { node: node.clone(), answered });
    }
    let asking = Asking { questions: &app.questions, id };
    if !asked.ask(&Question { id: asking.id.clone(), request }) {
        return Err(Unanswered::Disconnected);
    }
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Some(explanation))) => Ok(explanation),
        Ok(Ok(None)) => Err(Unanswered::Nothing),
        Ok(Err(_)) | Err(_) => Err(Unanswered::Silent),
    }
}
