//! All of it together: what may happen next is drawn from the seed, and after each step it is looked at
//! whether everything that must hold still does.

mod rest;

use std::{collections::BTreeMap, time::Duration};

use tenantry_distribution::{
    ContinuityError, EncodeError, Encoding, End, Epoch, Opening, Position, Protocols, Revision,
    StateHash,
};

use crate::{
    Options, Tally,
    control_plane::{Answer, Ask, ControlPlane},
    history::{History, changes, hash},
    pipe::{Id, Pipe},
    proxy::{Proxy, Read},
    random::Random,
};

const HEARTBEAT: Duration = Duration::from_secs(5);

pub(crate) struct World {
    random: Random,
    options: Options,
    now: Duration,
    history: History,
    /// The hash of every state there ever was.
    truth: BTreeMap<(Epoch, Revision), StateHash>,
    epochs: u128,
    /// None while the process is down.
    control_plane: Option<ControlPlane>,
    control_plane_speaks: Protocols,
    debounce: Duration,
    proxies: Vec<Proxy>,
    connections: BTreeMap<Id, Connection>,
    next_id: Id,
    pub(crate) tally: Tally,
}

struct Connection {
    proxy: usize,
    /// What was asked, until it is answered.
    ask: Option<Ask>,
    pipe: Pipe,
    /// Its proxy takes little, and seldom.
    is_slow: bool,
    /// The control plane has ended it, or was ended: what is on its way still arrives.
    is_closed: bool,
    heartbeat_at: Duration,
}

