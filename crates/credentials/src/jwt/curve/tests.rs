use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, UnparsedPublicKey,
};

use super::*;

/// Points of another implementation are on the curve; moved by one bit they are not.
fn check(curve: &Curve, other: &Curve, algorithm: &'static EcdsaSigningAlgorithm) {
    let random = ring::rand::SystemRandom::new();
    for _ in 0..20 {
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        assert!(curve.contains(x, y));
        assert!(!other.contains(x, y));
        assert!(!curve.contains(y, x));
        for at in 0..x.len() {
            let mut moved = x.to_vec();
            moved[at] ^= 1;
            assert!(!curve.contains(&moved, y));
        }
    }
}

#[test]
fn points_are_told_from_other_pairs() {
    check(&P256, &P384, &ECDSA_P256_SHA256_FIXED_SIGNING);
    check(&P384, &P256, &ECDSA_P384_SHA384_FIXED_SIGNING);
    assert!(!P256.contains(&[0; 32], &[0; 32]));
    assert!(!P256.contains(&[0xff; 32], &[0xff; 32]));
    assert!(!P384.contains(&[0xff; 48], &[0xff; 48]));
}

/// x + p is the same number modulo p, but a second spelling of the same key.
#[test]
fn coordinates_are_below_the_modulus() {
    let mut found = 0;
    for x in 0..200_u64 {
        let mut small = [0; 32];
        small[24..].copy_from_slice(&x.to_be_bytes());
        let (large, _) = limbwise(&number(&small), &P256.p, add_limbs);
        let large: Vec<u8> =
            large.iter().take(4).rev().flat_map(|limb| limb.to_be_bytes()).collect();
        // p + x fits into 32 bytes; y is irrelevant, for the bound comes first.
        assert!(!P256.contains(&large, &[1; 32]));
        found += 1;
    }
    assert_eq!(found, 200);
}

/// That the listed keys are weak is a fact: `ring` accepts a signature that was made without any
/// private key, for messages whose hash happens to fall right.
#[test]
fn weak_keys_verify_forged_signatures() {
    // R is the neutral element and S is 0, so the equation asks only that the key times a hash is
    // the neutral element too: one message in eight at the worst.
    let mut forged = [0; 64];
    forged[0] = 1;
    let accepts = |point: &[u8]| {
        let key = UnparsedPublicKey::new(&ring::signature::ED25519, point);
        (0..200_u32).any(|message| key.verify(&message.to_be_bytes(), &forged).is_ok())
    };
    for weak in WEAK_ED25519 {
        assert!(is_weak_ed25519(&weak));
        let mut negative = weak;
        negative[31] |= 0x80;
        assert!(is_weak_ed25519(&negative));
        assert!(accepts(&weak) || accepts(&negative), "{weak:02x?}");
    }
    let sound = [0x58; 32];
    assert!(!is_weak_ed25519(&sound) && !accepts(&sound));
}
