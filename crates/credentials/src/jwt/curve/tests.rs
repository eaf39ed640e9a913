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

/// x + p is the same number modulo p, but would be a second spelling of the same key.
#[test]
fn coordinates_are_below_the_modulus() {
    let mut x = [0; 32];
    x[31] = 5;
    let y = [
        0x45, 0x92, 0x43, 0xb9, 0xaa, 0x58, 0x18, 0x06, 0xfe, 0x91, 0x3b, 0xce, 0x99, 0x81, 0x7a,
        0xde, 0x11, 0xca, 0x50, 0x3c, 0x64, 0xd9, 0xa3, 0xc5, 0x33, 0x41, 0x5c, 0x08, 0x32, 0x48,
        0xfb, 0xcc,
    ];
    assert!(P256.contains(&x, &y));
    let (large, carry) = limbwise(&number(&x), &P256.p, add_limbs);
    assert!(!carry);
    let large: Vec<u8> = large.iter().take(4).rev().flat_map(|limb| limb.to_be_bytes()).collect();
    assert!(!P256.contains(&large, &y));
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
