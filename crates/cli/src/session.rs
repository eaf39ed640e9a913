//! The API as one command talks to it: which control plane, who asks, and how long an answer may take.
//!
//! What is said on the command line goes before the environment, and that before the current context. The first
//! of them that says *where* settles the matter: a token that is kept for one control plane is never sent to
//! another one.

use std::{fs, future::Future, path::Path, time::Duration};

use clap::{ArgMatches, parser::ValueSource};
use serde::Deserialize;
use tenantry_api::{Client, ClientError};

use crate::{
    args::Connection,
    contexts::{Context, ContextStore, Name},
    error::CliError,
};

/// Longer than any answer takes; a control plane that hangs must not hang its operator.
const PATIENCE: Duration = Duration::from_secs(30);

const DEFAULT_API: &str = "http://127.0.0.1:7070";
const DEFAULT_PROXY: &str = "http://127.0.0.1:8080";

/// The name of the file in the data directory with the root token.
pub(crate) const ROOT_TOKEN: &str = "root-token";
/// The name of the file in the data directory that says what listens where.
pub(crate) const ADDRESSES: &str = "addresses.json";

/// Who has said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    CommandLine,
    Environment,
    Nobody,
}

/// Who has said where the platform is, and who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources {
    api: Source,
    token: Source,
    data_dir: Source,
    context: Source,
}

impl Sources {
    /// Of what was parsed.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let source = |id| match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Source::CommandLine,
            Some(ValueSource::EnvVariable) => Source::Environment,
            _ => Source::Nobody,
        };
        Self {
            api: source("api"),
            token: source("token"),
            data_dir: source("data_dir"),
            context: source("context"),
        }
    }
}

/// Which control plane is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Context(Name, Context),
    /// At an address, or wherever the data directory says.
    DataDir,
}

/// A client, and what it is called in sentences.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) contexts: ContextStore,
    api: String,
    /// How long an answer may take.
    patience: Duration,
    /// The context that it is of.
    context: Option<Name>,
    /// Whether the token is the one that is kept for the context.
    is_token_kept: bool,
    /// Where clients reach the proxy, if that is known.
    proxy: Option<String>,
}

impl Session {
    /// Finds the API, and the token, unless whoever asks proves itself otherwise.
    ///
    /// The address and the token are looked for in one place, so a command that is given only
    /// `--data-dir` reaches the control plane that was started with it, whatever port it took.
    pub(crate) fn open(
        connection: &Connection,
        sources: Sources,
        contexts: &ContextStore,
        needs_token: bool,
    ) -> Result<Self, CliError> {
        let place = place(connection, sources, contexts)?;
        let data_dir = &connection.data_dir;
        let api = match &place {
            Place::Context(_, context) => context.api.clone(),
            Place::DataDir => {
                let api = connection.api.clone().or_else(|| known(data_dir).api);
                api.unwrap_or_else(|| DEFAULT_API.to_owned())
            }
        };
        let given = connection.token.as_ref().filter(|_| is_token_meant(&place, sources));
        let token = match (needs_token, given, &place) {
            (false, ..) => String::new(),
            (true, Some(token), _) => token.clone(),
            (true, None, Place::Context(name, context)) => contexts.token(name, context)?,
            (true, None, Place::DataDir) => root_token(data_dir)?,
        };
        let mut session = Self::to(api, token.trim())?;
        session.contexts = contexts.clone();
        session.is_token_kept = given.is_none();
        match place {
            Place::Context(name, _) => session.context = Some(name),
            Place::DataDir => session.proxy = known(data_dir).proxy.map(with_scheme),
        }
        if let Some(key) = &connection.idempotency_key {
            session.client = session.client.keyed(key);
        }
        Ok(session)
    }

    /// With an address and a token that are known.
    pub(crate) fn to(api: String, token: &str) -> Result<Self, CliError> {
        let api = with_scheme(api);
        match Client::new(&api, token) {
            Ok(client) => Ok(Self {
                client,
                contexts: ContextStore::default(),
                api,
                patience: PATIENCE,
                context: None,
                is_token_kept: false,
                proxy: None,
            }),
            Err(error) => Err(CliError::of_client(error, &api)),
        }
    }

