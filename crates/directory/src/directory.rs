//! The tenants, and how a page of them is found.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use roaring::RoaringBitmap;
use tenantry_model::{Revision, TenantId, Timestamp};

use crate::{
    Entry, Filter, Order, Position, SortField,
    facet::{self, Facet},
    filter::{Kind, Test},
    folded,
    grams::Grams,
    order::SortKey,
};

/// Where a tenant is kept: a small number, so that sets of tenants are small.
type Row = u32;
type Places = BTreeMap<Position, Row>;

/// How much dearer it is to look at a tenant of a set and sort it than to pass over one in its order.
const SORTING: u64 = 8;

/// All tenants, with what finds them.
#[derive(Debug, Default)]
pub struct Directory {
    entries: Vec<Option<Entry>>,
    free: Vec<Row>,
    rows: HashMap<TenantId, Row>,
    everyone: RoaringBitmap,
    facets: HashMap<Facet, RoaringBitmap>,
    grams: Grams,
    by_created_at: Places,
    by_updated_at: Places,
    by_slug: Places,
    by_name: Places,
}

/// What a list asks for.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Only these.
    pub filter: Option<Filter>,
    /// Only those with this in their slug or name, whatever the case, or with exactly this id.
    pub text: Option<String>,
    /// In this order.
    pub order: Order,
    /// Behind this one.
    pub after: Option<Position>,
}

/// A page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The tenants, in order, each with the revision that it was put with.
    pub tenants: Vec<(TenantId, Revision)>,
    /// Where the next page begins, if there is more.
    pub next: Option<Position>,
}

/// Who comes into question.
struct Candidates {
    /// These; all tenants, if there is no set.
    rows: Option<RoaringBitmap>,
    /// And only those for which all of these hold, which is looked at last.
    unsure: Vec<Unsure>,
}

/// What has to be looked at tenant by tenant: whether one of these texts contains another.
struct Unsure {
    /// Slug or name; either, if none is named.
    field: Option<SortField>,
    text: String,
}

impl Candidates {
    /// Leaves those that are among these.
    fn meet(&mut self, others: RoaringBitmap) {
        match &mut self.rows {
            Some(rows) => *rows &= others,
            None => self.rows = Some(others),
        }
    }
}

