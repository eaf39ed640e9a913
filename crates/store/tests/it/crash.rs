//! Killing the writer at any moment loses nothing that was acknowledged and leaves nothing half.
//!
//! One directory is carried through a hundred kills of a process with four writers. Each writer's
//! transactions are numbered and change one number each, so the state is that after some prefix of
//! all commits exactly if the numbers add up to the head revision. Every fourth round kills before
//! the store is open, which is during recovery. A round takes about a tenth of a second, so a
//! hundred of them are affordable in every run.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tenantry_store::{Revision, Row, Store};

use crate::contract::scan;
use crate::embedded::open;

const ROUNDS: u32 = 100;
const WRITERS: usize = 4;
const WINDOW: u64 = 20;

/// The newest acknowledged transaction of each writer, and its revision.
type Acknowledged = [(u64, Revision); WRITERS];

#[tokio::test]
#[expect(clippy::print_stdout, reason = "a failure must show its seed and round")]
async fn a_hundred_kills_lose_and_halve_nothing() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = TempDir::new().unwrap();
    let mut acknowledged = Acknowledged::default();
    let (mut total, mut id) = (0, None);
    for round in 0..ROUNDS {
        println!("round {round}");
        total += run_and_kill(directory.path(), round, &mut random, &mut acknowledged);
        let store = open(directory.path()).unwrap();
        verify(&store, &acknowledged).await;
        let now = store.status().await.id;
        assert_eq!(*id.get_or_insert(now), now, "the history goes on");
    }
    assert!(total > 1_000, "only {total} commits were acknowledged");
}

/// Runs the writer, kills it, and returns how many commits it was told of.
fn run_and_kill(
    directory: &Path,
    round: u32,
    random: &mut StdRng,
    acknowledged: &mut Acknowledged,
) -> usize {
    let mut child = Command::new(env!("CARGO_BIN_EXE_store-child"))
        .arg("write")
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = read_lines(child.stdout.take().unwrap());
    assert_eq!(lines.recv().as_deref(), Ok("opening"));
    let mut said = Vec::new();
    if !round.is_multiple_of(4) {
        assert_eq!(lines.recv().as_deref(), Ok("ready"));
        let enough = random.random_range(0..150);
        said.extend(lines.iter().take(enough));
        assert_eq!(said.len(), enough, "the writer ended by itself");
    }
    // The kill comes at a moment that nothing in the writer is tied to.
    let moment = Duration::from_micros(random.random_range(0..8_000));
    let (_never, nothing) = mpsc::channel::<()>();
    let _ = nothing.recv_timeout(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(lines.iter());
    let acks = said.iter().filter_map(|line| parse(line));
    acks.map(|(writer, number, revision)| acknowledged[writer] = (number, revision)).count()
}

/// What a process says, line by line; ends when it does.
fn read_lines(output: std::process::ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        // The last line may be cut anywhere, so only what ended with a line break counts.
        let mut output = BufReader::new(output);
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
            let _ = sender.send(line.trim_end().to_owned());
            line.clear();
        }
    });
    lines
}

fn parse(line: &str) -> Option<(usize, u64, Revision)> {
    let mut numbers = line.strip_prefix("ack ")?.split(' ').map(|number| number.parse().unwrap());
    let mut next = || -> u64 { numbers.next().unwrap() };
    Some((usize::try_from(next()).unwrap(), next(), Revision::new(next())))
}

async fn verify(store: &dyn Store, acknowledged: &Acknowledged) {
    let status = store.status().await;
    let (at, rows) = scan(store, "", 100).await;
    assert_eq!(at, status.head);
    let mut sum = 0;
    for (writer, (number, revision)) in acknowledged.iter().enumerate() {
        let last = check_writer(&rows, writer);
        assert!(last >= *number, "writer {writer}: {number} was acknowledged, {last} is there");
        let row = rows.iter().find(|row| row.key == format!("t/{writer}/{number}"));
        if *number > 0 && last - number < WINDOW {
            assert_eq!(row.map(|row| row.mod_rev), Some(*revision));
        }
        sum += last;
    }
    assert_eq!(status.head, Revision::new(sum), "each revision is one transaction");
    let mut revisions: Vec<_> = rows.iter().map(|row| row.mod_rev).collect();
    revisions.sort();
    assert_eq!(revisions.last().copied().unwrap_or_default(), status.head);
    check_log(store, status.oldest, status.head).await;
}

/// The last transaction of one writer, all of which is there and nothing of the next.
fn check_writer(rows: &[Row], writer: usize) -> u64 {
    let number = |prefix: &str| -> u64 {
        let row = rows.iter().find(|row| row.key == format!("{prefix}/{writer}"));
        row.map_or(0, |row| std::str::from_utf8(&row.value).unwrap().parse().unwrap())
    };
    let last = number("a");
    assert_eq!(last, number("b"), "half a transaction");
    let prefix = format!("t/{writer}/");
    let rows = rows.iter().filter(|row| row.key.starts_with(prefix.as_bytes()));
    let mut numbers: Vec<u64> = rows
        .map(|row| std::str::from_utf8(&row.key[prefix.len()..]).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    let expected: Vec<u64> = (last.saturating_sub(WINDOW) + 1..=last).collect();
    assert_eq!(numbers, expected, "the rows of writer {writer}");
    last
}

/// The log names every revision that is kept.
async fn check_log(store: &dyn Store, oldest: Revision, head: Revision) {
    let seen = crate::contract::commits(store, "", oldest, head).await;
    let seen: Vec<_> = seen.iter().map(|commit| commit.0.as_u64()).collect();
    let expected: Vec<_> = (oldest.as_u64().max(1)..=head.as_u64()).collect();
    assert_eq!(seen, expected);
}
