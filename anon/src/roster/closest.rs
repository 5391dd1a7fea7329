//! The nodes closest to a position, without looking at all others: positions that share ever fewer leading bits
//! with the target are ever farther from it, and lie in one range for each number of bits.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::Entry;
use crate::{certificate::NodeCertificate, position::Position};

/// Bits of a position.
const BITS: usize = 256;

/// The `count` entries closest to `target` of those that `keep` takes, closest first.
pub(super) fn closest(
    entries: &BTreeMap<Position, Entry>,
    target: &Position,
    count: usize,
    keep: impl Fn(&Entry) -> bool,
) -> Vec<NodeCertificate> {
    let mut found: Vec<(&Position, &Entry)> = entries.get_key_value(target).into_iter().collect();
    found.retain(|(_, e)| keep(e));
    let below = entries.range(..target).next_back();
    let above = entries.range(target..).find(|(p, _)| *p != target);
    let neighbours = below.into_iter().chain(above);
    // No other position shares more bits with the target than its neighbours do.
    let most = neighbours.map(|(p, _)| shared_bits(p, target)).max().unwrap_or(0);
    for bit in (0..=most.min(BITS - 1)).rev() {
        if found.len() >= count {
            break;
        }
        found.extend(entries.range(beside(target, bit)).filter(|(_, e)| keep(e)));
    }
    found.sort_by_cached_key(|(position, _)| position.distance(target));
    found.into_iter().take(count).map(|(_, e)| e.certificate.clone()).collect()
}

/// How many leading bits two positions have in common.
fn shared_bits(a: &Position, b: &Position) -> usize {
    let mut shared = 0;
    for (a, b) in a.0.iter().zip(&b.0) {
        let same = (a ^ b).leading_zeros();
        shared += usize::try_from(same).unwrap_or(0);
        if same < 8 {
            break;
        }
    }
    shared
}

/// The positions that share exactly `bit` leading bits with the target.
fn beside(target: &Position, bit: usize) -> RangeInclusive<Position> {
    let (mut low, mut high) = (target.0, target.0);
    let mask = 0x80_u8 >> (bit % 8);
    for (index, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
        if index == bit / 8 {
            let below = mask - 1;
            *low = (*low ^ mask) & !below;
            *high = *low | below;
        } else if index > bit / 8 {
            (*low, *high) = (0, u8::MAX);
        }
    }
    Position(low)..=Position(high)
}
