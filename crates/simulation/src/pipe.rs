//! Bytes on their way from the control plane to one proxy.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes that may wait for a proxy before its stream is given no more.
const CAPACITY: usize = 2_000;

/// A connection. None has the number of another.
pub(crate) type Id = u64;

#[derive(Debug, Default)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    /// A byte of it was changed on the way.
    pub(crate) is_damaged: bool,
}

impl Pipe {
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= CAPACITY
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// What arrives next: at most so many bytes.
    pub(crate) fn read(&mut self, at_most: usize) -> Bytes {
        let count = self.bytes.len().min(at_most);
        self.bytes.drain(..count).collect::<Vec<_>>().into()
    }

    /// Changes one byte, of all that were or will be written the only one.
    pub(crate) fn damage(&mut self, place: usize, flip: u8) {
        if self.is_damaged || self.bytes.is_empty() {
            return;
        }
        let place = place % self.bytes.len();
        if let Some(byte) = self.bytes.get_mut(place) {
            *byte ^= flip.max(1);
            self.is_damaged = true;
        }
    }
}
