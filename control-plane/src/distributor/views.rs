//! What is kept of each track: the window that its streams read from, and which states it was in.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tenantry_distribution::{Delta, NodeName, Overlay, Position, View, Window};
use tenantry_model::{RegionId, Timestamp};
use tokio::time::Instant;

use super::{heads::Heads, staging::Staging};

/// For how long a region's view is kept when none of its proxies is there.
const KEPT: Duration = Duration::from_secs(600);

/// What a proxy follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Track {
    /// Which part of the state.
    pub view: View,
    /// Whether with what is released to some proxies first.
    pub is_staged: bool,
}

impl Track {
    /// Of a view, as all proxies see it that are not chosen.
    #[must_use]
    pub fn below(view: View) -> Self {
        Self { view, is_staged: false }
    }

    /// Of a view, as those see it that are.
    #[must_use]
    pub fn staged(view: View) -> Self {
        Self { view, is_staged: true }
    }
}

/// All views that are in use.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// Those that have been read.
    windows: BTreeMap<Track, Window>,
    /// These outlive the windows: a state that is read again is the same history.
    heads: BTreeMap<Track, Heads>,
    /// Regions that a proxy waits for.
    wanted: BTreeSet<RegionId>,
    uses: BTreeMap<RegionId, Use>,
    /// The latest state that a proxy of a track was seen to hold, where it was later than the track's.
    passed: BTreeMap<Track, Position>,
    /// What is released to some proxies first, or was until a while ago.
    staging: Option<Staging>,
}

/// How what is released to some proxies first is seen in a view.
#[derive(Debug)]
pub(super) struct StagedView {
    pub(super) overlay: Arc<Overlay>,
    /// The state with it, and how many resources that has.
    pub(super) head: Position,
    pub(super) resources: usize,
    /// What leads there from the state below.
    pub(super) delta: Option<Delta>,
}

#[derive(Debug)]
struct Use {
    streams: usize,
    last_at: Instant,
}

impl Views {
    pub(super) fn window(&self, track: &Track) -> Option<&Window> {
        self.windows.get(track)
    }

    pub(super) fn window_mut(&mut self, track: &Track) -> Option<&mut Window> {
        self.windows.get_mut(track)
    }

    pub(super) fn heads(&self, track: &Track) -> Option<&Heads> {
        self.heads.get(track)
    }

    /// Notes that a region's view is wanted; false if it is there.
    pub(super) fn want(&mut self, region: &RegionId, now: Instant) -> bool {
        let is_there = self.has(region);
        if is_there {
            self.touch(region, now);
        } else {
            self.wanted.insert(region.clone());
        }
        !is_there
    }

    fn has(&self, region: &RegionId) -> bool {
        self.windows.contains_key(&Track::below(Some(region.clone())))
    }

    /// The next region whose view is to be begun. Whoever waits for it says so again if it is not.
    pub(super) fn wanted(&mut self) -> Option<RegionId> {
        while let Some(region) = self.wanted.pop_first() {
            if !self.has(&region) {
                return Some(region);
            }
        }
        None
    }

    pub(super) fn replace(&mut self, all: Option<Window>, now: (Timestamp, Instant)) {
        self.windows.clear();
        self.passed.clear();
        self.staging = None;
        if let Some(window) = all {
            self.attach(None, window, now);
        }
    }

    pub(super) fn attach(&mut self, view: View, window: Window, now: (Timestamp, Instant)) {
        if let Some(region) = &view {
            self.touch(region, now.1);
        }
        self.open(Track::below(view), window, now.0);
    }

    fn open(&mut self, track: Track, window: Window, now: Timestamp) {
        self.heads.entry(track.clone()).or_default().note(window.head(), now);
        self.windows.insert(track, window);
    }

    /// Notes where a proxy of a track stands, if that is later than the track's newest state: the same history may have
    /// gone on without a change that concerns the track, while the proxy followed another one.
    pub(super) fn pass(&mut self, track: &Track, by: Position) -> bool {
        let is_passed = self.is_behind(track, by);
        if is_passed {
            let latest = self.passed.entry(track.clone()).or_insert(by);
            if latest.epoch != by.epoch || latest.revision < by.revision {
                *latest = by;
            }
        }
        is_passed
    }

