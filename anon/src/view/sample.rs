//! Sampling nodes for paths: who may be on one, and how likely each is.
//!
//! Eligible are the nodes that stand in the view and in the one before it; a network's first view waives that. Samples are by
//! rank, equal for all of them but for the caps of `shares`; nearness to a key plays no part. Never two of one family
//! or one prefix on a path. Everything comes from the caller's randomness, in a fixed order.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

pub use super::shares::Caps;
use super::{
    descriptor::{Descriptor, FamilyTag},
    error::ViewError,
    list::NodeList,
    places::Prefix,
    shares,
    signed::View,
};
use crate::id::NodeId;

/// How often a node is sampled anew before all nodes are gone through.
const MOST_SAMPLES: usize = 64;
/// How many nodes are tried for a path before there is said to be none.
const MOST_TRIES: usize = 256;

/// The nodes of one prefix, or all that are reached over Tor alone.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Where its nodes begin in the list of all eligible ones, and how many they are.
    start: usize,
    nodes: usize,
    share: u64,
    /// The shares of all groups up to this one.
    up_to: u64,
}

/// What is sampled from: about 4 bytes an eligible node, and 32 a prefix.
#[derive(Clone, Debug)]
pub struct Sampler {
    groups: Vec<Group>,
    /// The ranks of the eligible nodes, by group.
    ranks: Vec<u32>,
}

impl Sampler {
    /// Prepares sampling from a view. `before` is the view before it, and none for a network's first view; without `caps` all
    /// eligible nodes are equal.
    ///
    /// # Errors
    /// [`ViewError::OtherBase`] if `before` is not the view before this one.
    pub fn new(view: &View, before: Option<&View>, caps: Option<Caps>) -> Result<Self, ViewError> {
        if view.header().before != before.map(View::id) {
            return Err(ViewError::OtherBase);
        }
        let mut eligible: Vec<(Option<Prefix>, u32)> =
            eligible(view.nodes(), before.map(View::nodes)).collect();
        let Some(caps) = caps else {
            let ranks: Vec<u32> = eligible.into_iter().map(|(_, rank)| rank).collect();
            let (nodes, share) = (ranks.len(), as_u64(ranks.len()));
            return Ok(Self {
                groups: vec![Group { start: 0, nodes, share, up_to: share }],
                ranks,
            });
        };
        // Tor-only nodes, which have no prefix, come first.
        eligible.sort_unstable();
        let by_prefix = eligible.chunk_by(|(one, _), (next, _)| one == next);
        let is_onions =
            |group: &&[(Option<Prefix>, u32)]| group.first().is_some_and(|(p, _)| p.is_none());
        let onions = by_prefix.clone().find(is_onions).map_or(0, <[_]>::len);
        let sizes: Vec<usize> =
            by_prefix.filter(|group| !is_onions(group)).map(<[_]>::len).collect();
        let counts: Vec<u64> = sizes.iter().copied().map(as_u64).collect();
        let (shares, onion_share) = shares::shares(&counts, as_u64(onions), caps);
        let sizes = std::iter::once(onions).chain(sizes);
        let mut groups: Vec<Group> = Vec::new();
        for (nodes, share) in sizes.zip(std::iter::once(onion_share).chain(shares)) {
            let (start, before) = groups.last().map_or((0, 0), |g| (g.start + g.nodes, g.up_to));
            groups.push(Group { start, nodes, share, up_to: before.saturating_add(share) });
        }
        Ok(Self { groups, ranks: eligible.into_iter().map(|(_, rank)| rank).collect() })
    }

    /// How many nodes are eligible.
    #[must_use]
    pub const fn eligible(&self) -> usize {
        self.ranks.len()
    }

    /// The rank of one node.
    fn rank(&self, rng: &mut impl CryptoRng) -> Option<u32> {
        let all = self.groups.last()?.up_to;
        let at = below(all, rng)?;
        let group = self.groups.get(self.groups.partition_point(|group| group.up_to <= at))?;
        let inside = below(as_u64(group.nodes), rng)?;
        self.ranks.get(group.start + usize::try_from(inside).ok()?).copied()
    }

