//! What the paths of one mail owe each other: who has served does not serve again.

use std::collections::{BTreeMap, BTreeSet};

/// How often a reader's path is sampled again because its anonymizer has served oftener than others.
const RESAMPLES: usize = 200;

/// Who has served in one mail's channels, or stands ready to. No anonymizer serves twice; no witness does where
/// there are others. A reader of many mails may need more channels than the network has nodes: see [`Self::resample`].
#[derive(Clone, Debug)]
pub(super) struct Served<Id> {
    /// How often each has served.
    anonymizers: BTreeMap<Id, u32>,
    witnesses: BTreeSet<Id>,
    /// Anonymizers that served before all others had.
    earlier: BTreeSet<Id>,
    /// Those that do not serve again where there is anybody else.
    apart: BTreeSet<Id>,
    /// How often all others have served, as far as that is known.
    floor: u32,
}

impl<Id> Default for Served<Id> {
    fn default() -> Self {
        Self {
            anonymizers: BTreeMap::new(),
            witnesses: BTreeSet::new(),
            earlier: BTreeSet::new(),
            apart: BTreeSet::new(),
            floor: 0,
        }
    }
}

impl<Id: Copy + Ord> Served<Id> {
    /// Samples a path on which nobody serves who served this mail before, or is in `near`, which are the nodes near
    /// what the path is for. In a small network a witness may serve again, and after [`Self::begin_anew`] a
    /// anonymizer. `sample` samples a path over all nodes but those that it is given.
    pub(super) fn sample<P>(
        &self,
        near: &BTreeSet<Id>,
        mut sample: impl FnMut(&BTreeSet<Id>) -> Option<P>,
    ) -> Option<P> {
        let least = || near.iter().chain(self.anonymizers.keys());
        let without_witnesses = || least().chain(&self.earlier);
        let without_any = without_witnesses().chain(&self.witnesses);
        sample(&without_any.copied().collect())
            .or_else(|| sample(&without_witnesses().copied().collect()))
            .or_else(|| {
                let is_anew = !self.earlier.is_empty();
                is_anew.then(|| sample(&least().copied().collect())).flatten()
            })
    }

    /// Begins anew, where the network is too small for all paths of a mail: who served before may serve again, but only
    /// where there is no other.
    pub(super) fn begin_anew(&mut self) {
        self.earlier.extend(std::mem::take(&mut self.anonymizers).into_keys());
        self.witnesses.clear();
    }

    /// Samples a path for a reader, who needs a channel for each part of each mail. Who has been the anonymizer is so again
    /// only once all others that may be were as often, by 200 samples; who was set apart, only where there is
    /// nobody else.
    pub(super) fn resample<P>(
        &mut self,
        near: &BTreeSet<Id>,
        mut sample: impl FnMut(&BTreeSet<Id>) -> Option<P>,
        anonymizer: impl Fn(&P) -> Id,
    ) -> Option<P> {
        if let Some(path) = self.sample(near, &mut sample) {
            return Some(path);
        }
        let mut sample = |excluded: &BTreeSet<Id>, times: u32| {
            for _ in 0..RESAMPLES {
                let path = sample(excluded)?;
                if self.anonymizers.get(&anonymizer(&path)).is_none_or(|served| *served <= times) {
                    return Some(path);
                }
            }
            None
        };
        let most = self.anonymizers.values().max().copied().unwrap_or_default();
        let excluded = near.union(&self.apart).copied().collect();
        for times in self.floor..=most {
            if let Some(path) = sample(&excluded, times) {
                return Some(path);
            }
            if times == self.floor && sample(&self.apart, times).is_none() {
                self.floor = self.floor.saturating_add(1);
            }
        }
        sample(near, u32::MAX)
    }

    /// Notes who is to serve.
    pub(super) fn reserve(&mut self, anonymizer: Id, witness: Id) {
        self.witnesses.insert(witness);
        let served = self.anonymizers.entry(anonymizer).or_default();
        *served = served.saturating_add(1);
    }

