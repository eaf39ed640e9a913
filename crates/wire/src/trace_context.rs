//! W3C Trace Context: which trace a request belongs to, and what the caller calls its own part of it.
//!
//! `traceparent` is read as the recommendation says (W3C Trace Context, section 3.2), and what is not
//! exactly of that form counts as missing: a trace that begins anew is a small loss, and bytes that only
//! some servers can read are not passed on. `tracestate` is other systems' own and goes on with its
//! `traceparent` or not at all; it is cut to whole members within a bound (section 3.3.1.5).

use std::fmt;

use crate::hexadecimal;

/// The version that is written here. Later ones begin with the same four fields.
const VERSION: u8 = 0;
/// `00-` + 32 + `-` + 16 + `-` + 2.
const LENGTH: usize = 55;
/// The lowest bit of the flags: whoever sent the request may have recorded it.
const SAMPLED: u8 = 1;

/// Bytes of `tracestate` that are passed on; the least that must be.
pub const MAX_STATE_BYTES: usize = 512;
/// Members that a list may have.
const MAX_MEMBERS: usize = 32;
const MAX_KEY_BYTES: usize = 256;
const MAX_VALUE_BYTES: usize = 256;

/// The content of `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Which trace; never zero.
    pub trace_id: u128,
    /// What the sender calls its own part; never zero.
    pub parent_id: u64,
    /// Bits: 1 is "sampled", 2 is "the trace id is random", the others are to come.
    pub flags: u8,
}

impl TraceParent {
    /// Reads the header's one line. A request with several has none.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (fields, rest) = value.split_at_checked(LENGTH)?;
        let [version, trace_id, parent_id, flags] = split(fields)?;
        let version = u8::try_from(hexadecimal::number(version, 2)?).ok()?;
        match (version, rest.first()) {
            // Later versions may add fields, after another hyphen.
            (0xff, _) | (VERSION, Some(_)) => return None,
            (_, None | Some(b'-')) => {}
            (_, Some(_)) => return None,
        }
        let parent = Self {
            trace_id: hexadecimal::number(trace_id, 32)?,
            parent_id: u64::try_from(hexadecimal::number(parent_id, 16)?).ok()?,
            flags: u8::try_from(hexadecimal::number(flags, 2)?).ok()?,
        };
        (parent.trace_id != 0 && parent.parent_id != 0).then_some(parent)
    }

    /// Whether the sender may have recorded its part.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same trace, as seen by whoever gets a request of this part of it.
    #[must_use]
    pub fn child(self, parent_id: u64) -> Self {
        Self { parent_id, ..self }
    }
}

