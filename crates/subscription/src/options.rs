//! What a subscription is told when it is built.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use reqwest::{Url, header::HeaderValue};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tenantry_distribution::{BackoffBounds, NodeName, RemovalBrake};
use tenantry_model::{RegionId, Timestamp};

/// All that a subscription needs to know. [`Options::new`] sets what has a sensible default.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the control plane serves distribution.
    pub(crate) control_plane: Url,
    /// The proxy's name.
    pub node: NodeName,
    /// The version of its build, for reports.
    pub version: String,
    /// Where it stands, for reports.
    pub region: Option<RegionId>,
    /// What it authenticates with.
    pub token: BearerToken,
    /// Who may sign the certificate of the control plane; nobody, unless the address is `https`.
    pub(crate) authorities: RootCertStore,
    /// The last-known-good file; without one, a start needs the control plane.
    pub file: Option<PathBuf>,
    /// The file is folded when what was appended is longer than its base and than this.
    pub compact_above_bytes: u64,
    /// How long to wait between two attempts.
    pub backoff: BackoffBounds,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// How long the stream may be silent, heartbeats included, before it is given up. It should be
    /// several heartbeats long.
    pub idle_timeout: Duration,
    /// How long a report may take.
    pub report_timeout: Duration,
    /// The share of all tenants that may go at once.
    pub removal_brake: RemovalBrake,
    /// The time of day.
    pub clock: Clock,
    /// Randomness for the backoff.
    pub jitter: Jitter,
}

/// Why a subscription cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The address is not the URL of an HTTP server.
    #[error(
        "{0:?} is not the address of a distribution listener: it is `http://host:port`, or `https://host:port` with the authority that signed its certificate"
    )]
    Address(String),
    /// The authority cannot be read.
    #[error("the authority of the distribution cannot be used: {0}")]
    Authority(String),
    /// The token holds bytes that no header can carry.
    #[error("a token is visible ASCII text without spaces")]
    Token,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    /// The TLS library could not be set up.
    #[error("the TLS library could not be set up")]
    Tls(#[source] rustls::Error),
}

impl Options {
    /// For a proxy of this name that follows the control plane at `http://host:port`, or at `https://host:port`
    /// if there are `authorities`: certificates in PEM of who alone may have signed the control plane's.
    ///
    /// # Errors
    /// If the address is none of these, or the authorities are no certificates.
    pub fn new(
        control_plane: &str,
        authorities: Option<&[u8]>,
        node: NodeName,
        version: impl Into<String>,
        token: BearerToken,
    ) -> Result<Self, OptionsError> {
        let refused = || OptionsError::Address(control_plane.to_owned());
        let url = Url::parse(control_plane).map_err(|_| refused())?;
        // Credentials in a URL would reach logs; a query would be lost.
        let authorities = authorities.map(trusted).transpose()?;
        let scheme = if authorities.is_some() { "https" } else { "http" };
        let plain = url.scheme() == scheme
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none();
        if !plain {
            return Err(refused());
        }
        Ok(Self {
            control_plane: url,
            node,
            version: version.into(),
            region: None,
            token,
            authorities: authorities.unwrap_or_else(RootCertStore::empty),
            file: None,
            compact_above_bytes: 1024 * 1024,
            backoff: BackoffBounds::default(),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            report_timeout: Duration::from_secs(10),
            removal_brake: RemovalBrake::default(),
            clock: Clock::system(),
            jitter: Jitter::random(),
        })
    }
}

fn trusted(pem: &[u8]) -> Result<RootCertStore, OptionsError> {
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| OptionsError::Authority(error.to_string()))?;
        authorities.add(certificate).map_err(|error| OptionsError::Authority(error.to_string()))?;
    }
    if authorities.is_empty() {
        return Err(OptionsError::Authority("there is no certificate in it".to_owned()));
    }
    Ok(authorities)
}

/// The secret with which a proxy authenticates. It is never shown.
#[derive(Clone)]
pub struct BearerToken(HeaderValue);

impl BearerToken {
    /// From its text.
    ///
    /// # Errors
    /// If it is empty or not visible ASCII.
    pub fn new(token: &str) -> Result<Self, OptionsError> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OptionsError::Token);
        }
        let mut header =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| OptionsError::Token)?;
        // Keeps it out of debug output and out of the header compression's shared table.
        header.set_sensitive(true);
        Ok(Self(header))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// Where the time of day comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Any function.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| {
            #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in")]
            let now = std::time::SystemTime::now();
            let since_1970 = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_unix_ms(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Where the randomness of the backoff comes from.
#[derive(Clone)]
pub struct Jitter(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Jitter {
    /// Any function to numbers from 0 to 1.
    pub fn new(draw: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// The random numbers of the process.
    #[must_use]
    pub fn random() -> Self {
        Self::new(rand::random::<f64>)
    }

    pub(crate) fn draw(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown_and_an_address_is_plain_http() {
        let token = BearerToken::new("tnt_secret").unwrap();
        assert!(!format!("{token:?} {:?}", token.header()).contains("secret"));
        for wrong in ["", "a b", "a\nb", "é"] {
            assert!(BearerToken::new(wrong).is_err(), "{wrong}");
        }
        let options = |address| {
            Options::new(address, None, "edge-1".parse().unwrap(), "0.1.0", token.clone())
        };
        assert!(options("http://127.0.0.1:7071").is_ok());
        assert!(!format!("{:?}", options("http://[::1]:7071").unwrap()).contains("secret"));
        for wrong in ["", "127.0.0.1:7071", "https://a:1", "http://u:p@a:1", "http://a:1/?x=1"] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
    }
}
