//! What opens the API besides the root token: access tokens, sessions and invitations; and what opens the
//! distribution to one node.
//!
//! An access token (`tno_`) and a node's token (`tnn_`) are written down by people and kept in files, so they have
//! the form of an API key, with a checksum that refuses typing errors and lets a secret scanner find it. Sessions (`tns_`)
//! and invitations (`tni_`) are only ever copied by programs: 32 random bytes in base64url. Of all of
//! them only the SHA-256 digest of the whole text is kept.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tenantry_model::KeyDigest;
use zeroize::Zeroizing;

use crate::api_key::{checked_text, digest, is_checked};

/// What every access token starts with.
pub const TOKEN_PREFIX: &str = "tno_";
/// What every node's token starts with.
pub const NODE_PREFIX: &str = "tnn_";
/// What every session starts with.
pub const SESSION_PREFIX: &str = "tns_";
/// What every invitation starts with.
pub const INVITATION_PREFIX: &str = "tni_";
/// 32 bytes in base64url.
const OPAQUE_CHARACTERS: usize = 43;

/// A secret that was just made, in the clear: shown once, then forgotten.
///
/// Its memory is wiped when it is dropped, and `Debug` does not show it.
pub struct AccessSecret(Zeroizing<String>);

impl AccessSecret {
    /// An access token from a source of random bytes, which must be cryptographically secure.
    #[must_use]
    pub fn token(random: impl FnMut() -> u8) -> Self {
        Self(checked_text(TOKEN_PREFIX, random))
    }

    /// A node's token from a source of random bytes, which must be cryptographically secure.
    #[must_use]
    pub fn node(random: impl FnMut() -> u8) -> Self {
        Self(checked_text(NODE_PREFIX, random))
    }

    /// A session of random bytes.
    #[must_use]
    pub fn session(random: &[u8; 32]) -> Self {
        Self::opaque(SESSION_PREFIX, random)
    }

    /// An invitation of random bytes.
    #[must_use]
    pub fn invitation(random: &[u8; 32]) -> Self {
        Self::opaque(INVITATION_PREFIX, random)
    }

    fn opaque(prefix: &str, random: &[u8; 32]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(prefix.len() + OPAQUE_CHARACTERS));
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(random, &mut text);
        Self(text)
    }

    /// The secret itself, to be handed to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored instead of it.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        digest(&self.0)
    }
}

impl fmt::Debug for AccessSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What a caller presented, by its digest; whether it exists is for a look-up to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// An access token.
    Token(KeyDigest),
    /// A session.
    Session(KeyDigest),
}

/// Checks the form of what was presented; nothing if it has none of the forms.
#[must_use]
pub fn parse(text: &str) -> Option<Presented> {
    if let Some(rest) = text.strip_prefix(TOKEN_PREFIX) {
        return is_checked(rest).then(|| Presented::Token(digest(text)));
    }
    let rest = text.strip_prefix(SESSION_PREFIX)?;
    is_opaque(rest).then(|| Presented::Session(digest(text)))
}

/// The digest of a node's token, if the text has the form of one.
#[must_use]
pub fn parse_node(text: &str) -> Option<KeyDigest> {
    let rest = text.strip_prefix(NODE_PREFIX)?;
    is_checked(rest).then(|| digest(text))
}

/// The digest of an invitation, if the text has the form of one.
#[must_use]
pub fn parse_invitation(text: &str) -> Option<KeyDigest> {
    let rest = text.strip_prefix(INVITATION_PREFIX)?;
    is_opaque(rest).then(|| digest(text))
}

fn is_opaque(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == OPAQUE_CHARACTERS && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_recognised_and_no_other() {
        let mut next = 0_u8;
        let token = AccessSecret::token(|| {
            next = next.wrapping_add(37);
            next
        });
        let session = AccessSecret::session(&[7; 32]);
        let invitation = AccessSecret::invitation(&[7; 32]);
        assert_eq!(parse(token.expose()), Some(Presented::Token(token.digest())));
        assert_eq!(parse(session.expose()), Some(Presented::Session(session.digest())));
        assert_eq!(parse_invitation(invitation.expose()), Some(invitation.digest()));
        assert_ne!(session.digest(), invitation.digest());
        assert_eq!(format!("{token:?}"), "[hidden]");
        let text = token.expose();
        let mistyped = text.replace(&text[10..11], if &text[10..11] == "a" { "b" } else { "a" });
        for wrong in
            ["", "tno_", "tns_x", &mistyped, &text.replace("tno_", "tnt_"), invitation.expose()]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(parse_invitation(session.expose()), None);
    }
}
