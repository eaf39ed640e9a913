//! What `tenantry up` says while it works.

use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use super::{demo::Guide, error::Ended, start::Addresses};
use crate::output::columns;

/// The terminal. What cannot be written is not worth stopping the platform for.
#[derive(Default)]
pub(super) struct Progress {
    line: Line,
}

/// Whether a step stands there without its end.
#[derive(Default)]
enum Line {
    #[default]
    Ended,
    Open,
}

impl Progress {
    /// A step begins.
    pub(super) fn begin(&mut self, step: &str) {
        self.break_off();
        self.line = Line::Open;
        Self::print(&format!("{step} ... "));
    }

    /// The step has ended.
    pub(super) fn end(&mut self, how: &str) {
        self.line = Line::Ended;
        Self::print(&format!("{how}\n"));
    }

    /// The last lines of a child that ended.
    pub(super) fn tail(&mut self, log: &Path, lines: &[String]) {
        self.break_off();
        let mut text = format!("the end of {}:\n", log.display());
        for line in lines {
            text.push_str(&format!("  | {line}\n"));
        }
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// A child ended, and is started again.
    pub(super) fn ended(&mut self, ended: &Ended, wait: Duration) {
        self.break_off();
        let Ended { name, when, status, log, .. } = ended;
        let wait = wait.as_secs_f64();
        let log = log.display();
        Self::print(&format!(
            "{name} ended {when} ({status}); it is started again in {wait:.1} s; see {log}\n"
        ));
    }

    /// Everything runs.
    pub(super) fn ready(&mut self, data_dir: &Path, addresses: &Addresses, demo: Option<&Guide>) {
        let mut rows = vec![
            row("clients", addresses.proxy.url(), "tenantry-proxy"),
            row("clients, TLS", addresses.proxy_tls.tls_url(), "with uploaded certificates"),
            row("proxy admin", addresses.proxy_admin.url(), "/metrics /healthz /readyz /explain"),
            row("API", addresses.api.url(), "/api/v1 /metrics /healthz /readyz"),
            row("distribution", addresses.distribution.url(), "to proxies"),
        ];
        if let Some(demo) = demo {
            rows.push(row("origin", demo.origin.clone(), "answers with what it receives"));
        }
        let table = columns(&["WHAT", "WHERE", "FOR"], &rows);
        Self::print(&format!("\n{table}\n\ndata, tokens and logs are in {}\n", data_dir.display()));
        if let Some(demo) = demo {
            Self::print(&demo.text());
        }
        Self::print("\nready; stop with Ctrl-C\n");
    }

    /// A step that failed has no end.
    pub(super) fn break_off(&mut self) {
        if let Line::Open = std::mem::take(&mut self.line) {
            Self::print("\n");
        }
    }

    fn print(text: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn row(what: &str, address: String, purpose: &str) -> Vec<String> {
    vec![what.to_owned(), address, purpose.to_owned()]
}
