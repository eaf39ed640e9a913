//! Passwords as they are kept: Argon2id (RFC 9106), with what OWASP's cheat sheet of password storage
//! asks for at least: 19 MiB of memory, two passes, one lane.
//!
//! The cost stands with each hash, so that it can be raised without losing the passwords there are.
//! Hashing takes tens of milliseconds and its memory: callers bound how many run at once.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use tenantry_model::Invalid;
use zeroize::Zeroizing;

/// Bytes of salt.
pub const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const MIN_CHARACTERS: usize = 12;
const MAX_BYTES: usize = 256;

/// A password in the clear. Its memory is wiped when it is dropped, and nothing shows it.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Password(Zeroizing<String>);

impl Password {
    /// One that was presented, of any form.
    #[must_use]
    pub fn presented(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The password itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Password {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let password = Self::presented(text);
        let length = password.expose().chars().count();
        if length >= MIN_CHARACTERS && password.expose().len() <= MAX_BYTES {
            Ok(password)
        } else {
            Err(Invalid::new(
                "password",
                "[hidden]",
                "it has 12 characters or more, up to 256 bytes",
            ))
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A hashed password, with its salt and cost, in the PHC string format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password with a salt that was never used before.
    #[must_use]
    pub fn new(password: &Password, salt: &[u8; SALT_BYTES]) -> Self {
        let cost = Cost { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES };
        let hash = cost.hash(password, salt).unwrap_or_default();
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        let Cost { memory_kib, passes, lanes } = cost;
        Self(format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}"))
    }

    /// One that no password has, and that takes as long to check as any: what is checked for an
    /// account that is not there.
    #[must_use]
    pub fn nobodys() -> Self {
        let (salt, hash) = (STANDARD_NO_PAD.encode([0; SALT_BYTES]), "A".repeat(43));
        Self(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"))
    }

    /// Whether it is this password's. Takes as long for any that is not.
    #[must_use]
    pub fn is_of(&self, password: &Password) -> bool {
        let Some((cost, salt, expected)) = self.parts() else { return false };
        let Some(hash) = cost.hash(password, &salt) else { return false };
        expected.len() == HASH_BYTES
            && hash.iter().zip(&expected).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }

    fn parts(&self) -> Option<(Cost, Vec<u8>, Vec<u8>)> {
        let mut parts = self.0.strip_prefix("$argon2id$v=19$")?.split('$');
        let mut costs = parts.next()?.split(',');
        let mut number = |name: &str| costs.next()?.strip_prefix(name)?.parse().ok();
        let cost = Cost { memory_kib: number("m=")?, passes: number("t=")?, lanes: number("p=")? };
        let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        Some((cost, salt, STANDARD_NO_PAD.decode(parts.next()?).ok()?))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// None only for a cost or a salt that this code does not write.
    fn hash(&self, password: &Password, salt: &[u8]) -> Option<[u8; HASH_BYTES]> {
        let parameters =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES)).ok()?;
        let mut hash = [0; HASH_BYTES];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(password.expose().as_bytes(), salt, &mut hash)
            .ok()?;
        Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_passes() {
        let password = Password::try_from("correct horse battery".to_owned()).unwrap();
        let hash = PasswordHash::new(&password, &[1; SALT_BYTES]);
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(hash.is_of(&password));
        assert!(!hash.is_of(&Password::presented("correct horse batterx".to_owned())));
        assert!(!PasswordHash("nonsense".to_owned()).is_of(&password));
        assert_ne!(PasswordHash::new(&password, &[2; SALT_BYTES]), hash);
        assert_eq!(format!("{password:?}{hash:?}"), "[hidden][hidden]");
    }

    #[test]
    fn nobodys_is_checked_like_any_other() {
        assert!(PasswordHash::nobodys().parts().is_some());
        assert!(!PasswordHash::nobodys().is_of(&Password::presented(String::new())));
    }

    #[test]
    fn a_short_password_is_refused_and_not_repeated() {
        let error = Password::try_from("hunter2".to_owned()).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(Password::try_from("x".repeat(257)).is_err());
    }
}
