//! The network file: a small TOML file that every member shares.

use std::{collections::BTreeMap, path::Path};

use anon::{
    id::{NetworkId, NodeId},
    keeper::{
        charter::{Charter, CharterError, CharterTerms, DEFAULT_ROUND},
        vote::Rules,
    },
    keys::VerifyKey,
    network::{
        Epoch, MAX_K, Network, RevocationError, Revoked, UnverifiedRevocationList, default_quorum,
    },
    wire,
};
use data_encoding::{BASE64, HEXLOWER};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest revocation list, bytes.
pub const MAX_REVOCATIONS: usize = 1 << 20;

/// A network's shared parameters, as written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// The domain of its addresses: one that cannot exist in DNS, such as `demo.alt`.
    pub name: String,
    /// The certificate authority's key, 64 hexadecimal digits; absent: self-certifying addresses only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Whether nodes need the authority's admission.
    #[serde(default)]
    pub admission_required: bool,
    /// Replicas of each object, 1 to 20.
    #[serde(default = "default_k")]
    pub k: usize,
    /// Receipts that make a success, more than half of `k`; absent: [`default_quorum`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<usize>,
    /// An epoch's length, seconds: how long a node must be known before it is chosen.
    #[serde(default = "default_epoch")]
    pub epoch_seconds: u64,
    /// The mean delay that senders are advised to leave between a body and its notification, seconds.
    #[serde(default = "default_delay")]
    pub delay_seconds: u64,
    /// Where to enter: multiaddrs that end in `/p2p/<peer id>`.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// The authority's signed revocation list, base 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocations: Option<String>,
    /// The file's serial number: of two files the later has the higher one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub serial: u64,
    /// How long a round of the keepers' vote is, milliseconds; absent: [`DEFAULT_ROUND`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_milliseconds: Option<u64>,
    /// Whether a view has two nodes at one address at most; absent: it has. Admission by the authority lifts it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places_capped: Option<bool>,
    /// Who makes the network's views, from which epoch on; without keepers there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keepers: Vec<Keepers>,
}

/// A set of keepers, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keepers {
    /// The first epoch whose view they make.
    pub from_epoch: u64,
    /// Their nodes: multiaddrs that end in `/p2p/<peer id>`, which is the key that a keeper signs with.
    pub nodes: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(serial: &u64) -> bool {
    *serial == 0
}

const fn default_k() -> usize {
    8
}

const fn default_delay() -> u64 {
    30
}

const fn default_epoch() -> u64 {
    86_400
}

