//! The access log: one JSON object in a line for each request, refused ones included.
//!
//! What a line says comes from [`line`]; where it goes, and what happens if the disk is slower than the
//! clients, from [`writer`]. Nothing here can hold up a request: a line that finds no room is dropped
//! and counted.

mod line;
mod writer;

use std::{num::NonZeroU32, path::Path, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use tenantry_model::AccessLogging;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use line::{Cut, Line, MAX_PATH_BYTES, MAX_USER_AGENT_BYTES, blamed, instant};
use writer::Writer;
pub(crate) use writer::Written;

use crate::{bootstrap::AccessLogOptions, request_id::RequestId};

/// Standard output, as a path.
const STANDARD_OUTPUT: &str = "-";

/// The log of this process; off, if there is no writer.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    options: AccessLogOptions,
    writer: Option<Writer>,
}

/// One line of how many is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OneIn(NonZeroU32);

impl OneIn {
    /// Nothing, where each line is written.
    pub(crate) fn shown(self) -> Option<u32> {
        (self.0 > NonZeroU32::MIN).then_some(self.0.get())
    }
}

impl AccessLog {
    /// Opens the log, if it is wanted.
    pub(crate) fn new(options: AccessLogOptions) -> anyhow::Result<Self> {
        let open = |options: &AccessLogOptions| {
            let file = (options.path != STANDARD_OUTPUT).then(|| Path::new(&options.path));
            Writer::open(file, options.buffered_lines.get()).with_context(|| {
                format!(
                    "the access log {} cannot be written; choose another access_log.path",
                    options.path
                )
            })
        };
        let writer = if options.enabled { Some(open(&options)?) } else { None };
        Ok(Self { options, writer })
    }

    /// Whether a request's line is to be written, and of how many lines it is then the one. A tenant's
    /// own setting stands in place of the process's. Refusals are not sampled unless that is asked for:
    /// they are what is looked for.
    pub(crate) fn takes(
        &self,
        request_id: RequestId,
        tenant: Option<AccessLogging>,
        is_refusal: bool,
    ) -> Option<OneIn> {
        self.writer.as_ref()?;
        let one_in = match tenant {
            Some(AccessLogging::Off) => return None,
            _ if is_refusal && !self.options.sample_refusals => NonZeroU32::MIN,
            Some(AccessLogging::OneIn(one_in)) => one_in,
            None => self.options.sample_one_in,
        };
        request_id.draw().is_multiple_of(u64::from(one_in.get())).then_some(OneIn(one_in))
    }

    /// Whether lines show what stands behind the `?`.
    pub(crate) fn shows_query(&self) -> bool {
        self.options.query
    }

    /// Whether lines show what the client calls itself.
    pub(crate) fn shows_user_agent(&self) -> bool {
        self.options.user_agent
    }

    pub(crate) fn write(&self, line: &Line<'_>) {
        // No line can fail to be JSON: it holds texts and numbers.
        if let (Some(writer), Ok(mut json)) = (&self.writer, serde_json::to_vec(line)) {
            json.push(b'\n');
            writer.write(json);
        }
    }

    /// What became of the lines so far.
    pub(crate) fn written(&self) -> Option<Written> {
        self.writer.as_ref().map(Writer::written)
    }

    /// Writes what is still waiting, if that takes no longer than this.
    pub(crate) fn close(&self, patience: Duration) {
        if let Some(writer) = &self.writer {
            writer.close(patience);
        }
    }
}

/// Opens the file anew at SIGHUP, so that it can be moved away and compressed.
pub(crate) struct Rotation(pub(crate) AccessLog);

#[async_trait]
impl BackgroundService for Rotation {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                return tracing::warn!(%error, "SIGHUP cannot be listened for; the access log stays open");
            }
        };
        let stop = shutdown.wait_for(|stop| *stop);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                _ = &mut stop => return,
                heard = hangups.recv() => match (heard, &self.0.writer) {
                    (None, _) => return,
                    (Some(()), Some(writer)) => writer.reopen(),
                    (Some(()), None) => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_id::RequestIds;

    fn log(one_in: u32, sample_refusals: bool, directory: &Path) -> AccessLog {
        let options = AccessLogOptions {
            enabled: true,
            path: directory.join("access.log").display().to_string(),
            query: false,
            user_agent: true,
            sample_one_in: NonZeroU32::new(one_in).unwrap(),
            sample_refusals,
            buffered_lines: std::num::NonZeroUsize::MIN,
        };
        AccessLog::new(options).unwrap()
    }

    #[test]
    fn tenants_are_sampled_as_they_say_and_refusals_as_the_process_says() {
        let directory = tempfile::tempdir().unwrap();
        let ids = RequestIds::new(7);
        let share = |log: &AccessLog, tenant, is_refusal| {
            (0..10_000).filter(|_| log.takes(ids.next(), tenant, is_refusal).is_some()).count()
        };
        let one_in = |number| Some(AccessLogging::OneIn(NonZeroU32::new(number).unwrap()));
        let all = log(1, false, directory.path());
        assert_eq!(share(&all, None, false), 10_000);
        assert_eq!(share(&all, Some(AccessLogging::Off), true), 0);
        assert_eq!(share(&all, one_in(100), true), 10_000);
        assert!((50..200).contains(&share(&all, one_in(100), false)));
        let few = log(10, true, directory.path());
        assert!((800..1200).contains(&share(&few, None, true)));
        assert_eq!(share(&few, one_in(1), false), 10_000);
        let off = AccessLog { writer: None, ..all };
        assert_eq!(share(&off, None, true), 0);
    }
}
