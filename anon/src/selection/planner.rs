//! Which path is next, and whom to avoid after what failed: all that a guarded scheme decides for the channels of one
//! mail, or of one reading.
//!
//! The planner does nothing itself. It is given the nodes there are and randomness, it answers with a path, and it is
//! told how building that path went.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;

use super::{Candidates, GuardedPath, mail::Served, sample_guarded};
use crate::{certificate::NodeCertificate, id::NodeId};

/// How often a path is planned for one channel before the channel is given up.
pub const ATTEMPTS: usize = 6;
/// How many paths in a row may break behind a guard before the spare serves for the rest of the mail.
const MAX_STALLS: usize = 3;

/// What a path is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a, Id = NodeId> {
    /// Whether it is for a reader, who may need more channels than the network has nodes.
    pub is_reading: bool,
    /// The nodes near what it is for: they hold what is kept there, and must not also see it carried.
    pub near: &'a BTreeSet<Id>,
    /// How many paths for the same channel have failed.
    pub attempt: usize,
}

/// How a path failed to come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The guard could not be reached.
    Unreachable,
    /// The path broke; any node on it may have done that.
    Broke,
    /// A node answered, and not as it should.
    BadAnswer,
}

/// How paths behind a guard went.
#[derive(Clone, Copy, Debug, Default)]
struct Stalls {
    /// How many broke since the last one that came about.
    in_a_row: usize,
    /// Whether the guard was ever there.
    reached: bool,
}

/// Plans the paths of one mail, or of one reading.
#[derive(Clone, Debug)]
pub struct Planner<N = NodeCertificate, Id = NodeId> {
    guards: Vec<N>,
    middle: usize,
    served: Served<Id>,
    stalls: BTreeMap<Id, Stalls>,
}

impl<N: Clone, Id: Copy + Ord> Planner<N, Id> {
    /// A planner behind these guards, the first of which serves if it can, with so many go-betweens between the guard
    /// and the anonymizer.
    #[must_use]
    pub fn new(guards: Vec<N>, middle: usize) -> Self {
        Self { guards, middle, served: Served::default(), stalls: BTreeMap::new() }
    }

    /// Plans the next path, and notes who is to serve on it. `None` if there is no guard, or too few candidates.
    ///
    /// No anonymizer serves twice. Where there is no other left, first the channels that stand ready make room:
    /// `give_up` closes them and says which their anonymizers are. Then, in a network too small for all paths of a mail
    /// that is sent, an anonymizer serves again: none that has another to serve in its place. For a reader, who may need
    /// more channels than there are nodes, each serves as often as any other.
    pub fn next_path<C: Candidates<Id = Id, Node = N>, R: CryptoRng>(
        &mut self,
        candidates: &C,
        wanted: Wanted<'_, Id>,
        rng: &mut R,
        give_up: impl FnOnce() -> Vec<Id>,
    ) -> Option<GuardedPath<N>> {
        let guard = self.guard(candidates, wanted)?.clone();
        let mut sample = |served: &mut Served<Id>| {
            let sample =
                |excluded: &_| sample_guarded(candidates, &guard, self.middle, excluded, rng);
            if wanted.is_reading {
                served.resample(wanted.near, sample, |path| candidates.id(&path.anonymizer.1))
            } else {
                served.sample(wanted.near, sample)
            }
        };
        let served = &mut self.served;
        let mut path = sample(served);
        if path.is_none() {
            give_up().iter().for_each(|anonymizer| served.release(anonymizer));
            path = sample(served);
        }
        if path.is_none() && !wanted.is_reading {
            served.begin_anew();
            path = sample(served);
        }
        let path = path?;
        served.reserve(candidates.id(&path.anonymizer.1), candidates.id(&path.witness.1));
        Some(path)
    }

