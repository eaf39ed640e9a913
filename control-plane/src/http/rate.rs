//! How often somebody may ask: a token bucket for each principal, and one for each address that shows no
//! valid token.
//!
//! What is kept for a caller is one instant, at which all that was spent will have been earned back (GCRA), so
//! a caller who has been quiet need not be kept at all. There is room for a fixed number of callers; those for
//! whom there is none share one bucket, so that many addresses cannot drive up memory, nor throw each other out.
//!
//! Time is the clock of the whole process and may be set back. What would then take longer to earn back than a
//! full bucket takes is cut down to that.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use parking_lot::Mutex;
use tenantry_api::ProblemKind;
use tenantry_model::Timestamp;

use super::failure::Failure;

const MAX_CALLERS: usize = 10_000;
/// How often all callers are looked through for some who need not be kept, while there is no room.
const SWEEP_INTERVAL_US: u64 = 1_000_000;
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// How much a bucket holds, and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Requests that are earned back in a second.
    pub per_second: u32,
    /// Requests that may come at once.
    pub burst: u32,
}

impl Rate {
    fn interval_us(self) -> u64 {
        (1_000_000 / u64::from(self.per_second.max(1))).max(1)
    }
}

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Of whoever showed a valid token.
    Principal(String),
    /// Of whoever did not; of IPv6, one /64 network.
    Address(IpAddr),
    /// Of all for whom there is no room.
    Rest,
}

impl Subject {
    /// Of an address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// What is left after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    rate_per_second: u32,
    remaining: u64,
    reset_seconds: u64,
}

