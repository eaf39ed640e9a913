//! Handshakes with a real client over a pipe.

mod names;
mod required;
mod resumption;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use serde_json::{Value, json};
use tenantry_credentials::sealing::MasterKeys;
use tenantry_distribution::{
    Change, Epoch, Refusal, Removal, ResourceJson, Revision, StateHash, Update, UpdateKind,
};
use tenantry_engine::{Runtime, RuntimeOptions, Table};
use tenantry_model::{Certificate, CertificateId, ResourceKind, ResourceRef, TenantId, Upstream};
use tenantry_subscription::Target as _;
use tenantry_test_support::{Authority, Issued};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsConnector;

use super::*;

type Client = tokio_rustls::client::TlsStream<DuplexStream>;
type Server = (TlsStream<DuplexStream>, TlsFacts);

fn options() -> TlsOptions {
    TlsOptions {
        minimum_version: MinimumVersion::Tls12,
        http2: true,
        session_tickets: true,
        client_ca_cache: std::num::NonZeroUsize::MIN,
    }
}

fn tenant_id(number: u128) -> TenantId {
    TenantId::from_parts(1, number)
}

/// A proxy's state, what accepts connections to it, and whom clients trust.
struct World {
    authority: Authority,
    master_keys: MasterKeys,
    active: Arc<Active>,
    acceptor: TlsAcceptor,
}

impl World {
    fn new() -> Self {
        Self::with(options())
    }

    fn with(options: TlsOptions) -> Self {
        let world = Self::without_state(options);
        world.update(UpdateKind::Full, Vec::new());
        world
    }

    fn without_state(options: TlsOptions) -> Self {
        let keys = || MasterKeys::parse(&STANDARD.encode([1; 32])).unwrap();
        let runtime = Runtime::new(RuntimeOptions {
            named_tenants: 1,
            token_cache_bytes: 1024,
            limited_subjects: 1,
            max_in_flight: 1,
            seed: 1,
        });
        let table = Table::new(Arc::new(runtime), 1);
        let secrets = Arc::new(Secrets::new(keys()));
        let active =
            Arc::new(Active::new(table, 1, Arc::clone(&secrets), crate::clock::Clock::start()));
        let acceptor = TlsAcceptor::new(Arc::clone(&active), secrets, options).unwrap();
        Self { authority: Authority::new("servers"), master_keys: keys(), active, acceptor }
    }

    fn update(&self, kind: UpdateKind, changes: Vec<Change>) -> Vec<Refusal> {
        self.active.apply(&Update {
            epoch: Epoch::from_u128(1),
            kind,
            from: Revision::new(1),
            to: Revision::new(2),
            removal: Removal::Guarded,
            changes,
            hash: StateHash::from_u128(0),
        })
    }

    fn put(&self, kind: ResourceKind, id: impl ToString, json: &Value) -> Vec<Refusal> {
        let json = ResourceJson::from_slice(json.to_string().as_bytes()).unwrap();
        let reference = ResourceRef { kind, id: id.to_string() };
        self.update(UpdateKind::Delta, vec![Change::Put { reference, json }])
    }

    /// A platform certificate for these names; returns its leaf.
    fn certificate(&self, id: u128, names: &[&str], default: bool) -> CertificateDer<'static> {
        let issued = self.authority.server(names);
        assert_eq!(self.put_certificate(id, &issued, names, json!({"default": default})), []);
        issued.der()
    }

    fn put_certificate(
        &self,
        id: u128,
        issued: &Issued,
        names: &[&str],
        more: Value,
    ) -> Vec<Refusal> {
        let id = CertificateId::from_parts(1, id);
        let context = Certificate::sealing_context(id);
        let key = self.master_keys.seal(issued.key_pem.as_bytes(), &context, [1; 12]).unwrap();
        let mut certificate = json!({
            "id": id, "domains": names, "chain_pem": issued.certificate_pem, "key": key,
        });
        certificate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.put(ResourceKind::Certificate, id, &certificate)
    }

    /// A tenant with this host, and these authorities for its clients.
    fn tenant(&self, number: u128, host: &str, client_ca: Option<&Authority>) {
        let id = tenant_id(number);
        let mut tenant =
            json!({"id": id, "slug": format!("t{number}"), "state": "active", "plan": "pro"});
        if let Some(authority) = client_ca {
            tenant["client_ca_pem"] = authority.pem().into();
        }
        assert_eq!(self.put(ResourceKind::Tenant, id, &tenant), []);
        let domain = json!({"host": host, "tenant": id});
        assert_eq!(self.put(ResourceKind::Domain, host, &domain), []);
    }

    fn client(&self) -> ClientConfig {
        self.client_of(&[&TLS13, &TLS12], None)
    }

    fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Issued>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match certificate {
            Some(issued) => {
                builder.with_client_auth_cert(vec![issued.der()], issued.key_der()).unwrap()
            }
            None => builder.with_no_client_auth(),
        }
    }

    /// Connects, and lets a few bytes pass, with which tickets travel.
    async fn connect(
        &self,
        client: &ClientConfig,
        name: &str,
    ) -> (io::Result<Client>, Result<Server, TlsError>) {
        let (near, far) = duplex(64 * 1024);
        let connector = TlsConnector::from(Arc::new(client.clone()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let serve = async {
            let (mut stream, facts) = self.acceptor.accept(far).await?;
            stream.write_all(b"hello").await.map_err(TlsError::Handshake)?;
            stream.flush().await.map_err(TlsError::Handshake)?;
            Ok((stream, facts))
        };
        let ask = async {
            let mut stream = connector.connect(name, near).await?;
            stream.read_exact(&mut [0; 5]).await?;
            Ok(stream)
        };
        let (client, server) = tokio::join!(ask, serve);
        (client, server)
    }

    async fn connected(&self, client: &ClientConfig, name: &str) -> (Client, Server) {
        let (client, server) = self.connect(client, name).await;
        (client.unwrap(), server.unwrap())
    }

    /// The leaf that a client is shown for a name.
    async fn shown(&self, name: &str) -> CertificateDer<'static> {
        leaf(&self.connected(&self.client(), name).await.0)
    }
}

fn leaf(client: &Client) -> CertificateDer<'static> {
    client.get_ref().1.peer_certificates().unwrap()[0].clone()
}

/// What the client was told when it was refused.
fn told(client: io::Result<Client>) -> String {
    client.expect_err("it is refused").to_string()
}
