//! The state with an overlay, which only some proxies are sent, beside the state that all others are sent.
//!
//! It is entered and left by a delta each, at revisions of commits that change nothing below, and between them it has a
//! delta for each one below. So a proxy that is led in and out never needs the whole state.

use super::Publication;
use crate::{Change, Delta, EncodeError, Overlay, Position, Revision};

/// The same with an overlay, which only some proxies are sent.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) head: Position,
    pub(super) overlay: Overlay,
}

impl Publication {
    /// From now on some proxies see an overlay. What is answered leads them there from the head; none if no commit was
    /// taken in since that: then the state with the overlay begins by itself. Nothing may wait.
    ///
    /// # Errors
    /// If a resource is too large to be sent; then there is no overlay.
    pub fn stage(&mut self, overlay: Overlay) -> Result<Option<Delta>, EncodeError> {
        debug_assert!(self.waiting.is_empty(), "what waits is not in the state below");
        let overlay = overlay.on(|name| self.ledger.holds(&name.kind, &name.id));
        let changes = overlay.changes().cloned().collect();
        let (hash, resources) = self.ledger.under(&overlay);
        let from = self.head;
        let head = Position { revision: self.seen, hash, ..from };
        let delta = (from.revision < head.revision)
            .then(|| Delta::marked(from, head, resources, changes, self.removal))
            .transpose()?;
        self.staged = Some(Staged { head, overlay });
        Ok(delta)
    }

    /// The overlay is seen no longer. What is answered leads those that saw it to the head, with the covered resources
    /// as they are below; the head is then moved on to the last commit that was taken in. Nothing may wait.
    ///
    /// # Errors
    /// If a resource is too large to be sent.
    pub fn unstage(&mut self, uncovered: Vec<Change>) -> Result<Option<Delta>, EncodeError> {
        debug_assert!(self.waiting.is_empty(), "what waits is not in the state below");
        let Some(Staged { head: from, .. }) = self.staged.take() else { return Ok(None) };
        let to = Position { revision: self.seen, hash: self.ledger.hash(), ..from };
        let resources = self.ledger.resources();
        (from.revision < to.revision)
            .then(|| Delta::marked(from, to, resources, uncovered, self.removal))
            .transpose()
    }

    /// What some proxies see on top, if they do.
    #[must_use]
    pub fn overlay(&self) -> Option<&Overlay> {
        self.staged.as_ref().map(|staged| &staged.overlay)
    }

    /// The state that those who see an overlay were sent last, and how many resources it has.
    #[must_use]
    pub fn staged_head(&self) -> Option<(Position, usize)> {
        let Staged { head, overlay } = self.staged.as_ref()?;
        Some((*head, self.ledger.under(overlay).1))
    }

    pub(super) fn staged_to(
        &mut self,
        revision: Revision,
        changes: Vec<Change>,
    ) -> Result<Option<Delta>, EncodeError> {
        let Some(Staged { head, overlay }) = &mut self.staged else { return Ok(None) };
        let (hash, resources) = self.ledger.under(overlay);
        let to = Position { revision, hash, ..*head };
        let from = std::mem::replace(head, to);
        Delta::marked(from, to, resources, changes, self.removal).map(Some)
    }

