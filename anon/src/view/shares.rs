//! How the samples are shared out among prefixes: equally by node, up to a cap for each prefix.
//!
//! Water-filling: each node has the same weight λ, a prefix with n nodes has min(n·λ, cap), and λ is as high as lets all of them
//! together be one. Nodes that are reached over Tor alone have each what a prefix with one node has, and together no more than
//! their own cap. Where there are too few places for the caps, all places have the same weight, whatever stands there, and the cap
//! of all Tor-only nodes together holds as long as there is any other node. Whole numbers only, so that everybody computes
//! the same.

/// All samples together.
pub(super) const ONE: u64 = 1 << 48;

/// The most samples that a place may have, in hundredths of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// One prefix.
    pub prefix: u8,
    /// All nodes together that are reached over Tor alone.
    pub onions: u8,
}

impl Caps {
    /// One hundredth to a prefix, ten to Tor-only nodes.
    pub const DEFAULT: Self = Self { prefix: 1, onions: 10 };
}

/// The shares of prefixes with so many nodes each, in their order, and of all Tor-only nodes together; [`ONE`] is everything, and
/// all together they are at most that, less by at most one part in 2^27.
pub(super) fn shares(prefixes: &[u64], onions: u64, caps: Caps) -> (Vec<u64>, u64) {
    let hundredths = |share: u8| ONE / 100 * u64::from(share.min(100));
    let most_onions = if prefixes.is_empty() { ONE } else { hundredths(caps.onions) };
    let of_prefix = |nodes: u64, level: u64, cap: u64| level.saturating_mul(nodes).min(cap);
    let of_onions = |level: u64, cap: u64| onions.saturating_mul(level.min(cap)).min(most_onions);
    let fits = |level: u64, cap: u64| {
        let all = prefixes.iter().map(|nodes| of_prefix(*nodes, level, cap));
        all.fold(of_onions(level, cap), u64::saturating_add) <= ONE
    };
    let mut cap = hundredths(caps.prefix);
    if fits(ONE, cap) {
        cap = largest(cap, ONE, |cap| fits(ONE, cap));
    }
    let level = largest(0, ONE, |level| fits(level, cap));
    let shares = prefixes.iter().map(|nodes| of_prefix(*nodes, level, cap)).collect();
    (shares, of_onions(level, cap))
}

/// The largest number from `low` to `high` that fits, if `low` does and none above one that does not.
fn largest(low: u64, high: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (low, high);
    while low < high {
        let middle = high - (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shares in millionths, rounded.
    fn millionths(prefixes: &[u64], onions: u64) -> (Vec<u64>, u64) {
        let round = |share: u64| (share * 1_000 / (ONE / 1_000) + 500) / 1_000 * 1_000;
        let (shares, onions) = shares(prefixes, onions, Caps::DEFAULT);
        (shares.into_iter().map(round).collect(), round(onions))
    }

    #[test]
    fn nodes_are_equal_where_no_prefix_is_crowded() {
        let (shares, onions) = millionths(&[1; 200], 0);
        assert_eq!((shares, onions), (vec![5_000; 200], 0));
        let (shares, onions) = millionths(&[1; 190], 10);
        assert_eq!((shares, onions), (vec![5_000; 190], 50_000));
    }

    #[test]
    fn a_crowded_prefix_has_its_cap_and_no_more() {
        let mut prefixes = vec![1; 198];
        prefixes.extend([1_000_000, 300]);
        let (shares, _) = millionths(&prefixes, 0);
        assert_eq!(shares[198..], [10_000, 10_000]);
        assert!(shares[..198].iter().all(|share| *share == 5_000), "{:?}", shares[0]);
    }

    #[test]
    fn tor_only_nodes_together_have_a_tenth_and_no_more() {
        let (shares, onions) = millionths(&[1; 900], 1_000_000);
        assert_eq!((shares, onions), (vec![1_000; 900], 100_000));
    }

    #[test]
    fn where_there_are_too_few_places_they_are_equal() {
        let (shares, _) = millionths(&[9, 1, 1, 1], 0);
        assert_eq!(shares, [250_000; 4]);
        // One onion among 49 prefixes is one place of 50, and one among three has a tenth at most.
        assert_eq!(millionths(&[5; 49], 1), (vec![20_000; 49], 20_000));
        assert_eq!(millionths(&[1, 1, 7], 1), (vec![300_000; 3], 100_000));
        assert_eq!(millionths(&[3], 0), (vec![1_000_000], 0));
        assert_eq!(millionths(&[], 7), (vec![], 1_000_000));
        assert_eq!(shares_of_nobody(), (vec![], 0));
    }

    fn shares_of_nobody() -> (Vec<u64>, u64) {
        shares(&[], 0, Caps::DEFAULT)
    }

    proptest! {
        #[test]
        fn shares_are_all_there_is_and_caps_hold(
            prefixes in proptest::collection::vec(1..2_000_u64, 100..300),
            onions in 0..5_000_u64,
        ) {
            let (shares, onion_share) = shares(&prefixes, onions, Caps::DEFAULT);
            let all = shares.iter().sum::<u64>() + onion_share;
            prop_assert!(all <= ONE && ONE - all <= ONE >> 27, "{}", ONE - all);
            prop_assert!(shares.iter().all(|share| *share <= ONE / 100 + 100));
            prop_assert!(onion_share <= ONE / 10);
            for (share, nodes) in shares.iter().zip(&prefixes) {
                for (other, more) in shares.iter().zip(&prefixes) {
                    // Who has fewer nodes has no more than another, and no less by the node.
                    prop_assert!(nodes > more || share <= other);
                    prop_assert!(nodes > more || share / nodes >= other / more);
                }
            }
        }
    }
}
