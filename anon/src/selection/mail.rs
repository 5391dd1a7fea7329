//! What the paths of one mail owe each other: who has served does not serve again, and a guard that is near what a
//! path is for makes way.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use super::{Candidates, GuardedPath, draw_guarded};

/// Who has served in one mail's channels, or stands ready to. No far end serves twice; no witness does where
/// there are others.
#[derive(Clone, Debug)]
pub struct Served<Id> {
    far_ends: BTreeSet<Id>,
    witnesses: BTreeSet<Id>,
    /// Far ends that served before all others had.
    earlier: BTreeSet<Id>,
}

impl<Id> Default for Served<Id> {
    fn default() -> Self {
        Self { far_ends: BTreeSet::new(), witnesses: BTreeSet::new(), earlier: BTreeSet::new() }
    }
}

impl<Id: Copy + Ord> Served<Id> {
    /// Draws a path on which nobody serves who served this mail before, or is in `avoid`, which are the nodes near
    /// what the path is for. In a small network a witness may serve again, and after [`Self::begin_anew`] a
    /// far end.
    #[must_use]
    pub fn draw<C: Candidates<Id = Id>, R: CryptoRng>(
        &self,
        candidates: &C,
        guard: &C::Node,
        middle: usize,
        avoid: &BTreeSet<Id>,
        rng: &mut R,
    ) -> Option<GuardedPath<C::Node>> {
        let least = || avoid.iter().chain(&self.far_ends);
        let without_witnesses = || least().chain(&self.earlier);
        let without_any = || without_witnesses().chain(&self.witnesses);
        let mut draw = |excluded| draw_guarded(candidates, guard, middle, &excluded, rng);
        draw(without_any().copied().collect())
            .or_else(|| draw(without_witnesses().copied().collect()))
            .or_else(|| {
                let is_anew = !self.earlier.is_empty();
                is_anew.then(|| draw(least().copied().collect())).flatten()
            })
    }

    /// Begins anew, where the network is too small for all paths of a mail: who served before may serve again, but only
    /// where there is no other.
    pub fn begin_anew(&mut self) {
        self.earlier.append(&mut self.far_ends);
        self.witnesses.clear();
    }

    /// Notes who is to serve. `false` if the far end serves already: then another path is drawn.
    #[must_use]
    pub fn reserve(&mut self, far_end: Id, witness: Id) -> bool {
        self.witnesses.insert(witness);
        self.far_ends.insert(far_end)
    }

    /// A far end that has heard of nothing may serve after all.
    pub fn release(&mut self, far_end: &Id) {
        self.far_ends.remove(far_end);
    }
}

/// The guard that serves: the first of `guards`, unless it is in `avoid`, the nodes near what the path is for, or
/// stalled; on the last attempt the next one. Where all are near, the first serves all the same.
pub fn serving_guard<'a, N, Id: Ord>(
    guards: &'a [N],
    id: impl Fn(&N) -> Id,
    avoid: &BTreeSet<Id>,
    is_stalled: impl Fn(&Id) -> bool,
    is_last: bool,
) -> Option<&'a N> {
    let fit = guards.iter().filter(|guard| !avoid.contains(&id(guard)));
    let (stalled, going): (Vec<_>, Vec<_>) = fit.partition(|guard| is_stalled(&id(guard)));
    let in_order = || going.iter().chain(&stalled).copied();
    let first = in_order().next().or_else(|| guards.first())?;
    if is_last { in_order().nth(1).or(Some(first)) } else { Some(first) }
}
