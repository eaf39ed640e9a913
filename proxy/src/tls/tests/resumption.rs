use super::*;

/// How a second connection of the same client is made, if it is.
async fn again(world: &World, client: &ClientConfig, name: &str) -> Option<HandshakeKind> {
    let (client, _) = world.connect(client, name).await;
    client.ok()?.get_ref().1.handshake_kind()
}

#[tokio::test]
async fn a_session_is_resumed_by_its_ticket_unless_that_is_turned_off() {
    for (session_tickets, expected) in
        [(true, HandshakeKind::Resumed), (false, HandshakeKind::Full)]
    {
        let world = World::with(TlsOptions { session_tickets, ..options() });
        world.certificate(1, &["acme.example"], false);
        for version in [&TLS12, &TLS13] {
            let client = world.client_of(&[version], None);
            assert_eq!(again(&world, &client, "acme.example").await, Some(HandshakeKind::Full));
            assert_eq!(again(&world, &client, "acme.example").await, Some(expected));
        }
    }
}

#[tokio::test]
async fn a_connection_with_a_client_certificate_is_never_resumed() {
    let world = World::new();
    let clients = Authority::new("clients");
    world.tenant(1, "acme.example", Some(&clients));
    world.certificate(1, &["acme.example"], false);
    let printer = clients.client("printer");
    for version in [&TLS12, &TLS13] {
        let client = world.client_of(&[version], Some(&printer));
        for _ in 0..3 {
            assert_eq!(again(&world, &client, "acme.example").await, Some(HandshakeKind::Full));
        }
        // Whoever kept a session, and has no certificate, does not come in by it.
        let mut bare = world.client_of(&[version], None);
        bare.resumption = client.resumption.clone();
        assert_eq!(again(&world, &bare, "acme.example").await, None);
    }
}

#[tokio::test]
async fn a_ticket_from_before_the_authorities_were_set_opens_nothing() {
    for version in [&TLS12, &TLS13] {
        let world = World::new();
        world.tenant(1, "acme.example", None);
        world.certificate(1, &["acme.example"], false);
        let client = world.client_of(&[version], None);
        assert_eq!(again(&world, &client, "acme.example").await, Some(HandshakeKind::Full));
        assert_eq!(again(&world, &client, "acme.example").await, Some(HandshakeKind::Resumed));
        let clients = Authority::new("clients");
        world.tenant(1, "acme.example", Some(&clients));
        assert_eq!(again(&world, &client, "acme.example").await, None);
        // With a certificate, the old ticket makes no difference: the handshake is a full one.
        let mut proven = world.client_of(&[version], Some(&clients.client("printer")));
        proven.resumption = Resumption::in_memory_sessions(8);
        assert_eq!(again(&world, &proven, "acme.example").await, Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_ticket_is_good_for_its_own_name_alone() {
    let world = World::new();
    world.certificate(1, &["a.example", "b.example"], false);
    let client = world.client();
    assert_eq!(again(&world, &client, "a.example").await, Some(HandshakeKind::Full));
    assert_eq!(again(&world, &client, "b.example").await, Some(HandshakeKind::Full));
    assert_eq!(again(&world, &client, "a.example").await, Some(HandshakeKind::Resumed));
}