impl TraceParent {
    /// As it is sent: in version 0, whose flags are the two lowest bits.
    #[must_use]
    pub fn text(self) -> [u8; LENGTH] {
        let [version, flags] =
            [VERSION, self.flags & 3].map(|byte| hexadecimal::digits::<2>(byte.into()));
        let (trace_id, parent_id) = (
            hexadecimal::digits::<32>(self.trace_id),
            hexadecimal::digits::<16>(self.parent_id.into()),
        );
        let fields = [&version[..], &trace_id, &parent_id, &flags];
        let mut text = [b'-'; LENGTH];
        let mut at = 0;
        for field in fields {
            if let Some(room) = text.get_mut(at..at + field.len()) {
                room.copy_from_slice(field);
            }
            at += field.len() + 1;
        }
        text
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

fn split(fields: &[u8]) -> Option<[&[u8]; 4]> {
    let mut fields = fields.split(|byte| *byte == b'-');
    let split = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
    fields.next().is_none().then_some(split)
}

/// The lines of `tracestate` as one, with as many whole members from the left as fit. None if a member
/// is not of the right form, or stands twice: nobody could say what the list means.
#[must_use]
pub fn state<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut state = String::new();
    let mut keys = Vec::new();
    let mut is_full = false;
    for member in lines.flat_map(|line| line.split(|byte| *byte == b',')) {
        let member = trim(member);
        if member.is_empty() {
            continue;
        }
        let member = std::str::from_utf8(member).ok()?;
        let (key, value) = member.split_once('=')?;
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MAX_MEMBERS {
            return None;
        }
        keys.push(key);
        let separator = usize::from(!state.is_empty());
        is_full |= state.len() + separator + member.len() > MAX_STATE_BYTES;
        if !is_full {
            state.push_str(if separator == 1 { "," } else { "" });
            state.push_str(member);
        }
    }
    (!state.is_empty()).then_some(state)
}

/// Optional white space is spaces and tabs (RFC 9110, section 5.6.3).
fn trim(member: &[u8]) -> &[u8] {
    let is_content = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = member.iter().position(is_content).unwrap_or(member.len());
    let end = member.iter().rposition(is_content).map_or(start, |last| last + 1);
    member.get(start..end).unwrap_or_default()
}

fn is_key(key: &str) -> bool {
    let is_inner =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let starts_well =
        key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    starts_well && key.len() <= MAX_KEY_BYTES && key.bytes().all(is_inner)
}

fn is_value(value: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    !value.is_empty() && value.len() <= MAX_VALUE_BYTES && value.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn parents_of_the_right_form() {
        let parent = TraceParent::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(parent.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((parent.parent_id, parent.is_sampled()), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(parent.to_string(), GOOD);
        let read = |text: String| TraceParent::parse(text.as_bytes());
        assert!(!read(GOOD.replace("-01", "-00")).unwrap().is_sampled());
        // A later version is read as far as it is known, and written as the version that is known.
        for later in [GOOD.replace("00-4b", "cc-4b"), GOOD.replace("00-4b", "cc-4b") + "-new-field"]
        {
            assert_eq!(read(later).unwrap(), parent);
        }
        let child = read(GOOD.replace("-01", "-ff")).unwrap().child(7).to_string();
        assert_eq!(child, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-03");
    }

    #[test]
    fn anything_else_is_no_parent() {
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD[1..],
            &format!(" {GOOD}"),
            &format!("{GOOD} "),
            &format!("{GOOD}-"),
            &format!("{GOOD}, {GOOD}"),
            &GOOD.replace("00-4b", "ff-4b"),
            &GOOD.replace("00-4b", "cc-4b").replace("-01", "-01x"),
            &GOOD.replace('-', "_"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("4736-00f0", "473-600f0"),
            &GOOD.replace("-01", "-0g"),
            &GOOD.replace("4bf9", "4b\r\n"),
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    fn check(lines: &[&str], expected: Option<&str>) {
        assert_eq!(
            state(lines.iter().map(|line| line.as_bytes())).as_deref(),
            expected,
            "{lines:?}"
        );
    }

    #[test]
    fn states() {
        check(&["a=1,b=2"], Some("a=1,b=2"));
        check(&["a=1 ,\t b=2", "", "c@d=x y"], Some("a=1,b=2,c@d=x y"));
        check(&["0a_-*/@z=!~"], Some("0a_-*/@z=!~"));
        check(&[], None);
        check(&[" , "], None);
        for bad in
            ["a", "a=", "=1", "A=1", "@a=1", "a=1=2", "a=\u{e4}", "a=1,a=2", "a b=1", "a=1\u{1}"]
        {
            check(&[bad], None);
        }
        check(&["a=1", "a=2"], None);
        let many: Vec<_> = (0..33).map(|number| format!("k{number}=1")).collect();
        check(&[&many.join(",")], None);
        check(&[&many[..32].join(",")], Some(&many[..32].join(",")));
        check(&[&format!("a={}", "x".repeat(257))], None);
    }

    #[test]
    fn a_long_state_is_cut_between_members() {
        let member = |key: &str| format!("{key}={}", "x".repeat(200));
        let (first, second) = (member("a"), member("b"));
        check(
            &[&format!("{first},{second},{},d=1", member("c"))],
            Some(&format!("{first},{second}")),
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceParent::parse(&value);
            let _ = state([value.as_slice()].into_iter());
        }

        #[test]
        fn what_is_written_is_read_again(trace_id in 1u128.., parent_id in 1u64.., flags in 0u8..4) {
            let parent = TraceParent { trace_id, parent_id, flags };
            prop_assert_eq!(TraceParent::parse(parent.to_string().as_bytes()), Some(parent));
        }

        #[test]
        fn states_stay_bounded_and_come_out_as_they_go_in(
            members in prop::collection::btree_map("[a-z]{1,8}", "[!-+.-<>-~]{1,60}", 1..40),
        ) {
            let line = members.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
            if let Some(cut) = state([line.as_bytes()].into_iter()) {
                prop_assert!(cut.len() <= MAX_STATE_BYTES && line.starts_with(&cut));
                prop_assert_eq!(state([cut.as_bytes()].into_iter()), Some(cut));
            } else {
                prop_assert!(members.len() > MAX_MEMBERS);
            }
        }
    }
}
