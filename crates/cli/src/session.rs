//! The API as one command talks to it.

use std::{fs, future::Future, path::Path, time::Duration};

use serde::Deserialize;
use tenantry_api::{Client, ClientError};

use crate::{args::Connection, error::CliError};

/// Longer than any answer takes; a control plane that hangs must not hang its operator.
const PATIENCE: Duration = Duration::from_secs(30);

const DEFAULT_API: &str = "http://127.0.0.1:7070";
const DEFAULT_PROXY: &str = "http://127.0.0.1:8080";
const DEFAULT_PROXY_ADMIN: &str = "http://127.0.0.1:7080";

/// The name of the file in the data directory with the root token.
pub(crate) const ROOT_TOKEN: &str = "root-token";
/// The name of the file in the data directory that says what listens where.
pub(crate) const ADDRESSES: &str = "addresses.json";

/// A client, and what it is called in sentences.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    api: String,
    /// Where clients reach the proxy, if that is known.
    proxy: Option<String>,
}

impl Session {
    /// Finds the API and the token.
    ///
    /// The address and the token are looked for in one directory, so a command that is given only
    /// `--data-dir` reaches the control plane that was started with it, whatever port it took.
    pub(crate) fn open(connection: &Connection) -> Result<Self, CliError> {
        let api = connection.api.clone();
        let api = api.or_else(|| known(&connection.data_dir).api);
        let token = match &connection.token {
            Some(token) => token.clone(),
            None => root_token(&connection.data_dir)?,
        };
        let mut session = Self::to(api.unwrap_or_else(|| DEFAULT_API.to_owned()), token.trim())?;
        session.proxy = known(&connection.data_dir).proxy.map(with_scheme);
        if let Some(key) = &connection.idempotency_key {
            session.client = session.client.keyed(key);
        }
        Ok(session)
    }

    /// Finds the API only, for what proves itself otherwise.
    pub(crate) fn without_token(connection: &Connection) -> Result<Self, CliError> {
        let api = connection.api.clone().or_else(|| known(&connection.data_dir).api);
        Self::to(api.unwrap_or_else(|| DEFAULT_API.to_owned()), "")
    }

    /// With an address and a token that are known.
    pub(crate) fn to(api: String, token: &str) -> Result<Self, CliError> {
        let api = with_scheme(api);
        match Client::new(&api, token) {
            Ok(client) => Ok(Self { client, api, proxy: None }),
            Err(error) => Err(CliError::of_client(error, &api)),
        }
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
        match tokio::time::timeout(PATIENCE, self.ask_patiently(answer)).await {
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

/// The admin address of the proxy that belongs to a data directory, or the usual one.
pub(crate) fn proxy_admin(given: Option<&str>, data_dir: &Path) -> String {
    let address = given.map(str::to_owned).or_else(|| known(data_dir).proxy_admin);
    with_scheme(address.unwrap_or_else(|| DEFAULT_PROXY_ADMIN.to_owned()))
}

/// The root token that the control plane wrote into its data directory.
pub(crate) fn root_token(data_dir: &Path) -> Result<String, CliError> {
    let tried = data_dir.join(ROOT_TOKEN);
    fs::read_to_string(&tried).map_err(|source| CliError::NoToken { tried, source })
}

/// What `tenantry up` wrote about where things listen.
#[derive(Debug, Default, Deserialize)]
struct Known {
    api: Option<String>,
    proxy: Option<String>,
    proxy_admin: Option<String>,
}

/// No file, or one that cannot be read, says nothing: the defaults then apply.
fn known(data_dir: &Path) -> Known {
    let file = fs::read(data_dir.join(ADDRESSES)).unwrap_or_default();
    serde_json::from_slice(&file).unwrap_or_default()
}

/// `127.0.0.1:7070` is as good as `http://127.0.0.1:7070`.
fn with_scheme(address: String) -> String {
    if address.contains("://") { address } else { format!("http://{address}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_from_flags_then_the_data_directory_then_defaults() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(proxy_admin(None, directory.path()), DEFAULT_PROXY_ADMIN);
        fs::write(directory.path().join(ADDRESSES), r#"{"proxy_admin":"127.0.0.1:1"}"#).unwrap();
        assert_eq!(proxy_admin(None, directory.path()), "http://127.0.0.1:1");
        assert_eq!(proxy_admin(Some("127.0.0.1:2"), directory.path()), "http://127.0.0.1:2");
    }

    #[test]
    fn no_token_is_a_sentence_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let error = root_token(directory.path()).unwrap_err().to_string();
        assert!(error.contains("--token") && error.contains("root-token"), "{error}");
    }
}
