//! What is kept of each view: the window that its streams read from, and which states it was in.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tenantry_distribution::{Delta, View, Window};
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
    pub(super) fn want(&mut self, region: &RegionId) -> bool {
        let is_there = self.windows.contains_key(&Some(region.clone()));
        if is_there {
            self.touch(region);
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

    pub(super) fn replace(&mut self, all: Option<Window>, now: Timestamp) {
        self.windows.clear();
        if let Some(window) = all {
            self.attach(None, window, now);
        }
    }

    pub(super) fn attach(&mut self, view: View, window: Window, now: Timestamp) {
        if let Some(region) = &view {
            self.touch(region);
        }
        self.heads.entry(view.clone()).or_default().note(window.head(), now);
        self.windows.insert(view, window);
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
    pub(super) fn forget_unused(&mut self) -> BTreeSet<RegionId> {
        self.uses.retain(|_, used| used.streams > 0 || used.last_at.elapsed() < KEPT);
        let Self { windows, heads, uses, .. } = self;
        let is_used = |view: &View| view.as_ref().is_none_or(|region| uses.contains_key(region));
        windows.retain(|view, _| is_used(view));
        heads.retain(|view, _| is_used(view));
        windows.keys().flatten().cloned().collect()
    }

    fn touch(&mut self, region: &RegionId) -> &mut Use {
        let last_at = Instant::now();
        let used = self.uses.entry(region.clone()).or_insert(Use { streams: 0, last_at });
        used.last_at = last_at;
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
            views.lock().touch(region).streams += 1;
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
            let mut views = self.views.lock();
            let used = views.touch(region);
            used.streams = used.streams.saturating_sub(1);
        }
    }
}
