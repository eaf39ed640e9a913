//! How often somebody may try a password.
//!
//! Each pair of account and source address has a few attempts, and each source address some more for
//! all accounts together. Both come back with time. Nothing is bounded by account alone: whoever tries
//! passwords of an account from one place does not lock its owner out in another.

use std::{collections::HashMap, net::IpAddr};

use parking_lot::Mutex;
use tenantry_model::{Email, Timestamp};

/// How many attempts are remembered. Beyond that, those that are back to the start are forgotten.
const MAX_SUBJECTS: usize = 10_000;

/// How many attempts at once, and after how long one more.
struct Pace {
    burst: u64,
    one_more_after_ms: u64,
}

const PER_ACCOUNT: Pace = Pace { burst: 5, one_more_after_ms: 30_000 };
const PER_SOURCE: Pace = Pace { burst: 30, one_more_after_ms: 2_000 };

/// Which attempts are counted together. A network of IPv6 that one customer gets is one source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    Account(Email, IpAddr),
    Source(IpAddr),
}

/// The attempts of late.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<Subject, u64>>);

impl Attempts {
    /// Takes one attempt, or says after how many seconds there will be one.
    pub(crate) fn take(&self, email: &Email, from: IpAddr, now: Timestamp) -> Result<(), u64> {
        let mut subjects = self.0.lock();
        if subjects.len() >= MAX_SUBJECTS {
            subjects.retain(|_, until| *until > now.unix_ms());
        }
        if subjects.len() >= MAX_SUBJECTS {
            subjects.clear();
        }
        let from = source(from);
        let counted = [
            (Subject::Account(email.clone(), from), PER_ACCOUNT),
            (Subject::Source(from), PER_SOURCE),
        ];
        let now = now.unix_ms();
        for (subject, pace) in &counted {
            let spent_until = subjects.get(subject).copied().unwrap_or(now).max(now);
            let after = (spent_until + pace.one_more_after_ms) - now;
            let most = pace.burst * pace.one_more_after_ms;
            if after > most {
                return Err((after - most).div_ceil(1000));
            }
        }
        for (subject, pace) in counted {
            let until = subjects.entry(subject).or_insert(now);
            *until = (*until).max(now) + pace.one_more_after_ms;
        }
        Ok(())
    }

    /// The attempt was a good one: the account begins anew.
    pub(crate) fn succeeded(&self, email: &Email, from: IpAddr) {
        self.0.lock().remove(&Subject::Account(email.clone(), source(from)));
    }
}

fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((u128::from(address) & (!0 << 64)).to_be_bytes()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_ends_and_locks_nobody_else_out() {
        let attempts = Attempts::default();
        let ada: Email = "ada@example.com".parse().unwrap();
        let bob: Email = "bob@example.com".parse().unwrap();
        let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let at = Timestamp::from_unix_ms;
        for _ in 0..5 {
            attempts.take(&ada, here, at(1)).unwrap();
        }
        assert_eq!(attempts.take(&ada, here, at(1)), Err(30));
        attempts.take(&ada, there, at(1)).unwrap();
        attempts.take(&bob, here, at(1)).unwrap();
        attempts.take(&ada, here, at(30_001)).unwrap();
        assert!(attempts.take(&ada, here, at(30_001)).is_err());
        attempts.succeeded(&ada, here);
        attempts.take(&ada, here, at(30_001)).unwrap();
    }

    #[test]
    fn one_source_tries_few_accounts() {
        let attempts = Attempts::default();
        let from = "2001:db8::1".parse().unwrap();
        let near = "2001:db8::2".parse().unwrap();
        let taken = (0..100).filter(|number| {
            let email = format!("a{number}@example.com").parse().unwrap();
            attempts
                .take(&email, if number % 2 == 0 { from } else { near }, Timestamp::default())
                .is_ok()
        });
        assert_eq!(taken.count(), 30);
    }
}
