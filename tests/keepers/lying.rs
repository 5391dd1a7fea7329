//! One of four keepers lies, in another way each epoch: there is one view an epoch all the same, with all nodes and no other,
//! and what it signed twice is kept as proof that anybody can check.

use std::{collections::BTreeSet, path::Path};

use testbed::{
    hostile::behaviour::{Behaviour, Hostile},
    process::COMMAND,
};

use super::*;

/// The ways of lying, in turn.
const WAYS: [Behaviour; 4] =
    [Behaviour::TwoVotes, Behaviour::TwoViews, Behaviour::InventingNodes, Behaviour::SilentKeeper];
/// The same as arguments.
const NAMES: &str = "two-votes,two-views,inventing-nodes,silent-keeper";
/// Which keeper lies.
const LIAR: usize = 3;

/// What `cutout audit evidence` says of the folder of a keeper: each proof's kind, its epoch and who signed; and the exit code.
async fn evidence(network: &Network, keeper: usize) -> (BTreeSet<(String, u64, u64)>, Option<i32>) {
    let folder = network.cluster.nodes()[keeper].directory.join("evidence");
    let mut command = tokio::process::Command::new(program());
    command.args(["audit", "evidence", "--json", "--network"]);
    let output = command.arg(network.cluster.network_file()).arg(folder).output().await.unwrap();
    let said: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let proofs = said.iter().flat_map(|outcome| {
        let proof = &outcome["proof"];
        let (kind, epoch) = (proof["kind"].as_str().unwrap(), proof["epoch"].as_u64().unwrap());
        let signers = proof["signers"].as_array().unwrap();
        signers.iter().map(move |by| (kind.to_owned(), epoch, by["keeper"].as_u64().unwrap()))
    });
    (proofs.collect(), output.status.code())
}

/// How often the liar says in its log that it did this.
fn told(log: &Path, what: &str) -> usize {
    std::fs::read_to_string(log).unwrap().lines().filter(|line| line.contains(what)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_lies_changes_no_view_and_what_it_signed_twice_is_kept_as_proof() {
    let network = Network::bare(6, |options| {
        options.keepers = 4;
        options.network.epoch_seconds = EPOCH;
        options.network.round_milliseconds = Some(ROUND);
        let list = options.directory.join("hostile");
        let arguments: [OsString; 6] = [
            COMMAND.into(),
            "--keeper".into(),
            "--behaviour".into(),
            NAMES.into(),
            "--hostile".into(),
            list.into(),
        ];
        options.dressed.insert(LIAR, arguments.into());
    })
    .await;
    let liar = network.cluster.nodes()[LIAR].id;
    let list = network.directory.path().join("network/hostile");
    let first = present() + 2;
    let mut seen = Seen::new(&network);
    seen.look_until(&network, first, 500).await;
    // What is said during an epoch is about the view of the next one.
    let lied_about = |way: usize| first + 1 + u64::try_from(way).unwrap();
    for (way, does) in WAYS.into_iter().enumerate() {
        std::fs::write(&list, Hostile::text_of(&[liar], &[does])).unwrap();
        seen.look_until(&network, lied_about(way), 500).await;
    }
    let (said, code) = status(&network.cluster.nodes()[0].directory).await;
    assert_eq!((code, &said["view"]["silent"]), (Some(69), &serde_json::json!([LIAR])), "{said}");
    std::fs::write(&list, "").unwrap();
    let last = first + 5;
    seen.look_until(&network, last, 2_000).await;

    for epoch in first..=last {
        let views = seen.views.get(&epoch).unwrap_or_else(|| panic!("epoch {epoch} has no view"));
        assert_eq!((views.len(), seen.nodes[&epoch]), (1, 6), "epoch {epoch}");
    }
    let (said, code) = status(&network.cluster.nodes()[0].directory).await;
    assert_eq!(said["view"]["signed"], serde_json::json!([0, 1, 2, 3]), "{said}");
    assert_eq!(code, Some(0), "honest again: {said}");

    // It lied, and there is proof of what it signed twice, and of nothing else.
    let log = network.cluster.nodes()[LIAR].directory.join("log");
    let (votes, views) = (told(&log, "another vote"), told(&log, "another view"));
    assert!(votes >= 4 && views >= 1, "{votes} votes, {views} views");
    let liar = u64::try_from(LIAR).unwrap();
    let two_votes = ("two-votes".to_owned(), lied_about(0), liar);
    let two_views = ("two-signatures".to_owned(), lied_about(1), liar);
    for keeper in 0..LIAR {
        let (proofs, code) = evidence(&network, keeper).await;
        assert_eq!(code, Some(0), "{proofs:?}");
        assert!(proofs.contains(&two_votes), "keeper {keeper}: {proofs:?}");
        // Keeper 1 alone was shown the other signature.
        assert_eq!(proofs.contains(&two_views), keeper == 1, "keeper {keeper}: {proofs:?}");
        assert_eq!(proofs.len(), if keeper == 1 { 2 } else { 1 }, "{proofs:?}");
    }
}
