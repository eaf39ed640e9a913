//! What is kept of each view: the window that its streams read from, and which states it was in.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tenantry_distribution::{Delta, Position, View, Window};
use tenantry_model::{RegionId, Timestamp};
use tokio::time::Instant;

use super::heads::Heads;

/// For how long a region's view is kept when none of its proxies is there.
const KEPT: Duration = Duration::from_secs(600);

/// All views that are in use.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// Those that have been read.
    windows: BTreeMap<View, Window>,
    /// These outlive the windows: a state that is read again is the same history.
    heads: BTreeMap<View, Heads>,
    /// Regions that a proxy waits for.
    wanted: BTreeSet<RegionId>,
    uses: BTreeMap<RegionId, Use>,
    /// The latest state that a proxy of a view was seen to hold, where it was later than the view's.
    passed: BTreeMap<View, Position>,
}

#[derive(Debug)]
struct Use {
    streams: usize,
    last_at: Instant,
}

impl Views {
    pub(super) fn window(&self, view: &View) -> Option<&Window> {
        self.windows.get(view)
    }

    pub(super) fn window_mut(&mut self, view: &View) -> Option<&mut Window> {
        self.windows.get_mut(view)
    }

    pub(super) fn heads(&self, view: &View) -> Option<&Heads> {
        self.heads.get(view)
    }

    /// Notes that a region's view is wanted; false if it is there.
    pub(super) fn want(&mut self, region: &RegionId, now: Instant) -> bool {
        let is_there = self.windows.contains_key(&Some(region.clone()));
        if is_there {
            self.touch(region, now);
        } else {
            self.wanted.insert(region.clone());
        }
        !is_there
    }

    /// The next region whose view is to be begun. Whoever waits for it says so again if it is not.
    pub(super) fn wanted(&mut self) -> Option<RegionId> {
        std::iter::from_fn(|| self.wanted.pop_first())
            .find(|region| !self.windows.contains_key(&Some(region.clone())))
    }

    pub(super) fn replace(&mut self, all: Option<Window>, now: (Timestamp, Instant)) {
        self.windows.clear();
        self.passed.clear();
        if let Some(window) = all {
            self.attach(None, window, now);
        }
    }

    pub(super) fn attach(&mut self, view: View, window: Window, now: (Timestamp, Instant)) {
        if let Some(region) = &view {
            self.touch(region, now.1);
        }
        self.heads.entry(view.clone()).or_default().note(window.head(), now.0);
        self.windows.insert(view, window);
    }

    /// Notes where a proxy of a view stands, if that is later than the view's newest state: the same history may have
    /// gone on without a change that concerns the view, while the proxy followed another one.
    pub(super) fn pass(&mut self, view: &View, by: Position) -> bool {
        let is_passed = self.is_behind(view, by);
        if is_passed {
            let latest = self.passed.entry(view.clone()).or_insert(by);
            if latest.epoch != by.epoch || latest.revision < by.revision {
                *latest = by;
            }
        }
        is_passed
    }

    /// Whether a view is to be moved on, for a proxy that stands later.
    pub(super) fn is_passed(&self, view: &View) -> bool {
        self.passed.get(view).is_some_and(|by| self.is_behind(view, *by))
    }

    fn is_behind(&self, view: &View, other: Position) -> bool {
        let head = self.windows.get(view).map(Window::head);
        head.is_some_and(|head| head.epoch == other.epoch && head.revision < other.revision)
    }

    pub(super) fn push(&mut self, view: &View, delta: Delta, now: Timestamp) {
        if let Some(heads) = self.heads.get_mut(view) {
            heads.note(delta.to, now);
        }
        if let Some(window) = self.windows.get_mut(view) {
            window.push(delta);
        }
    }

    /// Forgets the views of regions that nobody has looked at for long, and says which are left.
    pub(super) fn forget_unused(&mut self, now: Instant) -> BTreeSet<RegionId> {
        let is_kept = |used: &Use| used.streams > 0 || now.duration_since(used.last_at) < KEPT;
        self.uses.retain(|_, used| is_kept(used));
        let Self { windows, heads, uses, passed, .. } = self;
        let is_used = |view: &View| view.as_ref().is_none_or(|region| uses.contains_key(region));
        windows.retain(|view, _| is_used(view));
        heads.retain(|view, _| is_used(view));
        passed.retain(|view, _| is_used(view));
        windows.keys().flatten().cloned().collect()
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
    use tenantry_distribution::{Epoch, StateHash};
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
        let (in_eu, in_us) = (Some(eu.clone()), Some(us.clone()));
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
        assert!(views.window(&None).is_some(), "the view of all is never forgotten");
        // It begins once more when it is wanted.
        assert!(views.want(&eu, ended + 3 * KEPT));
        assert_eq!(views.wanted(), Some(eu));
    }

    #[test]
    fn a_view_that_a_proxy_has_passed_is_to_move_on() {
        let (mut views, eu, us) = views(Instant::now());
        let (eu, us) = (Some(eu), Some(us));
        for not_later in [at(1, 5), at(1, 4), at(2, 9)] {
            assert!(!views.pass(&eu, not_later), "{not_later:?}");
        }
        assert!(views.pass(&eu, at(1, 8)) && views.pass(&eu, at(1, 7)));
        assert!(views.is_passed(&eu) && !views.is_passed(&us) && !views.is_passed(&None));
        let moved = |from, to| Delta::new(at(1, from), at(1, to), 0, Vec::new()).unwrap();
        views.push(&eu, moved(5, 7), Timestamp::from_unix_ms(1));
        assert!(views.is_passed(&eu), "the later one counts");
        views.push(&eu, moved(7, 8), Timestamp::from_unix_ms(1));
        assert!(!views.is_passed(&eu));
    }
}
