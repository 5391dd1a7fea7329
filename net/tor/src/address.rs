//! What a transport can dial: an IP address and a TCP port, through an exit; or an onion service.

use data_encoding::BASE32_NOPAD;
use libp2p::{
    Multiaddr,
    multiaddr::{Onion3Addr, Protocol},
};

/// Bytes of an onion address: a key, a checksum and a version (rend-spec-v3, 6).
const ONION: usize = 35;

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// An IP address as text, or a name that ends in `.onion`.
    pub(crate) host: String,
    /// The TCP port, or the service's.
    pub(crate) port: u16,
    /// Whether it is an onion service.
    pub(crate) is_onion: bool,
}

impl Target {
    /// What an address names; `None` if it is of another kind. A peer id at its end does not matter.
    pub(crate) fn of(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let target = match (parts.next()?, parts.next()) {
            (Protocol::Onion3(onion), rest) => {
                let host = format!("{}.onion", BASE32_NOPAD.encode(onion.hash())).to_lowercase();
                return is_end(rest).then(|| Self { host, port: onion.port(), is_onion: true });
            }
            (Protocol::Ip4(ip), Some(Protocol::Tcp(port))) => (ip.to_string(), port),
            (Protocol::Ip6(ip), Some(Protocol::Tcp(port))) => (ip.to_string(), port),
            _ => return None,
        };
        let (host, port) = target;
        is_end(parts.next()).then_some(Self { host, port, is_onion: false })
    }
}

fn is_end(part: Option<Protocol<'_>>) -> bool {
    matches!(part, None | Some(Protocol::P2p(_)))
}

/// The multiaddr of an onion service, such as `/onion3/vww6…:4001`, by its name with or without `.onion`; `None` if
/// that is no such name.
#[must_use]
pub(crate) fn onion_address(name: &str, port: u16) -> Option<Multiaddr> {
    let name = name.strip_suffix(".onion").unwrap_or(name).to_uppercase();
    let bytes: [u8; ONION] = BASE32_NOPAD.decode(name.as_bytes()).ok()?.try_into().ok()?;
    Some(Multiaddr::empty().with(Protocol::Onion3(Onion3Addr::from((bytes, port)))))
}

/// The multiaddr of the onion service with this key.
#[must_use]
pub fn onion_of_key(key: [u8; 32], port: u16) -> Option<Multiaddr> {
    use safelog::DisplayRedacted as _;
    onion_address(&tor_hsservice::HsId::from(key).display_unredacted().to_string(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address of the Tor Project's, from its own list of services.
    const NAME: &str = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion";

    #[test]
    fn onion_addresses_go_there_and_back() {
        let address = onion_address(NAME, 4001).unwrap();
        let text = address.to_string();
        assert_eq!(text, format!("/onion3/{}:4001", NAME.trim_end_matches(".onion")));
        let target = Target::of(&text.parse().unwrap()).unwrap();
        assert_eq!(target, Target { host: NAME.to_owned(), port: 4001, is_onion: true });
        assert_eq!(onion_address("short.onion", 1), None);
        let Some(Protocol::Onion3(onion)) = address.iter().next() else { panic!("no onion") };
        let key = *onion.hash().first_chunk().unwrap();
        assert_eq!(onion_of_key(key, 4001), Some(address));
    }

    #[test]
    fn what_is_neither_ip_nor_onion_is_nothing_to_dial() {
        let target = |text: &str| Target::of(&text.parse().unwrap());
        let peer = libp2p::PeerId::random();
        for text in
            ["/ip4/192.0.2.1/tcp/4001".to_owned(), format!("/ip4/192.0.2.1/tcp/4001/p2p/{peer}")]
        {
            let expected = Target { host: "192.0.2.1".to_owned(), port: 4001, is_onion: false };
            assert_eq!(target(&text), Some(expected), "{text}");
        }
        assert_eq!(target("/ip6/2001:db8::1/tcp/5").unwrap().host, "2001:db8::1");
        for text in [
            "/dns4/example.org/tcp/4001",
            "/ip4/192.0.2.1/udp/4001/quic-v1",
            "/ip4/192.0.2.1/tcp/4001/ws",
            "/ip4/192.0.2.1",
            "/memory/7",
        ] {
            assert_eq!(target(text), None, "{text}");
        }
    }
}