    /// Samples one node that `may` be taken, as likely as if only such nodes were there; `None` if there is none. `view` is the
    /// one that this was made from.
    pub fn sample(
        &self,
        view: &View,
        rng: &mut impl CryptoRng,
        may: impl Fn(&Descriptor) -> bool,
    ) -> Option<Descriptor> {
        for _ in 0..MOST_SAMPLES {
            let sampled = view.nodes().get(self.rank(rng)?)?;
            if may(&sampled) {
                return Some(sampled);
            }
        }
        self.sample_of_all(view, rng, may)
    }

    /// The same by going through all nodes: for the few that are left when most may not be taken.
    fn sample_of_all(
        &self,
        view: &View,
        rng: &mut impl CryptoRng,
        may: impl Fn(&Descriptor) -> bool,
    ) -> Option<Descriptor> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        let mut all = 0_u64;
        for group in self.groups.iter().filter(|group| group.nodes > 0) {
            let ranks = self.ranks.get(group.start..group.start + group.nodes)?;
            let of_one = (group.share / as_u64(group.nodes)).max(1);
            for rank in
                ranks.iter().filter(|rank| view.nodes().get(**rank).is_some_and(|d| may(&d)))
            {
                all = all.saturating_add(of_one);
                found.push((all, *rank));
            }
        }
        let at = below(all, rng)?;
        let (_, rank) = found.get(found.partition_point(|(up_to, _)| *up_to <= at))?;
        view.nodes().get(*rank)
    }

    /// Samples a path of `hops` nodes, of which each `may` be taken and none stands beside another or beside one of `others`;
    /// `None` if none was found.
    pub fn path(
        &self,
        view: &View,
        hops: usize,
        others: &[Descriptor],
        rng: &mut impl CryptoRng,
        may: impl Fn(&Descriptor) -> bool,
    ) -> Option<Vec<Descriptor>> {
        let mut path: Vec<Descriptor> = Vec::new();
        // What was tried in vain for each hop: nodes of one prefix and one family lead to the same dead end.
        let mut tried: Vec<BTreeSet<Kin>> = vec![BTreeSet::new()];
        for _ in 0..MOST_TRIES {
            if path.len() == hops {
                return Some(path);
            }
            let fits = |one: &Descriptor| {
                !others.iter().chain(&path).any(|other| other.is_beside(one))
                    && !tried.last().is_some_and(|kin| kin.contains(&Kin::of(one)))
                    && may(one)
            };
            if let Some(next) = self.sample(view, rng, fits) {
                path.push(next);
                tried.push(BTreeSet::new());
            } else {
                tried.pop();
                tried.last_mut()?.insert(Kin::of(&path.pop()?));
            }
        }
        None
    }
}

/// What decides which nodes may stand on a path with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kin(Option<Prefix>, Option<FamilyTag>, Option<NodeId>);

impl Kin {
    fn of(one: &Descriptor) -> Self {
        let (prefix, family) = (one.prefix(), one.family());
        let is_alone = prefix.is_none() && family.is_none();
        Self(prefix, family, is_alone.then_some(one.node()))
    }
}

/// Prefix and rank of each node that stands in both lists; of each in the first, if there is no second.
fn eligible<'a>(
    nodes: &'a NodeList,
    before: Option<&'a NodeList>,
) -> impl Iterator<Item = (Option<Prefix>, u32)> + 'a {
    let mut old = before.map(|list| list.nodes().peekable());
    let mut stood = move |one: &Descriptor| {
        let Some(old) = &mut old else { return true };
        while old.next_if(|node| *node < one.node()).is_some() {}
        old.peek() == Some(&one.node())
    };
    let all = (0..).zip(nodes.iter());
    all.filter(move |(_, one)| stood(one)).map(|(rank, one)| (one.prefix(), rank))
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A number below `all`, each equally likely; `None` if there is none.
fn below(all: u64, rng: &mut impl CryptoRng) -> Option<u64> {
    let unfair = u64::MAX.checked_rem(all)?;
    loop {
        let number = rng.next_u64();
        if number < u64::MAX - unfair {
            return Some(number % all);
        }
    }
}
