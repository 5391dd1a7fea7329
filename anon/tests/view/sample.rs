//! Sampling nodes for paths.

use std::{
    cell::Cell,
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use anon::{
    id::NodeId,
    testing::views::{Keepers, channel_key, node},
    view::{
        descriptor::{Addresses, Descriptor, FamilyTag, OnionAddress, TcpAddress},
        error::ViewError,
        list::NodeList,
        places::Prefix,
        sample::{Caps, Sampler},
        signed::View,
    },
};
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

/// Samples of the statistical tests. Each compares a count with its expectation within five standard deviations, and the seed is
/// fixed: one in a million seeds would fail.
const SAMPLES: usize = 20_000;

/// A node in a /16; without one over Tor alone.
fn node_in(number: u32, prefix: Option<u16>, family: Option<u8>) -> Descriptor {
    let addresses = match prefix {
        Some(prefix) => {
            let ip = Ipv4Addr::from((u32::from(prefix) << 16) + number % 65_536);
            Addresses::Tcp(TcpAddress::new(IpAddr::V4(ip), 1).unwrap())
        }
        None => Addresses::Onion(OnionAddress::new(node(number).0, 1).unwrap()),
    };
    let family = family.map(|byte| FamilyTag([byte; 12]));
    Descriptor::new(node(number), channel_key(number, 1), addresses, family).unwrap()
}

fn view(mut nodes: Vec<Descriptor>) -> View {
    nodes.sort_by_key(Descriptor::node);
    Keepers::new(1).view(1, None, NodeList::new(nodes).unwrap(), None)
}

fn sampler(view: &View, caps: Option<Caps>) -> Sampler {
    Sampler::new(view, None, caps).unwrap()
}

/// How often each node is sampled.
fn counts(view: &View, caps: Option<Caps>) -> BTreeMap<NodeId, usize> {
    let (sampler, mut rng) = (sampler(view, caps), StdRng::seed_from_u64(7));
    let mut counts = BTreeMap::new();
    for _ in 0..SAMPLES {
        let sampled = sampler.sample(view, &mut rng, |_| true).unwrap();
        *counts.entry(sampled.node()).or_default() += 1;
    }
    counts
}

/// Whether a count lies within five standard deviations of `share` of all samples.
fn is_about(count: usize, share: f64) -> bool {
    let samples = f64::from(u32::try_from(SAMPLES).unwrap());
    let deviation = (samples * share * (1.0 - share)).sqrt();
    (f64::from(u32::try_from(count).unwrap()) - samples * share).abs() <= 5.0 * deviation
}

fn prefixes(from: u16, count: u32) -> Vec<Descriptor> {
    let first = 1_000 * u32::from(from);
    (0..count).map(|n| node_in(first + n, Some(from + u16::try_from(n).unwrap()), None)).collect()
}

#[test]
fn all_nodes_are_sampled_equally_often() {
    let view = view(prefixes(0x1000, 40));
    for caps in [None, Some(Caps::DEFAULT)] {
        let counts = counts(&view, caps);
        assert_eq!(counts.len(), 40);
        assert!(counts.values().all(|count| is_about(*count, 1.0 / 40.0)), "{counts:?}");
    }
}

#[test]
fn a_crowded_16_has_a_hundredth_of_the_samples() {
    let mut nodes = prefixes(0x1000, 200);
    nodes.extend((0..300).map(|number| node_in(number, Some(0x2000), None)));
    let view = view(nodes);
    let crowd = |counts: &BTreeMap<NodeId, usize>| -> usize {
        let inside =
            |id: &NodeId| view.nodes().find(id).unwrap().prefix() == Some(Prefix::Ipv4([0x20, 0]));
        counts.iter().filter(|(id, _)| inside(id)).map(|(_, count)| *count).sum()
    };
    let capped = counts(&view, Some(Caps::DEFAULT));
    assert!(is_about(crowd(&capped), 0.01), "{}", crowd(&capped));
    // Where places are not capped, as the crowd is large.
    assert!(is_about(crowd(&counts(&view, None)), 0.6));
}

#[test]
fn tor_only_nodes_together_have_a_tenth_of_the_samples() {
    let mut nodes = prefixes(0x1000, 150);
    nodes.extend((0..300).map(|number| node_in(number, None, None)));
    let view = view(nodes);
    let capped = counts(&view, Some(Caps::DEFAULT));
    let over_tor =
        capped.iter().filter(|(id, _)| view.nodes().find(id).unwrap().prefix().is_none());
    let over_tor: usize = over_tor.map(|(_, count)| *count).sum();
    assert!(is_about(over_tor, 0.1), "{over_tor}");
}

#[test]
fn only_nodes_of_two_views_are_sampled_and_the_first_view_waives_it() {
    let keepers = Keepers::new(1);
    let first = keepers.view_of(1, None, 0..300);
    let second = keepers.view_of(2, Some(&first), 200..500);
    assert_eq!(Sampler::new(&first, None, None).unwrap().eligible(), 300);
    let sampler = Sampler::new(&second, Some(&first), Some(Caps::DEFAULT)).unwrap();
    assert_eq!(sampler.eligible(), 100);
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..1_000 {
        let sampled = sampler.sample(&second, &mut rng, |_| true).unwrap();
        assert!(first.nodes().rank_of(&sampled.node()).is_some());
        assert_eq!(second.nodes().find(&sampled.node()), Some(sampled), "the key is the view's");
    }
    let refused = |view, before| Sampler::new(view, before, None).map(|_| ());
    assert_eq!(refused(&second, None), Err(ViewError::OtherBase), "who is new would be sampled");
    assert_eq!(refused(&first, Some(&second)), Err(ViewError::OtherBase));
    let other = keepers.view_of(1, None, 0..299);
    assert_eq!(refused(&second, Some(&other)), Err(ViewError::OtherBase));
}

#[test]
fn nobody_is_sampled_from_nobody() {
    let empty = view(vec![]);
    for caps in [None, Some(Caps::DEFAULT)] {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(sampler(&empty, caps).sample(&empty, &mut rng, |_| true), None);
        assert_eq!(sampler(&empty, caps).path(&empty, 1, &[], &mut rng, |_| true), None);
        let nothing = sampler(&empty, caps).path(&empty, 0, &[], &mut rng, |_| true);
        assert_eq!(nothing, Some(vec![]));
    }
}

#[test]
fn the_few_that_may_be_taken_are_found_among_many_and_equally_often() {
    let mut nodes = prefixes(0x1000, 150);
    nodes.extend((0..400).map(|number| node_in(number, Some(0x2000), None)));
    let view = view(nodes);
    let wanted = [node(0x1000 * 1_000), node(0x1000 * 1_000 + 1)];
    let sampler = sampler(&view, Some(Caps::DEFAULT));
    let mut rng = StdRng::seed_from_u64(3);
    let mut first = 0;
    for _ in 0..600 {
        let may = |one: &Descriptor| wanted.contains(&one.node());
        let sampled = sampler.sample(&view, &mut rng, may).unwrap();
        first += usize::from(sampled.node() == wanted[0]);
    }
    // 600 samples of one half: within five standard deviations of 300.
    assert!((239..=361).contains(&first), "{first}");
    assert_eq!(sampler.sample(&view, &mut rng, |_| false), None);
}

#[test]
fn of_the_few_that_may_be_taken_one_in_a_crowd_is_as_rare_as_ever() {
    let mut nodes = prefixes(0x1000, 150);
    nodes.extend((0..400).map(|number| node_in(number, Some(0x2000), None)));
    let view = view(nodes);
    let (alone, crowded) = (node(0x1000 * 1_000), node(7));
    let sampler = sampler(&view, Some(Caps::DEFAULT));
    let mut rng = StdRng::seed_from_u64(3);
    let may = |one: &Descriptor| one.node() == alone || one.node() == crowded;
    let sampled = (0..2_000).filter_map(|_| sampler.sample(&view, &mut rng, may));
    let rare = sampled.filter(|one| one.node() == crowded).count();
    // A hundredth among 400, against 99 hundredths among 150: 7.6 of 2,000 samples, give or take five times 2.8.
    assert!((1..=21).contains(&rare), "{rare}");
}

#[test]
fn a_dead_end_is_left_again() {
    // The first is beside both others, which are not beside each other: only they make a path of two.
    let nodes = vec![
        node_in(1, Some(0x1000), Some(1)),
        node_in(2, Some(0x1000), None),
        node_in(3, Some(0x3000), Some(1)),
    ];
    let view = view(nodes);
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let path = sampler(&view, None).path(&view, 2, &[], &mut rng, |_| true).unwrap();
        let mut ids: Vec<NodeId> = path.iter().map(Descriptor::node).collect();
        ids.sort_unstable();
        let mut expected = [node(2), node(3)];
        expected.sort_unstable();
        assert_eq!(ids, expected);
        assert_eq!(sampler(&view, None).path(&view, 3, &[], &mut rng, |_| true), None);
    }
}

