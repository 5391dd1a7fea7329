//! Room for nodes that only one source knows of: nobody may fill it alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{MAX_NODES, operator::Mark};
use crate::position::Position;

/// The most nodes of a roster that only one source knows of. They live in what the vouched ones leave free.
pub const MAX_UNVOUCHED: usize = MAX_NODES / 2;
/// The most of those on the word of one operator, which is what one exchange can add: a fresh member has a
/// roster of [`MAX_NODES`] after five exchanges.
pub const MAX_UNVOUCHED_EACH: usize = MAX_NODES / 4;

/// The entries that one source stands for, by what tells that source from others.
#[derive(Clone, Debug, Default)]
pub(super) struct Unvouched {
    entries: BTreeMap<Position, Vec<Mark>>,
    by_mark: BTreeMap<Mark, BTreeSet<Position>>,
    by_size: BTreeSet<(usize, Mark)>,
}

/// Whether there is room for one more.
pub(super) enum Room {
    /// There is.
    Free,
    /// There is if this one goes, whose source stands for more than anybody else.
    InPlaceOf(Position),
    /// There is none.
    None,
}

impl Unvouched {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn insert(&mut self, position: Position, marks: Vec<Mark>) {
        self.remove(&position);
        for mark in &marks {
            self.change(mark, |all| all.insert(position));
        }
        self.entries.insert(position, marks);
    }

    pub(super) fn remove(&mut self, position: &Position) {
        for mark in self.entries.remove(position).unwrap_or_default() {
            self.change(&mark, |all| all.remove(position));
        }
    }

    fn change(&mut self, mark: &Mark, work: impl FnOnce(&mut BTreeSet<Position>) -> bool) {
        let all = self.by_mark.entry(mark.clone()).or_default();
        self.by_size.remove(&(all.len(), mark.clone()));
        work(all);
        if all.is_empty() {
            self.by_mark.remove(mark);
        } else {
            self.by_size.insert((all.len(), mark.clone()));
        }
    }

    /// How many the source with these marks stands for: the most that one of them counts.
    fn size(&self, marks: &[Mark]) -> usize {
        marks.iter().filter_map(|m| self.by_mark.get(m)).map(BTreeSet::len).max().unwrap_or(0)
    }

    /// How many more the source with these marks may bring, if none of the others goes.
    pub(super) fn share(&self, marks: &[Mark]) -> usize {
        MAX_UNVOUCHED_EACH.saturating_sub(self.size(marks))
    }

    /// Whether a source with these marks may bring one more, where `vouched` entries have their place.
    pub(super) fn room(&self, marks: &[Mark], vouched: usize) -> Room {
        let own = self.size(marks);
        if own >= MAX_UNVOUCHED_EACH {
            return Room::None;
        }
        if self.len() < MAX_UNVOUCHED.min(MAX_NODES.saturating_sub(vouched)) {
            return Room::Free;
        }
        let largest = self.by_size.last().filter(|(size, _)| *size > own);
        let first = largest.and_then(|(_, mark)| self.by_mark.get(mark)?.first().copied());
        first.map_or(Room::None, Room::InPlaceOf)
    }
}
