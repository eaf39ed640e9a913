//! One control plane and some proxies in one thread: no sockets, no tasks, no clock. What happens is drawn
//! from a seed, so that what went wrong once goes wrong again.
//!
//! Both ends are the state machines of `tenantry-distribution` that the processes run, and the bytes between
//! them are those that would travel. What is made up is around them: a store with a change log, pipes that
//! hold little and deliver in pieces, a file per proxy, and time. Things that happen: commits; the control
//! plane lagging behind its store; connections that are slow, lost, answered in another order than they
//! asked, or have a byte changed; either end killed and started again, a proxy with its file cut off
//! anywhere in its tail or gone; the log compacted; the store restored from a backup, which begins a new
//! epoch; ends that are one protocol apart.
//!
//! What must hold all the time:
//! - a proxy never goes back within an epoch, and each state it serves is one that was committed, whole;
//! - a stream that nobody damaged never breaks a rule, except that an epoch may have ended: so faults of
//!   either end are not silently healed by one full state after the other;
//! - what waits for a slow proxy, what the window keeps, and the expensive sends at one time are bounded;
//! - nobody is sent the whole state who could be caught up with from the log;
//! - what was recorded can be read again.
//!
//! And when nothing changes and nothing fails any more, all proxies come to hold and serve exactly the
//! control plane's state.

mod control_plane;
mod defect;
mod history;
mod pipe;
mod proxy;
mod random;
mod world;

use tenantry_distribution::Opening;

pub use defect::Defect;

/// How a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many things happen before nothing fails any more.
    pub steps: usize,
    /// What is done wrong, for the sake of seeing it noticed.
    pub defect: Option<Defect>,
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 1_500, defect: None }
    }
}

/// What happened in a run, so that it can be seen that it was put to the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Commits.
    pub commits: u64,
    /// Updates that proxies applied.
    pub applied: u64,
    /// Streams that went on from the window.
    pub followed: u64,
    /// Streams that were caught up with from the log.
    pub caught_up: u64,
    /// Streams that began with a whole state.
    pub full: u64,
    /// Proxies that were told to come back later.
    pub turned_away: u64,
    /// Streams that broke a rule, each because it was damaged or of another epoch.
    pub breaches: u64,
    /// Processes ended and started again.
    pub restarts: u64,
    needless_full: u64,
}

impl Tally {
    fn count(&mut self, opening: Opening) {
        match opening {
            Opening::Follow(_) => self.followed += 1,
            Opening::CatchUp(_) => self.caught_up += 1,
            Opening::Full => self.full += 1,
        }
    }

    /// Of two runs together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            commits: self.commits + other.commits,
            applied: self.applied + other.applied,
            followed: self.followed + other.followed,
            caught_up: self.caught_up + other.caught_up,
            full: self.full + other.full,
            turned_away: self.turned_away + other.turned_away,
            breaches: self.breaches + other.breaches,
            restarts: self.restarts + other.restarts,
            needless_full: self.needless_full + other.needless_full,
        }
    }
}

/// What went wrong, and how to see it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SEED={seed} ({steps} steps): {what}")]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// How many things happened in it: with another number others would have.
    pub steps: usize,
    /// What did not hold.
    pub what: String,
}

/// Runs what follows from a seed.
///
/// # Errors
/// What did not hold.
pub fn run(seed: u64, options: Options) -> Result<Tally, Failure> {
    let failed = |what| Failure { seed, steps: options.steps, what };
    let mut world = world::World::new(seed, options).map_err(failed)?;
    world.run().map_err(failed)?;
    Ok(world.tally)
}
