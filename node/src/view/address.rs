//! Addresses, as descriptors have them and as libp2p has them.

use std::net::IpAddr;

use anon::view::descriptor::{Addresses, OnionAddress, TcpAddress};
use libp2p::{Multiaddr, multiaddr::Protocol};
#[cfg(feature = "tor")]
pub(crate) use net::link::onion_multiaddr as of_onion;
pub(crate) use net::{link::tcp_multiaddr as of_tcp, stated_addresses as of};

/// What a node that is reached at these addresses states: one TCP address, the first that the whole Internet reaches if
/// there is one, and one onion.
pub(crate) fn stated(addresses: &[Multiaddr]) -> Option<Addresses> {
    let mut tcp: Vec<TcpAddress> = addresses.iter().filter_map(tcp_of).collect();
    tcp.sort_by_key(|tcp| nearness(tcp.ip()));
    let onion = addresses.iter().find_map(onion_of);
    match (tcp.first(), onion) {
        (Some(tcp), Some(onion)) => Some(Addresses::Both(*tcp, onion)),
        (Some(tcp), None) => Some(Addresses::Tcp(*tcp)),
        (None, onion) => onion.map(Addresses::Onion),
    }
}

/// From how near an address is reached: 0 from everywhere, 1 from the same network, 2 from the same machine.
fn nearness(ip: IpAddr) -> u8 {
    let is_near = match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if ip.is_loopback() { 2 } else { u8::from(is_near) }
}

fn tcp_of(address: &Multiaddr) -> Option<TcpAddress> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    TcpAddress::new(ip, port).ok()
}

fn onion_of(address: &Multiaddr) -> Option<OnionAddress> {
    let Protocol::Onion3(onion) = address.iter().next()? else { return None };
    OnionAddress::new(*onion.hash().first_chunk()?, onion.port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn tcp(text: &str) -> TcpAddress {
        tcp_of(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn of_several_addresses_the_one_that_reaches_farthest_is_stated() {
        let all = ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1"];
        for count in 1..=3 {
            let expected = Addresses::Tcp(tcp(all[count - 1]));
            assert_eq!(stated(&addresses(&all[..count])), Some(expected));
        }
        assert_eq!(stated(&[]), None);
    }

    #[test]
    fn an_onion_is_stated_beside_a_tcp_address_or_alone() {
        let onion = "/onion3/2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid:4001";
        let both = addresses(&["/ip4/192.0.2.1/tcp/1", onion]);
        let stated_onion = onion_of(&both[1]).unwrap();
        assert_eq!(stated_onion.port(), 4001);
        let expected = Addresses::Both(tcp("/ip4/192.0.2.1/tcp/1"), stated_onion);
        assert_eq!(stated(&both), Some(expected));
        assert_eq!(stated(&both[1..]), Some(Addresses::Onion(stated_onion)));
        assert_eq!(of_tcp(tcp("/ip4/192.0.2.1/tcp/1")), both[0]);
        #[cfg(feature = "tor")]
        assert_eq!(of(expected), both);
        #[cfg(feature = "tor")]
        assert_eq!(of_onion(stated_onion), Some(both[1].clone()));
        #[cfg(feature = "tor")]
        assert_eq!(of(expected), both);
        #[cfg(not(feature = "tor"))]
        assert_eq!(of(expected), both[..1]);
    }
}
