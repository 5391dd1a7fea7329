//! Truncated, extended and changed encodings of every kind.

use anon::{
    request::{InboxQuery, MAX_MESSAGE, MAX_OBJECT, Request, Response},
    testing::DIGESTS,
    wire::{self, WireError},
};
use proptest::prelude::*;

use super::specimens::{
    LIMIT, Specimen, cast, certificate, reread_request, reread_response, specimens,
};

/// Every position of short encodings, every seventh of long ones.
fn positions(specimen: &Specimen) -> impl Iterator<Item = usize> {
    let length = specimen.good.len();
    (0..length).step_by(if length > LIMIT { 7 } else { 1 })
}

/// Refused, or exactly what these bytes say.
fn assert_faithful(specimen: &Specimen, bytes: &[u8], what: &str) {
    if let Some(again) = (specimen.reread)(bytes) {
        assert_eq!(again, bytes, "{}: {what} was read as something else", specimen.name);
    }
}

/// A copy with the byte at `at` replaced.
fn splice(good: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    [&good[..at], with, &good[at + 1..]].concat()
}

#[test]
fn truncated_anywhere_is_refused() {
    for specimen in specimens() {
        for cut in positions(specimen) {
            let read = (specimen.reread)(&specimen.good[..cut]);
            assert!(read.is_none(), "{} cut at {cut}", specimen.name);
        }
    }
}

#[test]
fn one_byte_more_is_refused() {
    for specimen in specimens() {
        let padded = specimen.name.starts_with("create");
        for more in [0, 1, 255] {
            let long = [&specimen.good[..], &[more]].concat();
            let zero_padding = padded && more == 0;
            assert_eq!((specimen.reread)(&long).is_some(), zero_padding, "{}", specimen.name);
        }
    }
}

#[test]
fn a_flipped_bit_is_never_overlooked() {
    for specimen in specimens() {
        for at in positions(specimen) {
            for bit in 0..8 {
                let flipped = splice(&specimen.good, at, &[specimen.good[at] ^ (1 << bit)]);
                assert_faithful(specimen, &flipped, &format!("bit {bit} of byte {at} flipped"));
            }
        }
    }
}

#[test]
fn numbers_that_could_be_shorter_are_refused() {
    for specimen in specimens() {
        for at in positions(specimen) {
            let byte = specimen.good[at];
            for longer in
                [&[251, byte, 0][..], &[252, byte, 0, 0, 0], &[253, byte, 0, 0, 0, 0, 0, 0, 0]]
            {
                let bytes = splice(&specimen.good, at, longer);
                assert_faithful(specimen, &bytes, &format!("byte {at} as a longer number"));
            }
        }
    }
}

#[test]
fn claimed_lengths_are_refused_without_allocating() {
    let before = peak();
    for specimen in specimens() {
        let limit = u64::try_from(MAX_MESSAGE).unwrap();
        for at in positions(specimen) {
            for claim in [u64::MAX, 1 << 32, limit + 1, 1_001] {
                let prefix = [&[253][..], &claim.to_le_bytes()].concat();
                let bytes = splice(&specimen.good, at, &prefix);
                assert_faithful(specimen, &bytes, &format!("byte {at} as length {claim}"));
            }
        }
    }
    assert!(peak() - before < 1 << 20, "a length prefix was believed");
}

/// The most address space this process ever had, KiB; 0 where nobody says.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
fn unknown_variants_are_refused() {
    for index in 15..=255 {
        assert!(Request::decode(&[index]).is_err());
    }
    for index in 16..=255 {
        assert!(Response::decode(&[index]).is_err());
    }
    let whole = |name: &str| specimens().iter().find(|s| s.name == name).unwrap();
    let admission = wire::encode(&certificate()).len() - 65 - 76;
    let proof = 1 + wire::encode(&cast().proof(&InboxQuery::HandOver(DIGESTS.to_vec()))).len();
    let permission = 1 + 32 + 1 + 3 + 5_000 + 1;
    for (name, at, known) in [
        ("request store", 33, 2),         // the object's kind
        ("request store", permission, 2), // a delete permission
        ("request perform_nodes", 1, 3),  // the targets
        ("request perform_closest", 1, 3),
        ("request hand_over", proof, 2), // what is asked of an inbox
        ("response listed", 1, 2),       // what an inbox answers
        ("response listed", 1 + 1 + 1 + 3 * 32, 2), // whether there is more
        ("receipt", 32, 2),              // the receipt's kind
        ("signing request, node", 32, 2), // the subject
        ("node certificate", admission, 2), // whether there is an admission
    ] {
        let specimen = whole(name);
        assert!(specimen.good[at] < known, "{name}: {at} is no variant");
        for variant in known..=255 {
            let bytes = splice(&specimen.good, at, &[variant]);
            assert!((specimen.reread)(&bytes).is_none(), "{name}: variant {variant}");
        }
    }
}

#[test]
fn nested_proxied_requests_and_answers_do_not_run_through_the_stack() {
    let perform = [8, 0, 0].repeat(MAX_OBJECT / 3);
    assert_eq!(Request::decode(&[perform, vec![7]].concat()), Err(WireError::Malformed));
    let target = wire::encode(&certificate());
    let level = [&[13, 1][..], &target].concat();
    let each = [level.repeat(MAX_OBJECT / level.len()), vec![7]].concat();
    assert_eq!(Request::decode(&each), Err(WireError::Malformed));
    let level = [&[7, 0, 1][..], &[0; 32], &[1]].concat();
    let performed = [level.repeat(MAX_OBJECT / level.len()), vec![9]].concat();
    assert_eq!(Response::decode(&performed), Err(WireError::Malformed));
    // A refusal leaves nothing behind: the next honest one is read.
    for (name, request) in cast().requests() {
        assert_eq!(Request::decode(&wire::encode(&request)), Ok(request), "{name}");
    }
}

proptest! {
    #[test]
    fn junk_is_refused_or_read_as_what_it_is(junk: Vec<u8>, first in 0_u8..15) {
        let named = [&[first][..], &junk].concat();
        for bytes in [&junk, &named] {
            for reread in [reread_request, reread_response] {
                if let Some(again) = reread(bytes) {
                    prop_assert_eq!(&again, bytes);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn changes_at_random_places_are_never_overlooked(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for specimen in specimens() {
            let mut bytes = specimen.good.clone();
            for (at, to) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *to;
            }
            assert_faithful(specimen, &bytes, "random changes");
        }
    }
}
