//! How much a roster takes on disk that strangers have filled.

use anon::{
    certificate::{MAX_FAMILY, MAX_NODE_CERTIFICATE, NodeCertificate},
    keys::{ChannelSecret, IdentitySecret},
    roster::{MAX_NODES, Operator, Roster, Source},
    wire,
};

use super::{TODAYS, TOMORROW};
use crate::world::{NOW, Node, TODAY, network, node_claims};

#[test]
fn a_roster_that_strangers_have_filled_fits_its_file() {
    // The longest certificates there are, each on the word of two members with as long a name.
    let longest = |number: usize, letter: &str| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let identity = IdentitySecret::from_seed(&seed);
        let mut claims = node_claims(&identity, &ChannelSecret::from_seed(&seed));
        let onion = |port: u16| format!("/onion3/{}:{port}", letter.repeat(56));
        claims.addresses = vec![onion(65_533), onion(65_534), onion(65_535)];
        claims.family = letter.repeat(MAX_FAMILY);
        claims.admission = Some(Node::new(1).admission(TODAY));
        NodeCertificate::issue(&identity, claims).verify(&network(), NOW).unwrap()
    };
    let members = ["a", "b"].map(|letter| Source::Member(Operator::of(&longest(1_000, letter))));
    let mut roster = Roster::default();
    let stored = |roster: &Roster| wire::encode(&roster.store()).len();
    let mut lengths = Vec::new();
    for number in 0..200 {
        for source in &members {
            roster.learn(longest(number, "c"), source.clone(), TODAYS);
        }
        lengths.push(stored(&roster));
    }
    let certificate = wire::encode(&longest(0, "c").to_unverified()).len();
    assert!(certificate <= MAX_NODE_CERTIFICATE, "{certificate}");
    let each = (lengths[199] - lengths[99]).div_ceil(100);
    let full = each * MAX_NODES;
    assert!(full < 64 << 20, "{each} bytes each, and {full} in all");
    let restored = Roster::restore(roster.store(), &network(), NOW);
    assert_eq!(stored(&restored), lengths[199], "nothing is lost on the way to the disk");
    assert!(restored.is_active(&longest(7, "c").node(), TOMORROW));
}
