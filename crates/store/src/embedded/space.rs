//! Whether the disk has room for more commits.
//!
//! The engine does not survive the end of the disk: once a write of it meets that, it fails for good,
//! reads of what it no longer holds in memory fail with it, and only a fresh recovery tells what was
//! written. So a reserve is kept that commits never touch. Below it they are refused before the engine
//! hears of them; everything else goes on, and so do commits as soon as there is room again.
//!
//! The system is asked each time: a look costs about a microsecond, and nothing that is remembered can
//! be wrong. Others write to the same disk, so the end can still be met in the middle of a write: then
//! the store is sealed; see [`ReadOnly::Interrupted`](crate::ReadOnly::Interrupted).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::fstatvfs;

/// What a commit takes on disk, in multiples of its size: its rows, and its entry in the log, which
/// holds keys alone; the rest is what the engine adds.
const GROWTH: u64 = 2;

/// The room on the disk that holds a directory.
pub(super) struct Space {
    directory: File,
    reserve: u64,
    is_short: AtomicBool,
}

impl Space {
    pub(super) fn of(directory: &Path, reserve: u64) -> io::Result<Self> {
        let directory = File::open(directory)?;
        Ok(Self { directory, reserve, is_short: AtomicBool::new(false) })
    }

    /// Bytes that this user may still write; none if the system does not say.
    pub(super) fn free(&self) -> Option<u64> {
        let found = fstatvfs(&self.directory).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Whether the reserve would be whole after a commit of so many bytes. Where the system does not
    /// say, the engine's own error will.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        let Some(free) = self.free() else { return true };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let has_room = free >= self.reserve.saturating_add(bytes.saturating_mul(GROWTH));
        self.note(free, has_room);
        has_room
    }

    /// Says when it changes, and only then: whoever logs to the same disk has no room for more.
    fn note(&self, free: u64, has_room: bool) {
        if self.is_short.swap(!has_room, Ordering::Relaxed) != has_room {
            return;
        }
        let reserve = self.reserve;
        if has_room {
            tracing::info!(free, reserve, "there is room on the disk again: commits are taken");
        } else {
            tracing::error!(
                free,
                reserve,
                "the disk is full up to the reserve: no commits are taken"
            );
        }
    }
}
