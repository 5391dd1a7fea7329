//! The nodes of a view that are closest to a key.

use anon::{
    position::{Key, keep_closest},
    view::{closest::Positions, list::NodeList},
};
use proptest::prelude::*;

use super::whole::nodes;

/// By looking at all of them.
fn one_by_one(list: &NodeList, key: &Key, count: usize) -> Vec<u32> {
    let mut ranks: Vec<u32> = (0..list.len()).collect();
    keep_closest(&mut ranks, key, count, |rank| list.node(*rank).unwrap().position());
    ranks
}

#[test]
fn they_are_those_that_are_closest_of_all() {
    for size in [0, 1, 2, 16, 17, 40, 1_000] {
        let list = nodes(size);
        let positions = Positions::of(&list);
        for (number, count) in (0..=60).zip([0, 1, 3, 8, 20, 999, 1_001].into_iter().cycle()) {
            let key = Key([number; 32]);
            let expected = one_by_one(&list, &key, count);
            assert_eq!(positions.closest(&list, &key, count), expected, "{count} of {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn for_any_key(key: [u8; 32], size in 0..200_u32, count in 0..30_usize) {
        let (list, key) = (nodes(size), Key(key));
        let found = Positions::of(&list).closest(&list, &key, count);
        prop_assert_eq!(found, one_by_one(&list, &key, count));
    }
}