/// Why a network file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkFileError {
    /// It cannot be read.
    #[error("the network file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is not the TOML that is expected.
    #[error("the network file is not valid: {0}")]
    Toml(#[from] toml::de::Error),
    /// The name is no domain in lower case.
    #[error("the network's name must be a domain in lower case, such as demo.alt")]
    BadName,
    /// The authority's key is not 64 hexadecimal digits of a strong key.
    #[error("the authority's key is not valid")]
    BadAuthority,
    /// `k` or `quorum` is out of range.
    #[error("k must be 1 to {MAX_K}, and quorum more than half of k and at most k")]
    BadReplication,
    /// A bootstrap address is not a multiaddr with IP address, TCP port and peer id.
    #[error("a bootstrap address must look like /ip4/192.0.2.1/tcp/4001/p2p/12D3…")]
    BadBootstrap,
    /// A keeper's address is not a multiaddr with IP address or onion, TCP port and a node's peer id.
    #[error("a keeper must look like /ip4/192.0.2.1/tcp/4001/p2p/12D3…")]
    BadKeeper,
    /// The keepers, or the length of their rounds.
    #[error("the network's keepers: {0}")]
    Keepers(#[from] CharterError),
    /// The revocation list is malformed.
    #[error("the revocation list is malformed")]
    BadRevocations,
    /// The revocation list is not the authority's.
    #[error(transparent)]
    Revocations(#[from] RevocationError),
}

impl NetworkFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`NetworkFileError`].
    pub fn read(path: &Path) -> Result<Self, NetworkFileError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Reads the file's text, and checks all of it.
    ///
    /// # Errors
    /// [`NetworkFileError`].
    pub fn parse(text: &str) -> Result<Self, NetworkFileError> {
        let file: Self = toml::from_str(text)?;
        file.network()?;
        file.bootstrap_peers()?;
        file.keeper_addresses()?;
        Ok(file)
    }

    /// What members check each other against.
    ///
    /// # Errors
    /// [`NetworkFileError`].
    pub fn network(&self) -> Result<Network, NetworkFileError> {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        if self.name.is_empty() || self.name.len() > 63 || !self.name.bytes().all(good) {
            return Err(NetworkFileError::BadName);
        }
        let quorum = self.quorum.unwrap_or_else(|| default_quorum(self.k));
        // Of two quorums that need not meet, one may have taken what the other says is not there.
        let quorums = self.k / 2 + 1..=self.k;
        if !(1..=MAX_K).contains(&self.k) || !quorums.contains(&quorum) {
            return Err(NetworkFileError::BadReplication);
        }
        let authority = self.authority.as_deref().map(parse_key).transpose()?;
        if self.admission_required && authority.is_none() {
            return Err(NetworkFileError::BadAuthority);
        }
        let id = NetworkId::derive(&self.name, authority.as_ref());
        let revoked = match (&self.revocations, &authority) {
            (None, _) => Revoked::default(),
            (Some(_), None) => return Err(NetworkFileError::BadAuthority),
            (Some(list), Some(authority)) => decode_revocations(list)?.verify(&id, authority)?,
        };
        let (name, admission_required) = (self.name.clone(), self.admission_required);
        Ok(Network {
            id,
            name,
            authority,
            admission_required,
            k: self.k,
            quorum,
            epoch_seconds: self.epoch_seconds.max(1),
            revoked,
            charter: self.charter(id)?,
        })
    }

    /// What keepers and everybody who checks their views go by; `None` in a network without keepers.
    fn charter(&self, id: NetworkId) -> Result<Option<Charter>, NetworkFileError> {
        if self.keepers.is_empty() {
            return Ok(None);
        }
        let key = |text: &String| keeper(text).map(|(node, _)| node.verify_key());
        let keys = |set: &Keepers| {
            let keys = set.nodes.iter().map(key).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, NetworkFileError>((Epoch(set.from_epoch), keys))
        };
        let list = self.revocation_list()?;
        let terms = CharterTerms {
            epoch_seconds: self.epoch_seconds.max(1),
            round: self.round_milliseconds.unwrap_or(DEFAULT_ROUND),
            sets: self.keepers.iter().map(keys).collect::<Result<_, _>>()?,
            rules: Rules {
                network_serial: self.serial,
                revocations_number: list.as_ref().map_or(0, UnverifiedRevocationList::number),
                revocations: list.as_ref().map_or([0; 32], UnverifiedRevocationList::digest),
            },
            is_capped: self.places_capped.unwrap_or(true) && !self.admission_required,
        };
        Ok(Some(Charter::new(id, terms)?))
    }

    /// Where the keepers of all sets are reached.
    ///
    /// # Errors
    /// [`NetworkFileError::BadKeeper`].
    pub fn keeper_addresses(&self) -> Result<BTreeMap<NodeId, Multiaddr>, NetworkFileError> {
        self.keepers.iter().flat_map(|set| &set.nodes).map(|text| keeper(text)).collect()
    }

    /// The nodes through which one enters.
    ///
    /// # Errors
    /// [`NetworkFileError::BadBootstrap`].
    pub fn bootstrap_peers(&self) -> Result<Vec<(PeerId, Multiaddr)>, NetworkFileError> {
        let peers = self.bootstrap.iter().map(|text| peer(text)).collect::<Option<Vec<_>>>();
        peers.ok_or(NetworkFileError::BadBootstrap)
    }

    /// The revocation list in the file, if there is one, not verified.
    ///
    /// # Errors
    /// [`NetworkFileError::BadRevocations`].
    pub fn revocation_list(&self) -> Result<Option<UnverifiedRevocationList>, NetworkFileError> {
        self.revocations.as_deref().map(decode_revocations).transpose()
    }

    /// Puts a revocation list in.
    pub fn set_revocations(&mut self, list: &UnverifiedRevocationList) {
        self.revocations = Some(BASE64.encode(&wire::encode(list)));
    }

    /// The authority's key as it is written in the file.
    #[must_use]
    pub fn write_key(key: &VerifyKey) -> String {
        HEXLOWER.encode(&key.0)
    }
}

/// The peer and the address of a multiaddr that ends in a peer id.
fn peer(text: &str) -> Option<(PeerId, Multiaddr)> {
    let mut address: Multiaddr = text.parse().ok()?;
    let Some(Protocol::P2p(peer)) = address.pop() else { return None };
    crate::link::is_dialable(&address).then_some((peer, address))
}

