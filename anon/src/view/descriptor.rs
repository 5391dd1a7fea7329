//! What a view says of one node, and its one encoding.
//!
//! ```text
//! node id 32 | channel key 32 | kind 1 | [IP 4 or 16 | port 2] | [onion key 32 | port 2] | [family 12]
//! ```
//! The kind says what follows: bit 0 IPv4, bit 1 IPv6 (never both), bit 2 an onion, bit 3 a family; all other bits are
//! zero, and one address at least is there. Ports are big-endian. Nothing in a descriptor is free: an address counts
//! because keepers reached the node there, a family because its key signed the node's id.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    hex::debug_as_short_hex,
    id::{NetworkId, NodeId},
    keys::{AgreementKey, VerifyKey},
    labels,
};

/// The longest descriptor, bytes: IPv6, an onion and a family.
pub const MAX_DESCRIPTOR: usize = 65 + 18 + 34 + 12;
/// Where the kind stands in a descriptor.
const KIND_AT: usize = 64;
const IPV4: u8 = 1;
const IPV6: u8 = 2;
const ONION: u8 = 4;
const FAMILY: u8 = 8;

/// A descriptor that no honest node states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// It ends early, or bytes follow it.
    #[error("the descriptor has another length than its kind says")]
    Length,
    /// A kind that this version does not know, or one without any address.
    #[error("unknown kind of descriptor: {0:#04x}")]
    UnknownKind(u8),
    /// Port 0, or an IP address that no node is reached at.
    #[error("no node is reached at the descriptor's address")]
    BadAddress,
    /// The channel key is not canonically encoded.
    #[error("the channel key is not canonical")]
    BadChannelKey,
}

/// Where a node is reached over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TcpAddress {
    ip: IpAddr,
    port: u16,
}

impl TcpAddress {
    /// The address, if a node can be reached there: no port 0, no unspecified, multicast or broadcast address, and no
    /// IPv4 address that is written as an IPv6 one, by which a node would leave its /16.
    ///
    /// # Errors
    /// [`DescriptorError::BadAddress`].
    pub fn new(ip: IpAddr, port: u16) -> Result<Self, DescriptorError> {
        let is_disguised = |ip: &Ipv6Addr| matches!(ip.segments(), [0, 0, 0, 0, 0, 0 | 0xffff, high, _] if high != 0);
        let bad = match &ip {
            IpAddr::V4(ip) => ip.is_broadcast(),
            IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some() || is_disguised(ip),
        };
        if port == 0 || ip.is_unspecified() || ip.is_multicast() || bad {
            return Err(DescriptorError::BadAddress);
        }
        Ok(Self { ip, port })
    }

    /// The IP address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// An onion service: its Ed25519 key, which its name is made of, and its virtual port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OnionAddress {
    key: [u8; 32],
    port: u16,
}

impl OnionAddress {
    /// The address, if its port is not 0.
    ///
    /// # Errors
    /// [`DescriptorError::BadAddress`].
    pub const fn new(key: [u8; 32], port: u16) -> Result<Self, DescriptorError> {
        if port == 0 { Err(DescriptorError::BadAddress) } else { Ok(Self { key, port }) }
    }

    /// The service's key.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The virtual port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Debug for OnionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnionAddress({}…:{})", NodeId(self.key).short(), self.port)
    }
}

/// Where a node is reached: at one TCP address, at one onion, or at both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Addresses {
    /// Over TCP alone.
    Tcp(TcpAddress),
    /// Over Tor alone.
    Onion(OnionAddress),
    /// Over either.
    Both(TcpAddress, OnionAddress),
}

impl Addresses {
    /// The TCP address, if there is one.
    #[must_use]
    pub const fn tcp(&self) -> Option<TcpAddress> {
        match *self {
            Self::Tcp(tcp) | Self::Both(tcp, _) => Some(tcp),
            Self::Onion(_) => None,
        }
    }

    /// The onion, if there is one.
    #[must_use]
    pub const fn onion(&self) -> Option<OnionAddress> {
        match *self {
            Self::Onion(onion) | Self::Both(_, onion) => Some(onion),
            Self::Tcp(_) => None,
        }
    }

    fn of(tcp: Option<TcpAddress>, onion: Option<OnionAddress>) -> Option<Self> {
        match (tcp, onion) {
            (Some(tcp), Some(onion)) => Some(Self::Both(tcp, onion)),
            (Some(tcp), None) => Some(Self::Tcp(tcp)),
            (None, Some(onion)) => Some(Self::Onion(onion)),
            (None, None) => None,
        }
    }
}

/// A family's name in descriptors: the first 12 bytes of `SHA-256(label ‖ 0x00 ‖ network ‖ family key)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FamilyTag(pub [u8; 12]);
debug_as_short_hex!(FamilyTag);

impl FamilyTag {
    /// The tag of the family with this key.
    #[must_use]
    pub fn of(network: &NetworkId, family: &VerifyKey) -> Self {
        let mut hash = Sha256::new();
        for part in [labels::FAMILY_TAG.as_bytes(), &[0], &network.0, &family.0] {
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        Self(*hash.first_chunk().unwrap_or(&[0; 12]))
    }
}

/// What a view says of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    node: NodeId,
    channel_key: AgreementKey,
    addresses: Addresses,
    family: Option<FamilyTag>,
}

