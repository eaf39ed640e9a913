//! `tenantry api`: any request, for what has no command yet.

use clap::Args;
use serde_json::Value;

use crate::{error::CliError, output::Answer, session::Session};

/// A request as the API takes it.
#[derive(Debug, Args)]
pub(crate) struct RawRequest {
    /// GET, POST, PUT, PATCH or DELETE
    #[arg(value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"], ignore_case = true)]
    pub(crate) method: String,
    /// The path behind /api/v1, with its query, such as /tenants?limit=10
    pub(crate) path: String,
    /// The body, as JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) body: Option<Value>,
}

/// Not left to clap, which would take any text for a JSON string.
fn json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

pub(super) async fn run(request: &RawRequest, session: &Session) -> Result<Answer, CliError> {
    let RawRequest { method, path, body } = request;
    let answer = session.ask(session.client.raw(method, path, body.as_ref())).await?;
    Ok(match answer {
        Some(json) => {
            Answer::Text { text: serde_json::to_string_pretty(&json).unwrap_or_default(), json }
        }
        None => Answer::Done("done".to_owned()),
    })
}
