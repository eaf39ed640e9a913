//! How many refused attempts are written down one by one.
//!
//! An attempt that somebody known makes is an audit entry of its own, up to [`PER_PRINCIPAL`] in a
//! minute each and [`IN_ALL`] together. What is beyond that, and everything from those who are not
//! known, is counted by source address and becomes one entry for each address and minute: at most
//! [`SOURCES`] addresses, and one entry more for all others together. So whatever is sent, refused
//! attempts write at most [`IN_ALL`] + [`SOURCES`] + 1 entries in a minute.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use parking_lot::Mutex;
use tenantry_tenancy::{Caller, Denial, Principal};
use tokio::sync::watch;

use crate::app::App;

const PER_PRINCIPAL: u32 = 10;
const IN_ALL: u32 = 60;
const SOURCES: usize = 16;
const WINDOW: Duration = Duration::from_secs(60);

/// The refused attempts of this minute.
#[derive(Debug, Default)]
pub struct Denials(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    shown: HashMap<String, u32>,
    shown_in_all: u32,
    counted: HashMap<IpAddr, u64>,
    others: u64,
}

impl Denials {
    /// Counts an attempt; whether it is to be written down now.
    pub(crate) fn is_shown(&self, principal: &Principal, source: Option<IpAddr>) -> bool {
        let mut window = self.0.lock();
        if *principal != Principal::Anonymous && window.shown_in_all < IN_ALL {
            let shown = window.shown.entry(principal.to_string()).or_default();
            if *shown < PER_PRINCIPAL {
                *shown += 1;
                window.shown_in_all += 1;
                return true;
            }
        }
        let is_full = window.counted.len() >= SOURCES;
        match source {
            Some(source) if !is_full || window.counted.contains_key(&source) => {
                *window.counted.entry(source).or_default() += 1;
            }
            _ => window.others += 1,
        }
        false
    }

    /// What was only counted; the next minute begins.
    fn taken(&self) -> Vec<(Option<IpAddr>, u64)> {
        let Window { counted, others, .. } = std::mem::take(&mut *self.0.lock());
        let counted = counted.into_iter().map(|(source, count)| (Some(source), count));
        counted.chain((others > 0).then_some((None, others))).collect()
    }
}

/// Writes down each minute what was counted, and once more at the end.
pub async fn run(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    let is_over = AtomicBool::new(false);
    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
        tokio::select! {
            () = tokio::time::sleep(WINDOW) => {}
            // An error means that whoever would say so is gone, which says the same.
            _ = stopping.wait_for(|stop| *stop) => is_over.store(true, std::sync::atomic::Ordering::Relaxed),
        }
        for (source, count) in app.denials.taken() {
            let caller = Caller {
                principal: Principal::Anonymous,
                request_id: String::new(),
                source_address: source,
                idempotency: None,
                is_rehearsal: false,
            };
            let others = source.is_none().then(|| "all others".to_owned());
            let denial = Denial { method: None, path: None, status: None, count, source: others };
            if let Err(error) = app.tenancy.record_denial(&caller, &denial).await {
                tracing::warn!(%error, count, "refused attempts could not be written down");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_model::InvitationId;

    use super::*;

    #[test]
    fn whatever_is_sent_few_entries_are_written() {
        let denials = Denials::default();
        let source = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
        let shown = (0..1000).filter(|n| denials.is_shown(&Principal::Root, source(*n))).count();
        assert_eq!(shown, 10);
        assert!((0..1000).all(|n| !denials.is_shown(&Principal::Anonymous, source(n))));
        let taken = denials.taken();
        assert_eq!(taken.len(), SOURCES + 1);
        assert_eq!(taken.iter().map(|(_, count)| count).sum::<u64>(), 1990);
        assert!(denials.taken().is_empty());
        assert!(denials.is_shown(&Principal::Root, None));
    }

    #[test]
    fn of_many_who_are_known_few_entries_are_written_too() {
        let denials = Denials::default();
        let who = |number: u128| Principal::Invited(InvitationId::from_parts(1, number));
        let shown = (0..1000).filter(|number| denials.is_shown(&who(number % 100), None));
        assert_eq!(shown.count(), 60);
        assert_eq!(denials.taken(), [(None, 940)]);
    }
}
