//! The limits in numbers, worked out by hand: what is computed from other limits in the code is compared with what the
//! documents promise.
#![cfg(test)]

use anon::{
    cell::{CELL, PAYLOAD},
    certificate::{MAX_ADDRESS_VALIDITY, MAX_NODE_VALIDITY},
    create::Create,
    mail::{BODY_MAX, MAX_PARTS, NOTIFICATION},
    request::{MAX_DELETERS, MAX_MESSAGE, MAX_OBJECT},
    roster::{MAX_NODES, MAX_UNVOUCHED, MAX_UNVOUCHED_EACH},
};

#[test]
fn sizes_are_what_the_documents_say() {
    assert_eq!((CELL, PAYLOAD), (4_096, 4_080));
    assert_eq!((MAX_OBJECT, MAX_MESSAGE), (1_048_576, 1_114_112));
    // Sixteen parts, each an object less the last step of its padded length and the four bytes of its length.
    assert_eq!((MAX_PARTS, BODY_MAX), (16, 16_515_008));
    assert_eq!((NOTIFICATION, MAX_DELETERS), (4_144, 64));
    assert_eq!(Create::LENGTH, 1_307);
}

#[test]
fn times_and_counts_are_what_the_documents_say() {
    assert_eq!((MAX_ADDRESS_VALIDITY, MAX_NODE_VALIDITY), (315_619_200, 2_764_800));
    assert_eq!((MAX_NODES, MAX_UNVOUCHED, MAX_UNVOUCHED_EACH), (100_000, 50_000, 25_000));
}
