//! How much one source may bring, and how much of a roster is room for what only one source tells.

use std::sync::LazyLock;

use anon::{
    certificate::NodeCertificate,
    keys::{ChannelSecret, IdentitySecret},
    roster::{MAX_NODES, MAX_UNVOUCHED, MAX_UNVOUCHED_EACH, PIECES, Roster, ShortDigest, Source},
};

use super::{TODAYS, TOMORROW, member, operator, seasoned};
use crate::world::{NOW, Node, network, node_claims};

/// [`OFFERED`] nodes, and [`HONEST`] more: made once, since it takes a while.
static MINTED: LazyLock<Vec<NodeCertificate>> = LazyLock::new(|| {
    let channel = ChannelSecret::from_seed(&[9; 32]);
    let mint = |number: usize| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let identity = IdentitySecret::from_seed(&seed);
        let claims = node_claims(&identity, &channel);
        NodeCertificate::issue(&identity, claims).verify(&network(), NOW).unwrap()
    };
    (0..OFFERED + HONEST).map(mint).collect()
});
/// More than two operators may fill.
const OFFERED: usize = 2 * MAX_UNVOUCHED_EACH + 2_000;
const HONEST: usize = 500;

#[test]
fn one_member_cannot_fill_a_roster() {
    let mut roster = seasoned();
    let (offered, honest) = MINTED.split_at(OFFERED);
    // Two hostile members, one of them under many families, offer more nodes than there is room for.
    for (index, node) in offered.iter().enumerate() {
        let mask = format!("mask {}", index % 1_000);
        let many = Source::Member(operator(&mask, &["/ip4/127.66.0.1/tcp/1"]));
        let source = if index < OFFERED / 2 { many } else { member(67) };
        roster.learn(node.clone(), source, TODAYS);
    }
    assert_eq!(roster.len(), 2 * MAX_UNVOUCHED_EACH);
    // There is no room left, and still what honest members tell gets in and becomes active.
    for number in [1, 2] {
        for node in honest {
            roster.learn(node.clone(), member(number), TODAYS);
        }
        assert!(roster.unvouched() <= MAX_UNVOUCHED);
    }
    assert_eq!(roster.active(TOMORROW).count(), honest.len());
    assert_eq!(roster.unvouched(), roster.len() - honest.len());
}

#[test]
fn an_operator_has_one_share_whatever_its_members_have_in_common() {
    let mut roster = seasoned();
    let subnets = ["/ip4/127.66.0.1/tcp/1", "/ip4/127.67.0.1/tcp/1", "/ip4/127.68.0.1/tcp/1"];
    roster.learn(Node::new(1).certificate, Source::Member(operator("f", &subnets[..1])), TODAYS);
    roster.learn(Node::new(2).certificate, Source::Member(operator("", &subnets[1..2])), TODAYS);
    let taken = |family, subnets| MAX_UNVOUCHED_EACH - roster.room_for(&operator(family, subnets));
    assert_eq!(taken("f", &subnets[2..]), 1, "one family");
    assert_eq!(taken("g", &subnets[..1]), 1, "one subnet");
    assert_eq!(taken("", &subnets[2..]), 0, "no family is none in common");
    assert_eq!((taken("g", &subnets[2..]), taken("", &[])), (0, 0));
}

#[test]
fn a_fresh_member_learns_a_quarter_of_the_largest_roster_with_every_exchange() {
    let listed: Vec<ShortDigest> =
        MINTED.iter().map(|c| ShortDigest(c.digest()[..8].try_into().unwrap())).collect();
    let mut roster = Roster::default();
    for number in 1..=4 {
        let member = operator(&format!("family {number}"), &[]);
        let pieces = roster.pieces(TODAYS);
        roster.vouch(&pieces, &[false; PIECES], &listed, &member, TODAYS);
        let room = roster.room_for(&member);
        assert_eq!(room, MAX_NODES / 4);
        let lacking = MINTED.iter().filter(|c| roster.certificate(&c.node()).is_none());
        for node in lacking.take(room).cloned().collect::<Vec<_>>() {
            roster.learn(node, Source::Member(member.clone()), TODAYS);
        }
    }
    assert_eq!((roster.len(), roster.active(TODAYS).count()), (MINTED.len(), MINTED.len()));
}
