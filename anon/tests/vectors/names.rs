//! Our own known answers: encoding, network, keys and positions, addresses, certificates.

use anon::{
    certificate::{
        Address, AddressClaims, Admission, NodeCertificate, NodeClaims, SigningRequest, Subject,
        UnverifiedAddressCertificate, UnverifiedNodeCertificate,
    },
    id::{NetworkId, NodeId},
    keys::{
        AddressSecret, AuthoritySecret, ChannelSecret, IdentitySecret, SealingSecret,
        SigningSecret as _,
    },
    mail::MessageId,
    network::{Network, Revoked, UnverifiedRevocationList},
    padding::padme,
    position::Key,
    time::{Time, Validity},
    wire,
};
use serde_json::Value;

use crate::{
    vector::{Vector, known_answers},
    world::{Node, Owner},
};

/// The network of `generate.py` and who is in it.
pub(crate) struct Members {
    pub(crate) network: Network,
    pub(crate) authority: AuthoritySecret,
    pub(crate) now: Time,
    pub(crate) nodes: Vec<Node>,
    pub(crate) owners: Vec<Owner>,
}

impl Members {
    pub(crate) fn read() -> Self {
        Self::from_file(&known_answers!("cutout-names"))
    }

    fn from_file(file: &Value) -> Self {
        let all = Vector(file);
        let authority = AuthoritySecret::from_seed(&all.array("/authority"));
        let name = all.text("/name");
        let network = Network {
            id: NetworkId::derive(name, Some(&authority.verify_key())),
            name: name.into(),
            authority: Some(authority.verify_key()),
            admission_required: false,
            k: 8,
            quorum: 5,
            epoch_seconds: 86_400,
            revoked: Revoked::default(),
            charter: None,
        };
        let now = Time(all.number("/now"));
        let validity = Validity {
            not_before: Time(all.number("/not_before")),
            not_after: Time(all.number("/not_after")),
        };
        let node = |node: &Vector<'_>| {
            let identity = IdentitySecret::from_seed(&node.array("/identity"));
            let channel = ChannelSecret::from_seed(&node.array("/channel"));
            let id = NodeId(identity.verify_key().0);
            let admission = Admission::issue(&authority, &network.id, id, validity);
            let claims = NodeClaims {
                network: network.id,
                identity: id,
                channel_key: channel.agreement_key(),
                addresses: node.list("/addresses").iter().map(|a| a.text("").into()).collect(),
                family: node.text("/family").into(),
                validity,
                admission: node.flag("/admitted").then_some(admission),
            };
            let certificate = NodeCertificate::issue(&identity, claims);
            let certificate = certificate.verify(&network, now).expect("it verifies");
            Node { identity, channel, certificate }
        };
        let owner = |owner: &Vector<'_>| {
            let secret = AddressSecret::from_seed(&owner.array("/secret"));
            let sealing = SealingSecret::from_seed(&owner.array("/sealing"));
            let (verify_key, sealing_key) = (secret.verify_key(), sealing.agreement_key());
            let named = !owner.at("/local").0.is_null();
            let address = if named {
                Address::parse(&format!("{}@{name}", owner.text("/local"))).expect("an address")
            } else {
                Address::self_certifying(&network, &verify_key, &sealing_key)
            };
            let claims =
                AddressClaims { network: network.id, address, verify_key, sealing_key, validity };
            let certificate = if named {
                UnverifiedAddressCertificate::issue(&authority, claims)
            } else {
                UnverifiedAddressCertificate::self_signed(&secret, claims)
            };
            let certificate = certificate.verify(&network, now).expect("it verifies");
            Owner { secret, sealing, certificate }
        };
        let nodes = all.list("/nodes").iter().map(node).collect();
        let owners = all.list("/owners").iter().map(owner).collect();
        Self { network, authority, now, nodes, owners }
    }
}

#[test]
fn numbers_and_padded_lengths() {
    let file = known_answers!("cutout-encoding");
    for case in Vector(&file).list("/numbers") {
        let (number, encoded) =
            (case.text("/number").parse::<u64>().unwrap(), case.bytes("/encoded"));
        assert_eq!(wire::encode(&number), encoded);
        assert_eq!(wire::decode(&encoded, 9), Ok(number));
    }
    for case in Vector(&file).list("/padme") {
        assert_eq!(padme(case.length("/length")), case.length("/padded"));
    }
}

