use super::*;

#[tokio::test]
async fn exact_then_wildcard_then_default() {
    let world = World::new();
    let wildcard = world.certificate(1, &["*.acme.example"], false);
    let exact = world.certificate(2, &["www.acme.example"], false);
    assert_eq!(world.shown("www.acme.example").await, exact);
    assert_eq!(world.shown("WWW.Acme.Example").await, exact);
    assert_eq!(world.shown("api.acme.example").await, wildcard);

    let (client, server) = world.connect(&world.client(), "beta.example").await;
    assert!(matches!(server, Err(TlsError::UnrecognizedName)), "{server:?}");
    assert!(told(client).contains("UnrecognisedName"));
    let mut nameless = world.client();
    nameless.enable_sni = false;
    let (client, _) = world.connect(&nameless, "www.acme.example").await;
    assert!(told(client).contains("UnrecognisedName"));

    let default = world.certificate(3, &["beta.example"], true);
    assert_eq!(world.shown("beta.example").await, default);
    let (client, (_, facts)) = world.connected(&nameless, "beta.example").await;
    assert_eq!((leaf(&client), facts.server_name), (default, None));
}

#[tokio::test]
async fn a_tenants_own_goes_before_the_platforms() {
    let world = World::new();
    let own = world.authority.server(&["acme.example"]);
    world.tenant(1, "acme.example", None);
    let owner = json!({"tenant": tenant_id(1)});
    assert_eq!(world.put_certificate(1, &own, &["acme.example"], owner), []);
    let platform = world.certificate(2, &["acme.example", "beta.example"], false);
    assert_eq!(world.shown("acme.example").await, own.der());
    assert_eq!(world.shown("beta.example").await, platform);
}

#[tokio::test]
async fn a_replaced_certificate_serves_the_next_handshake_and_no_connection_notices() {
    let world = World::new();
    let before = world.certificate(1, &["acme.example"], false);
    let (mut client, (mut server, _)) = world.connected(&world.client(), "acme.example").await;
    assert_eq!(leaf(&client), before);

    let after = world.certificate(1, &["acme.example"], false);
    assert_ne!(world.shown("acme.example").await, before);
    assert_eq!(world.shown("acme.example").await, after);
    client.write_all(b"still here").await.unwrap();
    client.flush().await.unwrap();
    let mut heard = [0; 10];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still here");

    let gone = ResourceRef {
        kind: ResourceKind::Certificate,
        id: CertificateId::from_parts(1, 1).to_string(),
    };
    world.update(UpdateKind::Delta, vec![Change::Delete(gone)]);
    let (_, refused) = world.connect(&world.client(), "acme.example").await;
    assert!(matches!(refused, Err(TlsError::UnrecognizedName)));
    server.write_all(b"and so are you").await.unwrap();
}

#[tokio::test]
async fn versions_and_protocols_are_those_of_the_bootstrap_config() {
    let world = World::new();
    world.certificate(1, &["acme.example"], false);
    let speak = async |world: &World, version, protocols: &[&[u8]]| {
        let mut client = world.client_of(&[version], None);
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let (_, server) = world.connect(&client, "acme.example").await;
        server.map(|(_, facts)| (facts.version.unwrap(), facts.protocol)).ok()
    };
    let (both, one): (&[&[u8]], &[&[u8]]) = (&[b"h2", b"http/1.1"], &[b"http/1.1"]);
    let (old, new) = (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3);
    assert_eq!(speak(&world, &TLS12, both).await, Some((old, Protocol::Http2)));
    assert_eq!(speak(&world, &TLS13, both).await, Some((new, Protocol::Http2)));
    assert_eq!(speak(&world, &TLS13, one).await, Some((new, Protocol::Http1)));
    assert_eq!(speak(&world, &TLS13, &[]).await, Some((new, Protocol::Http1)));
    assert_eq!(speak(&world, &TLS13, &[b"spdy/3"]).await, None);

    let options = TlsOptions { minimum_version: MinimumVersion::Tls13, http2: false, ..options() };
    let world = World::with(options);
    world.certificate(1, &["acme.example"], false);
    assert_eq!(speak(&world, &TLS12, both).await, None);
    assert_eq!(speak(&world, &TLS13, both).await, Some((new, Protocol::Http1)));
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_and_its_former_self_stays() {
    let world = World::new();
    let good = world.certificate(1, &["acme.example"], false);
    let id = CertificateId::from_parts(1, 1);
    let issued = world.authority.server(&["acme.example"]);
    let other = world.authority.server(&["acme.example"]).key_pem;
    let seal = |keys: &MasterKeys, secret: &str, id| {
        keys.seal(secret.as_bytes(), &Certificate::sealing_context(id), [2; 12]).unwrap()
    };
    let foreign = MasterKeys::parse(&STANDARD.encode([9; 32])).unwrap();
    let keys = &world.master_keys;
    for (key, names, reason) in [
        (seal(&foreign, &issued.key_pem, id), "acme.example", "not among those configured"),
        (
            seal(keys, &issued.key_pem, CertificateId::from_parts(1, 2)),
            "acme.example",
            "sealed for something else",
        ),
        (seal(keys, &other, id), "acme.example", "does not belong"),
        (seal(keys, "no key", id), "acme.example", "no private key"),
        (seal(keys, &issued.key_pem, id), "beta.example", "does not cover beta.example"),
    ] {
        let certificate =
            json!({"id": id, "domains": [names], "chain_pem": issued.certificate_pem, "key": key});
        let refused = world.put(ResourceKind::Certificate, id, &certificate);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].reason.contains(reason), "{}", refused[0].reason);
        assert_eq!(world.shown("acme.example").await, good);
        // A full state keeps it just the same.
        let reference = ResourceRef { kind: ResourceKind::Certificate, id: id.to_string() };
        let json = ResourceJson::from_slice(certificate.to_string().as_bytes()).unwrap();
        let refused = world.update(UpdateKind::Full, vec![Change::Put { reference, json }]);
        assert_eq!(refused.len(), 1);
        assert_eq!(world.shown("acme.example").await, good);
    }
    let mended = world.certificate(1, &["acme.example"], false);
    assert_eq!(world.shown("acme.example").await, mended);
}

