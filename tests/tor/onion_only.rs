//! A network whose nodes are onion services and nothing else.

use std::{collections::BTreeSet, time::Duration};

use anon::request::{Request, Response};

use super::ground::ground;
use crate::support::{Network, message, text};

const NODES: usize = 14;
/// Links over Tor take their time, and so does what a roster learns by them.
const EPOCH_SECONDS: u64 = 20;

/// The sockets at which a process takes what comes, TCP and UDP.
fn listening(pid: u32) -> BTreeSet<String> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = files.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets: BTreeSet<String> = links
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let tables = ["tcp", "tcp6", "udp", "udp6"]
        .map(|name| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    rows.filter_map(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        // 0A: listening; 07: a UDP socket.
        let open = matches!(*fields.get(3)?, "0A" | "07");
        (open && sockets.contains(*fields.get(9)?)).then(|| (*fields[1]).to_owned())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_crosses_a_network_that_has_no_addresses() {
    let settings = ground().await.tor.toml("off");
    let mut network = Network::bare(NODES, |options| {
        options.k = 3;
        options.network.epoch_seconds = EPOCH_SECONDS;
        options.onion_only = true;
        options.node_toml.clone_from(&settings);
    })
    .await;
    for node in network.cluster.nodes() {
        assert!(node.address.to_string().starts_with("/onion3/"), "{}", node.address);
        assert_eq!(listening(node.pid().unwrap()), BTreeSet::new());
    }
    tokio::time::sleep(Duration::from_secs(3 * EPOCH_SECONDS)).await;
    let ground = ground().await;

    let config = ground.tor.toml("required");
    let alice = network.user_at("alice", ground.inside(), &config).await;
    let bob = network.user_at("bob", ground.inside(), &config).await;
    let mail = message("from nowhere to nowhere", 1);
    let began = std::time::Instant::now();
    let report = alice.send(["--to", &bob.address, "-"], &mail).await;
    println!("sent in {:.1} s: {report}", began.elapsed().as_secs_f64());
    assert_eq!(report["delivered"], serde_json::json!([bob.address]));
    let fetched = bob.run(["fetch", "--json"]).await;
    assert!(fetched.status.success(), "{}", text(&fetched.stderr));
    assert_eq!(bob.mails(), [mail]);

    // What their operators see.
    let directory = network.cluster.nodes()[0].directory.clone();
    let status = async || {
        let arguments = ["node", "status", "--json", "--dir", directory.to_str().unwrap()];
        let output = alice.command(arguments).output().await.unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = status().await;
    assert_eq!((code, &said["onion"]["reachable"]), (Some(0), &true.into()), "{said}");
    assert_eq!(said["onion"]["published"], true, "{said}");
    network.cluster.kill(0).await.unwrap();
    let (code, said) = status().await;
    assert_eq!((code, &said["onion"]["reachable"]), (Some(69), &false.into()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_offers_an_onion_service_beside_its_address() {
    let settings = ground().await.tor.toml("off");
    let network = Network::bare(4, |options| {
        options.node_toml.clone_from(&settings);
        let words = ["node", "run", "--json", "--onion"].map(std::ffi::OsString::from);
        options.dressed.insert(3, words.into());
    })
    .await;
    let _ground = ground().await;
    let node = &network.cluster.nodes()[3];
    let links = net::Links::disposable("demo.alt").unwrap();
    let peer = net::peer_id(&node.id).unwrap();
    let mut address = node.address.clone();
    address.pop();
    let link = links.open_at(peer, vec![address.clone()], net::Carrier::Request).await.unwrap();
    let answer = link.request(&Request::Certificate, Duration::from_secs(5)).await.unwrap();
    let Response::Certificate(certificate) = answer else { panic!("no certificate") };
    let file = net::NetworkFile::read(&network.cluster.network_file()).unwrap();
    let certificate = certificate.verify(&file.network().unwrap(), net::now()).unwrap();
    let addresses = net::certified_addresses(&certificate);
    assert_eq!((addresses.len(), &addresses[0]), (2, &address));
    assert!(net::is_onion(&addresses[1]), "{addresses:?}");
    // Who has a socket is seen to.
    assert!(!listening(node.pid().unwrap()).is_empty());
    // It reaches itself by circuits of its own, as a stranger would.
    let mut status = node::OnionStatus::read(&node.directory).unwrap();
    let began = std::time::Instant::now();
    while !status.as_ref().is_some_and(node::OnionStatus::is_reachable) {
        assert!(began.elapsed() < Duration::from_secs(90), "{status:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        status = node::OnionStatus::read(&node.directory).unwrap();
    }
    assert_eq!(status.unwrap().address, addresses[1].to_string());
}
