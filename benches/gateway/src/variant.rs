//! The ways in which the same requests are sent.

use std::sync::Arc;

use clap::ValueEnum;
use serde::Serialize;

use crate::{credentials::Credentials, load::Call, policy::Policy};

/// What requests prove their tenant with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// An API key.
    Key,
    /// A JSON Web Token, signed with ES256.
    Token,
}

/// A way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Variant {
    /// HTTP/1.1, connections that are kept, small answers.
    Plain,
    /// The same over TLS 1.3.
    Tls,
    /// HTTP/2 over TLS 1.3.
    Http2,
    /// Plain, with answers of 64 KiB.
    Large,
    /// Plain, with a JWT instead of an API key.
    Token,
    /// Plain, with a connection for each request.
    Connections,
    /// TLS 1.3, with a connection and a full handshake for each request.
    Handshakes,
}

impl Variant {
    pub(crate) const ALL: [Self; 7] = [
        Self::Plain,
        Self::Tls,
        Self::Http2,
        Self::Large,
        Self::Token,
        Self::Connections,
        Self::Handshakes,
    ];

    /// What it is called in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "HTTP/1.1",
            Self::Tls => "HTTP/1.1, TLS",
            Self::Http2 => "HTTP/2, TLS",
            Self::Large => "64 KiB answers",
            Self::Token => "JWT",
            Self::Connections => "new connections",
            Self::Handshakes => "new TLS connections",
        }
    }

    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Http2 | Self::Handshakes)
    }

    /// Whether each request has a connection of its own.
    pub(crate) fn is_fresh(self) -> bool {
        matches!(self, Self::Connections | Self::Handshakes)
    }

    pub(crate) fn proof(self) -> Proof {
        if self == Self::Token { Proof::Token } else { Proof::Key }
    }

    fn path(self) -> &'static str {
        if self == Self::Large { "/large" } else { "/orders/4711" }
    }

    /// One request for each tenant that is loaded.
    pub(crate) fn calls(
        self,
        policy: &Policy,
        credentials: &Credentials,
    ) -> anyhow::Result<Arc<[Call]>> {
        let calls = policy.loaded().iter().map(|tenant| {
            let (name, value) = match self.proof() {
                Proof::Key => ("x-api-key", tenant.key.clone()),
                Proof::Token => ("authorization", format!("Bearer {}", credentials.token(tenant)?)),
            };
            Ok(Call::new(&tenant.host, self.path(), name, &value))
        });
        calls.collect::<anyhow::Result<Vec<_>>>().map(Into::into)
    }
}
