//! Whether a roll-out goes on, is released, or is taken back: a pure function of what was seen.
//!
//! What chosen proxies refuse needs no weighing. How they answer is compared with how the other proxies answered in the
//! same time, since what is wrong everywhere is no fault of the roll-out; if these had too few requests to say, with
//! how the chosen ones answered before; and if nobody knows, with what is good. Numbers of requests are compared
//! as fractions, exactly.

use std::time::Duration;

use tenantry_distribution::{ResourceName, Traffic};
use tenantry_model::{NodeName, Timestamp};
use tenantry_tenancy::{Release, RolloutTerms, rollout::MAX_UNDECIDED};

/// How many proxies are named in a sentence.
const MAX_NAMED: usize = 5;

/// What a proxy had answered when the roll-out began, and has now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// None if it has said nothing since.
    pub start: Option<Traffic>,
    /// None if it does not say.
    pub now: Option<Traffic>,
}

/// A proxy that has the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its name.
    pub node: NodeName,
    /// Whether it follows the stream.
    pub is_connected: bool,
    /// Whether the change is in force at it.
    pub enforces: bool,
    /// What it refuses of the change, and why.
    pub refusals: Vec<(ResourceName, String)>,
    /// What it has answered.
    pub measured: Measured,
}

/// All that a judgement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When the roll-out began.
    pub started_at: Timestamp,
    /// When this is.
    pub now: Timestamp,
    /// How it is watched.
    pub terms: RolloutTerms,
    /// Whether proxies may be missing because this control plane has just begun.
    pub is_settling: bool,
    /// Whether all of them enforced it when it had been watched for long enough.
    pub has_passed: bool,
    /// The proxies that have the change.
    pub chosen: Vec<Chosen>,
    /// What the others have answered.
    pub others: Vec<Measured>,
}

/// How a roll-out goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is watched on.
    GoOn,
    /// It was watched for long enough, and an operator is waited for.
    Ready,
    /// It is applied for all.
    Release,
    /// It is taken back, for this reason.
    TakeBack(String),
}

/// Requests of one time at some proxies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// All of them.
    pub requests: u64,
    /// Those answered 5xx.
    pub server_errors: u64,
    /// Those that were refused.
    pub denied: u64,
}

/// What the answers of the chosen proxies are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// Those of all others.
    Others(Requests),
    /// Their own before.
    Before(Requests),
    /// Nobody has had enough requests: good ones.
    Nothing,
}

impl Requests {
    fn all(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            requests: sum.requests.saturating_add(part.requests),
            server_errors: sum.server_errors.saturating_add(part.server_errors),
            denied: sum.denied.saturating_add(part.denied),
        })
    }
}

impl From<Traffic> for Requests {
    fn from(Traffic { since: _, requests, server_errors, denied }: Traffic) -> Self {
        Self { requests, server_errors, denied }
    }
}

impl Measured {
    /// Since the roll-out began. A process that began later counts from zero.
    #[must_use]
    pub fn since(self) -> Requests {
        let (Some(start), Some(now)) = (self.start, self.now) else { return Requests::default() };
        if start.since != now.since {
            return now.into();
        }
        Requests {
            requests: now.requests.saturating_sub(start.requests),
            server_errors: now.server_errors.saturating_sub(start.server_errors),
            denied: now.denied.saturating_sub(start.denied),
        }
    }

    fn before(self) -> Requests {
        self.start.map(Requests::from).unwrap_or_default()
    }
}

