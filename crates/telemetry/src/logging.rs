//! Events go to standard error: standard output belongs to what a command prints.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object in a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, LoggingError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LoggingError::Format),
        }
    }
}

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The format is not known.
    #[error("the log format is `text` or `json`")]
    Format,
    /// The filter cannot be read.
    #[error("the log filter {filter:?} is not one, such as `info` or `info,tenantry_store=debug`")]
    Filter {
        /// The filter as it was given.
        filter: String,
        /// What the parser said.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// It was set up before.
    #[error("logging was set up already")]
    Repeated,
}

/// Sends the events of this process to standard error from now on. To be called once, by the
/// composition root.
///
/// # Errors
/// If the filter cannot be read, or logging was set up before.
pub fn init_tracing(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    let parsed = EnvFilter::try_new(filter)
        .map_err(|source| LoggingError::Filter { filter: filter.to_owned(), source })?;
    let events = fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Text => events.with_ansi(false).finish().try_init(),
        LogFormat::Json => events.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|_| LoggingError::Repeated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named() {
        let error = init_tracing("tenantry=loud", LogFormat::Text).unwrap_err();
        assert!(error.to_string().contains("tenantry=loud"), "{error}");
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
