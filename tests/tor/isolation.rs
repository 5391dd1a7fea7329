//! What is to be apart stays apart: circuits, by the names that arti gives them, and identities, seen by nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use anon::id::NodeId;
use libp2p::{
    Multiaddr, Transport as _,
    core::{
        Endpoint,
        transport::{DialOpts, PortUse},
    },
    multiaddr::Protocol,
};
use testbed::record::{self, What};
use tokio::net::TcpListener;
use tor::{Tor, TorConfig, TorTransport};

use super::ground::ground;
use crate::support::{Network, message};

/// Dials of the transport that makes many, transports that make some, and how many those are.
const DIALS: usize = 8;
const TRANSPORTS: usize = 12;
const SOME: usize = 2;

/// A circuit, by the name that arti gives it in this process.
type Circuit = String;

/// The circuit that a stream is on. arti shows it in the form that is for debugging alone; should it no longer, this fails.
fn circuit(stream: &tor::Stream) -> Circuit {
    let shown = format!("{stream:?}");
    let names = shown.split("unique_id: ").skip(1).filter_map(|rest| rest.split_once('}'));
    let names: BTreeSet<Circuit> = names
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("UniqId {"))
        .collect();
    assert_eq!(names.len(), 1, "a stream is on one circuit: {shown}");
    names.into_iter().next().unwrap()
}

/// The circuits by which so many dials go, one after the other, each with the exits that call by it.
async fn circuits(
    transport: &mut TorTransport,
    dials: usize,
    listener: &TcpListener,
) -> BTreeMap<Circuit, BTreeSet<IpAddr>> {
    let here = listener.local_addr().unwrap();
    let address = Multiaddr::from(here.ip()).with(Protocol::Tcp(here.port()));
    let mut seen: BTreeMap<Circuit, BTreeSet<IpAddr>> = BTreeMap::new();
    for _ in 0..dials {
        let how = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let dial = transport.dial(address.clone(), how).unwrap();
        let (stream, accepted) = tokio::join!(dial, listener.accept());
        let stream = stream.unwrap();
        seen.entry(circuit(&stream)).or_default().insert(accepted.unwrap().1.ip());
    }
    seen
}

#[derive(serde::Deserialize)]
struct File {
    tor: TorConfig,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transport_has_circuits_of_its_own() {
    let _alone = crate::support::alone().await;
    let ground = ground().await;
    let directory = tempfile::tempdir().unwrap();
    let file: File = toml::from_str(&ground.tor.toml("required")).unwrap();
    let tor = Tor::start(&file.tor, directory.path(), |_| {}).await.unwrap();
    // Where exits call it from addresses of their own, as they do not on loopback.
    let relay = ground.relays().into_iter().next().unwrap();
    let listener = TcpListener::bind((relay, 0)).await.unwrap();

    // What shares a circuit is seen to: arti may make a second one for a transport, not one for each dial.
    let one = circuits(&mut tor.transport(), DIALS, &listener).await;
    assert!(one.len() < DIALS, "each dial seems to have a circuit of its own: {one:?}");
    assert!(one.values().all(|exits| exits.len() == 1), "a circuit has one exit: {one:?}");
    // What is promised: no two transports are on one circuit. How many each has is arti's affair, and so is the exit.
    let mut taken: BTreeMap<Circuit, usize> = one.into_keys().map(|circuit| (circuit, 0)).collect();
    for number in 1..=TRANSPORTS {
        for circuit in circuits(&mut tor.transport(), SOME, &listener).await.into_keys() {
            let other = taken.insert(circuit.clone(), number).filter(|other| *other != number);
            assert_eq!(other, None, "{circuit} serves transport {number} as well");
        }
    }
    assert!(taken.len() > TRANSPORTS, "{taken:?}");

    // What is there again is found at once: the directory is kept.
    drop(tor);
    let mut steps = Vec::new();
    let again = Tor::start(&file.tor, directory.path(), |step| steps.push(step.clone())).await;
    again.unwrap();
    let fetches = |step: &tor::Step| step.waiting_for.contains("fetching a consensus");
    assert!(!steps.iter().any(fetches), "{steps:?}");
}

/// The identities under which channels were opened by somebody who is no node, by whom they were opened at.
fn identities(network: &Network, marks: &BTreeMap<NodeId, u64>) -> Vec<(NodeId, String, u64)> {
    let nodes = network.cluster.nodes();
    let own: BTreeSet<String> =
        nodes.iter().map(|node| net::peer_id(&node.id).unwrap().to_string()).collect();
    let records = nodes.iter().flat_map(|node| {
        let from = marks.get(&node.id).copied().unwrap_or(0);
        let (records, _) = record::read(&node.directory.join("record.jsonl"), from).unwrap();
        records.into_iter().map(|record| (node.id, record))
    });
    let opened =
        records.filter(|(_, record)| record.what == What::Opened && !own.contains(&record.peer));
    opened.map(|(node, record)| (node, record.peer, record.stream)).collect()
}

fn marks(network: &Network) -> BTreeMap<NodeId, u64> {
    let nodes = network.cluster.nodes().iter();
    let length = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().len();
    nodes.map(|node| (node.id, length(node.directory.join("record.jsonl")))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_a_mail_and_two_mails_of_one_sender_have_no_identity_in_common() {
    let network = Network::aged(16, |options| {
        options.k = 3;
        options.recorded = true;
    })
    .await;
    let ground = ground().await;
    let config = ground.tor.toml("required");
    let alice = network.user_at("alice", ground.inside(), &config).await;
    let bob = network.user_at("bob", ground.inside(), &config).await;
    let mut mails = Vec::new();
    for subject in ["one", "two"] {
        let before = marks(&network);
        alice.send(["--to", &bob.address, "-"], &message(subject, 1)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        mails.push(identities(&network, &before));
    }
    // A path and the question to its witness share one, both going to the same guard and middle at the same moment.
    let identities = mails.iter().map(|mail| {
        let mut channels: BTreeMap<&String, usize> = BTreeMap::new();
        for (_, peer, _) in mail {
            *channels.entry(peer).or_default() += 1;
        }
        assert!(channels.values().all(|count| *count <= 2), "{channels:?}");
        channels.into_keys().collect::<BTreeSet<_>>()
    });
    let identities: Vec<BTreeSet<&String>> = identities.collect();
    // Body, verifier's body, inbox, verifier's inbox; the certificate is kept from the first mail on.
    assert!(identities.iter().all(|mail| mail.len() >= 4), "{mails:?}");
    assert!(identities[0].is_disjoint(&identities[1]), "{identities:?}");
    let guards: BTreeSet<&NodeId> = mails.iter().flatten().map(|(node, ..)| node).collect();
    let count = identities.iter().map(BTreeSet::len).sum::<usize>();
    println!("{count} identities at {} guards", guards.len());
}
