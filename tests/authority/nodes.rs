//! Networks whose nodes need the authority's admission.

use std::{path::Path, process::Stdio, time::Duration};

use anon::{
    id::NodeId,
    position::Key,
    request::{Request, Response},
};
use net::{Carrier, Links, NetworkFile};
use testbed::cluster::ClusterNode;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::Authority;
use crate::support::{Network, message, program, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_admits_its_nodes_runs_without_the_others() {
    let authority = Authority::found("demo.alt", &["--k", "3", "--admission-required"]).await;
    let directory = authority.file("network");
    for index in 0..5 {
        admit(&authority, &directory.join(format!("node{index}")), index).await;
    }
    let mut network = Network::start_with(5, |options| {
        options.k = 3;
        options.network = authority.network();
        options.directory = directory;
    })
    .await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("among the admitted", 5);
    alice.send(["--to", &bob.address], &mail).await;
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 1);
    assert_eq!(bob.mails(), [mail]);

    // An honest program without an admission does not even start.
    let outsider = authority.file("outsider");
    let file = network.cluster.network_file();
    let output = node_command(&file, &outsider).output().await.unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("admission") && told.contains("see `cutout node request`"), "{told}");
    // Another node's admission is as good as none.
    std::fs::copy(
        network.cluster.nodes()[0].directory.join("admission"),
        outsider.join("admission"),
    )
    .unwrap();
    let output = node_command(&file, &outsider).output().await.unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    std::fs::remove_file(outsider.join("admission")).unwrap();

    // One that does not care, with a network file that says that no admission is wanted.
    let mut lenient = NetworkFile::read(&file).unwrap();
    lenient.admission_required = false;
    let lenient_file = authority.file("lenient.toml");
    std::fs::write(&lenient_file, toml::to_string(&lenient).unwrap()).unwrap();
    let mut intruder = node_command(&lenient_file, &outsider).spawn().unwrap();
    let mut lines = BufReader::new(intruder.stdout.take().unwrap()).lines();
    while lines.next_line().await.unwrap().expect("the intruder runs") != r#"{"event":"joined"}"# {}
    let intruder_id = node::Identity::read(&outsider).unwrap().unwrap().node();
    for node in network.cluster.nodes() {
        // All that there are: were it in, it would be the sixth.
        let listed = listed_by(node).await;
        assert_eq!(listed.len(), 5, "{listed:?}");
        assert!(!listed.contains(&intruder_id));
    }
    let mail = message("still among them", 5);
    alice.send(["--to", &bob.address], &mail).await;
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 1);
    intruder.kill().await.unwrap();

    // A node that is taken back does not start again with the new network file.
    let taken_back = &network.cluster.nodes()[4];
    let (id, directory) = (taken_back.id, taken_back.directory.clone());
    network.cluster.kill(4).await.unwrap();
    authority.revoke("--node", &data_encoding::HEXLOWER.encode(&id.0)).await;
    let output = node_command(&authority.network_path(), &directory).output().await.unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("cause: this node's own certificate is not accepted by its network"));
    assert!(told.contains("revoked"), "{told}");
}

/// Asks for a node's admission and puts it where the node looks for it.
async fn admit(authority: &Authority, directory: &Path, index: usize) {
    let (dir, network) = (directory.to_str().unwrap(), authority.network_path());
    let request = authority.path(&format!("node{index}.request"));
    let network = network.to_str().unwrap();
    let args = ["node", "request", "--network", network, "--dir", dir, "--out", &request];
    let output = authority.user.run(args).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let admission = format!("network/node{index}/admission");
    let (code, told) = authority.sign(&format!("node{index}.request"), &admission).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("Signed for the node "), "{told}");
}

fn node_command(network: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["node", "run", "--json", "--listen", "/ip4/127.0.0.1/tcp/0", "--network"]);
    command.arg(network).arg("--dir").arg(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The nodes that a node names as closest to some key, when asked for more than there are.
async fn listed_by(asked: &ClusterNode) -> Vec<NodeId> {
    let links = Links::disposable("demo.alt").unwrap();
    let mut address = asked.address.clone();
    address.pop();
    let peer = net::peer_id(&asked.id).unwrap();
    let link = links.open_at(peer, vec![address], Carrier::Request).await.unwrap();
    let request = Request::Lookup { key: Key(rand::random()), count: 20 };
    match link.request(&request, Duration::from_secs(30)).await.unwrap() {
        Response::LookedUp(list) => list.iter().map(|node| node.claimed_node()).collect(),
        other => panic!("{other:?}"),
    }
}

/// A file that anybody can put back to an older one must not make the authority forget what it took back.
#[tokio::test]
async fn what_was_taken_back_stays_so_where_the_network_file_was_put_back() {
    let authority = Authority::found("demo.alt", &[]).await;
    let before = std::fs::read(authority.network_path()).unwrap();
    let (first, second) = ("ab".repeat(32), "cd".repeat(32));
    authority.revoke("--node", &first).await;
    std::fs::write(authority.network_path(), before).unwrap();
    authority.revoke("--node", &second).await;
    let file = authority.network();
    assert_eq!(file.revocation_list().unwrap().unwrap().number(), 2, "no number is given twice");
    let revoked: Vec<String> = file
        .network()
        .unwrap()
        .revoked
        .nodes
        .iter()
        .map(|n| data_encoding::HEXLOWER.encode(&n.0))
        .collect();
    assert_eq!(revoked, [first, second]);
}