    /// The guard that serves: the first, unless it is near what the path is for, or path after path broke behind it; on
    /// the last attempt the next one. Where there is none but near and stalled ones, a near one serves: whoever is gone
    /// keeps no mail waiting.
    fn guard<C: Candidates<Id = Id, Node = N>>(
        &self,
        candidates: &C,
        wanted: Wanted<'_, Id>,
    ) -> Option<&N> {
        let is_near = |guard: &N| wanted.near.contains(&candidates.id(guard));
        let stalls = |guard: &N| self.stalls.get(&candidates.id(guard));
        let is_stalled = |guard| stalls(guard).is_some_and(|stalls| stalls.in_a_row >= MAX_STALLS);
        let mut order: Vec<&N> = self.guards.iter().collect();
        order.sort_by_key(|guard| (is_stalled(guard), is_near(guard)));
        let is_last = wanted.attempt + 1 == ATTEMPTS;
        let next = order.iter().filter(|guard| is_last && !is_near(guard)).nth(1);
        next.or_else(|| order.first()).copied()
    }

    /// Notes how building a path through a guard to an anonymizer went. Where the guard was never there, nobody behind it
    /// has heard of the path, and its anonymizer may serve after all.
    pub fn note(&mut self, guard: Id, anonymizer: Id, result: Result<(), Failure>) {
        let stalls = self.stalls.entry(guard).or_default();
        stalls.reached |= result != Err(Failure::Unreachable);
        match result {
            Ok(()) => stalls.in_a_row = 0,
            Err(Failure::Unreachable | Failure::Broke) => stalls.in_a_row += 1,
            // Somebody behind the guard answered: that is not the guard's doing.
            Err(Failure::BadAnswer) => {}
        }
        if !stalls.reached {
            self.served.release(&anonymizer);
        }
    }

