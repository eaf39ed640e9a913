//! The master keys: given with the bootstrap config, or in a file that only its owner may read.

use std::{
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use serde::{Deserialize, Serialize};
use tenantry_credentials::sealing::MasterKeys;

/// Master keys as text, separated by commas. Shown by nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MasterKeyText(String);

impl fmt::Debug for MasterKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Reads the master keys, from the text if there is one, else from the file; none if there is neither.
///
/// # Errors
/// If they are given and cannot be used; the text says what to do.
pub(crate) fn load(text: Option<&MasterKeyText>, file: Option<&Path>) -> io::Result<MasterKeys> {
    let unusable = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    if let Some(MasterKeyText(text)) = text {
        return MasterKeys::parse(text).map_err(unusable);
    }
    let Some(path) = file else { return Ok(MasterKeys::none()) };
    let mut file = fs::File::open(path)?;
    let mode = file.metadata()?.mode();
    let mut content = String::new();
    file.read_to_string(&mut content)?;
    MasterKeys::from_file(&content, mode).map_err(unusable)
}
