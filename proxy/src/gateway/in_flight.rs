//! How many requests are in progress, over all tenants.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Bounds the requests in progress, over all tenants.
#[derive(Debug, Clone)]
pub(crate) struct InFlightBound {
    count: Arc<AtomicUsize>,
    max: usize,
}

impl InFlightBound {
    pub(crate) fn new(max: usize) -> Self {
        Self { count: Arc::default(), max }
    }

    pub(super) fn enter(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.count));
        let before = self.count.fetch_add(1, Relaxed);
        // A place that is not given is dropped here, which takes the count back.
        (before < self.max).then_some(place)
    }
}

/// A place among the requests in progress; given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let bound = InFlightBound::new(2);
        let first = bound.enter();
        let _second = bound.enter();
        assert!(first.is_some() && bound.enter().is_none() && bound.enter().is_none());
        drop(first);
        assert!(bound.enter().is_some());
        assert_eq!(bound.count.load(Relaxed), 1);
    }
}