#[test]
fn the_network_and_its_keys() {
    let file = known_answers!("cutout-names");
    let all = Vector(&file);
    let members = Members::from_file(&file);
    assert_eq!(members.network.id.0, all.array("/network"));
    assert_eq!(members.authority.verify_key().0, all.array("/authority_key"));
    let alone = NetworkId::derive(all.text("/name"), None);
    assert_eq!(alone.0, all.array("/network_without_authority"));
    let key = Key::of_identifier(all.text("/key/identifier"));
    assert_eq!(key.0, all.array("/key/key"));
    assert_eq!(key.position().0, all.array("/key/position"));
    let id = MessageId(all.array("/message_id/bytes"));
    assert_eq!(id.to_text(all.text("/name")), all.text("/message_id/text"));
    assert_eq!(id.key(all.text("/name")).0, all.array("/message_id/key"));
}

#[test]
fn node_certificates() {
    let file = known_answers!("cutout-names");
    let members = Members::from_file(&file);
    for (expected, node) in Vector(&file).list("/nodes").iter().zip(&members.nodes) {
        assert_eq!(node.id().0, expected.array("/id"));
        assert_eq!(node.id().position().0, expected.array("/position"));
        let bytes = expected.bytes("/certificate");
        assert_eq!(wire::encode(&node.certificate.to_unverified()), bytes);
        let read = wire::decode::<UnverifiedNodeCertificate>(&bytes, 4_096).unwrap();
        let verified = read.verify(&members.network, members.now).unwrap();
        assert_eq!(verified.digest(), expected.array("/digest"));
    }
    let admitting = Network { admission_required: true, ..members.network };
    let admitted = members.nodes[1].certificate.to_unverified();
    assert!(admitted.verify(&admitting, members.now).is_ok());
}

#[test]
fn address_certificates_and_signing_requests() {
    let file = known_answers!("cutout-names");
    let members = Members::from_file(&file);
    for (expected, owner) in Vector(&file).list("/owners").iter().zip(&members.owners) {
        let address = owner.certificate.address();
        assert_eq!(address.to_string(), expected.text("/address"));
        assert_eq!(address.inbox().0, expected.array("/inbox"));
        assert_eq!(address.certificate().0, expected.array("/certificate_key"));
        let bytes = expected.bytes("/certificate");
        assert_eq!(owner.certificate.encode(), bytes);
        let read = UnverifiedAddressCertificate::decode(&bytes).unwrap();
        assert_eq!(read.verify(&members.network, members.now).as_ref(), Ok(&owner.certificate));
        let (id, sealing) = (&members.network.id, owner.sealing.agreement_key());
        let request = SigningRequest::for_address(id, &owner.secret, address.clone(), sealing);
        assert_eq!(wire::encode(&request), expected.bytes("/signing_request"));
    }
    let node = &members.nodes[0];
    let request = SigningRequest::for_node(&members.network.id, &node.identity);
    let bytes = Vector(&file).bytes("/node_signing_request");
    assert_eq!(wire::encode(&request), bytes);
    let read = wire::decode::<SigningRequest>(&bytes, 1_024).unwrap();
    assert_eq!(read.verify(&members.network), Ok(&Subject::Node(node.id())));
}

#[test]
fn revocation_lists() {
    let file = known_answers!("cutout-names");
    let Members { network, authority, now, nodes, owners } = Members::from_file(&file);
    let revoked = Revoked {
        nodes: [nodes[1].id()].into(),
        addresses: [owners[0].secret.verify_key()].into(),
    };
    let list = UnverifiedRevocationList::issue(&authority, &network.id, 7, now, &revoked);
    let bytes = Vector(&file).bytes("/revocation_list");
    assert_eq!(wire::encode(&list), bytes);
    let read = wire::decode::<UnverifiedRevocationList>(&bytes, 1_024).unwrap();
    assert_eq!(read.verify(&network.id, &authority.verify_key()), Ok(revoked));
}