#[test]
fn a_client_key_is_opened_for_its_own_upstream_and_one_in_the_clear_stays() {
    let world = World::new();
    let issued = world.authority.client("gateway.internal");
    let seal = |id: &str| {
        let context = Upstream::sealing_context(&id.parse().unwrap());
        world.master_keys.seal(issued.key_pem.as_bytes(), &context, [3; 12]).unwrap()
    };
    let sealed = |id| String::from(seal(id));
    for (key, reason) in [
        (sealed("main"), None),
        (issued.key_pem.clone(), None),
        (sealed("other"), Some("sealed for something else")),
    ] {
        let tls = json!({"client_certificate_pem": issued.certificate_pem, "client_key_pem": key});
        let upstream = json!({"id": "main", "endpoints": [{"address": "127.0.0.1:1"}], "tls": tls});
        let refused = world.put(ResourceKind::Upstream, "main", &upstream);
        assert_eq!(refused.is_empty(), reason.is_none(), "{refused:?}");
        assert!(refused.iter().all(|refusal| refusal.reason.contains(reason.unwrap())));
        let state = world.active.load().unwrap();
        let compiled = state.table.upstreams().next().unwrap();
        assert!(compiled.tls().unwrap().client.is_some());
    }
}

#[test]
fn what_a_full_state_refuses_stays_as_it_was() {
    let world = World::new();
    let clients = Authority::new("clients");
    world.tenant(1, "acme.example", Some(&clients));
    let id = tenant_id(1);
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let tenant = json!({
        "id": id, "slug": "t1", "state": "active", "plan": "pro", "client_ca_pem": damaged,
    });
    let domain = json!({"host": "acme.example", "tenant": id});
    let put = |kind, id: String, json: &Value| Change::Put {
        reference: ResourceRef { kind, id },
        json: ResourceJson::from_slice(json.to_string().as_bytes()).unwrap(),
    };
    let full = || {
        vec![
            put(ResourceKind::Tenant, id.to_string(), &tenant),
            put(ResourceKind::Domain, "acme.example".to_owned(), &domain),
        ]
    };
    let refused = world.update(UpdateKind::Full, full());
    assert!(refused.len() == 1 && refused[0].reason.contains("client_ca_pem"), "{refused:?}");
    let state = world.active.load().unwrap();
    let owner = state.table.tenant_of_host("acme.example").unwrap();
    assert_eq!(owner.client_ca().unwrap().as_str(), clients.pem());
    // A full state that does not have it at all removes it.
    assert_eq!(world.update(UpdateKind::Full, Vec::new()), []);
    assert_eq!(world.active.load().unwrap().table.tenant_count(), 0);
}

#[tokio::test]
async fn nothing_is_served_before_there_is_a_state_and_junk_is_no_handshake() {
    let world = World::without_state(options());
    let (client, server) = world.connect(&world.client(), "acme.example").await;
    assert!(matches!(server, Err(TlsError::NotReady)));
    assert!(told(client).contains("InternalError"));
    for junk in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"",
    ] {
        let (mut near, far) = duplex(1024);
        near.write_all(junk).await.unwrap();
        near.shutdown().await.unwrap();
        assert!(matches!(world.acceptor.accept(far).await, Err(TlsError::Handshake(_))));
    }
}
