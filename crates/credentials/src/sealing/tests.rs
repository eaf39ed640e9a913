use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;

const CONTEXT: &str = "certificate/crt_1";

fn text(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

fn keys(bytes: &[u8]) -> MasterKeys {
    let texts: Vec<_> = bytes.iter().map(|byte| text(*byte)).collect();
    MasterKeys::parse(&texts.join("\n")).unwrap()
}

#[test]
fn the_cipher_is_the_standard_one() {
    // The GCM specification's test cases 13 and 14: a key, nonce and block of zeros.
    let keys = keys(&[0]);
    let empty = keys.seal(b"", "", [0; 12]).unwrap();
    let zeros = keys.seal(&[0; 16], "", [0; 12]).unwrap();
    let bytes = |secret: &SealedSecret| URL_SAFE_NO_PAD.decode(secret.payload()).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&bytes(&empty)[12..]), "530f8afbc74536b9a963b4f1c4cb738b");
    assert_eq!(
        hex(&bytes(&zeros)[12..]),
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    );
}

#[test]
fn a_secret_opens_only_where_it_was_sealed_and_unchanged() {
    let keys = keys(&[1]);
    let sealed = keys.seal(b"secret", CONTEXT, [7; 12]).unwrap();
    assert_eq!(keys.open(&sealed, CONTEXT).unwrap().as_slice(), b"secret");
    assert_eq!(keys.open(&sealed, "certificate/crt_2"), Err(OpenError::Tampered));
    let bytes = URL_SAFE_NO_PAD.decode(sealed.payload()).unwrap();
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        let changed =
            SealedSecret::new(sealed.key_id(), &URL_SAFE_NO_PAD.encode(&changed)).unwrap();
        assert_eq!(keys.open(&changed, CONTEXT), Err(OpenError::Tampered), "{index}");
    }
    for length in 0..bytes.len() {
        let payload = URL_SAFE_NO_PAD.encode(&bytes[..length]);
        if let Ok(cut) = SealedSecret::new(sealed.key_id(), &payload) {
            assert_eq!(keys.open(&cut, CONTEXT), Err(OpenError::Tampered), "{length}");
        }
    }
}

#[test]
fn the_first_key_seals_and_all_open() {
    let (old, new) = (keys(&[1]), keys(&[2]));
    let sealed = old.seal(b"secret", CONTEXT, [0; 12]).unwrap();
    let both = keys(&[2, 1]);
    assert_eq!(both.open(&sealed, CONTEXT).unwrap().as_slice(), b"secret");
    assert!(matches!(new.open(&sealed, CONTEXT), Err(OpenError::UnknownKey(_))));
    assert!(matches!(MasterKeys::none().open(&sealed, CONTEXT), Err(OpenError::NoMasterKey(_))));
    assert_eq!(MasterKeys::none().seal(b"", "", [0; 12]), Err(SealError::NoMasterKey));
    let again = both.seal(b"secret", CONTEXT, [1; 12]).unwrap();
    assert_eq!(new.open(&again, CONTEXT).unwrap().as_slice(), b"secret");
}

#[test]
fn keys_are_read_strictly() {
    let one = text(1);
    for good in [&one, &format!("{one}\n"), &format!("{one},{}", text(2)), &format!("\n{one}\n\n")]
    {
        assert!(MasterKeys::parse(good).is_ok(), "{good}");
    }
    for bad in ["x", &one[..40], &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
        let error = MasterKeys::parse(bad).unwrap_err();
        assert_eq!(error, MasterKeyError::Malformed, "{bad}");
    }
    for count in ["".to_owned(), format!("{one}\n").repeat(MAX_MASTER_KEYS + 1)] {
        assert_eq!(MasterKeys::parse(&count).unwrap_err(), MasterKeyError::Count);
    }
    for mode in [0o644, 0o640, 0o604, 0o660, 0o610] {
        let error = MasterKeys::from_file(&one, 0o100_000 | mode).unwrap_err();
        assert_eq!(error, MasterKeyError::Exposed { mode });
    }
    assert!(MasterKeys::from_file(&one, 0o100_600).is_ok());
}

#[test]
fn nothing_shows_a_key() {
    let keys = keys(&[3]);
    let shown = format!("{keys:?}");
    assert!(!shown.contains(&text(3)) && !shown.contains("030303"), "{shown}");
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens_again(secret: Vec<u8>, context: String, nonce: [u8; 12]) {
        let keys = keys(&[1]);
        let sealed = keys.seal(&secret, &context, nonce).unwrap();
        let opened = keys.open(&sealed, &context).unwrap();
        prop_assert_eq!(opened.as_slice(), secret.as_slice());
    }

    #[test]
    fn no_text_panics(id in "[0-9a-f]{16}", payload in "[A-Za-z0-9_-]{38,90}", text: String) {
        let keys = keys(&[1]);
        let sealed = SealedSecret::new(&id, &payload).unwrap();
        prop_assert!(keys.open(&sealed, CONTEXT).is_err());
        let id = keys.ids().next().unwrap().to_owned();
        prop_assert!(keys.open(&SealedSecret::new(&id, &payload).unwrap(), CONTEXT).is_err());
        let _ = MasterKeys::parse(&text);
    }
}
