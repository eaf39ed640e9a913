//! Children that end are started again, where they listened before, so that nobody who knows an
//! address has to learn another one.
//!
//! One that ends soon after each start has something wrong with it that another start does not mend:
//! the waits between its starts grow. A proxy is given up after [`MOST_IN_A_ROW`] of them, with a sentence,
//! because without it there is nothing to run. A control plane never is: the proxy serves without it, and must not
//! end for its sake. One that asks for another start because its disk is full is only waited for: somebody
//! makes space, and nobody should have to do more.

use std::{path::Path, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    Progress, Up, UpError,
    error::Ended,
    processes::{Processes, Program},
    start::{self, Addresses, now},
};

/// A child that ran for so long was well; what ends it then is something new.
const SETTLED: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How many times in a row a proxy may end before it has settled.
const MOST_IN_A_ROW: u32 = 6;
/// The exit status that asks for another start (`EX_TEMPFAIL` of sysexits.h): the disk is full.
const AGAIN: i32 = 75;
const WAIT_FOR_SPACE: Duration = Duration::from_secs(2);

/// What a child is started again with.
pub(super) struct Launch<'a> {
    pub(super) data_dir: &'a Path,
    pub(super) master_key: &'a Path,
    pub(super) addresses: &'a Addresses,
}

/// Starts children again when they end; returns when that is given up.
pub(super) async fn supervise(
    launch: &Launch<'_>,
    processes: &mut Processes,
    progress: &mut Progress,
) -> UpError {
    let up = launch.addresses.to_bind_again();
    let mut waiting: Vec<(Instant, Program)> = Vec::new();
    let mut control_plane = Restarts::without_end();
    let mut proxy = Restarts::at_most(MOST_IN_A_ROW);
    loop {
        let next = waiting.iter().map(|(at, _)| *at).min();
        tokio::select! {
            ended = processes.next_end() => {
                let restarts = match ended.program {
                    Program::ControlPlane => &mut control_plane,
                    Program::Proxy => &mut proxy,
                };
                match restarts.after(&ended) {
                    Next::GiveUp => {
                        let (times, ended) = (MOST_IN_A_ROW, Box::new(ended));
                        return UpError::GaveUp { times, ended };
                    }
                    Next::Start { wait, is_told } => {
                        if is_told {
                            progress.ended(&ended, wait);
                        }
                        waiting.push((now() + wait, ended.program));
                    }
                }
            }
            () = until(next) => {
                let is_due = |(at, _): &mut (Instant, Program)| Some(*at) <= next;
                for (_, program) in waiting.extract_if(.., is_due) {
                    if let Err(error) = start_again(launch, &up, program, processes) {
                        return error;
                    }
                }
            }
        }
    }
}

fn start_again(
    launch: &Launch<'_>,
    up: &Up,
    program: Program,
    processes: &mut Processes,
) -> Result<(), UpError> {
    let Launch { data_dir, master_key, addresses } = *launch;
    let arguments = match program {
        Program::ControlPlane => start::control_plane(up, data_dir, master_key),
        Program::Proxy => start::proxy(up, data_dir, addresses.distribution, master_key),
    };
    processes.start(program, arguments)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How often one program ended before it had settled.
#[derive(Debug)]
struct Restarts {
    /// How many times in a row it may; as often as it does, if none.
    most: Option<u32>,
    in_a_row: u32,
    full_in_a_row: u32,
}

/// What to do about a child that ended.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Start {
        wait: Duration,
        /// Waiting for space is said once, not each time.
        is_told: bool,
    },
    GiveUp,
}

impl Restarts {
    fn at_most(most: u32) -> Self {
        Self { most: Some(most), ..Self::without_end() }
    }

    fn without_end() -> Self {
        Self { most: None, in_a_row: 0, full_in_a_row: 0 }
    }

    fn after(&mut self, ended: &Ended) -> Next {
        let code = ended.status.0.as_ref().ok().and_then(std::process::ExitStatus::code);
        self.after_run(ended.ran, code)
    }

    fn after_run(&mut self, ran: Duration, code: Option<i32>) -> Next {
        if ran >= SETTLED {
            *self = Self { most: self.most, ..Self::without_end() };
        }
        if code == Some(AGAIN) {
            self.full_in_a_row += 1;
            return Next::Start { wait: WAIT_FOR_SPACE, is_told: self.full_in_a_row == 1 };
        }
        self.in_a_row += 1;
        if self.most.is_some_and(|most| self.in_a_row >= most) {
            return Next::GiveUp;
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.in_a_row - 1));
        Next::Start { wait: wait.min(LONGEST_WAIT), is_told: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    fn wait(next: &Next) -> Duration {
        match next {
            Next::Start { wait, .. } => *wait,
            Next::GiveUp => panic!("given up"),
        }
    }

    #[test]
    fn waits_grow_until_it_is_given_up() {
        let mut restarts = Restarts::at_most(MOST_IN_A_ROW);
        let waits: Vec<_> =
            (1..MOST_IN_A_ROW).map(|_| wait(&restarts.after_run(SOON, Some(1)))).collect();
        assert!(waits.is_sorted() && waits[0] < waits[4], "{waits:?}");
        assert_eq!(restarts.after_run(SOON, Some(1)), Next::GiveUp);
    }

    #[test]
    fn a_control_plane_is_never_given_up() {
        let mut restarts = Restarts::without_end();
        let waits: Vec<_> = (0..1000).map(|_| wait(&restarts.after_run(SOON, Some(1)))).collect();
        assert!(waits.is_sorted(), "{waits:?}");
        assert_eq!((waits[0], waits[999]), (FIRST_WAIT, LONGEST_WAIT));
    }

    #[test]
    fn a_child_that_had_settled_begins_anew() {
        let mut restarts = Restarts::at_most(MOST_IN_A_ROW);
        for _ in 0..20 {
            restarts.after_run(SOON, None);
            assert_eq!(wait(&restarts.after_run(SETTLED, None)), FIRST_WAIT);
        }
    }

    #[test]
    fn space_is_waited_for_without_end_and_said_once() {
        let mut restarts = Restarts::at_most(MOST_IN_A_ROW);
        for number in 0..100 {
            let next = restarts.after_run(SOON, Some(AGAIN));
            assert_eq!(next, Next::Start { wait: WAIT_FOR_SPACE, is_told: number == 0 });
        }
        assert_eq!(wait(&restarts.after_run(SOON, Some(1))), FIRST_WAIT, "it counts for nothing");
    }
}
