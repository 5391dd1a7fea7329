//! The view of an epoch: statements, header, quorum, trees, whole views and a difference.

use anon::{
    id::{NetworkId, NodeId},
    keys::{ChannelSecret, FamilySecret, IdentitySecret, KeeperSecret, SigningSecret as _},
    network::Epoch,
    testing::views::{Keepers, placeholders},
    view::{
        descriptor::{Addresses, Descriptor, OnionAddress, TcpAddress},
        difference::DifferenceDecoder,
        header::ViewHeader,
        list::{NodeList, SignatureList},
        quorum::{KeeperSet, KeeperSignature, UnverifiedSignedView},
        signed::View,
        statement::{FamilyMembership, NodeStatement, UnverifiedNodeStatement},
        whole::WholeDecoder,
    },
};
use sha2::{Digest as _, Sha256};

use super::{Compared, Known};

pub(super) fn view(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let secrets: Vec<KeeperSecret> = known
        .list("/keepers")?
        .map(|seed| seed.array("").map(|seed| KeeperSecret::from_seed(&seed)))
        .collect::<Option<_>>()?;
    let keys: Vec<_> = secrets.iter().map(KeeperSecret::verify_key).collect();
    let expected: Option<Vec<_>> = known.list("/keeper_keys")?.map(|key| key.array("")).collect();
    compared.same("keepers' keys", keys.iter().map(|key| key.0).eq(expected?));
    let keepers = KeeperSet::new(keys).ok()?;
    small_view(known, &keepers, &secrets, compared)?;
    compared.same("the keepers of the larger views", Keepers::new(4).set == keepers);
    large_views(known, compared)
}

fn statement(known: Known<'_>, node: Known<'_>, compared: &mut Compared) -> Option<NodeStatement> {
    let network = NetworkId(known.array("/network")?);
    let identity = IdentitySecret::from_seed(&node.array("/identity")?);
    let id = NodeId(identity.verify_key().0);
    let port = u16::try_from(node.number("/port")?).ok()?;
    let tcp = node.text("/ip").map(|ip| TcpAddress::new(ip.parse().ok()?, port).ok());
    let onion = node.array("/onion").map(|key| OnionAddress::new(key, 443).ok());
    let addresses = match (tcp, onion) {
        (Some(tcp), Some(onion)) => Addresses::Both(tcp?, onion?),
        (Some(tcp), None) => Addresses::Tcp(tcp?),
        (None, onion) => Addresses::Onion(onion??),
    };
    let family = node.array("/family").map(|seed| FamilySecret::from_seed(&seed));
    let membership = family.map(|family| FamilyMembership::issue(&family, &network, id));
    let tag = membership.as_ref().map(|membership| membership.tag(&network));
    compared.same("a family's tag", tag.map(|tag| tag.0) == node.array("/tag"));
    let key = ChannelSecret::from_seed(&node.array("/channel")?).agreement_key();
    let descriptor = Descriptor::new(id, key, addresses, tag).ok()?;
    compared.same("a descriptor", descriptor.encode() == node.bytes("/descriptor")?);
    let epoch = Epoch(known.number("/epoch")?);
    let made = UnverifiedNodeStatement::issue(&identity, &network, epoch, descriptor, membership);
    compared.same("a node's statement", made.encode() == node.bytes("/statement")?);
    let verified = made.verify(&network, epoch).ok()?;
    compared.same("a statement's digest", verified.digest().0 == node.array("/digest")?);
    Some(verified)
}

