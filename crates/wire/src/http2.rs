//! The frames of an HTTP/2 connection (RFC 9113, section 4.1), counted as they arrive.
//!
//! A few bytes of the right frames cost a server far more than they cost their sender: settings that
//! must be acknowledged, pings that must be answered, priorities, resets, headers cut into thousands of
//! pieces. Counting them in front of the HTTP/2 machinery costs nine bytes of state and keeps one
//! connection from taking a processor from all others.

use std::time::Duration;

const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;

/// Data frames that carry less are counted like requests: each wakes somebody.
const SMALL_DATA_BYTES: usize = 256;

/// Bytes of traffic, either way, that pay for one more control frame: a client that receives much must
/// open its window often.
const BYTES_PER_CONTROL_FRAME: u32 = 1024;

/// How many frames a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Control frames a second, once the burst is used up.
    pub control_per_second: u32,
    /// Control frames that may come at once. Past this the connection is a flood.
    pub control_burst: u32,
    /// Requests and small messages a second. Past this the connection is read more slowly.
    pub messages_per_second: u32,
    /// Frames that one header block may be cut into.
    pub header_block_frames: u32,
}

/// The connection sends what no client needs to send; it should be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Too many control frames.
    Control,
    /// A header block in too many pieces.
    HeaderBlock,
}

/// Counts the frames that one connection sends.
#[derive(Debug)]
pub struct Meter {
    bounds: Bounds,
    preface_left: usize,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    payload_left: usize,
    block_frames: u32,
    control: Bucket,
    messages: Bucket,
    traffic: u32,
}

impl Meter {
    /// Begins a connection, with its preface still to come.
    #[must_use]
    pub fn new(bounds: Bounds, now: Duration) -> Self {
        Self {
            bounds,
            preface_left: PREFACE_BYTES,
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            payload_left: 0,
            block_frames: 0,
            control: Bucket::new(bounds.control_burst, bounds.control_per_second, now),
            // A second's worth may come at once.
            messages: Bucket::new(bounds.messages_per_second, bounds.messages_per_second, now),
            traffic: 0,
        }
    }

    /// Counts the bytes that were read.
    ///
    /// # Errors
    /// The connection sends what no client needs to send.
    pub fn received(&mut self, bytes: &[u8], now: Duration) -> Result<(), Flood> {
        self.sent(bytes.len());
        self.control.refill(now);
        self.messages.refill(now);
        let mut rest = self.skip_preface(bytes);
        while !rest.is_empty() {
            let skipped = rest.len().min(self.payload_left);
            self.payload_left -= skipped;
            rest = rest.get(skipped..).unwrap_or_default();
            rest = self.collect_header(rest)?;
        }
        Ok(())
    }

    /// Counts bytes that were written to the client.
    pub fn sent(&mut self, bytes: usize) {
        let traffic = self.traffic.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.control.earn(traffic / BYTES_PER_CONTROL_FRAME);
        self.traffic = traffic % BYTES_PER_CONTROL_FRAME;
    }

    /// How long to wait before reading on, if the connection is ahead of its share of messages.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.messages.debt()
    }

    /// Whether something has begun that must be completed soon: the preface, or a header block.
    #[must_use]
    pub fn awaits_completion(&self) -> bool {
        self.preface_left > 0 || self.block_frames > 0
    }

    fn skip_preface<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let skipped = bytes.len().min(self.preface_left);
        self.preface_left -= skipped;
        bytes.get(skipped..).unwrap_or_default()
    }

    fn collect_header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Flood> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if let Some(place) = self.header.get_mut(self.header_bytes) {
                *place = *byte;
            }
            (self.header_bytes, rest) = (self.header_bytes + 1, after);
            if self.header_bytes == HEADER_BYTES {
                self.header_bytes = 0;
                self.frame()?;
                break;
            }
        }
        Ok(rest)
    }

    fn frame(&mut self) -> Result<(), Flood> {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const CONTINUATION: u8 = 9;
        const END_HEADERS: u8 = 4;
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.payload_left = length;
        match kind {
            DATA if length > 0 => {
                if length < SMALL_DATA_BYTES {
                    self.messages.spend();
                }
                Ok(())
            }
            HEADERS | CONTINUATION => {
                if kind == HEADERS {
                    self.messages.spend();
                    self.block_frames = 0;
                }
                self.block_frames += 1;
                if self.block_frames > self.bounds.header_block_frames {
                    return Err(Flood::HeaderBlock);
                }
                if flags & END_HEADERS != 0 {
                    self.block_frames = 0;
                }
                Ok(())
            }
            _ if self.control.spend() => Ok(()),
            _ => Err(Flood::Control),
        }
    }
}

/// A token bucket that may go into debt.
#[derive(Debug)]
struct Bucket {
    burst: i64,
    per_second: u32,
    level: i64,
    /// Up to when it was filled.
    filled: Duration,
}

impl Bucket {
    fn new(burst: u32, per_second: u32, now: Duration) -> Self {
        Self { burst: i64::from(burst), per_second, level: i64::from(burst), filled: now }
    }

    fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled);
        let earned = elapsed.as_nanos().saturating_mul(u128::from(self.per_second)) / 1_000_000_000;
        let Ok(earned @ 1..) = u32::try_from(earned) else {
            // Nothing whole was earned yet, or so much that the bucket is full.
            if earned > 0 {
                (self.level, self.filled) = (self.burst, now);
            }
            return;
        };
        self.earn(earned);
        self.filled = now;
    }

    fn earn(&mut self, tokens: u32) {
        self.level = self.burst.min(self.level + i64::from(tokens));
    }

    /// Whether there was a token; without one the debt grows.
    fn spend(&mut self) -> bool {
        self.level -= 1;
        self.level >= 0
    }

    /// The time in which the debt is earned back.
    fn debt(&self) -> Option<Duration> {
        let debt = u32::try_from(-self.level).ok().filter(|debt| *debt > 0)?;
        Some(Duration::from_secs(1).saturating_mul(debt) / self.per_second.max(1))
    }
}

#[cfg(test)]
mod tests;
