//! Why a command was not done, in sentences for the operator.

use std::{fmt, io, path::PathBuf};

use tenantry_api::{ClientError, Problem, ProblemKind};

use crate::{contexts::ContextError, exit::Exit, http::HttpError, up::UpError};

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line parses but asks for nothing that can be done.
    #[error("{0}")]
    Usage(String),
    #[error("{}", Refusal(.0))]
    Refused(Box<Problem>),
    #[error(
        "the control plane at {api} did not take the token; give the right one with --token or TENANTRY_ROOT_TOKEN, or its data directory with --data-dir"
    )]
    WrongToken { api: String },
    #[error("the address or the password is wrong")]
    WrongPassword,
    #[error(
        "no control plane answers at {api}; start one with `tenantry up`, or name another with --api"
    )]
    Unreachable { api: String, source: Box<ClientError> },
    #[error("{api} is no address of a control plane, or the token is not usable")]
    Unusable { api: String, source: Box<ClientError> },
    #[error(
        "the connection to the control plane at {api} was lost; whether it was done is not known"
    )]
    Lost { api: String, source: Box<ClientError> },
    #[error("the control plane at {api} took too long to answer; whether it was done is not known")]
    Slow { api: String },
    #[error("what answers at {api} is no control plane that this command understands")]
    NotTheApi { api: String, source: Box<ClientError> },
    #[error("there is no token: give it with --token or TENANTRY_ROOT_TOKEN, or name the data directory that holds it with --data-dir (tried {})", tried.display())]
    NoToken { tried: PathBuf, source: io::Error },
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{origin} holds no usable {what}")]
    Body { origin: String, what: &'static str, source: BodyError },
    #[error("no proxy answers at {proxy_admin}; name its admin address with --proxy-admin")]
    NoProxy { proxy_admin: String, source: HttpError },
    #[error("the proxy at {proxy_admin} refused to explain: {said}")]
    NotExplained { proxy_admin: String, said: String },
    #[error("it is done (revision {revision}), but {}", waiting(*.behind, .behind_at))]
    NotEnforced { revision: u64, behind: u64, behind_at: Vec<String> },
    #[error(
        "the import was cut off after {lines} lines or more; import the same again: what was done stays done"
    )]
    ImportCutOff { lines: u64 },
    #[error("it is done (revision {revision}), but {refusal}; see `tenantry proxy list -o json`")]
    RefusedByProxy { revision: u64, refusal: String },
    #[error(
        "the control plane at {api} is older than this command and knows no dry runs: the change was made"
    )]
    NotRehearsed { api: String },
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error("the output cannot be written")]
    Write(#[source] io::Error),
    #[error("{} cannot be written", path.display())]
    WriteFile { path: PathBuf, source: io::Error },
    #[error("the audit log was tampered with, or its store is damaged: {0}")]
    BrokenAudit(String),
    #[error(transparent)]
    Up(#[from] UpError),
}

/// Why a document is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("{0}")]
    Syntax(serde_json::Error),
    #[error("a JSON object is needed")]
    NoObject,
    #[error("{}{reason}", if path == "." { String::new() } else { format!("{path}: ") })]
    Field { path: String, reason: String },
}

impl CliError {
    /// Whether nobody answered, or nobody who could: asking again may help.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Slow { .. } => true,
            Self::Refused(problem) => problem.status >= 500,
            _ => false,
        }
    }

    /// Says what a failure of the client means to the operator.
    pub(crate) fn of_client(error: ClientError, api: &str) -> Self {
        let api = api.to_owned();
        match error {
            ClientError::Problem(problem) if problem.is(ProblemKind::Unauthorized) => {
                Self::WrongToken { api }
            }
            ClientError::Problem(problem) => Self::Refused(problem),
            ClientError::Transport(source) if source.is_builder() => {
                Self::Unusable { api, source: Box::new(ClientError::Transport(source)) }
            }
            ClientError::Transport(ref source) if source.is_connect() => {
                Self::Unreachable { api, source: Box::new(error) }
            }
            ClientError::Transport(_) => Self::Lost { api, source: Box::new(error) },
            ClientError::NotRehearsed => Self::NotRehearsed { api },
            ClientError::Answer { .. } => Self::NotTheApi { api, source: Box::new(error) },
            ClientError::Setup(_) => Self::Unusable { api, source: Box::new(error) },
        }
    }

    /// What it means for whoever runs the command.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Unusable { .. } => Exit::Usage,
            Self::Refused(problem) => Exit::of_problem(problem),
            Self::WrongToken { .. } | Self::WrongPassword | Self::NoToken { .. } => Exit::Denied,
            Self::Unreachable { .. } | Self::NoProxy { .. } => Exit::Unavailable,
            Self::Lost { .. } | Self::Slow { .. } | Self::ImportCutOff { .. } => Exit::Unknown,
            Self::Body { .. } => Exit::Invalid,
            Self::NotEnforced { .. } | Self::RefusedByProxy { .. } => Exit::NotEnforced,
            Self::Context(error) => error.exit(),
            Self::NotTheApi { .. }
            | Self::NotRehearsed { .. }
            | Self::Read { .. }
            | Self::NotExplained { .. }
            | Self::Write(_)
            | Self::WriteFile { .. }
            | Self::BrokenAudit(_)
            | Self::Up(_) => Exit::Failed,
        }
    }

    /// Whether the API said that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.is(ProblemKind::NotFound))
    }
}

/// Who has not enforced a change yet.
fn waiting(behind: u64, behind_at: &[String]) -> String {
    match (behind, behind_at) {
        (0, _) => "no proxy is connected that could enforce it".to_owned(),
        (1, []) => "one proxy does not enforce it yet".to_owned(),
        (behind, []) => format!("{behind} proxies do not enforce it yet"),
        (_, nodes) => {
            format!("not enforced yet by {}; see `tenantry proxy list`", nodes.join(", "))
        }
    }
}

/// A problem over several lines: the title, the detail, and each part of the request at fault.
struct Refusal<'p>(&'p Problem);

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { title, status, detail, errors, request_id, .. } = self.0;
        write!(f, "{title} ({status})\n  {detail}")?;
        for error in errors {
            let pointer = if error.pointer.is_empty() { "the body" } else { &error.pointer };
            write!(f, "\n  {pointer}: {}", error.detail)?;
        }
        match request_id {
            Some(request_id) => write!(f, "\n  request {request_id}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_api::FieldError;

    use super::*;

    #[test]
    fn a_refusal_names_every_pointer() {
        let mut problem = Problem::new(ProblemKind::DomainTaken, "acme.test belongs to a tenant.");
        problem.errors = vec![
            FieldError { pointer: "/domains/0".to_owned(), detail: "taken".to_owned() },
            FieldError { pointer: String::new(), detail: "odd".to_owned() },
        ];
        let text = CliError::of_client(ClientError::Problem(Box::new(problem)), "x").to_string();
        assert_eq!(
            text,
            "The domain is taken (409)\n  acme.test belongs to a tenant.\n  /domains/0: taken\n  \
             the body: odd"
        );
    }

    #[test]
    fn a_wrong_token_is_told_apart() {
        let problem = Problem::new(ProblemKind::Unauthorized, "no");
        let error = CliError::of_client(ClientError::Problem(Box::new(problem)), "http://a");
        assert!(error.to_string().contains("did not take the token"), "{error}");
    }
}