fn small_view(
    known: Known<'_>,
    keepers: &KeeperSet,
    secrets: &[KeeperSecret],
    compared: &mut Compared,
) -> Option<()> {
    let network = NetworkId(known.array("/network")?);
    let statements: Vec<NodeStatement> = known
        .list("/nodes")?
        .map(|node| statement(known, node, compared))
        .collect::<Option<_>>()?;
    let nodes = NodeList::new(statements.iter().map(|one| *one.descriptor())).ok()?;
    let signatures = SignatureList::new(statements.iter().map(NodeStatement::signature));
    let small = known.at("/small")?;
    compared.same("the signatures' root", signatures.root().0 == small.array("/signatures_root")?);
    let header = ViewHeader {
        network,
        epoch: Epoch(known.number("/epoch")?),
        before: None,
        count: nodes.len(),
        descriptors: nodes.root(),
        signatures: signatures.root(),
        network_serial: known.number("/serial")?,
        revocations: known.array("/revocations")?,
    };
    let signers = known.list("/signers")?.map(|number| secrets.get(number.length("")?));
    let signed = signers
        .map(|secret| KeeperSignature::sign(keepers, secret?, &header))
        .collect::<Option<_>>()?;
    let signed =
        UnverifiedSignedView { header, signatures: signed }.verify(&network, keepers).ok()?;
    for (rank, path) in (0..).zip(small.list("/paths")?) {
        let path: Option<Vec<[u8; 32]>> = path.list("")?.map(|hash| hash.array("")).collect();
        compared.same("a path", nodes.prove(rank)?.path.iter().map(|hash| hash.0).eq(path?));
    }
    let view = View::new(signed, nodes, Some(signatures)).ok()?;
    compared.same("the nodes' signatures", view.verify_node_signatures().is_ok());
    spelled(&view, small, compared)?;
    compared.same("with signatures", read(&view, keepers) == small.bytes("/with_signatures"));
    let alone = view.without_signatures();
    compared.same("without signatures", read(&alone, keepers) == small.bytes("/whole"));
    Some(())
}

/// Compares what is said of a view besides its nodes.
fn spelled(view: &View, known: Known<'_>, compared: &mut Compared) -> Option<()> {
    compared.same("a header", view.header().encode() == known.bytes("/header")?);
    compared.same("a view's id", view.id().0 == known.array("/id")?);
    let signed = view.signed().to_unverified().encode();
    compared.same("a signed view", signed == known.bytes("/signed")?);
    compared.same("a root", view.nodes().root().0 == known.array("/root")?);
    let signatures = view.header().signatures.0;
    compared.same("a signatures' root", signatures == known.array("/signatures_root")?);
    Some(())
}

/// A view's encoding, if it is read as that view.
fn read(view: &View, keepers: &KeeperSet) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = view.whole().flatten().collect();
    let mut decoder = WholeDecoder::new(view.header().network, keepers.clone());
    decoder.feed(&bytes).ok()?;
    (decoder.finish().ok()? == *view).then_some(bytes)
}

fn is_summed(bytes: &[u8], known: Known<'_>) -> Option<bool> {
    let sum: [u8; 32] = Sha256::digest(bytes).into();
    Some(bytes.len() == known.length("/length")? && sum == known.array("/sha256")?)
}

fn large_views(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let keepers = Keepers::new(4);
    let base = keepers.view_of(300, None, 0..600);
    let after = keepers.view_of(301, Some(&base), 70..680);
    for (view, name) in [(&base, "/base"), (&after, "/after")] {
        let known = known.at(name)?;
        spelled(view, known, compared)?;
        let bytes = read(view, &keepers.set)?;
        compared.same("a view of several chunks", is_summed(&bytes, known.at("/whole")?)?);
    }
    let signed = keepers.view(300, None, base.nodes().clone(), Some(placeholders(600)));
    let bytes = read(&signed, &keepers.set)?;
    compared.same("with signatures", is_summed(&bytes, known.at("/base/with_signatures")?)?);
    let path: Option<Vec<[u8; 32]>> =
        known.list("/base/path")?.map(|hash| hash.array("")).collect();
    compared.same("a path", base.nodes().prove(500)?.path.iter().map(|hash| hash.0).eq(path?));
    let bytes: Vec<u8> = after.difference_from(&base).ok()?.flatten().collect();
    compared.same("a difference", is_summed(&bytes, known.at("/after/difference")?)?);
    let mut decoder = DifferenceDecoder::new(&base, keepers.set);
    decoder.feed(&bytes).ok()?;
    compared.same("what a difference makes", decoder.finish() == Ok(after));
    Some(())
}
