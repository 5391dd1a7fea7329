//! A small network in memory: its authority, nodes and address owners, all from fixed seeds.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use anon::{
    certificate::{
        Address, AddressCertificate, AddressClaims, Admission, NodeCertificate, NodeClaims,
        UnverifiedAddressCertificate, UnverifiedNodeCertificate,
    },
    handshake::{Hop, Responder},
    id::{NetworkId, NodeId},
    keys::{
        AddressSecret, AuthoritySecret, ChannelSecret, IdentitySecret, SealingSecret, Signature,
        SigningSecret as _,
    },
    network::{Network, Revoked},
    time::{Time, Validity},
    verification::{CrossVerified, cross_verify},
    wire,
};
use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// When the tests take place.
pub(crate) const NOW: Time = Time(1_800_000_000);
/// A day around [`NOW`].
pub(crate) const TODAY: Validity =
    Validity { not_before: NOW.before(43_200), not_after: NOW.after(43_200) };
/// The name of the test network.
pub(crate) const NAME: &str = "test.alt";

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub(crate) fn authority() -> AuthoritySecret {
    AuthoritySecret::from_seed(&[0xA0; 32])
}

/// The test network: an authority, no admission required, k = 4, quorum 3.
pub(crate) fn network() -> Network {
    let key = authority().verify_key();
    Network {
        id: NetworkId::derive(NAME, Some(&key)),
        name: NAME.into(),
        authority: Some(key),
        admission_required: false,
        k: 4,
        quorum: 3,
        epoch_seconds: 86_400,
        revoked: Revoked::default(),
        charter: None,
    }
}

/// A network with the same authority and another name.
pub(crate) fn other_network() -> Network {
    let id = NetworkId::derive("other.alt", Some(&authority().verify_key()));
    Network { id, name: "other.alt".into(), ..network() }
}

/// The name of a change, and the change.
pub(crate) type Change<'a, C> = (&'a str, &'a dyn Fn(&mut C));

/// What a signed structure with private fields looks like on the wire, to take apart and forge.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Signed<C> {
    pub(crate) claims: C,
    pub(crate) signature: Signature,
}

/// The same bytes as another type.
pub(crate) fn recode<A: Serialize, B: Serialize + DeserializeOwned>(value: &A) -> B {
    wire::decode(&wire::encode(value), usize::MAX).expect("both types have the same encoding")
}

/// A node with all its secrets.
pub(crate) struct Node {
    pub(crate) identity: IdentitySecret,
    pub(crate) channel: ChannelSecret,
    pub(crate) certificate: NodeCertificate,
}

impl Node {
    pub(crate) fn new(seed: u8) -> Self {
        let identity = IdentitySecret::from_seed(&[seed; 32]);
        let channel = ChannelSecret::from_seed(&[seed ^ 0x80; 32]);
        let claims = node_claims(&identity, &channel);
        let certificate = NodeCertificate::issue(&identity, claims)
            .verify(&network(), NOW)
            .expect("an honest certificate");
        Self { identity, channel, certificate }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.certificate.node()
    }

    /// As two independent answers would make it.
    pub(crate) fn verified(&self) -> CrossVerified {
        cross_verify(self.certificate.clone(), self.certificate.clone()).expect("the same node")
    }

    /// As who it answers a handshake.
    pub(crate) fn responder(&self) -> Responder<'_> {
        let network = self.certificate.claims().network;
        Responder { network, node: self.id(), secret: &self.channel }
    }

    /// As a handshake knows it, named by its certificate.
    pub(crate) fn hop(&self) -> Hop {
        Hop::certified(&self.certificate)
    }

    /// A certificate of this node with some claims changed, signed by this node.
    pub(crate) fn certify(
        &self,
        change: impl FnOnce(&mut NodeClaims),
    ) -> UnverifiedNodeCertificate {
        let mut claims = self.certificate.claims().clone();
        change(&mut claims);
        NodeCertificate::issue(&self.identity, claims)
    }

    pub(crate) fn admission(&self, validity: Validity) -> Admission {
        Admission::issue(&authority(), &network().id, self.id(), validity)
    }
}

/// A node of a path, however it is named.
pub(crate) trait Member {
    /// As more than one party vouches for it.
    fn verified(&self) -> CrossVerified;
    /// As who it answers a handshake.
    fn responder(&self) -> Responder<'_>;
}

impl Member for Node {
    fn verified(&self) -> CrossVerified {
        self.verified()
    }

    fn responder(&self) -> Responder<'_> {
        self.responder()
    }
}

/// A node of a view, with its secret for it.
pub(crate) struct Standing {
    pub(crate) network: NetworkId,
    pub(crate) channel: ChannelSecret,
    pub(crate) verified: CrossVerified,
}

impl Member for Standing {
    fn verified(&self) -> CrossVerified {
        self.verified.clone()
    }

    fn responder(&self) -> Responder<'_> {
        Responder { network: self.network, node: self.verified.node(), secret: &self.channel }
    }
}

pub(crate) fn node_claims(identity: &IdentitySecret, channel: &ChannelSecret) -> NodeClaims {
    NodeClaims {
        network: network().id,
        identity: NodeId(identity.verify_key().0),
        channel_key: channel.agreement_key(),
        addresses: vec!["/ip4/127.1.0.1/tcp/4001".into()],
        family: "one".into(),
        validity: TODAY,
        admission: None,
    }
}

/// The owner of an address with all the secrets.
pub(crate) struct Owner {
    pub(crate) secret: AddressSecret,
    pub(crate) sealing: SealingSecret,
    pub(crate) certificate: AddressCertificate,
}

impl Owner {
    /// `local@test.alt`, signed by the authority.
    pub(crate) fn named(local: &str, seed: u8) -> Self {
        let secret = AddressSecret::from_seed(&[seed; 32]);
        let sealing = SealingSecret::from_seed(&[seed ^ 0x80; 32]);
        let address = Address::parse(&format!("{local}@{NAME}")).expect("an address");
        let claims = address_claims(address, &secret, &sealing);
        let certificate = UnverifiedAddressCertificate::issue(&authority(), claims)
            .verify(&network(), NOW)
            .expect("an honest certificate");
        Self { secret, sealing, certificate }
    }

    /// An address that is the fingerprint of its keys.
    pub(crate) fn self_certifying(seed: u8) -> Self {
        let secret = AddressSecret::from_seed(&[seed; 32]);
        let sealing = SealingSecret::from_seed(&[seed ^ 0x80; 32]);
        let address =
            Address::self_certifying(&network(), &secret.verify_key(), &sealing.agreement_key());
        let claims = address_claims(address, &secret, &sealing);
        let certificate = UnverifiedAddressCertificate::self_signed(&secret, claims)
            .verify(&network(), NOW)
            .expect("an honest certificate");
        Self { secret, sealing, certificate }
    }
}

pub(crate) fn address_claims(
    address: Address,
    secret: &AddressSecret,
    sealing: &SealingSecret,
) -> AddressClaims {
    AddressClaims {
        network: network().id,
        address,
        verify_key: secret.verify_key(),
        sealing_key: sealing.agreement_key(),
        validity: TODAY,
    }
}
