//! A snapshot that came as a file, for a proxy that has never received one.
//!
//! It is a recorded stream, as the last-known-good file is, so it takes that one's place and is read, checked and
//! served by the same code: one that is damaged is set aside, and one that is old is caught up with.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Puts a copy in the place of the last-known-good file, whole or not at all.
pub(crate) fn install(snapshot: &Path, file: &Path) -> io::Result<()> {
    let unfinished = file.with_extension("installing");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut from = File::open(snapshot)?;
    // It names tenants and digests of keys: nobody else's business.
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    fs::rename(&unfinished, file)?;
    tracing::info!(snapshot = %snapshot.display(), "beginning with a snapshot from a file");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_copy_is_whole_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let (snapshot, file) =
            (directory.path().join("given"), directory.path().join("kept.ndjson"));
        assert!(install(&snapshot, &file).is_err() && !file.exists());
        fs::write(&snapshot, "{}\n").unwrap();
        fs::write(file.with_extension("installing"), "left behind").unwrap();
        install(&snapshot, &file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "{}\n");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    }
}
