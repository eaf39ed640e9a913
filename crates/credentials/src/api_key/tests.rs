use proptest::prelude::*;

use super::*;

/// A fixed key, so that the format cannot drift: its parts were computed with another CRC-32.
const FIXED: &str = "tnt_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp";

fn check(text: &str, expected: Result<(), ApiKeyError>) {
    assert_eq!(parse(text).map(|_| ()), expected, "{text}");
}

/// A source that repeats the given bytes.
fn repeating(bytes: &[u8]) -> impl FnMut() -> u8 {
    let mut source = bytes.iter().copied().cycle();
    move || source.next().unwrap()
}

#[test]
fn the_form_is_checked_before_any_look_up() {
    use ApiKeyError::{Alphabet, Checksum, Length, Prefix};
    check(FIXED, Ok(()));
    for (text, error) in [
        ("", Prefix),
        ("eyJhbGciOiJFUzI1NiJ9", Prefix),
        (&FIXED.replace("tnt_", "TNT_"), Prefix),
        (&format!(" {FIXED}"), Prefix),
        ("tnt_", Length),
        (&format!("{FIXED} "), Length),
        (&FIXED[..KEY_BYTES - 1], Length),
        (&format!("{FIXED}0"), Length),
        (&FIXED.replace('5', "_"), Alphabet),
        (&FIXED.replace('5', " "), Alphabet),
        (&FIXED.replace("56", "é"), Alphabet),
        (&FIXED.replace('5', "6"), Checksum),
        (&FIXED.replace("56", "65"), Checksum),
        (&FIXED.replace("ABC", "abc"), Checksum),
        (&FIXED.to_lowercase(), Checksum),
    ] {
        check(text, Err(error));
    }
}

#[test]
fn the_digest_is_sha_256_of_the_whole_text() {
    let expected = "6937407001e2f2d99715d044886ca3605d4534c631fdc84b4a8d01b2a34e77be";
    assert_eq!(parse(FIXED).unwrap().digest().to_string(), expected);
}

#[test]
fn a_small_checksum_is_padded_on_the_left() {
    // The CRC-32 of this body is below 62^4.
    check("tnt_Padding0000000000000000000025700cz2P", Ok(()));
}

#[test]
fn a_key_is_never_shown_by_accident() {
    let secret = ApiKeySecret::generate(repeating(&[0, 4, 8]));
    for shown in [format!("{secret:?}"), format!("{secret}"), format!("{:?}", parse(FIXED))] {
        assert!(!shown.contains("0120"), "{shown}");
        assert!(!shown.contains("0123"), "{shown}");
    }
}

#[test]
fn every_character_is_equally_likely() {
    let mut byte = 0_u8;
    let mut counts = std::collections::BTreeMap::<char, u32>::new();
    // 256 draws of each byte value: 248 of them are kept, and 62 divides 248.
    let mut random = || {
        byte = byte.wrapping_add(1);
        byte
    };
    for _ in 0..248 {
        let secret = ApiKeySecret::generate(&mut random);
        let body = secret.expose().chars().skip(PREFIX.len()).take(BODY_BYTES);
        body.for_each(|symbol| *counts.entry(symbol).or_default() += 1);
    }
    assert_eq!(counts.len(), 62);
    assert!(counts.values().all(|count| *count == 248 * 30 / 62), "{counts:?}");
}

#[test]
fn only_the_prefix_makes_a_text_look_like_a_key() {
    assert!(looks_like_api_key("tnt_nonsense"));
    assert!(!looks_like_api_key("Tnt_nonsense"));
    assert!(!looks_like_api_key("eyJ"));
}

fn any_secret() -> impl Strategy<Value = ApiKeySecret> {
    prop::collection::vec(0..248_u8, 30..60)
        .prop_map(|bytes| ApiKeySecret::generate(repeating(&bytes)))
}

proptest! {
    #[test]
    fn a_generated_key_is_well_formed(secret in any_secret()) {
        let key = parse(secret.expose()).unwrap();
        prop_assert_eq!(key.digest(), secret.digest());
        prop_assert_eq!(secret.expose().len(), KEY_BYTES);
    }

    #[test]
    fn any_change_of_one_character_is_refused(secret in any_secret(), at in 0..KEY_BYTES, symbol in 0..62_usize) {
        let mut text = secret.expose().as_bytes().to_vec();
        prop_assume!(text[at] != ALPHABET[symbol]);
        text[at] = ALPHABET[symbol];
        prop_assert!(parse(std::str::from_utf8(&text).unwrap()).is_err());
    }

    #[test]
    fn any_swap_of_neighbours_in_the_body_is_refused(secret in any_secret(), at in PREFIX.len()..PREFIX.len() + BODY_BYTES - 1) {
        let mut text = secret.expose().as_bytes().to_vec();
        prop_assume!(text[at] != text[at + 1]);
        text.swap(at, at + 1);
        prop_assert!(parse(std::str::from_utf8(&text).unwrap()).is_err());
    }

    #[test]
    fn no_text_panics(text in ".{0,60}", tail in "tnt_.{0,40}") {
        let _ = parse(&text);
        let _ = parse(&tail);
    }
}