    /// As [`advance`](Self::advance), for those who see an overlay.
    ///
    /// # Errors
    /// None that is known of.
    pub fn advance_staged(&mut self) -> Result<Option<Delta>, EncodeError> {
        let head = self.staged.as_ref().map(|staged| staged.head.revision);
        if !self.waiting.is_empty() || head.is_none_or(|head| self.settled <= head) {
            return Ok(None);
        }
        self.staged_to(self.settled, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use proptest::prelude::*;

    use crate::{
        Assembler, Begin, Change, Delta, Encoding, Epoch, Event, Frame, FrameReader, Ledger, Mark,
        Overlay, Position, Publication, Published, Removal, RemovalBrake, ResourceJson,
        ResourceName, Revision, StateHash, UpdateKind,
    };

    type Content = BTreeMap<ResourceName, String>;

    /// A proxy that is only ever sent deltas.
    struct Proxy {
        assembler: Assembler,
        position: Position,
        content: Content,
    }

    fn start() -> Position {
        let (epoch, hash) = (Epoch::from_u128(1), StateHash::from_u128(0));
        Position { epoch, revision: Revision::new(0), hash }
    }

    impl Proxy {
        fn new() -> Self {
            let mut assembler = Assembler::new(RemovalBrake::default());
            let mark = Mark { revision: start().revision, hash: start().hash };
            let begin = Begin {
                kind: UpdateKind::Full,
                from: mark.revision,
                to: mark.revision,
                removal: Removal::Guarded,
            };
            for frame in [Frame::hello(start().epoch), Frame::Begin(begin), Frame::Commit(mark)] {
                assembler.push(frame).unwrap();
            }
            Self { assembler, position: start(), content: Content::new() }
        }

        /// Each delta stands where the one before it led to, and holds what its hash says: the assembler sees to it.
        fn take(&mut self, delta: &Delta) {
            assert_eq!(delta.from, self.position);
            let mut reader = FrameReader::new(Encoding::Plain).unwrap();
            reader.push(delta.lines.bytes(Encoding::Plain));
            while let Some(frame) = reader.next() {
                let Event::Update(update) = self.assembler.push(frame.unwrap()).unwrap() else {
                    continue;
                };
                self.position = update.position();
                lay(&mut self.content, &update.changes);
            }
            assert_eq!(delta.to, self.position);
            assert_eq!(delta.resources, self.content.len());
        }
    }

    fn lay(content: &mut Content, changes: &[Change]) {
        for change in changes {
            let (name, json) = change.clone().into_parts();
            match json {
                Some(json) => drop(content.insert(name, json.as_str().to_owned())),
                None => drop(content.remove(&name)),
            }
        }
    }

    fn change(id: u8, value: Option<u8>) -> Change {
        let name = ResourceName { kind: "plan".to_owned(), id: id.to_string() };
        let json = |value: u8| ResourceJson::from_slice(value.to_string().as_bytes()).unwrap();
        Change::new(name, value.map(json))
    }

    #[derive(Debug, Clone)]
    enum Step {
        Commit(Vec<(u8, Option<u8>)>),
        Publish,
        Stage(Vec<(u8, Option<u8>)>),
        Unstage,
        Advance,
    }

    fn changes() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
        prop::collection::vec((0..12_u8, prop::option::weighted(0.7, 0..4_u8)), 0..5)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => changes().prop_map(Step::Commit),
            4 => Just(Step::Publish),
            2 => changes().prop_map(Step::Stage),
            2 => Just(Step::Unstage),
            1 => Just(Step::Advance),
        ];
        prop::collection::vec(step, 0..60)
    }

    /// The control plane, one proxy that is never chosen, and one that always is.
    struct World {
        publication: Publication,
        below: Content,
        overlay: Option<Vec<Change>>,
        other: Proxy,
        chosen: Proxy,
        revision: u64,
    }

    impl World {
        fn commit(&mut self, changes: Vec<Change>) {
            self.revision += 1;
            lay(&mut self.below, &changes);
            self.publication.take(Revision::new(self.revision), changes);
        }

        fn publish(&mut self) {
            while let Some(Published { all, staged }) =
                self.publication.publish(Duration::ZERO).unwrap()
            {
                self.other.take(&all);
                assert_eq!(staged.is_some(), self.overlay.is_some());
                self.chosen.take(staged.as_ref().unwrap_or(&all));
            }
        }

