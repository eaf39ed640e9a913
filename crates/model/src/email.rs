//! E-mail addresses.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The longest address that SMTP carries (RFC 5321, section 4.5.3.1, without the angle brackets).
const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;
/// What a local part may hold besides letters and digits: the `atext` of RFC 5322 and dots, without
/// `/`, which parts the keys of the store.
const LOCAL: &[u8] = b"!#$%&'*+-=?^_`{|}~.";

/// An e-mail address in lower case, so that one mailbox has one spelling.
///
/// Strictly, the part before `@` may tell upper from lower case (RFC 5321, section 2.4); no mailbox
/// that people use does, and two accounts that differ only in case are an attack. Quoted local parts
/// and addresses beyond ASCII are refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(Arc<str>);

impl Email {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_address(text) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(Invalid::new("e-mail address", text, "write one such as ada@example.com, in ASCII"))
        }
    }
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || LOCAL.contains(&byte);
    text.len() <= MAX_BYTES
        && local.len() <= MAX_LOCAL_BYTES
        && local.bytes().all(is_atom)
        && local.split('.').all(|atom| !atom.is_empty())
        && domain.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(feature = "openapi")]
crate::openapi::text_schema!(
    Email,
    crate::openapi::text("An e-mail address, in ASCII.", r"^[^@ ]+@[^@ ]+$", 3..=MAX_BYTES)
);

impl TryFrom<String> for Email {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_has_one_spelling() {
        let address: Email = "Ada.Lovelace+ci@Example.COM".parse().unwrap();
        assert_eq!(address.as_str(), "ada.lovelace+ci@example.com");
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@-a.com",
            "ada@a..com",
            ".ada@a.com",
            "a da@a.com",
            "ada@a.com\r\nBcc: b@c.de",
            "\"a\"@b.com",
            "<ada@a.com>",
            "ada/x@a.com",
            "ada@a.com,eve@b.com",
            "ä@a.com",
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }
}
