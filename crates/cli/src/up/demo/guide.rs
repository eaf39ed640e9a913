//! Six requests that show what the gateway does.
//!
//! They work when pasted, in order, and again: none leaves anything changed behind. Each prints one
//! response of the proxy with its head, and that one's status is the expected one.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::records::Credentials;

/// The requests of a free tenant that pass before the limit is reached; see `config/demo.json`.
const BURST: usize = 5;

/// Where everything is.
pub(super) struct Access {
    pub(super) origin: String,
    pub(super) proxy: String,
    pub(super) api: String,
    /// None if the token was given in the environment, and must be taken from there.
    pub(super) root_token_file: Option<PathBuf>,
}

/// What to try.
pub(crate) struct Guide {
    pub(crate) origin: String,
    pub(super) curls: Vec<Curl>,
}

/// A command for a shell, and the status of the one response it prints.
#[derive(Debug, Serialize)]
pub(super) struct Curl {
    title: &'static str,
    command: String,
    expect_status: u16,
}

impl Guide {
    pub(super) fn new(credentials: &Credentials, access: &Access) -> Self {
        let Credentials { key, jwt, .. } = credentials;
        let proxy = &access.proxy;
        let curl = |host: &str, flags: &str, path: &str| {
            format!("curl -si -H 'Host: {host}.localhost'{flags} {proxy}{path}")
        };
        let quiet = curl("globex", " -o /dev/null", "/");
        let counts = (1..=BURST).map(|count| count.to_string()).collect::<Vec<_>>().join(" ");
        let limited = format!("for i in {counts}; do {quiet}; done; {}", curl("globex", "", "/"));
        let curls = vec![
            Curl {
                title: "by host: Initech asks for no credential",
                command: curl("initech", "", "/"),
                expect_status: 200,
            },
            Curl {
                title: "by API key: Acme asks for one",
                command: curl("acme", &format!(" -H 'X-API-Key: {key}'"), "/"),
                expect_status: 200,
            },
            Curl {
                title: "by JWT, for a feature that Acme's plan has",
                command: curl("acme", &format!(" -H 'Authorization: Bearer {jwt}'"), "/reports"),
                expect_status: 200,
            },
            Curl {
                title: "the same feature is switched off for Globex: 403",
                command: curl("globex", "", "/reports"),
                expect_status: 403,
            },
            Curl {
                title: "five requests a minute, and no more, for Globex: 429",
                command: limited,
                expect_status: 429,
            },
            Curl {
                title: "suspend Globex: 403 at once; and resume it",
                command: suspended(access, &curl("globex", "", "/")),
                expect_status: 403,
            },
        ];
        Self { origin: access.origin.clone(), curls }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Curl { title, command, .. } in &self.curls {
            text.push_str(&format!("\n# {title}\n{command}\n"));
        }
        text
    }
}

/// The pause gives the change the time to reach the proxy, a few milliseconds.
fn suspended(access: &Access, request: &str) -> String {
    let token = match &access.root_token_file {
        Some(file) => format!("$(cat {})", quoted(file)),
        None => "$TENANTRY_ROOT_TOKEN".to_owned(),
    };
    let tenant = format!("{}/api/v1/tenants/globex", access.api);
    let post = format!("curl -fsS -o /dev/null -X POST -H \"Authorization: Bearer {token}\"");
    format!(
        "{post} -H 'Content-Type: application/json' -d '{{\"reason\":\"unpaid\"}}' {tenant}/suspend; \
         sleep 0.3; {request}; {post} {tenant}/resume"
    )
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_lines_that_a_shell_takes_as_they_are() {
        let credentials =
            Credentials { key: "tnt_x".to_owned(), jwt: "eyJ.e.e".to_owned(), revision: 1 };
        let access = Access {
            origin: String::new(),
            proxy: "http://127.0.0.1:1".to_owned(),
            api: "http://127.0.0.1:2".to_owned(),
            root_token_file: Some(PathBuf::from("/it's here/root-token")),
        };
        let guide = Guide::new(&credentials, &access);
        let statuses: Vec<_> = guide.curls.iter().map(|curl| curl.expect_status).collect();
        assert_eq!(statuses, [200, 200, 200, 403, 429, 403]);
        assert!(guide.curls.iter().all(|curl| !curl.command.contains('\n')));
        let suspend = &guide.curls.last().unwrap().command;
        assert!(suspend.contains(r"$(cat '/it'\''s here/root-token')"), "{suspend}");
        assert!(suspend.contains(r#"-d '{"reason":"unpaid"}'"#), "{suspend}");
    }
}