impl World {
    pub(crate) fn new(seed: u64, options: Options) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let history = History::new(Epoch::from_u128(1));
        let newest = 1 + u32::try_from(random.below(3)).unwrap_or(0);
        let control_plane_speaks = Protocols::up_to(newest);
        let debounce =
            Duration::from_millis([0, 20, 400].get(random.below(3)).copied().unwrap_or(0));
        let mut world = Self {
            now: Duration::ZERO,
            truth: BTreeMap::new(),
            epochs: 1,
            control_plane: None,
            control_plane_speaks,
            debounce,
            proxies: Vec::new(),
            connections: BTreeMap::new(),
            next_id: 0,
            tally: Tally::default(),
            history,
            options,
            random,
        };
        world.note_truth();
        for _ in 0..=world.random.below(5) {
            let proxy = world.new_proxy(Vec::new())?;
            world.proxies.push(proxy);
        }
        Ok(world)
    }

    /// A proxy of the control plane's protocol or a neighbour's.
    fn new_proxy(&mut self, file: Vec<u8>) -> Result<Proxy, String> {
        let newest = self.control_plane_speaks.newest();
        let neighbours = [newest.saturating_sub(1).max(1), newest, newest + 1];
        let newest = neighbours.get(self.random.below(3)).copied().unwrap_or(newest);
        let encoding = if self.random.percent(50) { Encoding::Zstd } else { Encoding::Plain };
        Proxy::start(file, Protocols::up_to(newest), encoding, self.options.defect)
    }

    pub(crate) fn run(&mut self) -> Result<(), String> {
        for _ in 0..self.options.steps {
            self.step()?;
            self.check()?;
        }
        self.rest()
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += Duration::from_millis(self.random.next() % 30);
        match self.random.below(1_000) {
            0..100 => self.commit(),
            100..250 => self.follow()?,
            250..450 => self.send_to_one()?,
            450..800 => self.deliver_to_one()?,
            800..890 => self.proxies_ask(),
            890..980 => self.answer_one(),
            980..987 => self.lose_connection(),
            987..989 => self.damage(),
            989..992 => self.pass_time(),
            992..995 => self.restart_proxy()?,
            995..997 => self.stop_control_plane(),
            997..999 => self.compact(),
            _ => self.restore(),
        }
        Ok(())
    }

    fn commit(&mut self) {
        let changes = changes(&mut self.random);
        self.history.commit(changes);
        self.note_truth();
        self.tally.commits += 1;
    }

    fn note_truth(&mut self) {
        let place = (self.history.epoch, self.history.head());
        self.truth.insert(place, hash(self.history.state()));
    }

    fn follow(&mut self) -> Result<(), String> {
        let at_most = self.random.below(4);
        self.follow_at_most(at_most)
    }

    fn follow_at_most(&mut self, at_most: usize) -> Result<(), String> {
        let Some(control_plane) = &mut self.control_plane else {
            self.start_control_plane();
            return Ok(());
        };
        control_plane.follow(&self.history, at_most);
        control_plane.publish(&self.history, self.now).map_err(encode)
    }

    fn send_to_one(&mut self) -> Result<(), String> {
        match self.any_connection() {
            Some(id) => self.send(id),
            None => Ok(()),
        }
    }

    fn any_connection(&mut self) -> Option<Id> {
        let nth = self.random.below(self.connections.len());
        self.connections.keys().nth(nth).copied()
    }

    fn send(&mut self, id: Id) -> Result<(), String> {
        let (Some(control_plane), Some(connection)) =
            (&mut self.control_plane, self.connections.get_mut(&id))
        else {
            return Ok(());
        };
        if connection.ask.is_some() || connection.is_closed {
            return Ok(());
        }
        let (pipe, now) = (&mut connection.pipe, self.now);
        let (was_full, before) = (pipe.is_full(), pipe.len());
        let goes_on = control_plane.send(id, pipe, &self.history, now).map_err(encode)?;
        connection.is_closed = !goes_on;
        if goes_on && now >= connection.heartbeat_at {
            connection.heartbeat_at = now + HEARTBEAT;
            control_plane.heartbeat(id, pipe).map_err(encode)?;
        }
        if was_full && pipe.len() > before {
            return Err("a stream is given more whose proxy has not taken the last".to_owned());
        }
        Ok(())
    }

    fn deliver_to_one(&mut self) -> Result<(), String> {
        let Some(id) = self.any_connection() else { return Ok(()) };
        let is_slow = self.connections.get(&id).is_some_and(|connection| connection.is_slow);
        let at_most = match self.random.below(4) {
            _ if is_slow => self.random.below(10),
            0 => 1,
            1 => self.random.below(40),
            2 => self.random.below(400),
            _ => usize::MAX,
        };
        self.deliver(id, at_most)
    }

    fn deliver(&mut self, id: Id, at_most: usize) -> Result<(), String> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        if connection.ask.is_some() {
            return Ok(());
        }
        let (proxy, bytes) = (connection.proxy, connection.pipe.read(at_most));
        let is_over = connection.is_closed && connection.pipe.is_empty();
        let is_damaged = connection.pipe.is_damaged;
        let Some(proxy) = self.proxies.get_mut(proxy) else { return Ok(()) };
        if proxy.connection() != Some(id) {
            return Ok(());
        }
        let before = proxy.applied;
        let read = proxy.read(bytes, self.now);
        proxy.is_tainted |= is_damaged;
        let (is_tainted, after) = (proxy.is_tainted, proxy.applied);
        self.judge(before, after, is_tainted)?;
        match read {
            Read::Fine if is_over => self.end(id, End::Lost),
            Read::Fine => {}
            Read::Unreadable if is_damaged => self.end(id, End::Unreadable),
            Read::Unreadable => return Err("what was sent cannot be read".to_owned()),
            Read::Breach(error) => {
                let is_other_epoch =
                    matches!(error, ContinuityError::Epoch { .. }) && self.epochs > 1;
                if !is_damaged && !is_other_epoch && !is_tainted {
                    return Err(format!("a stream that nobody damaged breaks a rule: {error}"));
                }
                self.tally.breaches += 1;
                self.end(id, End::Breach);
            }
            Read::Wrong(wrong) => return Err(wrong),
        }
        Ok(())
    }

    /// Within an epoch no proxy goes back, and what it holds is what was committed.
    fn judge(
        &mut self,
        before: Option<Position>,
        after: Option<Position>,
        is_tainted: bool,
    ) -> Result<(), String> {
        let Some(after) = after.filter(|after| Some(*after) != before) else { return Ok(()) };
        self.tally.applied += 1;
        if let Some(before) = before
            && before.epoch == after.epoch
            && before.revision > after.revision
        {
            return Err(format!(
                "a proxy went back from {} to {}",
                before.revision, after.revision
            ));
        }
        match self.truth.get(&(after.epoch, after.revision)) {
            Some(truth) if *truth == after.hash => Ok(()),
            // A damaged hello names another epoch; its hashes are true all the same.
            None if is_tainted => Ok(()),
            truth => Err(format!("a proxy holds {after:?}; committed was {truth:?}")),
        }
    }

    fn end(&mut self, id: Id, end: End) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(control_plane) = &mut self.control_plane {
            control_plane.close(id);
        }
        let draw = self.random.share();
        if let Some(proxy) = self.proxies.get_mut(connection.proxy)
            && proxy.connection() == Some(id)
        {
            proxy.end(end, draw, self.now);
        }
    }

    fn proxies_ask(&mut self) {
        let (now, mut silent) = (self.now, Vec::new());
        for (number, proxy) in self.proxies.iter_mut().enumerate() {
            match &proxy.link {
                crate::proxy::Link::Waiting { until } if *until <= now => {
                    let id = self.next_id;
                    self.next_id += 1;
                    let connection = Connection {
                        proxy: number,
                        ask: Some(proxy.ask(id)),
                        pipe: Pipe::default(),
                        is_slow: self.random.percent(10),
                        is_closed: false,
                        heartbeat_at: now,
                    };
                    self.connections.insert(id, connection);
                }
                _ if proxy.is_silent(now) => silent.extend(proxy.connection()),
                _ => {}
            }
        }
        for id in silent {
            self.end(id, End::Lost);
        }
    }

    /// Requests arrive in any order.
    fn answer_one(&mut self) {
        let waiting: Vec<Id> = self.asking();
        if let Some(id) = waiting.get(self.random.below(waiting.len())) {
            self.answer(*id);
        }
    }

    fn asking(&self) -> Vec<Id> {
        let asking = self.connections.iter().filter(|(_, connection)| connection.ask.is_some());
        asking.map(|(id, _)| *id).collect()
    }

    fn answer(&mut self, id: Id) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(ask) = connection.ask.take() else { return };
        let number = connection.proxy;
        let draw = self.random.share();
        let Some(control_plane) = &mut self.control_plane else {
            return self.end(id, End::Lost);
        };
        match control_plane.answer(id, ask, draw, self.now) {
            Answer::Stream(opening) => {
                self.tally.count(opening);
                let opened = self.proxies.get_mut(number).map(|proxy| proxy.opened(id, self.now));
                if !matches!(opened, Some(Ok(()))) {
                    self.end(id, End::Lost);
                }
                if opening == Opening::Full && ask.from.is_some_and(|from| self.is_known(from)) {
                    self.tally.needless_full += 1;
                }
            }
            Answer::TurnedAway(wait) => {
                self.tally.turned_away += 1;
                self.end(id, End::TurnedAway(wait));
            }
            Answer::OtherProtocol => self.end(id, End::Lost),
        }
    }

    /// Whether the log reaches back to a state of this history.
    fn is_known(&self, position: Position) -> bool {
        let truth = self.truth.get(&(position.epoch, position.revision));
        position.epoch == self.history.epoch
            && truth == Some(&position.hash)
            && position.revision >= self.history.oldest()
    }

    fn lose_connection(&mut self) {
        if let Some(id) = self.any_connection() {
            self.end(id, End::Lost);
        }
    }

    fn damage(&mut self) {
        let Some(id) = self.any_connection() else { return };
        let (place, flip) = (self.random.below(usize::MAX), self.random.next().to_be_bytes()[0]);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.pipe.damage(place, flip);
        }
    }

    fn pass_time(&mut self) {
        self.now += Duration::from_millis(self.random.next() % 40_000);
    }

    /// Ended at any moment: what is being appended to the file stays a part of a line.
    fn restart_proxy(&mut self) -> Result<(), String> {
        let number = self.random.below(self.proxies.len());
        let Some(proxy) = self.proxies.get_mut(number) else { return Ok(()) };
        let connection = proxy.connection();
        let mut file = std::mem::take(&mut proxy.file);
        let is_tainted = proxy.is_tainted;
        if let Some(id) = connection {
            self.end(id, End::Lost);
        }
        let base = base_bytes(&file);
        match self.random.below(6) {
            0 => file.clear(),
            1 | 2 => file.truncate(base + self.random.below(file.len() - base + 1)),
            _ => {}
        }
        let mut proxy = self.new_proxy(file)?;
        proxy.is_tainted = is_tainted;
        if let Some(place) = self.proxies.get_mut(number) {
            *place = proxy;
        }
        self.tally.restarts += 1;
        Ok(())
    }

    fn stop_control_plane(&mut self) {
        self.control_plane = None;
        for connection in self.connections.values_mut() {
            connection.is_closed = connection.ask.is_none();
        }
        self.tally.restarts += 1;
    }

    fn start_control_plane(&mut self) {
        if self.control_plane.is_none() {
            let (speaks, defect) = (self.control_plane_speaks, self.options.defect);
            let started = ControlPlane::start(&self.history, self.debounce, speaks, defect);
            self.control_plane = Some(started);
        }
    }

    fn compact(&mut self) {
        let keep = self.random.below(60);
        self.history.compact(keep);
    }

    /// The store is put back to an older state, which ends the process that had it open.
    fn restore(&mut self) {
        self.stop_control_plane();
        self.epochs += 1;
        let lost = self.random.below(10);
        self.history.restore(Epoch::from_u128(self.epochs), lost);
        self.note_truth();
    }
}

/// Up to the end of the whole state that a file begins with: written aside and renamed, it is never cut.
fn base_bytes(file: &[u8]) -> usize {
    let mut end = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        if line.starts_with(b"{\"commit\"") {
            break;
        }
    }
    end.min(file.len())
}

fn encode(error: EncodeError) -> String {
    error.to_string()
}
