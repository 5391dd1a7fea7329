//! Descriptors and what nodes sign.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anon::{
    id::{NetworkId, NodeId},
    keys::{AgreementKey, FamilySecret, IdentitySecret, KeyError, SigningSecret as _},
    network::Epoch,
    testing::views::NETWORK,
    view::{
        descriptor::{
            Addresses, Descriptor, DescriptorError, FamilyTag, MAX_DESCRIPTOR, OnionAddress,
            TcpAddress,
        },
        statement::{FamilyMembership, MAX_STATEMENT, StatementError, UnverifiedNodeStatement},
    },
    wire,
};
use proptest::prelude::*;

const EPOCH: Epoch = Epoch(u64::MAX);
const KEY: AgreementKey = AgreementKey([9; 32]);

fn v4() -> TcpAddress {
    TcpAddress::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 4_001).unwrap()
}

fn v6() -> TcpAddress {
    TcpAddress::new(IpAddr::V6("2001:db8::7".parse::<Ipv6Addr>().unwrap()), 4_001).unwrap()
}

fn onion() -> OnionAddress {
    OnionAddress::new([0x0e; 32], 443).unwrap()
}

fn identity() -> IdentitySecret {
    IdentitySecret::from_seed(&[1; 32])
}

fn family() -> FamilySecret {
    FamilySecret::from_seed(&[2; 32])
}

fn node(identity: &IdentitySecret) -> NodeId {
    NodeId(identity.verify_key().0)
}

/// Every shape that a descriptor has.
fn shapes() -> Vec<Descriptor> {
    let addresses = [
        Addresses::Tcp(v4()),
        Addresses::Tcp(v6()),
        Addresses::Onion(onion()),
        Addresses::Both(v4(), onion()),
        Addresses::Both(v6(), onion()),
    ];
    let families = [None, Some(FamilyTag([0xFA; 12]))];
    let make = |(at, family)| Descriptor::new(NodeId([3; 32]), KEY, at, family).unwrap();
    addresses.into_iter().flat_map(|at| families.map(|family| (at, family))).map(make).collect()
}

fn statement(
    membership: Option<FamilyMembership>,
    tag: Option<FamilyTag>,
) -> UnverifiedNodeStatement {
    let descriptor = Descriptor::new(node(&identity()), KEY, Addresses::Tcp(v4()), tag).unwrap();
    UnverifiedNodeStatement::issue(&identity(), &NETWORK, EPOCH, descriptor, membership)
}

#[test]
fn each_shape_has_its_size() {
    let sizes: Vec<usize> = shapes().iter().map(|shape| shape.encode().len()).collect();
    assert_eq!(sizes, [71, 83, 83, 95, 99, 111, 105, 117, 117, 129]);
    assert_eq!(sizes.iter().max(), Some(&MAX_DESCRIPTOR));
    // The issue's bound: TCP alone, with the node's signature.
    assert!(sizes[3] + 64 <= 160);
}

#[test]
fn each_shape_is_read_as_what_it_is_and_nothing_else() {
    for shape in shapes() {
        let good = shape.encode();
        assert_eq!(Descriptor::decode(&good), Ok(shape));
        for cut in 0..good.len() {
            assert_eq!(Descriptor::decode(&good[..cut]), Err(DescriptorError::Length));
        }
        assert_eq!(Descriptor::decode(&[&good[..], &[0]].concat()), Err(DescriptorError::Length));
        let (first, rest) = Descriptor::decode_first(&[&good[..], &[7, 8]].concat())
            .map(|(first, rest)| (first, rest.to_vec()))
            .unwrap();
        assert_eq!((first, rest), (shape, vec![7, 8]));
        assert_eq!(wire::decode::<Descriptor>(&wire::encode(&shape), 200), Ok(shape));
        for at in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            if let Ok(read) = Descriptor::decode(&flipped) {
                assert_eq!(read.encode(), flipped);
                assert_ne!(read, shape);
            }
        }
    }
}

#[test]
fn unknown_kinds_are_refused_by_number() {
    for kind in 0..=u8::MAX {
        let mut bytes = [1; MAX_DESCRIPTOR + 8];
        bytes[64] = kind;
        let known = kind < 16 && kind & 3 != 3 && kind & 7 != 0;
        let read = Descriptor::decode(&bytes).unwrap_err();
        let expected =
            if known { DescriptorError::Length } else { DescriptorError::UnknownKind(kind) };
        assert_eq!(read, expected, "{kind}");
    }
}

