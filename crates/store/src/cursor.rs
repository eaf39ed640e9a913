//! Where a paged scan goes on: opaque to clients, who carry it from page to page.
//!
//! It pins the revision of the first page, so all pages of one scan show one state, and it names the
//! history, so a cursor that outlives a restore is refused instead of silently reading other rows.
//! It is not signed: whoever forges one reads nothing that a scan of their own would not show.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::{Revision, StoreId};

const VERSION: u8 = 1;

/// The place after one page of a scan. Its text form is URL-safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The history that was scanned.
    pub store: StoreId,
    /// The revision at which all pages are read.
    pub at: Revision,
    /// The last key of the page; the next page begins behind it.
    pub after: Bytes,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.store.as_bytes());
        bytes.extend_from_slice(&self.at.as_u64().to_be_bytes());
        bytes.extend_from_slice(&self.after);
        formatter.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let (&[version], rest) = bytes.split_first_chunk().ok_or(CursorError)?;
        let (&store, rest) = rest.split_first_chunk().ok_or(CursorError)?;
        let (&at, after) = rest.split_first_chunk().ok_or(CursorError)?;
        if version != VERSION {
            return Err(CursorError);
        }
        Ok(Self {
            store: StoreId::from_bytes(store),
            at: Revision::new(u64::from_be_bytes(at)),
            after: Bytes::copy_from_slice(after),
        })
    }
}

/// The text is not a cursor that this version of the store gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this store")]
pub struct CursorError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn foreign_text_is_refused() {
        for text in ["", "A", "!!!!", "AQ", "AQAAAAAAAAAAAAAAAAAAAAA", "é", "AQ=="] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }

    #[test]
    fn another_version_is_refused() {
        let text = URL_SAFE_NO_PAD.encode([[2_u8; 20], [0; 20]].concat());
        assert_eq!(text.parse::<Cursor>(), Err(CursorError));
    }

    proptest! {
        #[test]
        fn any_cursor_survives_its_text_form(store: [u8; 16], at: u64, after: Vec<u8>) {
            let cursor = Cursor {
                store: StoreId::from_bytes(store),
                at: Revision::new(at),
                after: after.into(),
            };
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(text.parse(), Ok(cursor));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Cursor>();
        }
    }
}