    /// Whether a track is to be moved on, for a proxy that stands later.
    pub(super) fn is_passed(&self, track: &Track) -> bool {
        self.passed.get(track).is_some_and(|by| self.is_behind(track, *by))
    }

    fn is_behind(&self, track: &Track, other: Position) -> bool {
        let head = self.windows.get(track).map(Window::head);
        head.is_some_and(|head| head.epoch == other.epoch && head.revision < other.revision)
    }

    pub(super) fn push(&mut self, track: &Track, delta: Delta, now: Timestamp) {
        if let Some(heads) = self.heads.get_mut(track) {
            heads.note(delta.to, now);
        }
        if let Some(window) = self.windows.get_mut(track) {
            window.push(delta);
        }
    }

    /// What a proxy of a view that stands here is to follow.
    pub(super) fn track(&self, node: &NodeName, view: &View, stands: Option<Position>) -> Track {
        let staged = Track::staged(view.clone());
        let is_staged = self.staging.as_ref().zip(self.windows.get(&staged)).is_some_and(
            |(staging, window)| staging.is_for(node) || staging.is_left_from(stands, window),
        );
        Track { is_staged, ..staged }
    }

    /// From now on something is released to some proxies first.
    pub(super) fn stage(&mut self, staging: Staging) {
        self.windows.retain(|track, _| !track.is_staged);
        self.passed.retain(|track, _| !track.is_staged);
        self.heads.retain(|track, _| !track.is_staged);
        self.staging = Some(staging);
    }

    /// How it is seen in a view, entered from the state below by a delta or begun by itself.
    pub(super) fn stage_view(&mut self, view: &View, staged: StagedView, now: Timestamp) {
        let StagedView { overlay, head, resources, delta } = staged;
        let Some(staging) = &mut self.staging else { return };
        staging.overlays.insert(view.clone(), overlay);
        let below = Track::below(view.clone());
        let track = Track::staged(view.clone());
        match (delta, self.windows.get(&below), self.heads.get(&below)) {
            (Some(delta), Some(window), Some(heads)) => {
                // Up to here both have one history, so whoever stands in it is led in.
                let (mut window, mut heads) = (window.clone(), heads.clone());
                heads.note(delta.to, now);
                window.push(delta);
                self.heads.insert(track.clone(), heads);
                self.windows.insert(track, window);
            }
            _ => self.open(track, Window::new(head, resources), now),
        }
    }

    /// From now on this is seen on top of a view.
    pub(super) fn cover(&mut self, view: &View, overlay: Arc<Overlay>) {
        if let Some(staging) = &mut self.staging {
            staging.overlays.insert(view.clone(), overlay);
        }
    }

    /// What was released to some first is so no longer: each of them is led back by what was pushed last.
    pub(super) fn unstage(&mut self, now: Instant) {
        if let Some(staging) = &mut self.staging {
            staging.end(now);
        }
    }

    /// What those see on top who follow this track.
    pub(super) fn overlay(&self, track: &Track) -> Option<Arc<Overlay>> {
        let staging = self.staging.as_ref().filter(|_| track.is_staged)?;
        staging.overlay(&track.view)
    }

    /// Forgets the views of regions that nobody has looked at for long, and says which are left.
    pub(super) fn forget_unused(&mut self, now: Instant) -> BTreeSet<RegionId> {
        let is_kept = |used: &Use| used.streams > 0 || now.duration_since(used.last_at) < KEPT;
        self.uses.retain(|_, used| is_kept(used));
        self.staging.take_if(|staging| staging.ended_before(now, KEPT));
        let Self { windows, heads, uses, passed, staging, .. } = self;
        let is_used = |track: &Track| {
            let is_seen = !track.is_staged || staging.is_some();
            is_seen && track.view.as_ref().is_none_or(|region| uses.contains_key(region))
        };
        windows.retain(|track, _| is_used(track));
        heads.retain(|track, _| is_used(track));
        passed.retain(|track, _| is_used(track));
        windows.keys().filter_map(|track| track.view.clone()).collect()
    }

