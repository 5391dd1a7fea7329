//! Keepers, nodes and views of a network that exists in tests alone: everything follows from numbers.

use std::net::{IpAddr, Ipv4Addr};

use sha2::{Digest as _, Sha256};

use crate::{
    id::{NetworkId, NodeId},
    keys::{AgreementKey, KeeperSecret, Signature, SigningSecret as _},
    network::Epoch,
    view::{
        descriptor::{Addresses, Descriptor, FamilyTag, TcpAddress},
        header::{ViewHeader, ViewId},
        list::{NodeList, SignatureList},
        quorum::{KeeperSet, KeeperSignature, UnverifiedSignedView},
        signed::View,
    },
};

/// The network.
pub const NETWORK: NetworkId = NetworkId([0x4e; 32]);
/// The serial number of its file.
pub const SERIAL: u64 = 7;

/// All keepers of a network, with their secrets.
#[derive(Debug)]
pub struct Keepers {
    /// Who they are.
    pub set: KeeperSet,
    secrets: Vec<KeeperSecret>,
}

impl Keepers {
    /// So many keepers, at most 16.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test's network is well made")]
    pub fn new(count: u8) -> Self {
        let secrets: Vec<_> =
            (0..count).map(|n| KeeperSecret::from_seed(&[0xC0 | n; 32])).collect();
        let keys = secrets.iter().map(KeeperSecret::verify_key).collect();
        Self { set: KeeperSet::new(keys).expect("1 to 16 keepers"), secrets }
    }

    /// The signatures of the keepers with these numbers.
    #[must_use]
    pub fn sign(&self, header: &ViewHeader, numbers: &[u8]) -> UnverifiedSignedView {
        let secrets = numbers.iter().filter_map(|number| self.secrets.get(usize::from(*number)));
        let signatures =
            secrets.filter_map(|secret| KeeperSignature::sign(&self.set, secret, header)).collect();
        UnverifiedSignedView { header: *header, signatures }
    }

    /// A view of these nodes for an epoch, signed by the first keepers that make a quorum.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test's view is well made")]
    pub fn view(
        &self,
        epoch: u64,
        before: Option<&View>,
        nodes: NodeList,
        signatures: Option<SignatureList>,
    ) -> View {
        let mut header = header(epoch, before.map(View::id));
        header.count = nodes.len();
        header.descriptors = nodes.root();
        header.signatures = match &signatures {
            Some(list) => list.root(),
            None => placeholders(nodes.len()).root(),
        };
        let quorum: Vec<u8> = (0..).take(self.set.threshold()).collect();
        let signed = self.sign(&header, &quorum).verify(&NETWORK, &self.set).expect("a quorum");
        View::new(signed, nodes, signatures).expect("what was signed")
    }

    /// A view of the nodes with these numbers, without their signatures.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test's view is well made")]
    pub fn view_of(
        &self,
        epoch: u64,
        before: Option<&View>,
        numbers: impl IntoIterator<Item = u32>,
    ) -> View {
        let mut nodes: Vec<Descriptor> =
            numbers.into_iter().map(|number| descriptor(number, epoch)).collect();
        nodes.sort_by_key(Descriptor::node);
        self.view(epoch, before, NodeList::new(nodes).expect("in order"), None)
    }
}

/// A header without nodes.
#[must_use]
pub fn header(epoch: u64, before: Option<ViewId>) -> ViewHeader {
    let none = NodeList::default().root();
    ViewHeader {
        network: NETWORK,
        epoch: Epoch(epoch),
        before,
        count: 0,
        descriptors: none,
        signatures: none,
        network_serial: SERIAL,
        revocations: [0x5e; 32],
    }
}

/// As many signatures as there are nodes, of nobody.
#[must_use]
pub fn placeholders(count: u32) -> SignatureList {
    SignatureList::new((0..count).map(|number| {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(hash("signature", number, 0).iter().cycle()) {
            *to = *from;
        }
        Signature(bytes)
    }))
}

/// The id of node `number`, which is nobody's key.
#[must_use]
pub fn node(number: u32) -> NodeId {
    NodeId(hash("node", number, 0))
}

/// The channel key of node `number` for the view of an epoch.
#[must_use]
pub fn channel_key(number: u32, epoch: u64) -> AgreementKey {
    let mut key = hash("channel key", number, epoch);
    if let Some(last) = key.last_mut() {
        *last &= 0x3f;
    }
    AgreementKey(key)
}

/// The descriptor of node `number` for the view of an epoch: an IPv4 address of its own, 4,096 /16s, every fifth
/// node of a family of ten.
#[must_use]
#[expect(clippy::expect_used, reason = "a test's descriptor is well made")]
pub fn descriptor(number: u32, epoch: u64) -> Descriptor {
    let ip = Ipv4Addr::from((u32::from(16_u8) << 24) + ((number % 4_096) << 16) + number / 4_096);
    let address = TcpAddress::new(IpAddr::V4(ip), 4_001).expect("an address");
    let family = number.is_multiple_of(5).then(|| {
        let tag = hash("family", number / 50, 0);
        FamilyTag(tag.first_chunk().copied().unwrap_or_default())
    });
    Descriptor::new(node(number), channel_key(number, epoch), Addresses::Tcp(address), family)
        .expect("a descriptor")
}

fn hash(what: &str, number: u32, epoch: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(what);
    hash.update(number.to_be_bytes());
    hash.update(epoch.to_be_bytes());
    hash.finalize().into()
}