    /// An anonymizer that knows whose inbox is read, or did not do what it was asked, serves for nothing else of this
    /// reading, where there is anybody else.
    pub fn set_apart(&mut self, anonymizer: Id) {
        self.served.set_apart(anonymizer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::candidates::tests::Nodes;

    const SENDING: Wanted<'static, u8> =
        Wanted { is_reading: false, near: &BTreeSet::new(), attempt: 0 };
    const READING: Wanted<'static, u8> = Wanted { is_reading: true, ..SENDING };
    const LAST: usize = ATTEMPTS - 1;

    /// A planner with these guards, one go-between, and nobody who has served.
    fn planner(guards: &[u8]) -> Planner<u8, u8> {
        Planner::new(guards.to_vec(), 1)
    }

    /// The next path among so many nodes, where no channel stands ready.
    fn next(planner: &mut Planner<u8, u8>, nodes: u8, wanted: Wanted<'_, u8>) -> GuardedPath<u8> {
        let path = planner.next_path(&Nodes(nodes), wanted, &mut rand::rng(), Vec::new);
        path.expect("there is a path")
    }

    /// The anonymizers of so many paths.
    fn anonymizers(planner: &mut Planner<u8, u8>, paths: usize, wanted: Wanted<'_, u8>) -> Vec<u8> {
        (0..paths).map(|_| next(planner, 8, wanted).anonymizer.1).collect()
    }

    /// The guard of the next path among so many nodes that none of them is ever short.
    fn guard(planner: &Planner<u8, u8>, attempt: usize, near: &[u8]) -> u8 {
        let near = near.iter().copied().collect();
        next(&mut planner.clone(), 100, Wanted { near: &near, attempt, ..SENDING }).guard
    }

    fn breaks(planner: &mut Planner<u8, u8>, guard: u8, times: usize) {
        (0..times).for_each(|_| planner.note(guard, 99, Err(Failure::Broke)));
    }

    #[test]
    fn a_path_has_all_its_nodes_once_and_none_that_is_near_what_it_is_for() {
        let near: BTreeSet<u8> = (4..8).collect();
        for middle in 0..3 {
            for _ in 0..50 {
                let mut planner = Planner::new(vec![0], middle);
                let path = next(&mut planner, 10, Wanted { near: &near, ..SENDING });
                assert_eq!((path.guard, path.middle.len()), (0, middle));
                let nodes: Vec<u8> = path.hops().chain([&path.witness]).map(|(_, n)| *n).collect();
                let distinct: BTreeSet<u8> = nodes.iter().copied().collect();
                assert_eq!(distinct.len(), middle + 2, "{nodes:?}");
                assert!(distinct.is_disjoint(&near) && !distinct.contains(&0), "{nodes:?}");
                let (first, keys) = (path.hops().next().unwrap().0, path.keys());
                let own = (first, path.witness.0, path.anonymizer.0);
                assert_eq!((keys.go_between, keys.witness, keys.anonymizer), own);
            }
        }
    }

    #[test]
    fn without_a_guard_or_nodes_enough_there_is_no_path() {
        let path = |guards: &[u8], nodes| {
            planner(guards).next_path(&Nodes(nodes), SENDING, &mut rand::rng(), Vec::new)
        };
        assert!(path(&[], 16).is_none() && path(&[0], 3).is_none() && path(&[0], 4).is_some());
    }

    #[test]
    fn no_anonymizer_serves_a_mail_twice_where_there_is_another() {
        for _ in 0..50 {
            let distinct: BTreeSet<u8> =
                anonymizers(&mut planner(&[0]), 5, SENDING).into_iter().collect();
            assert_eq!(distinct.len(), 5);
        }
    }

    #[test]
    fn a_witness_has_no_part_in_another_path_of_a_mail_where_there_are_others() {
        let mut planner = planner(&[0]);
        let witness = next(&mut planner, 16, SENDING).witness.1;
        for _ in 0..50 {
            let path = next(&mut planner.clone(), 16, SENDING);
            assert!(path.hops().chain([&path.witness]).all(|(_, node)| *node != witness));
        }
    }

    #[test]
    fn a_mail_that_is_larger_than_the_network_has_its_anonymizers_serve_again() {
        let mut planner = planner(&[0]);
        let all = anonymizers(&mut planner, 40, SENDING);
        assert!((1..8).all(|node| all.contains(&node)));
        assert_eq!(anonymizers(&mut planner, 40, SENDING).len(), 40);
    }

    #[test]
    fn whoever_served_before_it_began_anew_serves_no_more_once_there_are_others() {
        let mut planner = planner(&[0]);
        // Of 1, 2 and 3 a path needs all, so the second one begins anew.
        let near = (4..8).collect();
        let narrow = Wanted { near: &near, ..SENDING };
        let served = anonymizers(&mut planner, 2, narrow);
        for _ in 0..50 {
            let path = next(&mut planner.clone(), 8, SENDING);
            assert!(path.hops().all(|(_, node)| !served.contains(node)), "{path:?} {served:?}");
        }
    }

    #[test]
    fn what_stands_ready_makes_room_before_an_anonymizer_serves_again() {
        let mut planner = planner(&[0]);
        // Of 1, 2 and 3 a path needs all; the anonymizer is free only where its channel, which stands ready, is given up.
        let ready = next(&mut planner, 4, SENDING).anonymizer.1;
        let mut given_up = false;
        let path = planner.next_path(&Nodes(4), SENDING, &mut rand::rng(), || {
            given_up = true;
            vec![ready]
        });
        assert!(given_up && path.is_some());
        assert!(planner.served.is_first_round(), "it began anew, though there was room");
        // Where there is nothing to give up, it does begin anew; and where there is room, nothing is given up.
        next(&mut planner, 4, SENDING);
        assert!(!planner.served.is_first_round());
        let keep = || panic!("a channel that stands ready is given up without need");
        assert!(planner.next_path(&Nodes(16), SENDING, &mut rand::rng(), keep).is_some());
    }

    #[test]
    fn a_reader_has_each_anonymizer_as_often_as_any_other_even_after_a_path_that_could_not_be() {
        let mut planner = planner(&[0]);
        let all_near = (0..8).collect();
        let mut counts = BTreeMap::<u8, usize>::new();
        for round in 1..=6 {
            for anonymizer in anonymizers(&mut planner, 7, READING) {
                *counts.entry(anonymizer).or_default() += 1;
            }
            assert!(
                counts.len() == 7 && counts.values().all(|count| *count == round),
                "{counts:?}"
            );
            let wanted = Wanted { near: &all_near, ..READING };
            assert!(
                planner.next_path(&Nodes(8), wanted, &mut rand::rng(), Vec::new).is_none(),
                "a path over nodes that are near"
            );
        }
    }

    #[test]
    fn an_anonymizer_that_is_set_apart_serves_no_other_path_of_a_reading() {
        let mut planner = planner(&[0]);
        let inbox = next(&mut planner, 8, READING).anonymizer.1;
        planner.set_apart(inbox);
        assert!(!anonymizers(&mut planner, 40, READING).contains(&inbox));
    }

    #[test]
    fn the_first_guard_serves_unless_it_is_near_or_stalled() {
        for (near, stalled, first, last) in [
            (&[][..], &[][..], 1, 2),
            (&[1], &[], 2, 3),
            (&[], &[1], 2, 3),
            (&[], &[1, 3], 2, 1),
            (&[2], &[1], 3, 1),
            (&[1, 2], &[], 3, 3),
            // A near one before one that is gone.
            (&[1, 2], &[3], 1, 1),
            (&[2], &[1, 3], 2, 3),
            // All are near: the first one all the same.
            (&[1, 2, 3], &[], 1, 1),
            (&[1, 2, 3], &[1], 2, 2),
            (&[1, 2, 3], &[1, 2, 3], 1, 1),
        ] {
            let mut planner = planner(&[1, 2, 3]);
            stalled.iter().for_each(|guard| breaks(&mut planner, *guard, MAX_STALLS));
            for attempt in 0..LAST {
                assert_eq!(guard(&planner, attempt, near), first, "{near:?} {stalled:?} {attempt}");
            }
            assert_eq!(guard(&planner, LAST, near), last, "{near:?} {stalled:?}, last");
        }
    }

    #[test]
    fn a_guard_is_stalled_when_three_paths_in_a_row_broke_behind_it() {
        let mut planner = planner(&[1, 2]);
        breaks(&mut planner, 1, 2);
        planner.note(1, 99, Err(Failure::BadAnswer));
        assert_eq!(guard(&planner, 0, &[]), 1, "a lie behind it is not the guard's");
        planner.note(1, 99, Err(Failure::Unreachable));
        assert_eq!(guard(&planner, 0, &[]), 2);
        assert_eq!(guard(&planner, 0, &[2]), 2, "near, and the guard is gone");
        planner.note(1, 99, Ok(()));
        breaks(&mut planner, 1, 2);
        assert_eq!(guard(&planner, 0, &[]), 1, "a path that stood is the end of the row");
    }

    #[test]
    fn an_anonymizer_may_serve_after_all_if_its_guard_was_never_there() {
        let unreachable = Err(Failure::Unreachable);
        for (before, result, may_serve) in [
            (None, unreachable, true),
            (Some(unreachable), unreachable, true),
            (None, Err(Failure::Broke), false),
            (None, Err(Failure::BadAnswer), false),
            (None, Ok(()), false),
            // It was there before, so it may have passed something on now.
            (Some(Ok(())), unreachable, false),
            (Some(Err(Failure::Broke)), unreachable, false),
            (Some(Err(Failure::BadAnswer)), unreachable, false),
        ] {
            let mut planner = planner(&[0]);
            let near = (5..16).collect();
            let wanted = Wanted { near: &near, ..SENDING };
            let anonymizer = next(&mut planner, 16, wanted).anonymizer.1;
            before.into_iter().for_each(|before| planner.note(0, 99, before));
            // What happens behind another guard says nothing of this one.
            planner.note(7, 99, Ok(()));
            planner.note(0, anonymizer, result);
            let serves =
                (0..50).any(|_| next(&mut planner.clone(), 16, wanted).anonymizer.1 == anonymizer);
            assert_eq!(serves, may_serve, "{before:?}, then {result:?}");
        }
    }
}
