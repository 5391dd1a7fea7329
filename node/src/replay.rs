//! Remembering what must not be accepted twice, within a bound.

use std::{
    collections::{BTreeSet, VecDeque},
    hash::Hash,
};

use parking_lot::Mutex;

/// The last `capacity` tags seen, oldest forgotten first.
#[derive(Debug)]
pub struct ReplayCache<T> {
    capacity: usize,
    seen: Mutex<(BTreeSet<T>, VecDeque<T>)>,
}

impl<T: Ord + Hash + Clone> ReplayCache<T> {
    /// Remembers nothing yet, and later at most `capacity` tags.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { capacity, seen: Mutex::new((BTreeSet::new(), VecDeque::new())) }
    }

    /// Remembers a tag; `false` if it is remembered already.
    pub fn insert(&self, tag: T) -> bool {
        let mut guard = self.seen.lock();
        let (set, order) = &mut *guard;
        if !set.insert(tag.clone()) {
            return false;
        }
        order.push_back(tag);
        if order.len() > self.capacity
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_counts_once_while_it_is_remembered() {
        let cache = ReplayCache::new(2);
        assert!(cache.insert(1) && cache.insert(2));
        assert!(!cache.insert(1));
        assert!(cache.insert(3) && cache.insert(1));
    }
}