    /// The same, whose changes are looked at and not done.
    pub(crate) fn rehearsing(self) -> Self {
        Self { client: self.client.rehearsing(), ..self }
    }

    /// The same, whose changes are waited for.
    pub(crate) fn waiting(self, seconds: u8) -> Self {
        let patience = PATIENCE + Duration::from_secs(seconds.into());
        Self { client: self.client.waiting(seconds), patience, ..self }
    }

    /// The context that this is a session with.
    pub(crate) fn context(&self) -> Option<&Name> {
        self.context.as_ref()
    }

    /// The context whose own token this session uses.
    pub(crate) fn kept_in(&self) -> Option<&Name> {
        self.context.as_ref().filter(|_| self.is_token_kept)
    }

    /// Where clients reach the proxy, as far as this machine knows.
    pub(crate) fn proxy(&self) -> &str {
        self.proxy.as_deref().unwrap_or(DEFAULT_PROXY)
    }

    /// Waits for an answer, not for ever.
    pub(crate) async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, CliError> {
        match tokio::time::timeout(self.patience, self.ask_patiently(answer)).await {
            Ok(answer) => answer,
            Err(_) => Err(CliError::Slow { api: self.api.clone() }),
        }
    }

    /// Waits for an answer that takes as long as it takes.
    pub(crate) async fn ask_patiently<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, CliError> {
        answer.await.map_err(|error| CliError::of_client(error, &self.api))
    }
}

fn place(
    connection: &Connection,
    sources: Sources,
    contexts: &ContextStore,
) -> Result<Place, CliError> {
    let context = |name: &Name| -> Result<Place, CliError> {
        let known = contexts.read()?;
        Ok(Place::Context(name.clone(), known.context(name)?.clone()))
    };
    for source in [Source::CommandLine, Source::Environment] {
        let is_elsewhere = sources.api == source || sources.data_dir == source;
        match &connection.context {
            Some(_) if sources.context == source && is_elsewhere => {
                let text = "a context says where the control plane is: leave out either that, or the address and the data directory";
                return Err(CliError::Usage(text.to_owned()));
            }
            Some(name) if sources.context == source => return context(name),
            _ if is_elsewhere => return Ok(Place::DataDir),
            _ => {}
        }
    }
    let known = contexts.read()?;
    match &known.current {
        Some(name) => context(name),
        None => Ok(Place::DataDir),
    }
}

/// A token of the environment is not for a context that the command line names.
fn is_token_meant(place: &Place, sources: Sources) -> bool {
    let is_named = matches!(place, Place::Context(..)) && sources.context == Source::CommandLine;
    sources.token == Source::CommandLine || !is_named
}

/// The root token that the control plane wrote into its data directory.
pub(crate) fn root_token(data_dir: &Path) -> Result<String, CliError> {
    let tried = data_dir.join(ROOT_TOKEN);
    fs::read_to_string(&tried).map_err(|source| CliError::NoToken { tried, source })
}

/// The same of a control plane that runs by itself.
const CONTROL_PLANE_ADDRESSES: &str = "control-plane.addresses.json";

/// What `tenantry up`, or the control plane, wrote about where things listen.
#[derive(Debug, Default, Deserialize)]
struct Known {
    api: Option<String>,
    proxy: Option<String>,
}

/// No file, or one that cannot be read, says nothing: the defaults then apply.
fn known(data_dir: &Path) -> Known {
    let file = fs::read(data_dir.join(ADDRESSES));
    let file = file.or_else(|_| fs::read(data_dir.join(CONTROL_PLANE_ADDRESSES)));
    serde_json::from_slice(&file.unwrap_or_default()).unwrap_or_default()
}

