//! The data directory of one machine.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::UpError;
use crate::session::ADDRESSES;

const LOCK: &str = "up.lock";
const MASTER_KEY: &str = "master-key";

/// A data directory that this process alone uses.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock ends with the process, however it ends.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, locks it, and removes what a former run said about itself.
    pub(crate) fn open(path: &Path) -> Result<Self, UpError> {
        let unusable = |source| UpError::DataDir { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let path = fs::canonicalize(path).map_err(unusable)?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.join(LOCK));
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(UpError::Busy { path }),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let directory = Self { path, _lock: lock };
        directory.remove(ADDRESSES)?;
        Ok(directory)
    }

    /// The directory, as an absolute path: what is printed must work from anywhere.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), UpError> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable(error)),
            _ => Ok(()),
        }
    }

    /// On the way out: a file that stays is removed by the next start.
    pub(crate) fn forget_addresses(&self) {
        let _ = fs::remove_file(self.path.join(ADDRESSES));
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// Writes a file of JSON for its owner alone, whole or not at all.
    pub(crate) fn write(&self, name: &str, content: &impl Serialize) -> Result<(), UpError> {
        let beside = self.path.join(format!("{name}.new"));
        let write = || {
            let mut json = serde_json::to_vec_pretty(content)?;
            json.push(b'\n');
            let mut options = OpenOptions::new();
            let mut file =
                options.create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(&json)?;
            fs::rename(&beside, self.path.join(name))
        };
        write().map_err(|error| self.unusable(error))
    }

    /// The file of master keys, made now if there is none: for its owner alone, and never written again,
    /// because what was sealed under a key opens with no other.
    pub(crate) fn master_key(&self) -> Result<PathBuf, UpError> {
        let path = self.path.join(MASTER_KEY);
        let make = || {
            let key = STANDARD.encode(rand::random::<[u8; 32]>());
            let beside = self.path.join(format!("{MASTER_KEY}.new"));
            let mut options = OpenOptions::new();
            let mut file =
                options.create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
            writeln!(file, "{key}")?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.path)?.sync_all()
        };
        if !path.exists() {
            make().map_err(|error| self.unusable(error))?;
        }
        Ok(path)
    }

    fn unusable(&self, source: io::Error) -> UpError {
        UpError::DataDir { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_no_stale_addresses() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let directory = DataDir::open(&path).unwrap();
        directory.write(ADDRESSES, &"x").unwrap();
        assert!(matches!(DataDir::open(&path), Err(UpError::Busy { .. })));
        assert!(directory.has(ADDRESSES), "the other process's addresses stay");
        drop(directory);
        assert!(!DataDir::open(&path).unwrap().has(ADDRESSES));
    }

    #[test]
    fn the_master_key_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDir::open(parent.path()).unwrap();
        let path = directory.master_key().unwrap();
        let key = fs::read_to_string(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert!(tenantry_credentials::sealing::MasterKeys::from_file(&key, mode).is_ok());
        assert_eq!(directory.master_key().unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), key);
    }

    #[test]
    fn a_file_in_the_way_is_a_sentence() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::open(file.path()).unwrap_err().to_string();
        assert!(error.contains("--data-dir"), "{error}");
    }
}