impl Descriptor {
    /// The descriptor of `node` for one view.
    ///
    /// # Errors
    /// [`DescriptorError::BadChannelKey`] if the key is not canonical.
    pub fn new(
        node: NodeId,
        channel_key: AgreementKey,
        addresses: Addresses,
        family: Option<FamilyTag>,
    ) -> Result<Self, DescriptorError> {
        channel_key.check().map_err(|_| DescriptorError::BadChannelKey)?;
        Ok(Self { node, channel_key, addresses, family })
    }

    /// Whose it is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// What senders run the handshake with while this view holds.
    #[must_use]
    pub const fn channel_key(&self) -> AgreementKey {
        self.channel_key
    }

    /// Where it is reached.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Which family it is of, if any.
    #[must_use]
    pub const fn family(&self) -> Option<FamilyTag> {
        self.family
    }

    /// The same node with another channel key: what a difference says of a node that stays.
    ///
    /// # Errors
    /// [`DescriptorError::BadChannelKey`] if the key is not canonical.
    pub fn with_channel_key(self, channel_key: AgreementKey) -> Result<Self, DescriptorError> {
        Self::new(self.node, channel_key, self.addresses, self.family)
    }

    fn kind(&self) -> u8 {
        let ip = self.addresses.tcp().map_or(0, |tcp| if tcp.ip.is_ipv4() { IPV4 } else { IPV6 });
        let onion = if self.addresses.onion().is_some() { ONION } else { 0 };
        ip | onion | if self.family.is_some() { FAMILY } else { 0 }
    }

    /// Appends the encoding, at most [`MAX_DESCRIPTOR`] bytes.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.node.0);
        bytes.extend(self.channel_key.0);
        bytes.push(self.kind());
        if let Some(tcp) = self.addresses.tcp() {
            match tcp.ip {
                IpAddr::V4(ip) => bytes.extend(ip.octets()),
                IpAddr::V6(ip) => bytes.extend(ip.octets()),
            }
            bytes.extend(tcp.port.to_be_bytes());
        }
        if let Some(onion) = self.addresses.onion() {
            bytes.extend(onion.key);
            bytes.extend(onion.port.to_be_bytes());
        }
        if let Some(family) = self.family {
            bytes.extend(family.0);
        }
    }

    /// The encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX_DESCRIPTOR);
        self.encode_into(&mut bytes);
        bytes
    }

    /// Reads a descriptor that fills `bytes`.
    ///
    /// # Errors
    /// [`DescriptorError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DescriptorError> {
        let (descriptor, rest) = Self::decode_first(bytes)?;
        if rest.is_empty() { Ok(descriptor) } else { Err(DescriptorError::Length) }
    }

    /// Reads the descriptor that `bytes` begin with, and gives what follows it.
    ///
    /// # Errors
    /// [`DescriptorError`].
    pub fn decode_first(bytes: &[u8]) -> Result<(Self, &[u8]), DescriptorError> {
        let mut rest = bytes;
        let node = NodeId(take(&mut rest)?);
        let channel_key = AgreementKey(take(&mut rest)?);
        let [kind] = take(&mut rest)?;
        length_of(kind)?;
        let ip = match kind & (IPV4 | IPV6) {
            IPV4 => Some(IpAddr::V4(Ipv4Addr::from(take::<4>(&mut rest)?))),
            IPV6 => Some(IpAddr::V6(Ipv6Addr::from(take::<16>(&mut rest)?))),
            _ => None,
        };
        let tcp = match ip {
            Some(ip) => Some(TcpAddress::new(ip, u16::from_be_bytes(take(&mut rest)?))?),
            None => None,
        };
        let onion = if kind & ONION == 0 {
            None
        } else {
            Some(OnionAddress::new(take(&mut rest)?, u16::from_be_bytes(take(&mut rest)?))?)
        };
        let family = if kind & FAMILY == 0 { None } else { Some(FamilyTag(take(&mut rest)?)) };
        let addresses = Addresses::of(tcp, onion).ok_or(DescriptorError::UnknownKind(kind))?;
        Ok((Self::new(node, channel_key, addresses, family)?, rest))
    }

    /// How many bytes the descriptor takes that `bytes` begin with; `None` while they do not say so yet.
    ///
    /// # Errors
    /// [`DescriptorError::UnknownKind`].
    pub(super) fn measure(bytes: &[u8]) -> Result<Option<usize>, DescriptorError> {
        bytes.get(KIND_AT).map(|kind| length_of(*kind)).transpose()
    }
}

/// How long a descriptor of this kind is, bytes.
fn length_of(kind: u8) -> Result<usize, DescriptorError> {
    let known = kind & !(IPV4 | IPV6 | ONION | FAMILY) == 0;
    let ip = match kind & (IPV4 | IPV6) {
        0 => Some(0),
        IPV4 => Some(6),
        IPV6 => Some(18),
        _ => None,
    };
    let onion = if kind & ONION == 0 { 0 } else { 34 };
    let family = if kind & FAMILY == 0 { 0 } else { 12 };
    match ip {
        Some(ip) if known && ip + onion > 0 => Ok(KIND_AT + 1 + ip + onion + family),
        _ => Err(DescriptorError::UnknownKind(kind)),
    }
}

/// The first `N` bytes, taken off `bytes`.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], DescriptorError> {
    let (first, rest) = bytes.split_first_chunk().ok_or(DescriptorError::Length)?;
    *bytes = rest;
    Ok(*first)
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&serde_bytes::Bytes>::deserialize(deserializer)?;
        Self::decode(bytes).map_err(D::Error::custom)
    }
}