        fn stage(&mut self, overlay: Vec<Change>) {
            self.publish();
            self.commit(Vec::new());
            let is_there =
                |change: &Change| self.below.contains_key(&change.clone().into_parts().0);
            // One change of each, and no removal of what is not there.
            let overlay: BTreeMap<_, _> =
                overlay.into_iter().map(|change| (change.clone().into_parts().0, change)).collect();
            let overlay = overlay.into_values();
            let overlay: Vec<_> =
                overlay.filter(|change| change.json().is_some() || is_there(change)).collect();
            let staged = self.publication.stage(Overlay::new(overlay.clone())).unwrap();
            self.chosen.take(&staged.unwrap());
            let (head, resources) = self.publication.staged_head().unwrap();
            assert_eq!((head, resources), (self.chosen.position, self.chosen.content.len()));
            self.overlay = Some(overlay);
        }

        fn unstage(&mut self) {
            let Some(overlay) = self.overlay.take() else { return };
            self.publish_staged_last(&overlay);
        }

        fn publish_staged_last(&mut self, overlay: &[Change]) {
            self.overlay = Some(overlay.to_vec());
            self.publish();
            self.overlay = None;
            self.commit(Vec::new());
            let names = self.publication.overlay().unwrap().names().cloned();
            let below = |name: ResourceName| {
                let json = self.below.get(&name);
                let json = json.map(|json| ResourceJson::from_slice(json.as_bytes()).unwrap());
                Change::new(name, json)
            };
            let uncovered = names.map(below).collect();
            self.chosen.take(&self.publication.unstage(uncovered).unwrap().unwrap());
            // Both are one from here on.
            self.other.take(&self.publication.advance().unwrap().unwrap());
            assert_eq!(self.chosen.position, self.other.position);
        }

        fn advance(&mut self) {
            let staged = self.publication.advance_staged().unwrap();
            let all = self.publication.advance().unwrap();
            let chosen = if self.overlay.is_some() { &staged } else { &all };
            chosen.iter().for_each(|delta| self.chosen.take(delta));
            all.iter().for_each(|delta| self.other.take(delta));
        }

        fn check(&self) {
            let mut seen = self.below.clone();
            lay(&mut seen, self.overlay.as_deref().unwrap_or_default());
            assert_eq!(self.other.content, self.below);
            assert_eq!(self.chosen.content, seen);
        }
    }

    proptest! {
        #[test]
        fn who_is_chosen_sees_the_overlay_and_who_is_not_does_not(steps in steps()) {
            let publication = Publication::new(start(), Ledger::new(), Duration::ZERO);
            let (below, overlay) = (Content::new(), None);
            let (other, chosen) = (Proxy::new(), Proxy::new());
            let mut world = World { publication, below, overlay, other, chosen, revision: 0 };
            let made = |changes: Vec<(u8, Option<u8>)>| {
                changes.into_iter().map(|(id, value)| change(id, value)).collect::<Vec<_>>()
            };
            for step in steps {
                match step {
                    Step::Commit(changes) => world.commit(made(changes)),
                    Step::Publish => world.publish(),
                    Step::Stage(changes) => {
                        world.unstage();
                        world.stage(made(changes));
                    }
                    Step::Unstage => world.unstage(),
                    Step::Advance => world.advance(),
                }
            }
            world.publish();
            world.check();
            world.unstage();
            world.check();
        }
    }

    /// As after a restart of the control plane: the state with the overlay begins where the state below does.
    #[test]
    fn an_overlay_on_a_state_that_was_read_whole_begins_by_itself() {
        let mut ledger = Ledger::new();
        ledger.apply(&change(1, Some(1)));
        let head = Position { revision: Revision::new(7), hash: ledger.hash(), ..start() };
        let mut publication = Publication::new(head, ledger, Duration::ZERO);
        let overlay = Overlay::new([change(1, Some(2)), change(2, Some(2)), change(3, None)]);
        assert_eq!(publication.stage(overlay).unwrap(), None);
        let (staged, resources) = publication.staged_head().unwrap();
        assert_eq!((staged.revision, resources), (head.revision, 2));
        assert_ne!(staged.hash, head.hash);
        assert_eq!(
            publication.overlay().unwrap().names().count(),
            2,
            "what is not there is not named"
        );
    }
}
