//! The small network in which subjects are attacked: its authority, nodes and owners of addresses.

use anon::{
    certificate::{
        Address, AddressCertificate, AddressClaims, NodeCertificate, NodeClaims,
        UnverifiedAddressCertificate,
    },
    handshake::Responder,
    id::{NetworkId, NodeId},
    keys::{
        AddressSecret, AuthoritySecret, ChannelSecret, IdentitySecret, SealingSecret,
        SigningSecret as _,
    },
    network::{Network, Revoked},
    time::{Time, Validity},
    verification::{CrossVerified, cross_verify},
};
use rand::rngs::StdRng;

/// When it all takes place.
pub(super) const NOW: Time = Time(1_800_000_000);
/// A day around [`NOW`].
const TODAY: Validity = Validity { not_before: NOW.before(43_200), not_after: NOW.after(43_200) };

fn authority() -> AuthoritySecret {
    AuthoritySecret::from_seed(&[0xA0; 32])
}

/// The network of this name.
pub(super) fn network_named(name: &str) -> Network {
    let key = authority().verify_key();
    Network {
        id: NetworkId::derive(name, Some(&key)),
        name: name.to_owned(),
        authority: Some(key),
        admission_required: false,
        k: 4,
        quorum: 3,
        epoch_seconds: 86_400,
        revoked: Revoked::default(),
        charter: None,
    }
}

/// The network in which all subjects live.
pub(super) fn network() -> Network {
    network_named("audit.alt")
}

/// A node with its secrets.
pub(crate) struct Node {
    pub(crate) identity: IdentitySecret,
    pub(crate) channel: ChannelSecret,
    pub(crate) certificate: NodeCertificate,
}

impl Node {
    /// A node with fresh keys, of a family and in a /16 of its own.
    pub(super) fn new(number: u8, rng: &mut StdRng) -> Option<Self> {
        let (family, address) = (format!("family {number}"), format!("/ip4/10.{number}.0.1/tcp/1"));
        Self::of(IdentitySecret::generate(rng), &family, vec![address], rng)
    }

    /// The node with this identity, in this family, at these addresses.
    pub(crate) fn of(
        identity: IdentitySecret,
        family: &str,
        addresses: Vec<String>,
        rng: &mut StdRng,
    ) -> Option<Self> {
        let channel = ChannelSecret::generate(rng);
        let claims = NodeClaims {
            network: network().id,
            identity: NodeId(identity.verify_key().0),
            channel_key: channel.agreement_key(),
            addresses,
            family: family.to_owned(),
            validity: TODAY,
            admission: None,
        };
        let certificate = NodeCertificate::issue(&identity, claims).verify(&network(), NOW).ok()?;
        Some(Self { identity, channel, certificate })
    }

    pub(super) fn id(&self) -> NodeId {
        self.certificate.node()
    }

    /// As who it answers a handshake.
    pub(crate) fn responder(&self) -> Responder<'_> {
        let network = self.certificate.claims().network;
        Responder { network, node: self.id(), secret: &self.channel }
    }

    /// As two independent answers would make it.
    pub(crate) fn verified(&self) -> Option<CrossVerified> {
        cross_verify(self.certificate.clone(), self.certificate.clone()).ok()
    }
}

/// As many nodes as asked for, no two of one operator.
pub(super) fn nodes(count: u8, rng: &mut StdRng) -> Option<Vec<Node>> {
    (0..count).map(|number| Node::new(number, rng)).collect()
}

/// The owner of an address, with the secrets.
pub(crate) struct Owner {
    pub(crate) secret: AddressSecret,
    pub(crate) sealing: SealingSecret,
    pub(crate) certificate: AddressCertificate,
}

impl Owner {
    /// The owner of `local@audit.alt`, certified by the authority.
    pub(super) fn named(local: &str, rng: &mut StdRng) -> Option<Self> {
        let network = network();
        let (secret, sealing) = (AddressSecret::generate(rng), SealingSecret::generate(rng));
        let claims = AddressClaims {
            network: network.id,
            address: Address::parse(&format!("{local}@{}", network.name)).ok()?,
            verify_key: secret.verify_key(),
            sealing_key: sealing.agreement_key(),
            validity: TODAY,
        };
        let issued = UnverifiedAddressCertificate::issue(&authority(), claims);
        let certificate = issued.verify(&network, NOW).ok()?;
        Some(Self { secret, sealing, certificate })
    }
}

/// The windows of this length that two byte strings have in common, counted in the second one.
pub(super) fn shared_windows(one: &[u8], other: &[u8], length: usize) -> usize {
    let windows: std::collections::HashSet<&[u8]> = one.windows(length).collect();
    other.windows(length).filter(|window| windows.contains(window)).count()
}