#[test]
fn addresses_that_no_node_has_are_refused() {
    let bad = Err(DescriptorError::BadAddress);
    for ip in [
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::",
        "ff02::1",
        // IPv4 in disguise would leave its /16.
        "::ffff:1.2.3.4",
        "::1.2.3.4",
        "::ffff:0.0.0.0",
    ] {
        assert_eq!(TcpAddress::new(ip.parse().unwrap(), 1), bad, "{ip}");
    }
    for ip in ["127.0.0.1", "10.0.0.1", "::1", "2001:db8::1"] {
        let ip = ip.parse().unwrap();
        assert!(TcpAddress::new(ip, 1).is_ok() && TcpAddress::new(ip, u16::MAX).is_ok(), "{ip}");
        assert_eq!(TcpAddress::new(ip, 0), bad);
    }
    assert_eq!(OnionAddress::new([1; 32], 0), Err(DescriptorError::BadAddress));
    let mut bytes = shapes()[0].encode();
    bytes[70] = 0;
    bytes[69] = 0;
    assert_eq!(Descriptor::decode(&bytes), Err(DescriptorError::BadAddress));
}

#[test]
fn an_address_has_an_ip_or_an_onion_and_a_port() {
    let both = Addresses::Both(v6(), onion());
    assert_eq!((both.tcp(), both.onion()), (Some(v6()), Some(onion())));
    assert_eq!((v4().ip().to_string(), v4().port()), ("192.0.2.7".to_owned(), 4_001));
    assert_eq!((onion().key(), onion().port()), (&[0x0e; 32], 443));
    assert_eq!(format!("{:?}", onion()), "OnionAddress(0e0e0e0e…:443)");
}

#[test]
fn a_channel_key_has_one_encoding() {
    for last in [0x80, 0xff] {
        let mut key = [0xff; 32];
        key[31] = last;
        let made = Descriptor::new(NodeId([3; 32]), AgreementKey(key), Addresses::Tcp(v4()), None);
        assert_eq!(made, Err(DescriptorError::BadChannelKey));
        assert_eq!(
            shapes()[0].with_channel_key(AgreementKey(key)),
            Err(DescriptorError::BadChannelKey)
        );
    }
    let other = shapes()[0].with_channel_key(AgreementKey([8; 32])).unwrap();
    assert_eq!((other.channel_key().0, other.node()), ([8; 32], NodeId([3; 32])));
}

#[test]
fn a_statement_holds_for_its_network_its_epoch_and_its_node() {
    let good = statement(None, None);
    let verified = good.clone().verify(&NETWORK, EPOCH).unwrap();
    let id = node(&identity());
    assert_eq!((good.claimed_node(), verified.descriptor().node()), (id, id));
    assert_eq!(good.claimed_epoch(), verified.epoch());
    let printed = format!("NodeStatement({}, epoch {})", id.short(), EPOCH.0);
    assert_eq!(format!("{verified:?}"), printed);
    assert_eq!((verified.epoch(), verified.to_unverified()), (EPOCH, good.clone()));
    assert_eq!(verified.descriptor().verify(&NETWORK, EPOCH, &verified.signature()), Ok(()));
    let other = NetworkId([1; 32]);
    let refused = Err(StatementError::Node(KeyError::BadSignature));
    assert_eq!(good.clone().verify(&other, EPOCH), refused);
    let asked = Epoch(5);
    let wrong = StatementError::OtherEpoch { stated: EPOCH, asked };
    assert_eq!(good.verify(&NETWORK, asked), Err(wrong));
    let bad = Err(KeyError::BadSignature);
    assert_eq!(verified.descriptor().verify(&NETWORK, asked, &verified.signature()), bad);
}

#[test]
fn a_family_counts_if_it_signed_that_node() {
    let tag = FamilyTag::of(&NETWORK, &family().verify_key());
    let of = |node| FamilyMembership::issue(&family(), &NETWORK, node);
    let mine = || Some(of(node(&identity())));
    let verify = |membership, tag| statement(membership, tag).verify(&NETWORK, EPOCH);
    assert!(verify(mine(), Some(tag)).is_ok());
    let refused = Err(StatementError::Family);
    assert_eq!(verify(None, Some(tag)), refused, "whoever likes could join");
    assert_eq!(verify(mine(), None), refused, "what is not in the descriptor is in no view");
    assert_eq!(verify(mine(), Some(FamilyTag([1; 12]))), refused, "another family");
    assert_eq!(verify(Some(of(NodeId([4; 32]))), Some(tag)), refused, "another node's");
    let elsewhere = FamilyMembership::issue(&family(), &NetworkId([1; 32]), node(&identity()));
    assert_eq!(verify(Some(elsewhere), Some(tag)), refused);
    assert_ne!(tag, FamilyTag::of(&NetworkId([1; 32]), &family().verify_key()));
}

