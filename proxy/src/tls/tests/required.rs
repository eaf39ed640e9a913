use super::*;

const A: &str = "a.example";
const B: &str = "b.example";

/// Tenants 1 (at `a.example`) and 2 (at `b.example`), each with authorities of its own, and one
/// certificate for both names.
fn two_tenants() -> (World, Authority, Authority) {
    let world = World::new();
    let (of_a, of_b) = (Authority::new("clients of a"), Authority::new("clients of b"));
    world.tenant(1, A, Some(&of_a));
    world.tenant(2, B, Some(&of_b));
    world.certificate(1, &[A, B, "open.example"], false);
    (world, of_a, of_b)
}

#[tokio::test]
async fn only_a_certificate_of_the_tenants_own_authorities_comes_in() {
    let (world, of_a, of_b) = two_tenants();
    for version in [&TLS12, &TLS13] {
        for (certificate, name, expected) in [
            (None, A, false),
            (Some(of_a.client("printer")), A, true),
            (Some(of_b.client("printer")), A, false),
            (Some(of_b.client("printer")), B, true),
            (Some(Authority::new("clients of a").client("printer")), A, false),
            (Some(of_a.server(&[A])), A, true),
            (None, "open.example", true),
        ] {
            let client = world.client_of(&[version], certificate.as_ref());
            let (client, server) = world.connect(&client, name).await;
            assert_eq!((client.is_ok(), server.is_ok()), (expected, expected), "{name}");
        }
    }
}

#[tokio::test]
async fn what_was_verified_says_for_whom_and_by_whom() {
    let (world, of_a, _) = two_tenants();
    let printer = of_a.client("printer");
    let client = world.client_of(&[&TLS13], Some(&printer));
    let (_, (_, facts)) = world.connected(&client, A).await;
    let verified = facts.verified_client().unwrap();
    assert_eq!(verified.tenant, tenant_id(1));
    assert_eq!(verified.authorities.as_str(), of_a.pem());
    let identity = &facts.client_certificate.as_ref().unwrap().identity;
    assert_eq!(identity.subject, "CN=printer");
    assert_eq!(identity.fingerprint, tenantry_certs::fingerprint(&printer.der()));
    let (_, (_, facts)) = world.connected(&client, "open.example").await;
    assert!(facts.verified_client().is_none(), "nobody asked");
}

#[tokio::test]
async fn changed_authorities_hold_from_the_next_handshake_on() {
    let (world, of_a, of_b) = two_tenants();
    let (old, new) = (of_a.client("printer"), of_b.client("printer"));
    let connects = async |world: &World, certificate| {
        world.connect(&world.client_of(&[&TLS13], certificate), A).await.1.is_ok()
    };
    assert!(connects(&world, Some(&old)).await);
    world.tenant(1, A, Some(&of_b));
    assert!(!connects(&world, Some(&old)).await);
    assert!(connects(&world, Some(&new)).await);
    world.tenant(1, A, None);
    assert!(connects(&world, None).await);
}

#[tokio::test]
async fn authorities_that_cannot_be_used_are_refused_and_the_former_ones_stay() {
    let (world, of_a, _) = two_tenants();
    let id = tenant_id(1);
    let leaf = of_a.client("printer").certificate_pem;
    let tenant =
        json!({"id": id, "slug": "t1", "state": "active", "plan": "pro", "client_ca_pem": leaf});
    let refused = world.put(ResourceKind::Tenant, id, &tenant);
    assert!(refused[0].reason.contains("client_ca_pem"), "{refused:?}");
    let client = world.client_of(&[&TLS13], None);
    assert!(world.connect(&client, A).await.1.is_err(), "it is still asked for");
}
