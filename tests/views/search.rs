//! What is looked for, and how: secrets as bytes, and all fields of a record's messages.

use std::collections::{BTreeMap, BTreeSet};

use anon::{id::NodeId, request::Response};
use serde_json::Value;
use testbed::record::Record;

use crate::agents::Agent;

/// Label and bytes of what is looked for.
pub(super) type Needles = Vec<(&'static str, Vec<u8>)>;

/// What names somebody.
pub(super) fn person(agent: &Agent) -> Needles {
    let (address, claims) = (agent.address(), agent.certificate.claims());
    vec![
        ("an address", address.to_string().into_bytes()),
        ("an inbox's key", address.inbox().0.to_vec()),
        ("a certificate's key", address.certificate().0.to_vec()),
        ("a certificate's verify key", claims.verify_key.0.to_vec()),
        ("a certificate's sealing key", claims.sealing_key.0.to_vec()),
    ]
}

/// Everything in a line, as bytes.
pub(super) fn raw(line: &Record) -> Vec<u8> {
    let node = line.nodes.iter().flat_map(|node| node.0).collect::<Vec<_>>();
    let (peer, address) = (line.peer.as_bytes(), line.address.as_bytes());
    [peer, b"\n", address, b"\n", &node, b"\n", &line.request, b"\n", &line.answer].concat()
}

pub(super) fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    assert!(needle.len() >= 8, "too short to be looked for");
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// All fields of eight bytes or more in some lines, each with a label: peers, keys, certificates, signatures. Where one
/// of these nodes calls from is no value: it is a socket of this one connection, whose number another may have by
/// chance, or the address on the node's certificate.
pub(super) fn values(
    lines: &[&(NodeId, Record)],
    nodes: &BTreeSet<NodeId>,
) -> BTreeMap<Vec<u8>, String> {
    let mut values = BTreeMap::new();
    for (_, line) in lines {
        let node = line.peer.parse::<libp2p::PeerId>().ok();
        let node = node.and_then(|peer| NodeId::from_peer_id(&peer.to_bytes()));
        let known = node.into_iter().chain(line.nodes.iter().copied());
        values.extend(known.map(|node| (node.0.to_vec(), "node".to_owned())));
        if line.address.len() >= 8 && !node.is_some_and(|node| nodes.contains(&node)) {
            values.insert(line.address.clone().into_bytes(), "address".to_owned());
        }
        if let Some(request) = line.decoded() {
            fields(&serde_json::to_value(request).unwrap(), "request", &mut values);
        }
        if let Ok(response) = Response::decode(&line.answer) {
            fields(&serde_json::to_value(response).unwrap(), "answer", &mut values);
        }
    }
    values
}

fn fields(value: &Value, label: &str, into: &mut BTreeMap<Vec<u8>, String>) {
    match value {
        Value::String(text) if text.len() >= 8 => {
            into.insert(text.clone().into_bytes(), label.to_owned());
        }
        Value::Array(items) => {
            let byte = |item: &Value| u8::try_from(item.as_u64()?).ok();
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                Some(bytes) if bytes.len() >= 8 => {
                    into.insert(bytes, label.to_owned());
                }
                _ => items.iter().for_each(|item| fields(item, label, into)),
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                fields(member, &format!("{label}.{name}"), into);
            }
        }
        _ => {}
    }
}
