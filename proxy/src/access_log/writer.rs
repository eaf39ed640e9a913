//! Writes lines on a thread of its own.
//!
//! The queue is bounded and nobody waits for it. Ready-made non-blocking appenders do that much, but
//! neither open a file anew when told to nor say how many lines a full disk cost; with those two, what
//! they would have left to do is this queue.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

/// Lines are written together, up to so many bytes at once.
const MAX_BATCH_BYTES: usize = 64 * 1024;

/// How many lines became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) written: u64,
    pub(crate) dropped: u64,
}

/// The end where lines go in.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: SyncSender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Reopen,
    Close(SyncSender<()>),
}

impl Writer {
    /// Writes to the end of a file, or to standard output.
    pub(super) fn open(file: Option<&Path>, lines: usize) -> io::Result<Self> {
        let sink = match file {
            Some(path) => Sink::File { path: path.to_owned(), file: open(path)? },
            None => Sink::StandardOutput,
        };
        Self::start(sink, lines)
    }

    fn start(sink: Sink, lines: usize) -> io::Result<Self> {
        let (queue, messages) = sync_channel(lines);
        let counts = Arc::new(Counts::default());
        let writing = Writing { sink, counts: Arc::clone(&counts), is_failing: false };
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        thread.spawn(move || writing.run(&messages))?;
        Ok(Self { queue, counts })
    }

    /// Drops the line if there is no room.
    pub(super) fn write(&self, line: Vec<u8>) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Opens the file anew, behind the lines that wait; to be called where waiting is no harm.
    pub(super) fn reopen(&self) {
        // Fails only if the thread is gone, and then nothing is open.
        let _ = self.queue.send(Message::Reopen);
    }

    pub(super) fn close(&self, patience: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.queue.try_send(Message::Close(done)).is_ok() {
            // Whether it was done in time makes no difference any more.
            let _ = is_done.recv_timeout(patience);
        }
    }

    pub(super) fn written(&self) -> Written {
        let Counts { written, dropped } = &*self.counts;
        Written { written: written.load(Relaxed), dropped: dropped.load(Relaxed) }
    }
}

enum Sink {
    File {
        path: PathBuf,
        file: File,
    },
    StandardOutput,
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Sink {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.write_all(lines),
            Self::StandardOutput => {
                let mut output = io::stdout().lock();
                output.write_all(lines)?;
                output.flush()
            }
            #[cfg(test)]
            Self::Test(write) => write.write_all(lines),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = open(path)?;
        }
        Ok(())
    }
}

/// The end where lines come out.
struct Writing {
    sink: Sink,
    counts: Arc<Counts>,
    is_failing: bool,
}

impl Writing {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut batch = Batch::default();
        while let Ok(message) = messages.recv() {
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Line(line) => batch.add(&line),
                    Message::Reopen => {
                        self.write(&mut batch);
                        self.reopen();
                    }
                    Message::Close(done) => {
                        self.write(&mut batch);
                        // Whoever asked may have gone.
                        let _ = done.try_send(());
                    }
                }
                if batch.bytes.len() >= MAX_BATCH_BYTES {
                    self.write(&mut batch);
                }
                next = messages.try_recv().ok();
            }
            self.write(&mut batch);
        }
    }

    /// A log that cannot be written says so once, until it can be written again.
    fn write(&mut self, batch: &mut Batch) {
        if batch.lines == 0 {
            return;
        }
        match self.sink.write(&batch.bytes) {
            Ok(()) => {
                self.counts.written.fetch_add(batch.lines, Relaxed);
                self.is_failing = false;
            }
            Err(error) => {
                self.counts.dropped.fetch_add(batch.lines, Relaxed);
                if !self.is_failing {
                    tracing::warn!(%error, "the access log cannot be written; lines are lost");
                }
                self.is_failing = true;
            }
        }
        *batch = Batch { bytes: std::mem::take(&mut batch.bytes), lines: 0 };
        batch.bytes.clear();
    }

    fn reopen(&mut self) {
        match self.sink.reopen() {
            Ok(()) => tracing::info!("the access log was opened anew"),
            Err(error) => {
                tracing::warn!(%error, "the access log cannot be opened anew; the old file stays open");
            }
        }
    }
}

#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

impl Batch {
    fn add(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.lines += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc::Sender};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
        let writer = Writer::open(Some(&path), 10).unwrap();
        writer.write(b"1\n".to_vec());
        writer.close(PATIENCE);
        fs::rename(&path, &moved).unwrap();
        writer.write(b"2\n".to_vec());
        writer.reopen();
        writer.write(b"3\n".to_vec());
        writer.close(PATIENCE);
        assert_eq!(fs::read_to_string(moved).unwrap(), "1\n2\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "3\n");
        assert_eq!(writer.written(), Written { written: 3, dropped: 0 });
    }

    /// Says that it was asked to write, and then waits until it is let go.
    struct Stuck(Sender<()>, Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_slow_disk() {
        let (asked, is_asked) = std::sync::mpsc::channel();
        let (let_go, is_let_go) = std::sync::mpsc::channel();
        let writer = Writer::start(Sink::Test(Box::new(Stuck(asked, is_let_go))), 2).unwrap();
        writer.write(b"1\n".to_vec());
        is_asked.recv_timeout(PATIENCE).unwrap();
        for _ in 0..5 {
            writer.write(b"2\n".to_vec());
        }
        assert_eq!(writer.written().dropped, 3);
        drop(let_go);
        // The queue may still be full for a moment.
        while writer.written().written < 3 {
            writer.close(PATIENCE);
            std::thread::yield_now();
        }
        assert_eq!(writer.written(), Written { written: 3, dropped: 3 });
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_refuses_are_counted() {
        let writer = Writer::start(Sink::Test(Box::new(Full)), 10).unwrap();
        writer.write(b"1\n".to_vec());
        writer.close(PATIENCE);
        assert_eq!(writer.written(), Written { written: 0, dropped: 1 });
    }
}
