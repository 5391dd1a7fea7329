//! What can tie two observations together: every field of eight bytes or more in what a process wrote down, what
//! hashing makes of it, and the nodes that it names.

use std::collections::{BTreeMap, BTreeSet};

use anon::{id::NodeId, position::Key, request::Response};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use testbed::record::{Record, What};

/// The fewest bytes that are looked at: shorter fields are counts and times.
const SHORTEST: usize = 8;
/// The longest value that is hashed, bytes: an address, a key, a Message-ID.
const LONGEST_HASHED: usize = 256;

/// Values, each with where it stood.
pub(super) type Values = BTreeMap<Vec<u8>, String>;

/// The node whose libp2p identity this is, if it is one of these.
#[must_use]
pub(super) fn node_of(peer: &str, nodes: &BTreeSet<NodeId>) -> Option<NodeId> {
    let peer: libp2p::PeerId = peer.parse().ok()?;
    NodeId::from_peer_id(&peer.to_bytes()).filter(|node| nodes.contains(node))
}

/// All values of a line but those that name a node of the network or are its own: see [`neighbours`]. From where a node
/// calls is none either: it is a socket of this one connection, whose number another may have by chance.
pub(super) fn values(line: &Record, nodes: &BTreeSet<NodeId>) -> Values {
    let mut found = Values::new();
    if !line.peer.is_empty() && node_of(&line.peer, nodes).is_none() {
        found.insert(line.peer.clone().into_bytes(), "caller's identity".to_owned());
        found.insert(line.address.clone().into_bytes(), "caller's address".to_owned());
    }
    match line.what {
        What::Opened | What::Extended => {
            found.insert(line.request.clone(), "handshake".to_owned());
        }
        What::LookedUp => {
            found.insert(line.request.clone(), "key".to_owned());
        }
        _ => {}
    }
    for (name, message) in messages(line) {
        fields(&message, name, nodes, &mut found);
    }
    found
}

/// The nodes that a line ties its process to: who called, the next one of a channel, who looked a key up. Nodes that
/// messages name are near a key, whoever else they may be, and tie nobody.
pub(super) fn neighbours(line: &Record, nodes: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let told = matches!(line.what, What::Extended | What::LookedUp);
    let next = line.nodes.iter().copied().filter(|_| told);
    next.chain(node_of(&line.peer, nodes)).filter(|node| nodes.contains(node)).collect()
}

fn messages(line: &Record) -> Vec<(&'static str, Json)> {
    let request = line.decoded().and_then(|request| serde_json::to_value(request).ok());
    let answer = Response::decode(&line.answer).ok();
    let answer = answer.and_then(|answer| serde_json::to_value(answer).ok());
    let request = request.map(|message| ("request", message));
    request.into_iter().chain(answer.map(|message| ("answer", message))).collect()
}

/// Adds what SHA-256 makes of each value, which anyone can compute: keys of addresses and of Message-IDs.
pub(super) fn close_under_hashing(values: &mut Values) {
    let short = values.iter().filter(|(value, _)| value.len() <= LONGEST_HASHED);
    let hashed: Vec<_> = short
        .map(|(value, place)| {
            let hash: [u8; 32] = Sha256::digest(value).into();
            (hash.to_vec(), format!("hash of {place}"))
        })
        .collect();
    for (hash, place) in hashed {
        values.entry(hash).or_insert(place);
    }
}

/// Parts of messages that tell of a node, and are as good as its name.
const OF_NODES: [&str; 5] =
    [".Extend.next", "answer.LookedUp", "answer.Certificate", ".nodes", ".closest"];
/// Digests of rosters: functions of what all members know at a time. That they tell the time is counted as time.
const OF_ROSTERS: [&str; 2] = ["request.Roster", "answer.Roster"];

fn fields(message: &Json, name: &str, nodes: &BTreeSet<NodeId>, into: &mut Values) {
    every_field(message, name, &mut |bytes, place| {
        let named = <[u8; 32]>::try_from(&bytes[..]).is_ok_and(|id| nodes.contains(&NodeId(id)));
        if !named && !OF_NODES.iter().chain(&OF_ROSTERS).any(|part| place.contains(part)) {
            into.entry(bytes).or_insert_with(|| place.to_owned());
        }
    });
}

fn every_field(value: &Json, place: &str, add: &mut impl FnMut(Vec<u8>, &str)) {
    match value {
        Json::String(text) if text.len() >= SHORTEST => add(text.clone().into_bytes(), place),
        Json::Array(items) => {
            let byte = |item: &Json| u8::try_from(item.as_u64()?).ok();
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                Some(bytes) if bytes.len() >= SHORTEST => add(bytes, place),
                _ => items.iter().for_each(|item| every_field(item, place, add)),
            }
        }
        Json::Object(members) => {
            for (name, member) in members {
                every_field(member, &format!("{place}.{name}"), add);
            }
        }
        _ => {}
    }
}

/// The key in a request that asks for one.
#[must_use]
pub(super) fn as_key(bytes: &[u8]) -> Option<Key> {
    Some(Key(bytes.try_into().ok()?))
}
