//! Nodes that are dead, and nodes that take connections and say nothing.

use anon::position::keep_closest;
use node::Identity;

use super::{UNTIL_SILENT, Walk, bob, shell::signal};
use crate::support::text;

/// T10: with k = 3 two receipts are a success.
pub async fn a_dead_replica_of_three_keeps_no_mail_waiting(walk: &mut Walk) {
    let (alice, reader) = (walk.user("alice", ""), walk.user("bob", "bob@demo.alt"));
    // Alice's roster is of this epoch, so she counts on the one that dies now.
    assert!(alice.run(["fetch"]).await.status.success());
    let id = |number: &usize| {
        let directory = walk.directory.path().join(format!("node{number}"));
        Identity::read(&directory).unwrap().unwrap().node()
    };
    // The first one is the way in.
    let mut nodes: Vec<usize> = (1..=16).collect();
    keep_closest(&mut nodes, &bob().inbox(), 3, |number| id(number).position());
    let dead = *nodes.iter().find(|number| **number != 1).unwrap();
    let pid = walk.shell.node(dead).await;
    signal(pid, "KILL");
    let send = ["--delay", "0", "--to", "bob@demo.alt", "-s", "two of three"];
    let report = alice.send(send, b"x\n").await;
    println!("node {dead} is dead: {}", report["receipts"]);
    assert!(report["receipts"]["inbox"].as_u64().unwrap() >= 2, "{report}");
    assert_eq!(reader.fetch().await["delivered"].as_array().unwrap().len(), 1);
}

/// T13: with the only bootstrap node stopped, which takes connections and says nothing, whoever knows others compares with
/// those, and sends by channels and directly.
pub async fn stopped_bootstrap_nodes_keep_nobody_out(walk: &mut Walk) {
    let (alice, reader) = (walk.user("alice", ""), walk.user("bob", "bob@demo.alt"));
    let pid = walk.shell.node(1).await;
    signal(pid, "STOP");
    tokio::time::sleep(UNTIL_SILENT).await;
    for way in [&["-s", "around it"][..], &["-s", "directly", "--direct"]] {
        let start = std::time::Instant::now();
        let send = ["send", "--delay", "0", "--to", "bob@demo.alt"];
        let args = send.into_iter().chain(way.iter().copied());
        let sent = alice.run_with_input(args, b"x\n").await;
        println!("{way:?}: {:?}", start.elapsed());
        assert!(sent.status.success(), "{way:?}: {}", text(&sent.stderr));
    }
    assert_eq!(reader.fetch().await["delivered"].as_array().unwrap().len(), 2);
    signal(pid, "CONT");
}
