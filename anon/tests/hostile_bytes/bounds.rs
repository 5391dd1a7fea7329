//! Counts and sizes just within and just beyond their bounds.

use anon::{
    certificate::{CertificateError, MAX_ADDRESSES, UnverifiedAddressCertificate},
    id::NodeId,
    keeper::{absence::MAX_ABSENCE, chain::MAX_CHAIN},
    keys::{IdentitySecret, VerifyKey},
    mail::NOTIFICATION,
    network::{Epoch, MAX_K},
    request::{
        Answer, Append, DeletePermission, InboxPage, InboxQuery, MAX_ACKNOWLEDGED, MAX_DELETERS,
        MAX_DIGESTS, MAX_HANDED_OVER, MAX_MESSAGE, MAX_OBJECT, Request, Response, Store, Targets,
        view::{MAX_PIECE, MAX_STATEMENTS_ASKED, ViewRequest},
    },
    roster::{MAX_CARRIED, MAX_LISTED, PIECES, ShortDigest},
    testing::key,
    verification::{Statement, StatementClaims},
    view::{
        quorum::MAX_SIGNED_VIEW,
        statement::{MAX_STATEMENT, StatementDigest},
    },
    wire::{self, WireError},
};
use proptest::prelude::*;

use super::specimens::{cast, proxied};
use crate::world::{Node, network};

/// That a request is read if, and only if, it is in bounds.
fn assert_bound(request: &Request, good: bool) {
    let expected = if good { Ok(request) } else { Err(&WireError::Malformed) };
    assert_eq!(request.is_in_bounds(), good);
    assert_eq!(Request::decode(&wire::encode(request)).as_ref(), expected);
}

#[test]
fn a_store_has_bounds() {
    let with = |object, deleters| {
        let permission = DeletePermission::OneTimeKey(VerifyKey([1; 32]));
        let deleters = vec![permission; deleters];
        Request::Store(Store { object: vec![1; object], deleters, ..cast().store() })
    };
    assert_bound(&with(MAX_OBJECT, MAX_DELETERS), true);
    assert_bound(&with(MAX_OBJECT + 1, MAX_DELETERS), false);
    assert_bound(&with(MAX_OBJECT, MAX_DELETERS + 1), false);
    assert_bound(&with(0, 0), true);
}

#[test]
fn a_notification_has_one_size() {
    for (size, good) in
        [(NOTIFICATION, true), (NOTIFICATION - 1, false), (NOTIFICATION + 1, false), (0, false)]
    {
        let notification = vec![1; size];
        assert_bound(&Request::AppendInbox(Append { notification, ..cast().append() }), good);
    }
}

#[test]
fn an_acknowledgement_has_bounds() {
    for (count, good) in [(0, true), (MAX_ACKNOWLEDGED, true), (MAX_ACKNOWLEDGED + 1, false)] {
        let digests = vec![[1; 32]; count];
        assert_bound(&Request::Acknowledge { proof: cast().acknowledgement(), digests }, good);
    }
}

#[test]
fn a_reading_has_bounds() {
    for (count, good) in [(0, false), (1, true), (MAX_DIGESTS, true), (MAX_DIGESTS + 1, false)] {
        let count = u16::try_from(count).unwrap();
        assert_bound(&cast().read(InboxQuery::List { from: u64::MAX, count }), good);
    }
    for (count, good) in [(0, true), (MAX_HANDED_OVER, true), (MAX_HANDED_OVER + 1, false)] {
        assert_bound(&cast().read(InboxQuery::HandOver(vec![[1; 32]; count])), good);
    }
}

#[test]
fn a_lookup_asks_for_one_to_twenty() {
    for (count, good) in [(0, false), (1, true), (20, true), (21, false), (255, false)] {
        assert_bound(&Request::Lookup { key: key(), count }, good);
        assert_bound(&Request::Closest { key: key(), count }, good);
        for targets in
            [Targets::LookedUp { key: key(), count }, Targets::Closest { key: key(), count }]
        {
            let request = Box::new(Request::Certificate);
            assert_bound(&Request::Perform { targets, request }, good);
        }
    }
}

