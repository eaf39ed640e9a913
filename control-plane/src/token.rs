//! The tokens that open the API and the distribution.
//!
//! Each is given with the bootstrap config or made once and kept in the data directory, readable for
//! its owner alone. The file appears whole or not at all: it is written beside its place and linked
//! into it, which fails if there is one already.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tenantry_model::Invalid;

use crate::Random;

const MIN_BYTES: usize = 16;
const MAX_BYTES: usize = 512;

/// A secret that whoever asks must present. Shown by nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token(String);

impl Token {
    /// Whether this is the token that was presented; takes as long for any wrong one of its length.
    #[must_use]
    pub fn is(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The token in this file, made now if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds no token.
    pub fn load_or_create(path: &Path, random: &Random) -> io::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::try_from(text.trim().to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path, random),
            Err(error) => Err(error),
        }
    }

    fn create(path: &Path, random: &Random) -> io::Result<Self> {
        let text: String = random.bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        let beside = path.with_extension("new");
        // Left behind by a process that was stopped between the next lines.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::hard_link(&beside, path)?;
        fs::remove_file(&beside)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(Self(text))
    }
}

impl TryFrom<String> for Token {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && (MIN_BYTES..=MAX_BYTES).contains(&text.len()) {
            Ok(Self(text))
        } else {
            // Not the text itself: a mistyped token is nearly one.
            Err(Invalid::new("token", "[hidden]", "it is 16 to 512 visible ASCII characters"))
        }
    }
}

impl From<Token> for String {
    fn from(token: Token) -> String {
        token.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
