//! What one line says.
//!
//! Never a credential: headers are not shown, a caller is shown by the id of its key or the subject of
//! its token. Never the query, unless the operator asked for it: tokens are often put there. Whatever a
//! client chose is bounded and escaped as JSON, so nothing in it can end a line or begin another.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use tenantry_engine::{Blame, Reason};
use tenantry_model::Timestamp;

/// Bytes of a path, and of a query.
pub(crate) const MAX_PATH_BYTES: usize = 2048;
/// Bytes of what a client calls itself.
pub(crate) const MAX_USER_AGENT_BYTES: usize = 256;

/// One request. `docs/observability.md` says what each field means.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) time: String,
    pub(crate) request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
    pub(crate) client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_cipher: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_certificate_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Cut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<Cut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<Cut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_agent: Option<Cut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Cut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    pub(crate) decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blame: Option<&'static str>,
    /// None if nothing was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'a str>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) duration_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connect_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sampled_one_in: Option<u32>,
}

/// A time with milliseconds, always: lines are compared and cut by their columns.
pub(crate) fn instant(time: Timestamp) -> String {
    let text = time.to_string();
    let seconds = text.get(.."2026-01-31T12:00:00".len()).unwrap_or(&text);
    format!("{seconds}.{:03}Z", time.unix_ms() % 1000)
}

/// Who has to act, in one word.
pub(crate) fn blamed(reason: Reason) -> &'static str {
    match reason.blame() {
        Blame::Client => "client",
        Blame::Tenant => "tenant",
        Blame::Upstream => "upstream",
        Blame::Gateway => "gateway",
    }
}

/// A text that is written up to a bound, and ends in `…` if there was more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut<'a>(Cow<'a, str>);

impl<'a> Cut<'a> {
    pub(crate) fn new(text: impl Into<Cow<'a, str>>, bytes: usize) -> Self {
        let text = text.into();
        if text.len() <= bytes {
            return Self(text);
        }
        let end = text.floor_char_boundary(bytes);
        Self(Cow::Owned(text.get(..end).unwrap_or_default().to_owned() + "…"))
    }

    pub(crate) fn into_string(self) -> String {
        self.0.into_owned()
    }

    /// What is not UTF-8 is shown as `�`.
    pub(crate) fn lossy(bytes: &'a [u8], most: usize) -> Self {
        let head = bytes.get(..most.saturating_add(1)).unwrap_or(bytes);
        Self::new(String::from_utf8_lossy(head), most)
    }
}

impl Serialize for Cut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_all_of_one_length() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_430, "2023-11-14T22:13:20.430Z"),
            (1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
        ] {
            assert_eq!(instant(Timestamp::from_unix_ms(unix_ms)), text);
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(Cut::new("abc", 3).0, "abc");
        assert_eq!(Cut::new("abcd", 3).0, "abc…");
        assert_eq!(Cut::new("aäb", 2).0, "a…");
        assert_eq!(Cut::lossy(b"a\xff\xff", 9).0, "a\u{fffd}\u{fffd}");
        assert!(Cut::lossy(&[0xff; 100], 10).0.len() <= 13);
    }

    #[test]
    fn nothing_that_a_client_chose_ends_a_line() {
        let hostile = "\"}\r\n{\"status\":200}\u{1b}[2J\u{0}\u{2028}";
        let line = Line {
            path: Some(Cut::new(hostile, MAX_PATH_BYTES)),
            user_agent: Some(Cut::lossy(hostile.as_bytes(), MAX_USER_AGENT_BYTES)),
            subject: Some(Cut::new(hostile, MAX_USER_AGENT_BYTES)),
            ..Line::default()
        };
        let json = serde_json::to_string(&line).unwrap();
        assert!(json.chars().all(|character| !character.is_control()), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["path"], hostile);
    }
}
