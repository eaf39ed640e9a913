//! Configurations by table: what each proxy must be told of a tenant, and what a change changes.

use super::*;
use crate::credentials::Credentials;

struct World {
    policy: Policy,
    credentials: Credentials,
    programs: Programs,
}

impl World {
    fn new() -> Self {
        Self {
            policy: Policy::new(100),
            credentials: Credentials::new().unwrap(),
            programs: Programs {
                ours: "/ours".into(),
                proxy: "/ours/proxy".into(),
                envoy: "/envoy".into(),
            },
        }
    }

    fn place(&self, proof: Proof) -> Place<'_> {
        Place {
            policy: &self.policy,
            credentials: &self.credentials,
            programs: &self.programs,
            cores: vec![0, 1],
            directory: "/bench".into(),
            plain: 1001,
            tls: 1002,
            admin: 1003,
            origin: ([127, 0, 0, 1], 1004).into(),
            proof,
            control_plane: None,
        }
    }

    fn files(&self, peer: Peer, proof: Proof, shut_out: Option<&Tenant>) -> Vec<Contents> {
        peer.files(&self.place(proof), shut_out)
    }
}

const CONFIGURED: [Peer; 5] =
    [Peer::Nginx, Peer::Haproxy, Peer::NginxLua, Peer::Envoy, Peer::Caddy];

#[test]
fn every_template_is_filled() {
    let world = World::new();
    for peer in CONFIGURED {
        for (name, text) in world.files(peer, Proof::Key, None) {
            assert!(!text.contains("{{"), "{peer:?}: {name}");
        }
        let all: String =
            world.files(peer, Proof::Key, None).into_iter().map(|(_, text)| text).collect();
        for told in ["1001", "1002", "1004"] {
            assert!(all.contains(told), "{peer:?} is told of port {told}");
        }
        for tenant in &world.policy.tenants {
            for told in [&tenant.host, &tenant.key] {
                assert!(all.contains(told.as_str()), "{peer:?} is told of {told}");
            }
        }
    }
}

#[test]
fn a_tenant_is_told_of_in_the_language_of_each() {
    let world = World::new();
    let tenant = &world.policy.tenants[7];
    let key = &tenant.key;
    let lines = [
        (Peer::Nginx, "hosts.map", "t7.bench.test t7;".to_owned()),
        (Peer::Nginx, "keys.map", format!("{key} t7;")),
        (Peer::Nginx, "networks.geo", "10.0.0.112/28 n7;".to_owned()),
        (Peer::Nginx, "allowed.map", "t7|n7 1;".to_owned()),
        (Peer::Nginx, "allowed.map", "t7|local 1;".to_owned()),
        (Peer::Nginx, "limited.map", "t102 t102;".to_owned()),
        (Peer::Haproxy, "keys.map", format!("{key} t7")),
        (Peer::Haproxy, "networks.map", "10.0.0.112/28 n7".to_owned()),
        (Peer::Haproxy, "limits.map", "t102 5".to_owned()),
        (
            Peer::NginxLua,
            "policy.lua",
            format!(
                "add(\"t7\", \"t7.bench.test\", \"{key}\", 0.000001, 1, {{ {{base = 2130706433, mask = -1}},{{base = 167772272, mask = -16}},}})"
            ),
        ),
    ];
    for (peer, file, line) in lines {
        let files = world.files(peer, Proof::Key, None);
        let (_, text) = files.into_iter().find(|(name, _)| *name == file).unwrap();
        assert!(text.lines().any(|found| found == line), "{peer:?} {file}: {line}");
    }
}

#[test]
fn a_change_is_in_the_files_that_are_replaced() {
    let world = World::new();
    let tenant = world.policy.changing();
    for (peer, file) in [
        (Peer::Nginx, "allowed.map"),
        (Peer::NginxLua, "policy.lua"),
        (Peer::Envoy, "routes.json"),
        (Peer::Caddy, "caddy.json"),
    ] {
        let before = world.files(peer, Proof::Key, None);
        let after = world.files(peer, Proof::Key, Some(tenant));
        let changed: Vec<_> =
            before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.0).collect();
        assert_eq!(changed, [file], "{peer:?}");
    }
}

#[test]
fn tokens_are_verified_where_that_can_be() {
    let world = World::new();
    for peer in CONFIGURED {
        assert_eq!(peer.can(Variant::Token), [Peer::Haproxy, Peer::Envoy].contains(&peer));
    }
    let haproxy = world.files(Peer::Haproxy, Proof::Token, None);
    assert!(haproxy[0].1.contains("jwt_verify(\"ES256\",\"/bench/token-key.pem\")"));
    assert!(!haproxy[0].1.contains("keys.map"));
    let envoy = world.files(Peer::Envoy, Proof::Token, None);
    assert!(envoy[0].1.contains("JwtAuthentication") && !envoy[0].1.contains("ApiKeyAuth"));
}