#[test]
fn a_proxied_request_has_few_targets() {
    for (count, good) in [(MAX_K, true), (MAX_K + 1, false)] {
        let targets = Targets::Nodes(vec![NodeId([1; 32]); count]);
        assert_bound(&Request::Perform { targets, request: Box::new(Request::Certificate) }, good);
        let each = vec![proxied(Request::Certificate); count];
        assert_bound(&Request::PerformEach(each), good);
    }
}

#[test]
fn a_roster_exchange_has_bounds() {
    for (count, good) in [(PIECES - 1, false), (PIECES, true), (PIECES + 1, false)] {
        assert_bound(&Request::Roster { pieces: vec![ShortDigest([1; 8]); count] }, good);
    }
    for (count, good) in [(0, true), (MAX_CARRIED, true), (MAX_CARRIED + 1, false)] {
        assert_bound(&Request::RosterEntries { wanted: vec![ShortDigest([1; 8]); count] }, good);
    }
}

#[test]
fn what_is_about_the_view_has_bounds() {
    for (more, good) in [(0, true), (1, false)] {
        let of = |most: usize| vec![1; most + more];
        for request in [
            ViewRequest::State(of(MAX_STATEMENT)),
            ViewRequest::Chain(of(MAX_CHAIN)),
            ViewRequest::Signatures(of(MAX_SIGNED_VIEW)),
            ViewRequest::Word(of(MAX_ABSENCE)),
            ViewRequest::Statements(vec![StatementDigest([1; 32]); MAX_STATEMENTS_ASKED + more]),
        ] {
            assert_bound(&Request::View(request), good);
        }
        assert_answer_bound(&Response::View(of(MAX_PIECE)), good);
    }
}

#[test]
fn no_proxied_request_or_extension_inside_a_proxied_request() {
    for (name, request) in cast().requests() {
        let plain = !name.starts_with("perform") && !name.starts_with("view") && name != "extend";
        let targets = Targets::Nodes(vec![NodeId([1; 32])]);
        assert_eq!(request.is_plain(), plain, "{name}");
        let each = vec![proxied(Request::Certificate), proxied(request.clone())];
        assert_bound(&Request::PerformEach(each), plain);
        assert_bound(&Request::Perform { targets, request: Box::new(request) }, plain);
    }
}

#[test]
fn what_changes_state_goes_to_named_nodes_only() {
    for (name, request) in cast().requests() {
        let reads =
            ["fetch", "closest", "certificate", "time", "nearest", "roster", "roster_entries"];
        let reads = reads.contains(&name);
        let carried = reads || name.starts_with("perform");
        assert_eq!(request.changes_state(), !carried, "{name}");
        let (key, count) = (key(), 8);
        for targets in [Targets::LookedUp { key, count }, Targets::Closest { key, count }] {
            let request = Box::new(request.clone());
            assert_bound(&Request::Perform { targets, request }, reads);
        }
    }
}

#[test]
fn the_bounds_inside_a_proxied_request_are_the_same() {
    let request = Box::new(Request::Lookup { key: key(), count: 21 });
    let targets = Targets::Nodes(vec![NodeId([1; 32])]);
    assert_bound(&Request::PerformEach(vec![proxied((*request).clone())]), false);
    assert_bound(&Request::Perform { targets, request }, false);
}

#[test]
fn longer_than_a_message_is_refused_unread() {
    let too_long = WireError::TooLong { limit: MAX_MESSAGE };
    let frame = vec![0; MAX_MESSAGE + 1];
    assert_eq!(Request::decode(&frame), Err(too_long));
    assert_eq!(Response::decode(&frame), Err(too_long));
    let limit = UnverifiedAddressCertificate::MAX;
    assert_eq!(
        UnverifiedAddressCertificate::decode(&vec![0; limit + 1]),
        Err(CertificateError::Wire(WireError::TooLong { limit }))
    );
}