impl Level {
    /// Says so in the answer, as the proxy does (draft-ietf-httpapi-ratelimit-headers-11).
    pub fn show(self, response: &mut Response) {
        let policy = format!("\"requests\";q={};w=1", self.rate_per_second);
        let state = format!("\"requests\";r={};t={}", self.remaining, self.reset_seconds);
        for (name, text) in [(POLICY, policy), (STATE, state)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

/// The buckets of all callers.
#[derive(Debug)]
pub struct RateLimiter {
    principals: Rate,
    addresses: Rate,
    callers: Mutex<Callers>,
}

#[derive(Debug, Default)]
struct Callers {
    /// When all that was spent will have been earned back, in microseconds of Unix time.
    earned_back: HashMap<Subject, u64>,
    /// When those were last forgotten who had earned back everything.
    swept: u64,
}

impl Callers {
    /// Whose bucket it is: the own one, if there is room.
    fn place(&mut self, subject: Subject, now_us: u64) -> Subject {
        if self.has_room_for(&subject) {
            return subject;
        }
        if now_us.abs_diff(self.swept) >= SWEEP_INTERVAL_US {
            self.swept = now_us;
            self.earned_back.retain(|_, earned_back| *earned_back > now_us);
        }
        if self.has_room_for(&subject) { subject } else { Subject::Rest }
    }

    fn has_room_for(&self, subject: &Subject) -> bool {
        self.earned_back.len() < MAX_CALLERS || self.earned_back.contains_key(subject)
    }
}

impl RateLimiter {
    /// With one rate for principals and one for addresses.
    #[must_use]
    pub fn new(principals: Rate, addresses: Rate) -> Self {
        Self { principals, addresses, callers: Mutex::default() }
    }

    /// Charges a request.
    ///
    /// # Errors
    /// A problem that says when to come back, and what is left; nothing was charged.
    pub fn admit(&self, subject: Subject, now: Timestamp) -> Result<Level, (Failure, Level)> {
        let rate = match subject {
            Subject::Principal(_) => self.principals,
            Subject::Address(_) | Subject::Rest => self.addresses,
        };
        let now_us = now.unix_ms().saturating_mul(1000);
        let (interval, full) = (rate.interval_us(), rate.interval_us() * u64::from(rate.burst));
        let mut callers = self.callers.lock();
        let subject = callers.place(subject, now_us);
        let callers = &mut callers.earned_back;
        let spent = callers.get(&subject).map_or(0, |back| back.saturating_sub(now_us)).min(full);
        let after = spent.saturating_add(interval);
        let level = |spent: u64| Level {
            rate_per_second: rate.per_second,
            remaining: full.saturating_sub(spent) / interval,
            reset_seconds: spent.div_ceil(1_000_000),
        };
        if after > full {
            let seconds = (after - full).div_ceil(1_000_000);
            let detail = format!("too many requests; come back in {seconds} s");
            let failure = Failure::new(ProblemKind::RateLimited, detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from(seconds));
            // Nothing is charged; a clock that was set back is caught up with.
            callers.insert(subject, now_us.saturating_add(spent));
            return Err((failure, level(spent)));
        }
        callers.insert(subject, now_us.saturating_add(after));
        Ok(level(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> RateLimiter {
        let rate = |per_second| Rate { per_second, burst: 3 };
        RateLimiter::new(rate(2), rate(1))
    }

    fn at(unix_ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + unix_ms)
    }

    #[test]
    fn a_bucket_holds_a_burst_and_fills_again() {
        let limiter = limiter();
        let who = || Subject::Principal("root".to_owned());
        let left = [0, 0, 0].map(|ms| limiter.admit(who(), at(ms)).unwrap().remaining);
        assert_eq!(left, [2, 1, 0]);
        let (_, level) = limiter.admit(who(), at(499)).unwrap_err();
        assert_eq!((level.remaining, level.reset_seconds), (0, 2));
        assert_eq!(limiter.admit(who(), at(500)).unwrap().remaining, 0);
        assert!(limiter.admit(who(), at(999)).is_err());
        assert_eq!(limiter.admit(who(), at(60_000)).unwrap().remaining, 2);
        // Others are others.
        assert_eq!(
            limiter.admit(Subject::Principal("b".to_owned()), at(500)).unwrap().remaining,
            2
        );
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let limiter = limiter();
        let who = || Subject::Principal("root".to_owned());
        limiter.admit(who(), at(3_600_000)).unwrap();
        assert!(limiter.admit(who(), at(0)).is_err());
        assert!(limiter.admit(who(), at(500)).is_ok(), "as after a burst, not an hour later");
    }

    #[test]
    fn callers_are_bounded_and_newcomers_share() {
        let limiter = limiter();
        let address = |number: u32| Subject::address(IpAddr::from(number.to_be_bytes()));
        for number in 0..20_000 {
            let _ = limiter.admit(address(number), at(0));
        }
        assert!(limiter.callers.lock().earned_back.len() <= MAX_CALLERS + 1);
        assert!(limiter.admit(address(30_000), at(0)).is_err(), "the shared bucket is empty");
        assert!(limiter.admit(address(1), at(0)).is_ok(), "who is known keeps the own one");
        limiter.admit(address(30_000), at(10_000)).unwrap();
        assert!(limiter.callers.lock().earned_back.len() < 10, "what was earned back is forgotten");
    }

    #[test]
    fn room_is_looked_for_once_a_second() {
        let limiter = limiter();
        let who = |number: usize| Subject::Principal(number.to_string());
        for number in 0..=MAX_CALLERS {
            let _ = limiter.admit(who(number), at(0));
        }
        let known = || limiter.callers.lock().earned_back.len();
        assert_eq!(known(), MAX_CALLERS + 1);
        // They have earned back everything, and newcomers share for a while all the same.
        let _ = limiter.admit(who(MAX_CALLERS + 1), at(999));
        assert_eq!(known(), MAX_CALLERS + 1);
        limiter.admit(who(MAX_CALLERS + 2), at(1000)).unwrap();
        assert!(known() <= 2, "the newcomer, and those who share");
    }

    #[test]
    fn one_network_of_ipv6_is_one_caller() {
        let subject = |text: &str| Subject::address(text.parse().unwrap());
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:1"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_eq!(subject("::ffff:10.0.0.1"), subject("10.0.0.1"));
    }
}