/// The node and the address of a keeper.
///
/// # Errors
/// [`NetworkFileError::BadKeeper`].
pub fn keeper(text: &str) -> Result<(NodeId, Multiaddr), NetworkFileError> {
    let node = |(peer, address): (PeerId, Multiaddr)| {
        NodeId::from_peer_id(&peer.to_bytes()).map(|node| (node, address))
    };
    peer(text).and_then(node).ok_or(NetworkFileError::BadKeeper)
}

fn parse_key(text: &str) -> Result<VerifyKey, NetworkFileError> {
    let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| NetworkFileError::BadAuthority)?;
    let key = VerifyKey(bytes.try_into().map_err(|_| NetworkFileError::BadAuthority)?);
    key.check().map_err(|_| NetworkFileError::BadAuthority)?;
    Ok(key)
}

fn decode_revocations(text: &str) -> Result<UnverifiedRevocationList, NetworkFileError> {
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| NetworkFileError::BadRevocations)?;
    wire::decode(&bytes, MAX_REVOCATIONS).map_err(|_| NetworkFileError::BadRevocations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minimal_file_gets_defaults() {
        let network = NetworkFile::parse("name = 'demo.alt'").unwrap().network().unwrap();
        assert_eq!((network.k, network.quorum, network.authority), (8, 6, None));
        let three = NetworkFile::parse("name = 'demo.alt'\nk = 3").unwrap().network().unwrap();
        assert_eq!(three.quorum, 2, "one of three may be dead");
    }

    #[test]
    fn files_that_promise_the_impossible_are_refused() {
        for bad in [
            "name = 'Demo'",
            "name = 'demo.alt'\nk = 0",
            "name = 'demo.alt'\nk = 21",
            "name = 'demo.alt'\nk = 3\nquorum = 4",
            "name = 'demo.alt'\nk = 4\nquorum = 2",
            "name = 'demo.alt'\nadmission_required = true",
            "name = 'demo.alt'\nauthority = '00'",
            "name = 'demo.alt'\nauthority = '0000000000000000000000000000000000000000000000000000000000000000'",
            "name = 'demo.alt'\nbootstrap = ['/ip4/127.0.0.1/tcp/1']",
            "name = 'demo.alt'\nrevocations = 'AAAA'",
            "name = 'demo.alt'\nunheard_of = 1",
            "name = 'demo.alt'\n[[keepers]]\nfrom_epoch = 0\nnodes = []",
            "name = 'demo.alt'\n[[keepers]]\nfrom_epoch = 0\nnodes = ['/ip4/127.0.0.1/tcp/1']",
        ] {
            assert!(NetworkFile::parse(bad).is_err(), "{bad}");
        }
    }

    const KEEPER: &str =
        "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWGzBXWNvHpLtvkfM8T5vUhwVAbTC6Ff2rBbYg1hyGCYnD";

    #[test]
    fn a_keeper_signs_with_the_key_that_its_peer_id_is() {
        let text = format!(
            "name = 'demo.alt'\nserial = 7\n[[keepers]]\nfrom_epoch = 3\nnodes = ['{KEEPER}']"
        );
        let file = NetworkFile::parse(&text).unwrap();
        let charter = file.network().unwrap().charter.unwrap();
        let node = *file.keeper_addresses().unwrap().first_key_value().unwrap().0;
        assert!(charter.is_keeper(&node.verify_key(), Epoch(0)));
        assert_eq!((charter.keepers(Epoch(2)), charter.rules().network_serial), (None, 7));
        assert!(charter.is_capped());
        let lifted = NetworkFile { places_capped: Some(false), ..file.clone() };
        assert!(!lifted.network().unwrap().charter.unwrap().is_capped());
        let written = toml::to_string(&file).unwrap();
        assert_eq!(NetworkFile::parse(&written).unwrap().keepers, file.keepers);
    }

    #[test]
    fn rounds_are_looked_at_only_where_there_are_keepers() {
        let short = "name = 'demo.alt'\nepoch_seconds = 3\n";
        assert!(NetworkFile::parse(short).unwrap().network().unwrap().charter.is_none());
        let kept = format!("{short}[[keepers]]\nfrom_epoch = 0\nnodes = ['{KEEPER}']");
        assert!(matches!(NetworkFile::parse(&kept), Err(NetworkFileError::Keepers(_))));
        let fits = kept.replace("[[", "round_milliseconds = 300\n[[");
        assert!(NetworkFile::parse(&fits).is_ok());
    }
}
