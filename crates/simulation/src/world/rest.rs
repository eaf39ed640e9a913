//! What must hold at every moment, and that all come to rest in one state.

use std::time::Duration;

use tenantry_distribution::Position;

use super::World;
use crate::{control_plane::PLACES, history::hash, pipe::Id};

/// What no stream may have waiting for its proxy, whatever happens: what fits, and the largest portion or
/// page that can come on top.
const MAX_WAITING_BYTES: usize = 14_000;
/// Time that passes between two steps of coming to rest.
const REST_STEP: Duration = Duration::from_millis(100);
/// How long coming to rest may take: several times the longest wait there is.
const REST_STEPS: usize = 6_000;

impl World {
    /// What must hold after every step.
    pub(super) fn check(&self) -> Result<(), String> {
        for proxy in &self.proxies {
            if proxy.connection().is_none() {
                proxy.check()?;
            }
        }
        for connection in self.connections.values() {
            if connection.pipe.len() > MAX_WAITING_BYTES {
                return Err(format!("{} bytes wait for one proxy", connection.pipe.len()));
            }
        }
        let Some(control_plane) = &self.control_plane else { return Ok(()) };
        if control_plane.taken_places() > PLACES as usize {
            return Err("too many expensive sends at once".to_owned());
        }
        let (bytes, most) = control_plane.window_bytes();
        if bytes > most {
            return Err(format!("the window keeps {bytes} bytes"));
        }
        if self.tally.needless_full > 0 {
            return Err("the whole state is sent to a proxy that the log reaches".to_owned());
        }
        Ok(())
    }

    /// Nothing goes wrong any more and nothing changes: all come to the same state, within a time.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.start_control_plane();
        for _ in 0..REST_STEPS {
            self.now += REST_STEP;
            self.follow_at_most(usize::MAX)?;
            self.proxies_ask();
            for id in self.asking() {
                self.answer(id);
            }
            let ids: Vec<Id> = self.connections.keys().copied().collect();
            for id in ids {
                self.send(id)?;
                self.deliver(id, usize::MAX)?;
            }
            self.check()?;
            if self.differences().is_empty() {
                return Ok(());
            }
        }
        Err(format!("it does not come to rest: {}", self.differences().join("; ")))
    }

    /// How proxies differ from the control plane.
    fn differences(&self) -> Vec<String> {
        let Some(control_plane) = &self.control_plane else { return vec!["it is down".to_owned()] };
        let head = control_plane.head();
        let committed = hash(self.history.state());
        let mut differences = Vec::new();
        if head.hash != committed || head.epoch != self.history.epoch {
            differences.push(format!("the control plane says {head:?}; committed is {committed}"));
        }
        for (number, proxy) in self.proxies.iter().enumerate() {
            let same = |applied: Position| {
                let is_epoch = applied.epoch == head.epoch || proxy.is_tainted;
                is_epoch && (applied.revision, applied.hash) == (head.revision, head.hash)
            };
            let is_same = proxy.applied.is_some_and(same) && proxy.content == *self.history.state();
            if !is_same {
                let (applied, link) = (proxy.applied, proxy.connection());
                differences
                    .push(format!("proxy {number} ({link:?}) has {applied:?}, not {head:?}"));
            }
        }
        differences
    }
}