impl Directory {
    /// How many tenants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many have this value: one of `state`, `plan`, `group` and `region`.
    #[must_use]
    pub fn having(&self, field: &str, value: &str) -> u64 {
        self.facets.get(&facet::value(field, value)).map_or(0, RoaringBitmap::len)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a tenant, or puts it in place of what was known of it.
    pub fn put(&mut self, entry: Entry) {
        self.remove(entry.id);
        let row = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            Row::try_from(self.entries.len() - 1).unwrap_or(Row::MAX)
        });
        self.rows.insert(entry.id, row);
        self.everyone.insert(row);
        self.grams.insert(entry.texts(), row);
        for facet in &entry.facets {
            match self.facets.get_mut(facet) {
                Some(rows) => _ = rows.insert(row),
                None => _ = self.facets.insert(Arc::clone(facet), RoaringBitmap::from([row])),
            }
        }
        for field in SortField::ALL {
            self.places_mut(field).insert(Position(entry.key(field), entry.id), row);
        }
        if let Some(place) = usize::try_from(row).ok().and_then(|row| self.entries.get_mut(row)) {
            *place = Some(entry);
        }
    }

    /// Takes a tenant out, if it is there.
    pub fn remove(&mut self, id: TenantId) {
        let Some(row) = self.rows.remove(&id) else { return };
        let place = usize::try_from(row).ok().and_then(|row| self.entries.get_mut(row));
        let Some(entry) = place.and_then(Option::take) else { return };
        self.free.push(row);
        self.everyone.remove(row);
        self.grams.remove(entry.texts(), row);
        for facet in &entry.facets {
            if let Some(rows) = self.facets.get_mut(facet) {
                rows.remove(row);
                if rows.is_empty() {
                    self.facets.remove(facet);
                }
            }
        }
        for field in SortField::ALL {
            self.places_mut(field).remove(&Position(entry.key(field), id));
        }
    }

    /// At most `limit` tenants that answer the question.
    #[must_use]
    pub fn find(&self, question: &Question, limit: usize) -> Found {
        let candidates = self.candidates(question);
        let after = question.after.as_ref().filter(|after| after.is_of(question.order.field));
        match &candidates.rows {
            Some(rows) if self.is_quick_to_sort(rows, limit) => {
                self.sorted(rows, question.order, after, &candidates, limit)
            }
            _ => self.walked(question.order, after, &candidates, limit),
        }
    }

    /// Whether sorting these looks at less than passing over all others in their order would.
    fn is_quick_to_sort(&self, rows: &RoaringBitmap, limit: usize) -> bool {
        let (all, limit) = (self.everyone.len(), u64::try_from(limit).unwrap_or(u64::MAX));
        let walk = limit.saturating_mul(all) / rows.len().max(1);
        rows.len().saturating_mul(SORTING) <= walk.min(all)
    }

    fn sorted(
        &self,
        rows: &RoaringBitmap,
        order: Order,
        after: Option<&Position>,
        candidates: &Candidates,
        limit: usize,
    ) -> Found {
        let positions = rows.iter().filter_map(|row| {
            let entry = self.entry(row)?;
            Some((Position(entry.key(order.field), entry.id), row))
        });
        let is_behind = |position: &Position| match after {
            None => true,
            Some(after) if order.is_descending => position < after,
            Some(after) => position > after,
        };
        let mut positions: Vec<_> = positions.filter(|(position, _)| is_behind(position)).collect();
        positions.sort_unstable();
        if order.is_descending {
            positions.reverse();
        }
        let places = positions.iter().map(|(position, row)| (position, *row));
        self.first(places, candidates, limit)
    }

    fn walked(
        &self,
        order: Order,
        after: Option<&Position>,
        candidates: &Candidates,
        limit: usize,
    ) -> Found {
        let places = self.places(order.field);
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let owned = |(position, row): (_, &Row)| (position, *row);
        if order.is_descending {
            let places = places.range::<Position, _>((Bound::Unbounded, after));
            self.first(places.rev().map(owned), candidates, limit)
        } else {
            let places = places.range::<Position, _>((after, Bound::Unbounded));
            self.first(places.map(owned), candidates, limit)
        }
    }

    /// The first of these that are candidates.
    fn first<'p>(
        &self,
        places: impl Iterator<Item = (&'p Position, Row)>,
        candidates: &Candidates,
        limit: usize,
    ) -> Found {
        let mut found = Found { tenants: Vec::new(), next: None };
        let mut last: Option<&Position> = None;
        for (position, row) in places.filter(|(_, row)| self.is_one_of(*row, candidates)) {
            if found.tenants.len() == limit {
                found.next = last.cloned();
                break;
            }
            let revision = self.entry(row).map(|entry| entry.revision);
            found.tenants.push((position.1, revision.unwrap_or_default()));
            last = Some(position);
        }
        found
    }

    fn is_one_of(&self, row: Row, candidates: &Candidates) -> bool {
        candidates.rows.as_ref().is_none_or(|rows| rows.contains(row))
            && candidates.unsure.iter().all(|unsure| {
                self.entry(row).is_some_and(|entry| entry.contains(unsure.field, &unsure.text))
            })
    }

    fn candidates(&self, question: &Question) -> Candidates {
        let mut candidates = Candidates { rows: None, unsure: Vec::new() };
        match &question.filter {
            Some(Filter::All(filters)) => {
                filters.iter().for_each(|filter| self.narrow(&mut candidates, filter));
            }
            Some(filter) => self.narrow(&mut candidates, filter),
            None => {}
        }
        let Some(text) = question.text.as_ref().filter(|text| !text.is_empty()) else {
            return candidates;
        };
        match text.parse().ok().and_then(|id: TenantId| self.rows.get(&id)) {
            Some(row) => candidates.meet(RoaringBitmap::from([*row])),
            None => self.search(&mut candidates, None, &folded(text)),
        }
        candidates
    }

    /// Leaves those for which a filter holds too. That a text contains another is looked at last: most
    /// often a page is full before all have been looked at.
    fn narrow(&self, candidates: &mut Candidates, filter: &Filter) {
        match filter {
            Filter::Is(Test(Kind::Contains(field, text))) => {
                self.search(candidates, Some(*field), text);
            }
            _ => candidates.meet(self.holding(filter)),
        }
    }

    fn search(&self, candidates: &mut Candidates, field: Option<SortField>, text: &str) {
        let with_text = self.grams.candidates(text);
        candidates.meet(with_text.rows);
        if field.is_some() || !with_text.are_certain {
            candidates.unsure.push(Unsure { field, text: text.to_owned() });
        }
    }

    /// The tenants for which a filter holds.
    fn holding(&self, filter: &Filter) -> RoaringBitmap {
        match filter {
            Filter::All(filters) => {
                let mut sets = filters.iter().map(|filter| self.holding(filter));
                let first = sets.next().unwrap_or_else(|| self.everyone.clone());
                sets.fold(first, |rows, set| rows & set)
            }
            Filter::Any(filters) => {
                let sets = filters.iter().map(|filter| self.holding(filter));
                sets.fold(RoaringBitmap::new(), |rows, set| rows | set)
            }
            Filter::Not(filter) => &self.everyone - self.holding(filter),
            Filter::Is(Test(kind)) => self.passing(kind),
        }
    }

    fn passing(&self, kind: &Kind) -> RoaringBitmap {
        match kind {
            Kind::Id(id) => self.rows.get(id).copied().into_iter().collect(),
            Kind::Facet(facet) => self.facets.get(facet).cloned().unwrap_or_default(),
            Kind::Equal(field, text) => self.equal(*field, text).collect(),
            Kind::Contains(field, text) => {
                let entry = |row: &Row| self.entry(*row);
                let candidates = self.grams.candidates(text).rows.into_iter();
                let holds =
                    |row: &Row| entry(row).is_some_and(|entry| entry.contains(Some(*field), text));
                candidates.filter(holds).collect()
            }
            Kind::Between(field, from, to) => self.between(*field, *from, *to).collect(),
        }
    }

    fn equal(&self, field: SortField, text: &str) -> impl Iterator<Item = Row> {
        let key = SortKey::Text(text.into());
        let from = Position(key.clone(), TenantId::from_parts(0, 0));
        let places = self.places(field).range(from..);
        places.take_while(move |(position, _)| position.0 == key).map(|(_, row)| *row)
    }

    fn between(
        &self,
        field: SortField,
        from: Bound<Timestamp>,
        to: Bound<Timestamp>,
    ) -> impl Iterator<Item = Row> {
        let lowest = TenantId::from_parts(0, 0);
        let at = |Position(key, _): &Position| match key {
            SortKey::Time(at) => *at,
            SortKey::Text(_) => Timestamp::default(),
        };
        let start = match from {
            Bound::Included(from) | Bound::Excluded(from) => from,
            Bound::Unbounded => Timestamp::default(),
        };
        let places = self.places(field).range(Position(SortKey::Time(start), lowest)..);
        places
            .skip_while(move |(position, _)| from == Bound::Excluded(at(position)))
            .take_while(move |(position, _)| match to {
                Bound::Included(to) => at(position) <= to,
                Bound::Excluded(to) => at(position) < to,
                Bound::Unbounded => true,
            })
            .map(|(_, row)| *row)
    }

    fn entry(&self, row: Row) -> Option<&Entry> {
        self.entries.get(usize::try_from(row).ok()?)?.as_ref()
    }

    fn places(&self, field: SortField) -> &Places {
        match field {
            SortField::CreatedAt => &self.by_created_at,
            SortField::UpdatedAt => &self.by_updated_at,
            SortField::Slug => &self.by_slug,
            SortField::Name => &self.by_name,
        }
    }

    fn places_mut(&mut self, field: SortField) -> &mut Places {
        match field {
            SortField::CreatedAt => &mut self.by_created_at,
            SortField::UpdatedAt => &mut self.by_updated_at,
            SortField::Slug => &mut self.by_slug,
            SortField::Name => &mut self.by_name,
        }
    }
}
