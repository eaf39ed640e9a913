//! Identifiers that never change: a kind prefix and a ULID.
//!
//! ULIDs sort by creation time, which keeps listings stable while tenants are added. Time and
//! randomness come from the caller.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ulid::{ULID_LEN, Ulid};

use crate::Invalid;

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// What every identifier of this kind starts with.
            pub const PREFIX: &str = $prefix;

            /// Builds an identifier from a Unix time in milliseconds (48 bits are kept) and
            /// randomness (80 bits are kept), both supplied by the caller.
            #[must_use]
            pub fn from_parts(unix_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(unix_ms, random))
            }

            /// The text, as bytes.
            #[must_use]
            pub fn text(self) -> [u8; $prefix.len() + ULID_LEN] {
                let (mut text, mut ulid) = ([0; $prefix.len() + ULID_LEN], [0; ULID_LEN]);
                self.0.array_to_str(&mut ulid);
                let (prefix, rest) = text.split_at_mut($prefix.len());
                prefix.copy_from_slice($prefix.as_bytes());
                rest.copy_from_slice(&ulid);
                text
            }

            /// The 128 bits behind the text.
            #[must_use]
            pub fn to_u128(self) -> u128 {
                self.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            /// Accepts only the canonical form: the prefix and 26 upper-case Crockford characters.
            fn from_str(text: &str) -> Result<Self, Invalid> {
                let refused = || {
                    Invalid::new($what, text, concat!("it is `", $prefix, "` and 26 characters of a ULID"))
                };
                let ulid = text.strip_prefix($prefix).ok_or_else(refused)?;
                let id = Self(Ulid::from_string(ulid).map_err(|_| refused())?);
                // The ULID parser takes lower case and aliases such as `o` for `0`; one identifier
                // must have one spelling, or an index would hold it twice.
                if id.text() == text.as_bytes() { Ok(id) } else { Err(refused()) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        #[cfg(feature = "openapi")]
        crate::openapi::text_schema!($name, crate::openapi::id($what, $prefix));
    };
}

prefixed_id!(
    /// A tenant's identifier: `ten_` and a ULID.
    TenantId, "ten_", "tenant id"
);
prefixed_id!(
    /// An API key's identifier: `key_` and a ULID. It is not the secret and may be shown.
    KeyId, "key_", "key id"
);
prefixed_id!(
    /// An issuer's identifier: `iss_` and a ULID.
    IssuerId, "iss_", "issuer id"
);
prefixed_id!(
    /// A certificate's identifier: `crt_` and a ULID.
    CertificateId, "crt_", "certificate id"
);

prefixed_id!(
    /// An operator's identifier: `opr_` and a ULID.
    OperatorId, "opr_", "operator id"
);
prefixed_id!(
    /// An access token's identifier: `tok_` and a ULID. It is not the secret and may be shown.
    TokenId, "tok_", "token id"
);
prefixed_id!(
    /// The identifier of a node's enrolment: `nod_` and a ULID. It is not the token and may be shown.
    NodeId, "nod_", "node id"
);
prefixed_id!(
    /// A roll-out's identifier: `rol_` and a ULID.
    RolloutId, "rol_", "roll-out id"
);
prefixed_id!(
    /// A session's identifier: `ses_` and a ULID. It is not the secret and may be shown.
    SessionId, "ses_", "session id"
);
prefixed_id!(
    /// A user's identifier: `usr_` and a ULID.
    UserId, "usr_", "user id"
);
prefixed_id!(
    /// A reservation's identifier: `rsv_` and a ULID.
    ReservationId, "rsv_", "reservation id"
);
prefixed_id!(
    /// An invitation's identifier: `inv_` and a ULID. It is not the secret and may be shown.
    InvitationId, "inv_", "invitation id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = TenantId::from_parts(1_700_000_000_000, 7);
        let text = id.to_string();
        assert_eq!(text.parse::<TenantId>().unwrap(), id);
        assert_eq!(text.len(), 30);
        for wrong in
            [text.to_lowercase(), text.replace("ten_", "key_"), format!("{text}0"), String::new()]
        {
            assert!(wrong.parse::<TenantId>().is_err(), "{wrong}");
        }
        // 26 characters hold 130 bits; what does not fit 128 is refused, not cut.
        assert!("ten_ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<TenantId>().is_err());
    }
}
