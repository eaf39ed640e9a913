//! The file beside the tree that remembers a history and a head that was durable; see `history`.
//!
//! It never runs ahead of the tree: it is written after the commit it names. It may fall behind by
//! [`EVERY`] revisions, which bounds what could be lost unnoticed while the store is busy; a store
//! left alone for [`IDLE`] and one closed cleanly have it exact. Writing it with each commit would
//! double the syncs. It is replaced whole (new file, sync, rename, sync of the directory).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::history::Mark;
use crate::Revision;

/// Most revisions by which the witness falls behind.
pub(super) const EVERY: u64 = 1024;
/// How long nothing is committed before it catches up.
pub(super) const IDLE: Duration = Duration::from_secs(1);

const FILE: &str = "witness";
const TITLE: &str = "tenantry-store witness 1";

/// The witness of the store in one directory.
pub(super) struct Witness {
    directory: PathBuf,
    saved: Option<Mark>,
}

impl Witness {
    /// Reads the witness, if there is one.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let saved = match fs::read_to_string(directory.join(FILE)) {
            Ok(text) => Some(parse(&text).ok_or(io::ErrorKind::InvalidData)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { directory: directory.to_owned(), saved })
    }

    pub(super) fn saved(&self) -> Option<Mark> {
        self.saved
    }

    /// Whether `head` is not what the file says.
    pub(super) fn is_behind(&self, head: Revision) -> bool {
        self.saved.is_none_or(|mark| mark.head != head)
    }

    /// Whether `head` is so far ahead that the file must be written.
    pub(super) fn is_due(&self, head: Revision) -> bool {
        self.saved.is_none_or(|mark| mark.head.plus(EVERY) <= head)
    }

    pub(super) fn save(&mut self, mark: Mark) -> io::Result<()> {
        if self.saved == Some(mark) {
            return Ok(());
        }
        let fresh = self.directory.join("witness.new");
        let mut file = File::create(&fresh)?;
        file.write_all(render(mark).as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, self.directory.join(FILE))?;
        File::open(&self.directory)?.sync_all()?;
        self.saved = Some(mark);
        Ok(())
    }
}

fn render(mark: Mark) -> String {
    format!("{TITLE}\nid {}\nhead {}\n", mark.id, mark.head)
}

fn parse(text: &str) -> Option<Mark> {
    let mut lines = text.lines();
    let title = lines.next()?;
    let id = lines.next()?.strip_prefix("id ")?.parse().ok()?;
    let head = lines.next()?.strip_prefix("head ")?.parse().ok()?;
    let mark = Mark { id, head: Revision::new(head) };
    (title == TITLE && render(mark) == text).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreId;

    #[test]
    fn a_mark_survives_its_file_and_nothing_else_passes() {
        let mark = Mark { id: StoreId::from_bytes([7; 16]), head: Revision::new(42) };
        let text = render(mark);
        assert_eq!(parse(&text), Some(mark));
        for cut in 0..text.len() {
            assert_eq!(parse(&text[..cut]), None, "cut at {cut}");
        }
        assert_eq!(parse(&format!("{text}\n")), None);
    }
}
