//! Which tenants have which one, two or three characters in a row.
//!
//! What is looked for in up to three characters is answered by one set. For more, only tenants that
//! have each three of them in a row come into question, and those have to be looked at: the threes
//! may lie apart, or in different texts.

use std::collections::HashMap;

use roaring::RoaringBitmap;

/// The most characters in a gram.
const LONGEST: usize = 3;
/// Bits that a character takes.
const BITS: u32 = 21;

/// Up to three characters, packed. None of them is NUL, so grams of different lengths differ.
type Gram = u64;

/// The sets, by gram. A set is never empty.
#[derive(Debug, Default)]
pub(crate) struct Grams(HashMap<Gram, RoaringBitmap>);

/// Who may have a text.
pub(crate) struct Candidates {
    pub(crate) rows: RoaringBitmap,
    /// All of them have it.
    pub(crate) are_certain: bool,
}

impl Grams {
    pub(crate) fn insert(&mut self, texts: [&str; 2], row: u32) {
        for gram in texts.into_iter().flat_map(grams) {
            self.0.entry(gram).or_default().insert(row);
        }
    }

    pub(crate) fn remove(&mut self, texts: [&str; 2], row: u32) {
        for gram in texts.into_iter().flat_map(grams) {
            if let Some(rows) = self.0.get_mut(&gram) {
                rows.remove(row);
                if rows.is_empty() {
                    self.0.remove(&gram);
                }
            }
        }
    }

    /// Who may have a text that is not empty.
    pub(crate) fn candidates(&self, text: &str) -> Candidates {
        let characters: Vec<_> = text.chars().collect();
        if characters.contains(&'\0') {
            return Candidates { rows: RoaringBitmap::new(), are_certain: true };
        }
        if characters.len() <= LONGEST {
            let rows = self.0.get(&packed(&characters)).cloned().unwrap_or_default();
            return Candidates { rows, are_certain: true };
        }
        let sets = characters.windows(LONGEST).map(|window| self.0.get(&packed(window)));
        let Some(mut sets) = sets.collect::<Option<Vec<_>>>() else {
            return Candidates { rows: RoaringBitmap::new(), are_certain: true };
        };
        sets.sort_unstable_by_key(|set| set.len());
        let mut sets = sets.into_iter();
        let mut rows = sets.next().cloned().unwrap_or_default();
        sets.for_each(|set| rows &= set);
        Candidates { rows, are_certain: false }
    }
}

fn packed(characters: &[char]) -> Gram {
    characters.iter().fold(0, |gram, character| gram << BITS | u64::from(u32::from(*character)))
}

fn grams(text: &str) -> impl Iterator<Item = Gram> {
    let characters: Vec<_> = text.chars().collect();
    (1..=LONGEST).flat_map(move |length| {
        let grams: Vec<_> = characters.windows(length).map(packed).collect();
        grams
    })
}