proptest! {
    #[test]
    fn stores_come_out_as_they_went_in(
        key: [u8; 32],
        nonce: [u8; 16],
        object: Vec<u8>,
        deleters in prop::collection::vec(any::<[u8; 32]>(), 0..=MAX_DELETERS),
    ) {
        let one_time = |key| DeletePermission::OneTimeKey(VerifyKey(key));
        let deleters = deleters.into_iter().map(one_time).collect();
        let key = anon::position::Key(key);
        let request = Request::Store(Store { key, object, deleters, nonce, ..cast().store() });
        prop_assert_eq!(Request::decode(&wire::encode(&request)), Ok(request));
    }
}

/// That an answer is read if, and only if, it is in bounds, also inside a proxied request's answer.
fn assert_answer_bound(response: &Response, good: bool) {
    let expected = if good { Ok(response) } else { Err(&WireError::Malformed) };
    assert_eq!(response.is_in_bounds(), good);
    assert_eq!(Response::decode(&wire::encode(response)).as_ref(), expected);
    let answers = vec![Answer { node: NodeId([1; 32]), response: Some(response.clone()) }];
    let brought = Response::Performed { nodes: Vec::new(), answers };
    if !matches!(response, Response::Performed { .. }) {
        assert_eq!(Response::decode(&wire::encode(&brought)).is_ok(), good);
    }
}

#[test]
fn every_list_of_an_answer_has_a_bound() {
    let node = Node::new(1).certificate.to_unverified();
    let statement = |count: usize| {
        let claims = StatementClaims {
            network: network().id,
            node: node.claimed_node(),
            epoch: Epoch(1),
            key: key(),
            closest: vec![node.claimed_node(); count],
        };
        Response::Closest(Box::new(Statement::issue(&IdentitySecret::from_seed(&[1; 32]), claims)))
    };
    let answer = || Answer { node: NodeId([1; 32]), response: None };
    for (more, good) in [(0, true), (1, false)] {
        let many = |most: usize| vec![node.clone(); most + more];
        for answer in [
            statement(MAX_K + more),
            Response::LookedUp(many(MAX_K)),
            Response::RosterEntries(many(MAX_CARRIED)),
            Response::Performed { nodes: many(MAX_K), answers: Vec::new() },
            Response::Performed { nodes: Vec::new(), answers: vec![answer(); MAX_K + more] },
            Response::Roster {
                alike: [0; 32],
                listed: vec![ShortDigest([1; 8]); MAX_LISTED + more],
            },
            Response::Object(vec![1; MAX_OBJECT + more]),
            Response::Inbox(InboxPage::List {
                digests: vec![[1; 32]; MAX_DIGESTS + more],
                next: None,
            }),
            Response::Inbox(InboxPage::HandedOver(vec![
                vec![1; NOTIFICATION].into();
                MAX_HANDED_OVER + more
            ])),
            Response::Inbox(InboxPage::HandedOver(vec![vec![1; NOTIFICATION + more].into()])),
        ] {
            assert_answer_bound(&answer, good);
        }
    }
}

#[test]
fn what_a_certificate_may_not_hold_is_not_read_at_all() {
    let node = Node::new(1);
    for (count, good) in [(MAX_ADDRESSES, true), (MAX_ADDRESSES + 1, false)] {
        let address = "/ip4/192.0.2.1/tcp/1".to_owned();
        let certificate = node.certify(|claims| claims.addresses = vec![address; count]);
        for answer in [
            Response::Certificate(Box::new(certificate.clone())),
            Response::LookedUp(vec![certificate.clone()]),
            Response::RosterEntries(vec![certificate.clone()]),
        ] {
            assert_answer_bound(&answer, good);
        }
    }
}