/// `127.0.0.1:7070` is as good as `http://127.0.0.1:7070`.
pub(crate) fn with_scheme(address: String) -> String {
    if address.contains("://") { address } else { format!("http://{address}") }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::*;
    use crate::args::Cli;

    #[test]
    fn a_control_plane_by_itself_is_found_by_its_data_directory() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name, address| {
            let json = format!(r#"{{"api":"{address}","distribution":"127.0.0.1:9"}}"#);
            fs::write(directory.path().join(name), json).unwrap();
        };
        write(CONTROL_PLANE_ADDRESSES, "127.0.0.1:1");
        assert_eq!(known(directory.path()).api.as_deref(), Some("127.0.0.1:1"));
        // What `tenantry up` has written says more.
        write(ADDRESSES, "127.0.0.1:2");
        assert_eq!(known(directory.path()).api.as_deref(), Some("127.0.0.1:2"));
    }

    #[test]
    fn no_token_is_a_sentence_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let error = root_token(directory.path()).unwrap_err().to_string();
        assert!(error.contains("--token") && error.contains("root-token"), "{error}");
    }

    /// The contexts `a`, which is the current one, and `b`, each with its token.
    fn contexts(home: &Path) -> ContextStore {
        let store = ContextStore::below(Some(home.to_owned()));
        let added = store.change(|contexts, tokens| {
            for name in ["a", "b"] {
                let name: Name = name.parse().unwrap();
                tokens.keep(&name, &format!("kept-{name}"))?;
                let context = Context { api: format!("http://{name}"), token_file: None };
                contexts.contexts.insert(name, context);
            }
            contexts.current = "a".parse().ok();
            Ok(())
        });
        added.unwrap();
        store
    }

    /// Which API is asked, and whether with the token that is kept for it. What comes from the environment is
    /// written as a flag here, and named in `environment`.
    fn check(line: &str, environment: &[&str], expected: Result<(&str, bool), &str>) {
        let home = tempfile::tempdir().unwrap();
        let store = contexts(home.path());
        let words = line.split_whitespace();
        let words = ["tenantry"].into_iter().chain(words).chain(["tenant", "list"]);
        let matches = Cli::command().get_matches_from(words);
        let cli = Cli::from_arg_matches(&matches).unwrap();
        let mut sources = Sources::of(&matches);
        for name in environment {
            let source = match *name {
                "api" => &mut sources.api,
                "token" => &mut sources.token,
                "data_dir" => &mut sources.data_dir,
                _ => &mut sources.context,
            };
            assert_eq!(*source, Source::CommandLine, "{line}");
            *source = Source::Environment;
        }
        let found = Session::open(&cli.connection, sources, &store, true);
        let found = found.as_ref().map(|found| (found.api.as_str(), found.kept_in().is_some()));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{line}"),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{line}: {error}");
            }
            (found, expected) => panic!("{line}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn the_command_line_goes_before_the_environment_and_that_before_the_current_context() {
        check("", &[], Ok(("http://a", true)));
        check("--context b", &[], Ok(("http://b", true)));
        check("--context b", &["context"], Ok(("http://b", true)));
        check("--context b --api http://x", &["api"], Ok(("http://b", true)));
        check("--context b --token t", &[], Ok(("http://b", false)));
        check("--context b --token t", &["token"], Ok(("http://b", true)));
        check("--context b --token t", &["context", "token"], Ok(("http://b", false)));
        check("--token t", &["token"], Ok(("http://a", false)));
        check("--api http://x --token t", &[], Ok(("http://x", false)));
        check("--api http://x --token t --context b", &["context"], Ok(("http://x", false)));
        check("--api http://x --token t", &["api", "token"], Ok(("http://x", false)));
    }

    #[test]
    fn what_contradicts_itself_or_is_not_there_is_refused() {
        check("--context b --api http://x", &[], Err("leave out either"));
        check("--context b --api http://x", &["api", "context"], Err("leave out either"));
        check("--context b --data-dir x", &[], Err("leave out either"));
        check("--context c", &[], Err("there is no context c"));
        // The token that is kept for one control plane is not for another one.
        check("--api http://x", &[], Err("there is no token"));
        check("--data-dir /nonexistent", &["data_dir"], Err("there is no token"));
    }
}