#[test]
fn a_statement_is_read_back_and_no_flipped_bit_counts() {
    let tag = FamilyTag::of(&NETWORK, &family().verify_key());
    let membership = FamilyMembership::issue(&family(), &NETWORK, node(&identity()));
    let good = statement(Some(membership), Some(tag));
    let bytes = good.encode();
    assert!(bytes.len() <= MAX_STATEMENT);
    assert_eq!(UnverifiedNodeStatement::decode(&bytes), Ok(good));
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let read = UnverifiedNodeStatement::decode(&flipped);
        assert!(read.and_then(|read| read.verify(&NETWORK, EPOCH)).is_err(), "bit {at}");
    }
    let mut newer = bytes;
    newer[0] = 2;
    assert_eq!(UnverifiedNodeStatement::decode(&newer), Err(StatementError::UnknownVersion(2)));
    // Also where it is a part of another message.
    let inside: UnverifiedNodeStatement = wire::decode(&newer, MAX_STATEMENT).unwrap();
    assert_eq!(inside.verify(&NETWORK, EPOCH), Err(StatementError::UnknownVersion(2)));
}

#[test]
fn the_longest_statement_fits() {
    let tag = FamilyTag::of(&NETWORK, &family().verify_key());
    let addresses = Addresses::Both(v6(), onion());
    let descriptor = Descriptor::new(node(&identity()), KEY, addresses, Some(tag)).unwrap();
    let membership = FamilyMembership::issue(&family(), &NETWORK, node(&identity()));
    let longest =
        UnverifiedNodeStatement::issue(&identity(), &NETWORK, EPOCH, descriptor, Some(membership));
    assert_eq!(longest.encode().len(), MAX_STATEMENT);
}

/// Keepers may reach a node at one of two addresses: then the view shows that one, and the node has signed just that.
#[test]
fn of_two_addresses_each_is_signed_by_itself() {
    let make = |addresses| {
        let descriptor = Descriptor::new(node(&identity()), KEY, addresses, None).unwrap();
        UnverifiedNodeStatement::issue(&identity(), &NETWORK, EPOCH, descriptor, None)
    };
    let both = make(Addresses::Both(v4(), onion()));
    let verified = both.clone().verify(&NETWORK, EPOCH).unwrap();
    let cases = [
        ((true, true), Addresses::Both(v4(), onion())),
        ((true, false), Addresses::Tcp(v4())),
        ((false, true), Addresses::Onion(onion())),
    ];
    for ((tcp, by_onion), expected) in cases {
        let (left, signature) = verified.restricted(tcp, by_onion).unwrap();
        assert_eq!(left.addresses(), expected);
        left.verify(&NETWORK, EPOCH, &signature).unwrap();
    }
    assert!(verified.restricted(false, false).is_none());
    let alone = make(Addresses::Tcp(v4())).verify(&NETWORK, EPOCH).unwrap();
    assert!(alone.restricted(false, true).is_none());
    assert_eq!(alone.restricted(true, true), Some((*alone.descriptor(), alone.signature())));
    // The two signatures: no flipped bit counts, and they are there for two addresses only.
    let bytes = both.encode();
    let at = bytes.len() - 132;
    assert_eq!(bytes[at], 1);
    for byte in [at + 2, at + 40, at + 67, at + 100] {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1;
        let flipped = UnverifiedNodeStatement::decode(&flipped).unwrap();
        let error = flipped.verify(&NETWORK, EPOCH).unwrap_err();
        assert!(matches!(error, StatementError::Node(_)), "{byte}");
    }
    let without = [&bytes[..at], &[0, 0]].concat();
    let without = UnverifiedNodeStatement::decode(&without).unwrap();
    assert_eq!(without.verify(&NETWORK, EPOCH), Err(StatementError::Parts));
    let single = make(Addresses::Tcp(v4())).encode();
    let with = [&single[..single.len() - 2], &bytes[at..]].concat();
    let with = UnverifiedNodeStatement::decode(&with).unwrap();
    assert_eq!(with.verify(&NETWORK, EPOCH), Err(StatementError::Parts));
}

#[test]
fn two_descriptors_for_one_epoch_contradict_each_other() {
    let make = |seed, epoch, key| {
        let identity = IdentitySecret::from_seed(&[seed; 32]);
        let descriptor =
            Descriptor::new(node(&identity), AgreementKey([key; 32]), Addresses::Tcp(v4()), None);
        let issued =
            UnverifiedNodeStatement::issue(&identity, &NETWORK, epoch, descriptor.unwrap(), None);
        issued.verify(&NETWORK, epoch).unwrap()
    };
    let first = make(1, Epoch(3), 1);
    assert!(first.contradicts(&make(1, Epoch(3), 2)));
    assert!(!first.contradicts(&make(1, Epoch(3), 1)));
    assert!(!first.contradicts(&make(1, Epoch(4), 2)));
    assert!(!first.contradicts(&make(2, Epoch(3), 2)));
    assert_ne!(first.digest(), make(1, Epoch(3), 2).digest());
}

proptest! {
    #[test]
    fn junk_is_refused_or_is_what_it_says(junk in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(read) = Descriptor::decode(&junk) {
            prop_assert_eq!(read.encode(), junk.clone());
        }
        if let Ok(read) = UnverifiedNodeStatement::decode(&junk) {
            prop_assert_eq!(read.encode(), junk);
        }
    }
}