impl Seen {
    /// Until when it is watched.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.started_at.after(Duration::from_secs(u64::from(self.terms.watch_seconds)))
    }

    /// What the chosen proxies have answered since it began.
    #[must_use]
    pub fn at_chosen(&self) -> Requests {
        Requests::all(self.chosen.iter().map(|chosen| chosen.measured.since()))
    }

    /// What that is compared with.
    #[must_use]
    pub fn reference(&self) -> Reference {
        let least = u64::from(self.terms.min_requests);
        let others = Requests::all(self.others.iter().map(|measured| measured.since()));
        let before = Requests::all(self.chosen.iter().map(|chosen| chosen.measured.before()));
        if others.requests >= least {
            Reference::Others(others)
        } else if before.requests >= least {
            Reference::Before(before)
        } else {
            Reference::Nothing
        }
    }

    /// How it goes on.
    #[must_use]
    pub fn judged(&self) -> Verdict {
        let bad = self.refused().or_else(|| self.too_many());
        if let Some(reason) = bad {
            return Verdict::TakeBack(reason);
        }
        let watched = u64::from(self.terms.watch_seconds);
        if !self.is_over(watched) {
            return Verdict::GoOn;
        }
        if !self.has_passed
            && let Some(reason) = self.missing()
        {
            return if self.is_settling { Verdict::GoOn } else { Verdict::TakeBack(reason) };
        }
        match self.terms.release {
            Release::Automatic => Verdict::Release,
            Release::Manual if self.is_over(watched + u64::from(MAX_UNDECIDED)) => {
                Verdict::TakeBack("nobody has released it within a day".to_owned())
            }
            Release::Manual => Verdict::Ready,
        }
    }

    fn is_over(&self, seconds: u64) -> bool {
        self.now >= self.started_at.after(Duration::from_secs(seconds))
    }

    fn refused(&self) -> Option<String> {
        let mut refusals = self.chosen.iter().flat_map(|chosen| {
            chosen.refusals.iter().map(move |(resource, why)| (&chosen.node, resource, why))
        });
        let (node, resource, why) = refusals.next()?;
        Some(format!("{node} refuses {resource}: {why}"))
    }

    /// What is answered more often than allowed.
    fn too_many(&self) -> Option<String> {
        let here = self.at_chosen();
        if here.requests < u64::from(self.terms.min_requests) {
            return None;
        }
        let reference = self.reference();
        let (there, of) = match reference {
            Reference::Others(there) => (there, "at the others"),
            Reference::Before(there) => (there, "before"),
            Reference::Nothing => {
                (Requests { requests: 1, ..Requests::default() }, "as it should be")
            }
        };
        let judged = [
            ("answered 5xx", here.server_errors, there.server_errors, self.terms.max_server_errors),
            ("denied", here.denied, there.denied, self.terms.max_denied),
        ];
        judged.into_iter().find_map(|(what, here_are, there_are, most)| {
            exceeds((here_are, here.requests), (there_are, there.requests), most).then(|| {
                let (here_share, there_share) =
                    (percent(here_are, here.requests), percent(there_are, there.requests));
                format!(
                    "of {} requests at the chosen proxies {here_share} % were {what}, against \
                     {there_share} % {of}; {most} percentage points more are allowed",
                    here.requests
                )
            })
        })
    }

    /// Where it is not in force.
    fn missing(&self) -> Option<String> {
        let away: Vec<_> = self.chosen.iter().filter(|chosen| !chosen.is_connected).collect();
        if !away.is_empty() {
            return Some(format!("not connected at the end: {}", names(&away)));
        }
        let behind: Vec<_> = self.chosen.iter().filter(|chosen| !chosen.enforces).collect();
        if !behind.is_empty() {
            return Some(format!("not in force at the end: {}", names(&behind)));
        }
        None
    }
}

fn names(chosen: &[&Chosen]) -> String {
    let named: Vec<_> =
        chosen.iter().take(MAX_NAMED).map(|chosen| chosen.node.to_string()).collect();
    match chosen.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Whether one share exceeds another by more than so many percentage points.
fn exceeds((part, of): (u64, u64), (other, of_others): (u64, u64), points: u8) -> bool {
    let [part, of, other, of_others, points] =
        [part, of, other, of_others, u64::from(points)].map(u128::from);
    let product = |a: u128, b: u128| a.saturating_mul(b);
    product(product(part, of_others), 100)
        > product(product(other, of), 100).saturating_add(product(product(points, of), of_others))
}

/// With one digit behind the point.
fn percent(part: u64, of: u64) -> String {
    let permille = u128::from(part) * 1000 / u128::from(of.max(1));
    format!("{}.{}", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests;