#[test]
fn one_16_is_one_hop_however_many_live_there() {
    let view = view((0..500).map(|number| node_in(number, Some(0x1000), None)).collect());
    let mut rng = StdRng::seed_from_u64(1);
    let path = |hops, rng: &mut _| sampler(&view, None).path(&view, hops, &[], rng, |_| true);
    assert_eq!(path(1, &mut rng).map(|path| path.len()), Some(1));
    assert_eq!(path(2, &mut rng), None);
    // That it is a dead end is found out once, not once for each of its nodes.
    let asked = Cell::new(0);
    let may = |_: &Descriptor| {
        asked.set(asked.get() + 1);
        true
    };
    assert_eq!(sampler(&view, None).path(&view, 2, &[], &mut rng, may), None);
    assert_eq!(asked.get(), 1);
}

#[test]
fn tor_only_nodes_make_a_path_of_different_nodes() {
    let view = view((0..3).map(|number| node_in(number, None, None)).collect());
    let mut rng = StdRng::seed_from_u64(1);
    let sampler = sampler(&view, Some(Caps::DEFAULT));
    let path = sampler.path(&view, 3, &[], &mut rng, |_| true).unwrap();
    assert!(path[0] != path[1] && path[1] != path[2] && path[0] != path[2]);
    assert_eq!(sampler.path(&view, 4, &[], &mut rng, |_| true), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_two_on_a_path_are_beside_each_other(seed: u64, hops in 1..6_usize) {
        let nodes: Vec<Descriptor> = (0..60)
            .map(|n| (n, u16::try_from(n % 20).unwrap(), u8::try_from(n % 14).unwrap()))
            .map(|(n, prefix, family)| {
                let prefix = (n % 7 > 0).then_some(0x1000 + prefix);
                node_in(n, prefix, (n % 3 == 0).then_some(family))
            })
            .collect();
        let other = nodes[4];
        let view = view(nodes);
        let sample_path = || {
            let mut rng = StdRng::seed_from_u64(seed);
            let may = |one: &Descriptor| one.node().0[0] != 7;
            sampler(&view, Some(Caps::DEFAULT)).path(&view, hops, &[other], &mut rng, may).unwrap()
        };
        let path = sample_path();
        prop_assert_eq!(path.len(), hops);
        prop_assert_eq!(&path, &sample_path(), "the same randomness gives the same path");
        for (at, one) in path.iter().enumerate() {
            prop_assert!(!one.is_beside(&other) && one.node().0[0] != 7);
            prop_assert!(!path[at + 1..].iter().any(|next| next.is_beside(one)));
        }
    }
}
