//! Where nodes stand, and how many of them count there: identities are free, places are not.
//!
//! A *place* is an IPv4 address or the /64 of an IPv6 one; for a node without either, its onion. A *prefix* is the /16 of an IPv4
//! address or the /32 of an IPv6 one. All of them are those that keepers reached the node at.

use std::net::IpAddr;

use super::{descriptor::Descriptor, list::NodeList};

/// How many nodes a view has at one place, unless the network admits nodes by certificate.
pub const MOST_AT_A_PLACE: usize = 2;

/// What nodes share that are reached at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An IPv4 address.
    Ipv4([u8; 4]),
    /// The /64 of an IPv6 address.
    Ipv6([u8; 8]),
    /// The key of an onion, for a node that is reached over Tor alone.
    Onion([u8; 32]),
}

/// What nodes share that are reached in one neighbourhood of the Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prefix {
    /// The /16 of an IPv4 address.
    Ipv4([u8; 2]),
    /// The /32 of an IPv6 address.
    Ipv6([u8; 4]),
}

impl Descriptor {
    /// The node's place.
    #[must_use]
    pub fn place(&self) -> Place {
        match (self.addresses().tcp().map(|tcp| tcp.ip()), self.addresses().onion()) {
            (Some(IpAddr::V4(ip)), _) => Place::Ipv4(ip.octets()),
            (Some(IpAddr::V6(ip)), _) => Place::Ipv6(first(&ip.octets())),
            (None, onion) => Place::Onion(onion.map_or([0; 32], |onion| *onion.key())),
        }
    }

    /// The node's prefix; none for a node that is reached over Tor alone.
    #[must_use]
    pub fn prefix(&self) -> Option<Prefix> {
        self.addresses().tcp().map(|tcp| match tcp.ip() {
            IpAddr::V4(ip) => Prefix::Ipv4(first(&ip.octets())),
            IpAddr::V6(ip) => Prefix::Ipv6(first(&ip.octets())),
        })
    }

    /// Whether the two may not be on one path: the same node, family or prefix. Nodes that are reached over Tor alone and name no
    /// family cannot be told apart by anything but their ids.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        let same_family = self.family().is_some() && self.family() == other.family();
        let same_prefix = self.prefix().is_some() && self.prefix() == other.prefix();
        self.node() == other.node() || same_family || same_prefix
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// Of the nodes at each place the [`MOST_AT_A_PLACE`] that stood there in the view before, then those with the lowest ids; by
/// ascending id. What keepers compute a view with.
#[must_use]
pub fn cap_places(descriptors: Vec<Descriptor>, before: Option<&NodeList>) -> Vec<Descriptor> {
    let stood = |one: &Descriptor| {
        let old = before.and_then(|list| list.find(&one.node()));
        old.is_some_and(|old| old.place() == one.place())
    };
    let order = |one: &Descriptor| (one.place(), !stood(one), one.node());
    let mut all = descriptors;
    all.sort_by_cached_key(order);
    let mut kept: Vec<Descriptor> = all
        .chunk_by(|one, next| one.place() == next.place())
        .flat_map(|place| place.iter().take(MOST_AT_A_PLACE).copied())
        .collect();
    kept.sort_by_key(Descriptor::node);
    kept
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::{
        id::NodeId,
        keys::AgreementKey,
        view::descriptor::{Addresses, FamilyTag, OnionAddress, TcpAddress},
    };

    fn node(id: u8, addresses: Addresses, family: Option<u8>) -> Descriptor {
        let family = family.map(|byte| FamilyTag([byte; 12]));
        Descriptor::new(NodeId([id; 32]), AgreementKey([9; 32]), addresses, family).unwrap()
    }

    fn v4(octets: [u8; 4], port: u16) -> Addresses {
        Addresses::Tcp(TcpAddress::new(IpAddr::V4(Ipv4Addr::from(octets)), port).unwrap())
    }

    fn v6(segments: [u16; 8]) -> Addresses {
        Addresses::Tcp(TcpAddress::new(IpAddr::V6(Ipv6Addr::from(segments)), 1).unwrap())
    }

    fn onion(key: u8) -> Addresses {
        Addresses::Onion(OnionAddress::new([key; 32], 1).unwrap())
    }

    fn ids(descriptors: &[Descriptor]) -> Vec<u8> {
        descriptors.iter().map(|one| one.node().0[0]).collect()
    }

    #[test]
    fn two_count_at_an_address_whatever_their_ports_are() {
        let crowd: Vec<_> =
            (1..=9).rev().map(|id| node(id, v4([1, 2, 3, 4], u16::from(id)), None)).collect();
        assert_eq!(ids(&cap_places(crowd, None)), [1, 2]);
    }

    #[test]
    fn who_stood_there_before_stays_and_an_id_cannot_push_it_out() {
        let there = |id| node(id, v4([1, 2, 3, 4], 1), None);
        let before =
            NodeList::new([node(3, v4([9, 9, 9, 9], 1), None), there(7), there(8)]).unwrap();
        let crowd = vec![there(1), there(3), there(8)];
        assert_eq!(ids(&cap_places(crowd, Some(&before))), [1, 8], "3 stood, but elsewhere");
    }

    #[test]
    fn an_ipv6_place_is_a_64_and_an_onion_is_a_place() {
        let crowd = vec![
            node(1, v6([0x2a00, 1, 2, 3, 4, 5, 6, 7]), None),
            node(2, v6([0x2a00, 1, 2, 3, 9, 9, 9, 9]), None),
            node(3, v6([0x2a00, 1, 2, 3, 0, 0, 0, 1]), None),
            node(4, v6([0x2a00, 1, 2, 4, 0, 0, 0, 1]), None),
            node(5, onion(1), None),
            node(6, onion(1), None),
            node(7, onion(1), None),
            node(8, onion(2), None),
        ];
        assert_eq!(ids(&cap_places(crowd, None)), [1, 2, 4, 5, 6, 8]);
    }

    #[test]
    fn a_family_and_a_prefix_are_what_two_nodes_have_in_common() {
        let base = node(1, v4([1, 2, 3, 4], 1), Some(1));
        for (other, beside) in [
            (node(2, v4([1, 2, 9, 9], 1), None), true),
            (node(2, v4([1, 3, 3, 4], 1), None), false),
            (node(2, v4([1, 3, 3, 4], 1), Some(1)), true),
            (node(2, v4([1, 3, 3, 4], 1), Some(2)), false),
            (node(2, onion(1), None), false),
            (node(1, onion(1), None), true),
        ] {
            assert_eq!((base.is_beside(&other), other.is_beside(&base)), (beside, beside));
        }
        let six = node(1, v6([0x2a00, 1, 2, 3, 4, 5, 6, 7]), None);
        assert!(six.is_beside(&node(2, v6([0x2a00, 1, 9, 9, 9, 9, 9, 9]), None)));
        assert!(!six.is_beside(&node(2, v6([0x2a00, 2, 2, 3, 4, 5, 6, 7]), None)));
        assert!(!node(1, onion(1), None).is_beside(&node(2, onion(2), None)));
    }
}