    /// A stream of this region has begun.
    fn enter(&mut self, region: &RegionId, now: Instant) {
        let used = self.touch(region, now);
        used.streams = used.streams.saturating_add(1);
    }

    /// It has ended.
    fn leave(&mut self, region: &RegionId, now: Instant) {
        let used = self.touch(region, now);
        used.streams = used.streams.saturating_sub(1);
    }

    fn touch(&mut self, region: &RegionId, now: Instant) -> &mut Use {
        let used = self.uses.entry(region.clone()).or_insert(Use { streams: 0, last_at: now });
        used.last_at = now;
        used
    }
}

/// A view that somebody looks at, and which is kept as long.
pub(crate) struct InView {
    view: View,
    views: Arc<Mutex<Views>>,
}

impl InView {
    pub(super) fn new(views: &Arc<Mutex<Views>>, view: &View) -> Self {
        if let Some(region) = view {
            views.lock().enter(region, Instant::now());
        }
        Self { view: view.clone(), views: Arc::clone(views) }
    }
}

impl Deref for InView {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Drop for InView {
    fn drop(&mut self) {
        if let Some(region) = &self.view {
            self.views.lock().leave(region, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_distribution::{Epoch, Since, StateHash};
    use tenantry_model::Revision;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(epoch: u128, revision: u64) -> Position {
        let hash = StateHash::from_u128(7);
        Position { epoch: Epoch::from_u128(epoch), revision: Revision::new(revision), hash }
    }

    /// All, and the views of two regions, at revision 5.
    fn views(start: Instant) -> (Views, RegionId, RegionId) {
        let (eu, us): (RegionId, RegionId) = ("eu".parse().unwrap(), "us".parse().unwrap());
        let (mut views, now) = (Views::default(), (Timestamp::from_unix_ms(0), start));
        views.replace(Some(Window::new(at(1, 5), 0)), now);
        for region in [&eu, &us] {
            views.attach(Some(region.clone()), Window::new(at(1, 5), 0), now);
        }
        (views, eu, us)
    }

    #[test]
    fn a_view_is_forgotten_when_nobody_has_looked_at_it_for_long() {
        let start = Instant::now();
        let (mut views, eu, us) = views(start);
        let [in_eu, in_us] = [&eu, &us].map(|region| Track::below(Some(region.clone())));
        let both = BTreeSet::from([eu.clone(), us.clone()]);
        assert_eq!(views.forget_unused(start + KEPT - SECOND), both);
        // Two streams, of which one ends: the view is looked at.
        views.enter(&eu, start + SECOND);
        views.enter(&eu, start + SECOND);
        views.leave(&eu, start + 2 * SECOND);
        assert_eq!(views.forget_unused(start + KEPT), BTreeSet::from([eu.clone()]));
        assert!(views.window(&in_us).is_none() && views.heads(&in_us).is_none());
        assert_eq!(views.forget_unused(start + 10 * KEPT), BTreeSet::from([eu.clone()]));
        // The last one ends: the time begins anew.
        let ended = start + 20 * KEPT;
        views.leave(&eu, ended);
        assert_eq!(views.forget_unused(ended + KEPT - SECOND), BTreeSet::from([eu.clone()]));
        // Whoever comes finds it, and it is kept for as long again.
        assert!(!views.want(&eu, ended + KEPT - SECOND), "it is there");
        assert_eq!(views.forget_unused(ended + KEPT), BTreeSet::from([eu.clone()]));
        assert!(views.forget_unused(ended + 2 * KEPT).is_empty());
        assert!(views.window(&in_eu).is_none() && views.heads(&in_eu).is_none());
        assert!(views.window(&Track::below(None)).is_some(), "the view of all is never forgotten");
        // It begins once more when it is wanted.
        assert!(views.want(&eu, ended + 3 * KEPT));
        assert_eq!(views.wanted(), Some(eu));
    }

    #[test]
    fn a_view_that_a_proxy_has_passed_is_to_move_on() {
        let (mut views, eu, us) = views(Instant::now());
        let (eu, us) = (Track::below(Some(eu)), Track::below(Some(us)));
        for not_later in [at(1, 5), at(1, 4), at(2, 9)] {
            assert!(!views.pass(&eu, not_later), "{not_later:?}");
        }
        assert!(views.pass(&eu, at(1, 8)) && views.pass(&eu, at(1, 7)));
        assert!(
            views.is_passed(&eu) && !views.is_passed(&us) && !views.is_passed(&Track::below(None))
        );
        let moved = |from, to| Delta::new(at(1, from), at(1, to), 0, Vec::new()).unwrap();
        views.push(&eu, moved(5, 7), Timestamp::from_unix_ms(1));
        assert!(views.is_passed(&eu), "the later one counts");
        views.push(&eu, moved(7, 8), Timestamp::from_unix_ms(1));
        assert!(!views.is_passed(&eu));
    }

    fn delta(from: Position, to: Position) -> Delta {
        Delta::new(from, to, 0, Vec::new()).unwrap()
    }

    fn with_hash(position: Position, hash: u128) -> Position {
        Position { hash: StateHash::from_u128(hash), ..position }
    }

    /// Of what a stream that stands here is sent on its track: where it leads.
    fn next(views: &Views, node: &NodeName, stands: Position) -> Option<Position> {
        let track = views.track(node, &None, Some(stands));
        match views.window(&track).unwrap().since(stands) {
            Since::Deltas(_, to) => Some(to),
            _ => None,
        }
    }

    #[test]
    fn who_is_chosen_is_led_in_and_back_and_nobody_else() {
        let [chosen, other]: [NodeName; 2] = ["edge-1", "edge-2"].map(|name| name.parse().unwrap());
        let (mut views, ..) = views(Instant::now());
        let now = Timestamp::from_unix_ms(0);
        views.push(&Track::below(None), delta(at(1, 5), at(1, 6)), now);
        // The commit with which it begins changes nothing below.
        let staged = with_hash(at(1, 7), 9);
        views.stage(Staging::new(BTreeSet::from([chosen.clone()]), staged.revision));
        let overlay = Arc::new(Overlay::default());
        let delta_in = Some(delta(at(1, 6), staged));
        let view = StagedView { overlay, head: staged, resources: 0, delta: delta_in };
        views.stage_view(&None, view, now);
        assert_eq!(next(&views, &chosen, at(1, 5)), Some(staged), "also who was behind");
        assert_eq!(next(&views, &chosen, at(1, 6)), Some(staged));
        assert_eq!(next(&views, &other, at(1, 5)), Some(at(1, 6)));
        let (below_8, staged_8) = (at(1, 8), with_hash(at(1, 8), 9));
        views.push(&Track::below(None), delta(at(1, 6), below_8), now);
        views.push(&Track::staged(None), delta(staged, staged_8), now);
        assert_eq!(next(&views, &chosen, staged), Some(staged_8));
        assert_eq!(next(&views, &other, at(1, 6)), Some(below_8));
        // It ends, while one of the chosen is away.
        let end = at(1, 9);
        views.push(&Track::below(None), delta(below_8, end), now);
        views.push(&Track::staged(None), delta(staged_8, end), now);
        let ended = Instant::now();
        views.unstage(ended);
        assert_eq!(next(&views, &chosen, staged), Some(end), "however far it had come");
        assert_eq!(next(&views, &other, at(1, 5)), Some(end));
        views.push(&Track::below(None), delta(end, at(1, 10)), now);
        assert_eq!(next(&views, &chosen, end), Some(at(1, 10)), "from there on all are one");
        assert!(!views.track(&chosen, &None, Some(end)).is_staged);
        // Who comes anew has nothing to be led back from.
        assert!(!views.track(&chosen, &None, None).is_staged);
        views.forget_unused(ended + KEPT);
        assert!(views.window(&Track::staged(None)).is_none());
        assert_eq!(next(&views, &chosen, staged), None, "then it is sent everything");
    }
}
