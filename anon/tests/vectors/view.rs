//! The view of an epoch: statements, header, quorum, root, whole views, difference.

use anon::{
    id::{NetworkId, NodeId},
    keys::{ChannelSecret, FamilySecret, IdentitySecret, KeeperSecret, SigningSecret as _},
    network::Epoch,
    testing::views::{Keepers, NETWORK, placeholders},
    view::{
        descriptor::{Addresses, Descriptor, OnionAddress, TcpAddress},
        difference::DifferenceDecoder,
        header::ViewHeader,
        list::{NodeList, SignatureList},
        quorum::{KeeperSet, KeeperSignature, UnverifiedSignedView},
        signed::View,
        statement::{FamilyMembership, NodeStatement, UnverifiedNodeStatement},
        tree::Hash,
        whole::WholeDecoder,
    },
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::vector::{Vector, known_answers};

fn keepers(all: &Vector<'_>) -> (KeeperSet, Vec<KeeperSecret>) {
    let seeds = |path| all.list(path).iter().map(|one| one.array("")).collect::<Vec<[u8; 32]>>();
    let secrets: Vec<_> = seeds("/keepers").iter().map(KeeperSecret::from_seed).collect();
    let keys: Vec<_> = secrets.iter().map(KeeperSecret::verify_key).collect();
    assert!(keys.iter().map(|key| key.0).eq(seeds("/keeper_keys")));
    (KeeperSet::new(keys).unwrap(), secrets)
}

fn statement(all: &Vector<'_>, node: &Vector<'_>) -> NodeStatement {
    let network = NetworkId(all.array("/network"));
    let identity = IdentitySecret::from_seed(&node.array("/identity"));
    let id = NodeId(identity.verify_key().0);
    let is_there = |path| *node.at(path).0 != Value::Null;
    let port = u16::try_from(node.number("/port")).unwrap();
    let tcp = is_there("/ip").then(|| node.text("/ip").parse().unwrap());
    let tcp = tcp.map(|ip| TcpAddress::new(ip, port).unwrap());
    let onion = is_there("/onion").then(|| OnionAddress::new(node.array("/onion"), 443).unwrap());
    let addresses = match (tcp, onion) {
        (Some(tcp), Some(onion)) => Addresses::Both(tcp, onion),
        (Some(tcp), None) => Addresses::Tcp(tcp),
        (None, onion) => Addresses::Onion(onion.unwrap()),
    };
    let membership = is_there("/family").then(|| {
        FamilyMembership::issue(&FamilySecret::from_seed(&node.array("/family")), &network, id)
    });
    let tag = membership.as_ref().map(|membership| membership.tag(&network));
    assert_eq!(tag.map(|tag| tag.0), is_there("/tag").then(|| node.array("/tag")));
    let key = ChannelSecret::from_seed(&node.array("/channel")).agreement_key();
    let descriptor = Descriptor::new(id, key, addresses, tag).unwrap();
    assert_eq!(descriptor.encode(), node.bytes("/descriptor"));
    assert_eq!(Descriptor::decode(&node.bytes("/descriptor")), Ok(descriptor));
    let epoch = Epoch(all.number("/epoch"));
    let made = UnverifiedNodeStatement::issue(&identity, &network, epoch, descriptor, membership);
    assert_eq!(made.encode(), node.bytes("/statement"));
    let read = UnverifiedNodeStatement::decode(&node.bytes("/statement")).unwrap();
    let verified = read.verify(&network, epoch).unwrap();
    assert_eq!(verified.digest().0, node.array("/digest"));
    verified
}

#[test]
fn statements_header_quorum_and_whole_views() {
    let file = known_answers!("cutout-view");
    let all = Vector(&file);
    let network = NetworkId(all.array("/network"));
    let (set, secrets) = keepers(&all);
    let statements: Vec<_> = all.list("/nodes").iter().map(|node| statement(&all, node)).collect();
    let nodes = NodeList::new(statements.iter().map(|one| *one.descriptor())).unwrap();
    let signatures = SignatureList::new(statements.iter().map(NodeStatement::signature));
    assert_eq!(nodes.root().0, all.array("/small/root"));
    assert_eq!(signatures.root().0, all.array("/small/signatures_root"));
    let header = ViewHeader {
        network,
        epoch: Epoch(all.number("/epoch")),
        before: None,
        count: nodes.len(),
        descriptors: nodes.root(),
        signatures: signatures.root(),
        network_serial: all.number("/serial"),
        revocations: all.array("/revocations"),
    };
    assert_eq!(header.encode(), all.bytes("/small/header"));
    assert_eq!(header.id().0, all.array("/small/id"));
    let signers = all.list("/signers");
    let signers = signers.iter().map(|number| &secrets[number.length("")]);
    let signatures_of_keepers =
        signers.map(|secret| KeeperSignature::sign(&set, secret, &header).unwrap()).collect();
    let signed = UnverifiedSignedView { header, signatures: signatures_of_keepers };
    assert_eq!(signed.encode(), all.bytes("/small/signed"));
    let signed = signed.verify(&network, &set).unwrap();
    for (rank, path) in (0..).zip(all.list("/small/paths")) {
        let path = path.list("").iter().map(|hash| Hash(hash.array(""))).collect::<Vec<_>>();
        assert_eq!(nodes.prove(rank).unwrap().path, path);
    }
    let view = View::new(signed, nodes, Some(signatures)).unwrap();
    assert_eq!(view.verify_node_signatures(), Ok(()));
    assert_read(&view, &set, &all.bytes("/small/with_signatures"));
    assert_read(&view.without_signatures(), &set, &all.bytes("/small/whole"));
}

/// That a view has this encoding and no other, both ways.
fn assert_read(view: &View, keepers: &KeeperSet, bytes: &[u8]) {
    assert_eq!(view.whole().flatten().collect::<Vec<u8>>(), bytes);
    let mut decoder = WholeDecoder::new(view.header().network, keepers.clone());
    decoder.feed(bytes).unwrap();
    assert_eq!(decoder.finish().as_ref(), Ok(view));
}

fn assert_sum(pieces: impl Iterator<Item = Vec<u8>>, expected: &Vector<'_>) -> Vec<u8> {
    let bytes: Vec<u8> = pieces.flatten().collect();
    assert_eq!(bytes.len(), expected.length("/length"));
    assert_eq!(<[u8; 32]>::from(Sha256::digest(&bytes)), expected.array("/sha256"));
    bytes
}

#[test]
fn views_of_several_chunks_and_their_difference() {
    let file = known_answers!("cutout-view");
    let all = Vector(&file);
    let keepers = Keepers::new(4);
    assert_eq!((NETWORK.0, &keepers.set), (all.array("/network"), &self::keepers(&all).0));
    let base = keepers.view_of(300, None, 0..600);
    let after = keepers.view_of(301, Some(&base), 70..680);
    for (view, name) in [(&base, "/base"), (&after, "/after")] {
        let expected = all.at(name);
        assert_eq!(view.header().encode(), expected.bytes("/header"));
        assert_eq!(view.id().0, expected.array("/id"));
        assert_eq!(view.signed().to_unverified().encode(), expected.bytes("/signed"));
        assert_eq!(view.nodes().root().0, expected.array("/root"));
        let bytes = assert_sum(view.whole(), &expected.at("/whole"));
        assert_read(view, &keepers.set, &bytes);
    }
    let list = Some(placeholders(600));
    let signed = keepers.view(300, None, base.nodes().clone(), list);
    assert_sum(signed.whole(), &all.at("/base/with_signatures"));
    let path: Vec<_> = all.list("/base/path").iter().map(|hash| Hash(hash.array(""))).collect();
    assert_eq!(base.nodes().prove(500).unwrap().path, path);
    let difference = after.difference_from(&base).unwrap();
    let bytes = assert_sum(difference, &all.at("/after/difference"));
    let mut decoder = DifferenceDecoder::new(&base, keepers.set);
    decoder.feed(&bytes).unwrap();
    assert_eq!(decoder.finish(), Ok(after));
}
