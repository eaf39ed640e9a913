//! TLS of the distribution listener, where it is asked for.
//!
//! The certificate and its key are files. They are looked at again at intervals, so that one that is renewed is
//! shown to whoever connects from then on; streams that are open stay as they are.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_rustls::TlsAcceptor;

/// How late a renewed certificate may be noticed.
const INTERVAL: Duration = Duration::from_secs(30);

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Accepts TLS with what the files hold.
pub(crate) struct Tls {
    files: Files,
    shown: RwLock<Shown>,
}

struct Shown {
    pem: Pem,
    acceptor: TlsAcceptor,
}

impl Tls {
    pub(crate) fn load(files: Files) -> io::Result<Self> {
        let pem = files.read()?;
        let acceptor = pem.acceptor()?;
        Ok(Self { files, shown: RwLock::new(Shown { pem, acceptor }) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.shown.read().acceptor.clone()
    }

    /// Looks at the files at intervals, until told to stop.
    pub(crate) async fn renew(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // The other end gone means that the process is ending.
                _ = stopping.wait_for(|stopping| *stopping) => return,
                _ = interval.tick() => {}
            }
            match self.look() {
                Ok(false) => {}
                Ok(true) => tracing::info!(
                    "the renewed certificate of the distribution is shown from now on"
                ),
                Err(error) => tracing::warn!(
                    %error, certificate = %self.files.certificate.display(),
                    "the certificate of the distribution stays as it was"
                ),
            }
        }
    }

    /// Whether there is something new, which is shown from now on.
    fn look(&self) -> io::Result<bool> {
        let pem = self.files.read()?;
        if pem == self.shown.read().pem {
            return Ok(false);
        }
        let acceptor = pem.acceptor()?;
        *self.shown.write() = Shown { pem, acceptor };
        Ok(true)
    }
}

impl Files {
    fn read(&self) -> io::Result<Pem> {
        Ok(Pem { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }
}

impl Pem {
    fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let chain =
            CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<Vec<_>, _>>();
        let chain =
            chain.map_err(|error| invalid(format!("the certificate is no PEM: {error}")))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|error| invalid(format!("the key is no PEM: {error}")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|error| invalid(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The error names the file: there are two.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
    fs::read(file).map_err(named)
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use tenantry_test_support::Authority;

    use super::*;

    #[test]
    fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files {
            certificate: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
        };
        let authority = Authority::new("ca");
        let write = |names: &[&str]| {
            let issued = authority.server(names);
            fs::write(&files.certificate, issued.certificate_pem).unwrap();
            fs::write(&files.key, issued.key_pem).unwrap();
        };
        assert!(Tls::load(files.clone()).is_err());
        write(&["one.example"]);
        let tls = Tls::load(files.clone()).unwrap();
        assert!(!tls.look().unwrap());
        write(&["two.example"]);
        assert!(tls.look().unwrap() && !tls.look().unwrap());
        fs::write(&files.key, authority.server(&["other.example"]).key_pem).unwrap();
        assert!(tls.look().is_err(), "the key is of another certificate");
        fs::write(&files.certificate, "").unwrap();
        assert!(tls.look().is_err());
    }
}
