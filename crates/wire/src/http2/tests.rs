use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    control_per_second: 10,
    control_burst: 5,
    messages_per_second: 4,
    header_block_frames: 3,
};
const START: Duration = Duration::from_secs(100);

fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
    let [_, _, _, _, _, high, middle, low] = u64::try_from(length).unwrap().to_be_bytes();
    let mut bytes = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
    bytes.resize(HEADER_BYTES + length, 0xff);
    bytes
}

fn started() -> Meter {
    let mut meter = Meter::new(BOUNDS, START);
    assert!(meter.awaits_completion());
    meter.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", START).unwrap();
    assert!(!meter.awaits_completion());
    meter
}

#[test]
fn control_frames_are_bounded_whatever_their_kind() {
    for kind in [2, 3, 4, 5, 6, 7, 8, 0x42, 0xff] {
        let mut meter = started();
        for _ in 0..5 {
            assert_eq!(meter.received(&frame(kind, 0, 4), START), Ok(()), "{kind}");
        }
        assert_eq!(meter.received(&frame(kind, 0, 4), START), Err(Flood::Control), "{kind}");
    }
    let mut meter = started();
    for second in 1..50 {
        let now = START + Duration::from_secs(second);
        for _ in 0..5 {
            assert_eq!(meter.received(&frame(6, 0, 8), now), Ok(()));
        }
    }
}

#[test]
fn traffic_pays_for_window_updates() {
    let mut meter = started();
    for _ in 0..1000 {
        meter.sent(2048);
        assert_eq!(meter.received(&frame(8, 0, 4), START), Ok(()));
    }
}

#[test]
fn empty_data_is_a_control_frame_and_large_data_is_free() {
    let mut meter = started();
    for _ in 0..100 {
        assert_eq!(meter.received(&frame(0, 0, 2000), START), Ok(()));
    }
    assert_eq!(meter.pause(), None);
    for _ in 0..5 {
        assert_eq!(meter.received(&frame(0, 0, 0), START), Ok(()));
    }
    assert_eq!(meter.received(&frame(0, 0, 0), START), Err(Flood::Control));
}

#[test]
fn header_blocks_come_in_few_pieces() {
    let mut meter = started();
    meter.received(&frame(1, 0, 1), START).unwrap();
    assert!(meter.awaits_completion());
    meter.received(&frame(9, 0, 1), START).unwrap();
    meter.received(&frame(9, 4, 1), START).unwrap();
    assert!(!meter.awaits_completion());
    meter.received(&frame(1, 0, 1), START).unwrap();
    meter.received(&frame(9, 0, 0), START).unwrap();
    meter.received(&frame(9, 0, 0), START).unwrap();
    assert_eq!(meter.received(&frame(9, 0, 0), START), Err(Flood::HeaderBlock));
}

#[test]
fn messages_above_the_rate_are_slowed_down() {
    let mut meter = started();
    for _ in 0..4 {
        meter.received(&frame(1, 4, 1), START).unwrap();
    }
    assert_eq!(meter.pause(), None);
    meter.received(&frame(1, 4, 1), START).unwrap();
    meter.received(&frame(0, 1, 10), START).unwrap();
    assert_eq!(meter.pause(), Some(Duration::from_millis(500)));
    meter.received(&[], START + Duration::from_millis(500)).unwrap();
    assert_eq!(meter.pause(), None);
}

proptest! {
    #[test]
    fn pieces_count_like_the_whole(
        frames in prop::collection::vec((0_u8..12, any::<u8>(), 0_usize..40), 0..12),
        cuts in prop::collection::vec(1_usize..30, 1..40),
    ) {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(kind, flags, length)| frame(*kind, *flags, *length)).collect();
        let whole = started().received(&bytes, START);
        let (mut meter, mut rest, mut in_pieces) = (started(), bytes.as_slice(), Ok(()));
        for cut in cuts.iter().cycle() {
            if rest.is_empty() || in_pieces.is_err() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            (in_pieces, rest) = (meter.received(piece, START), after);
        }
        prop_assert_eq!(whole, in_pieces);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Meter::new(BOUNDS, START).received(&bytes, START);
    }
}
