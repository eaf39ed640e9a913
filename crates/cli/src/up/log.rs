//! A child's log: a file that is only appended to.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 * 1024;

/// The log of one child in this run.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    /// Where this run begins: what was logged before does not explain it.
    begins: u64,
}

impl Log {
    /// Opens the file twice, for both outputs of the child.
    pub(crate) fn open(path: PathBuf) -> io::Result<(Self, File, File)> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let begins = file.metadata()?.len();
        let again = file.try_clone()?;
        Ok((Self { path, begins }, file, again))
    }

    /// The last lines of this run. A log that cannot be read has none.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let tail = self.tail().unwrap_or_default();
        let text = String::from_utf8_lossy(&tail);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).cloned().collect()
    }

    fn tail(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let from = self.begins.max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(tail)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_tail_is_of_this_run_and_short() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        std::fs::write(&path, "of another run\n").unwrap();
        let (log, mut file, _) = Log::open(path).unwrap();
        assert!(log.last_lines().is_empty());
        for number in 1..=30 {
            writeln!(file, "line {number}").unwrap();
        }
        let lines = log.last_lines();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.last().unwrap(), "line 30");
    }
}
