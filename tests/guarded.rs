//! The guarded scheme over a network of processes with short epochs.

use std::time::Duration;

use crate::support::{Network, message, text};

const EPOCH: u64 = 3;

async fn network(nodes: usize) -> Network {
    let network = Network::start_with(nodes, |options| options.network.epoch_seconds = EPOCH).await;
    // Nodes become active when others have known them for an epoch.
    tokio::time::sleep(Duration::from_secs(2 * EPOCH)).await;
    network
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_sent_and_read_through_guarded_channels() {
    let network = network(20).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("guarded", 60);
    let guarded = ["--scheme", "guarded", "--delay", "0", "--json"];
    let send = ["send", "--to", &bob.address, "-"].into_iter().chain(guarded);
    let sent = alice.run_with_input(send, &mail).await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let report: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(report["receipts"]["body"], 8);
    assert_eq!(report["receipts"]["inbox"], 8);
    let fetched = bob.run(["fetch"].into_iter().chain(guarded)).await;
    assert!(fetched.status.success(), "{}", text(&fetched.stderr));
    let report: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    assert_eq!(report["delivered"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(bob.mails(), [mail]);
    let again = bob.run(["fetch"].into_iter().chain(guarded)).await;
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(report["delivered"].as_array().unwrap().len(), 0);
    assert_eq!(report["repeated"], 0, "the inboxes were not acknowledged: {report}");
}
