//! One mail from one terminal to another.

use crate::support::{Network, message, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_with_an_attachment_arrives_byte_for_byte() {
    let network = Network::start(20).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    let mail = message("holiday", 300);
    let sent = alice.run_with_input(["send", "--to", &bob.address, "--json", "-"], &mail).await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let report: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(report["receipts"]["body"], 8);
    assert_eq!(report["receipts"]["inbox"], 8);
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1);
    assert_eq!(bob.mails(), [mail]);
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 0);
}