    /// An anonymizer that has heard of nothing may serve after all.
    pub(super) fn release(&mut self, anonymizer: &Id) {
        match self.anonymizers.get_mut(anonymizer) {
            Some(served) if *served > 1 => *served -= 1,
            _ => drop(self.anonymizers.remove(anonymizer)),
        }
    }

    /// An anonymizer that knows whose inbox is read is to serve for nothing else, where there is anybody else.
    pub(super) fn set_apart(&mut self, anonymizer: Id) {
        self.apart.insert(anonymizer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{GuardedPath, candidates::tests::Nodes, sample_guarded};

    impl Served<u8> {
        /// Whether nobody had to begin anew.
        pub(in crate::selection) fn is_first_round(&self) -> bool {
            self.earlier.is_empty()
        }
    }

    /// A path behind guard 0, of sixteen nodes.
    fn sample(excluded: &BTreeSet<u8>) -> Option<GuardedPath<u8>> {
        sample_guarded(&Nodes(16), &0, 1, excluded, &mut rand::rng())
    }

    /// Samples so many paths of a reader behind guard 0, and says how often each node was the anonymizer.
    fn anonymizers(served: &mut Served<u8>, paths: usize, avoid: &[u8]) -> BTreeMap<u8, u32> {
        let avoid = avoid.iter().copied().collect();
        let mut counts = BTreeMap::new();
        for _ in 0..paths {
            let path = served.resample(&avoid, sample, |path| path.anonymizer.1).expect("a path");
            let anonymizer = path.anonymizer.1;
            assert!(!avoid.contains(&anonymizer));
            served.reserve(anonymizer, path.witness.1);
            *counts.entry(anonymizer).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_mail_has_no_anonymizer_twice_and_a_reader_each_as_often_as_any_other() {
        let mut served = Served::default();
        let mut sent = BTreeSet::new();
        while let Some(path) = served.sample(&BTreeSet::new(), sample) {
            served.reserve(path.anonymizer.1, path.witness.1);
            assert!(sent.insert(path.anonymizer.1), "an anonymizer twice");
        }
        assert!((10..15).contains(&sent.len()), "{sent:?}");
        let mut served = Served::default();
        assert_eq!(anonymizers(&mut served, 150, &[]), (1..16).map(|id| (id, 10)).collect());
        // Two that may not serve for a while fall behind, and then make up for it.
        let counts = anonymizers(&mut served, 136, &[3, 4]);
        assert_eq!((counts.len(), counts.values().sum()), (13, 136));
        assert!(counts.values().all(|count| [10, 11].contains(count)), "{counts:?}");
        assert_eq!(anonymizers(&mut served, 20, &[]), BTreeMap::from([(3, 10), (4, 10)]));
    }

    #[test]
    fn whoever_is_set_apart_serves_again_only_where_there_is_nobody_else() {
        let mut served = Served::default();
        served.set_apart(5);
        served.reserve(5, 6);
        let counts = anonymizers(&mut served, 140, &[]);
        assert_eq!(counts.get(&5), None, "{counts:?}");
        let most: Vec<u8> = (1..16).filter(|id| ![5, 6, 7].contains(id)).collect();
        assert!(anonymizers(&mut served, 30, &most).contains_key(&5));
    }

    #[test]
    fn whoever_heard_of_nothing_may_serve_after_all() {
        let mut served = Served::default();
        served.reserve(1, 9);
        // Behind guard 0 there are 1, 2 and 3, and a path needs all of them.
        let avoid: BTreeSet<u8> = (4..16).collect();
        let may_serve = |served: &Served<u8>| served.sample(&avoid, sample).is_some();
        assert!(!may_serve(&served));
        served.release(&1);
        assert!(may_serve(&served));
        // One time of two is taken back, and no more; of none, nothing.
        served.reserve(1, 9);
        served.reserve(1, 9);
        served.release(&1);
        assert!(!may_serve(&served));
        served.release(&1);
        served.release(&2);
        assert!(may_serve(&served));
    }
}
