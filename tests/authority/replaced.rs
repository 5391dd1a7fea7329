//! An address that gets another key: the first one is revoked with it.

use std::{path::Path, time::Duration};

use anon::{
    authorization::{InboxOperation, InboxProof},
    certificate::AddressCertificate,
    request::{InboxPage, InboxQuery, Request, Response},
};
use net::{Carrier, Links, NetworkFile, now};
use testbed::cluster::ClusterNode;
use ua::{account::Account, profile::Profile, vault::Passphrase};

use super::Authority;
use crate::support::{Network, User, message, text};

const REVOKED: &str = "cause: the key in it was revoked";

impl Authority {
    /// Signs a request in place of an earlier key: the exit code, and what was said.
    async fn replace(&self, request: &str, out: &str) -> (Option<i32>, String) {
        let (request, dir, out) = (self.path(request), self.path("authority"), self.path(out));
        let args = ["ca", "sign", &request, "--dir", &dir, "--out", &out, "--yes", "--replace"];
        let output = self.user.run(args).await;
        (output.status.code(), text(&output.stderr))
    }

    fn revoked(&self) -> (u64, usize) {
        let file = self.network();
        let number = file.revocation_list().unwrap().map_or(0, |list| list.number());
        (number, file.network().unwrap().revoked.addresses.len())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replaced_key_is_revoked_and_its_request_is_not_signed_again() {
    let authority = Authority::found("demo.alt", &[]).await;
    for name in ["first", "second", "third"] {
        authority.applicant(name, "bob@demo.alt", &authority.network_path()).await;
    }
    assert_eq!(authority.sign("first.request", "certificate").await.0, Some(0));
    // The same key again is a renewal; there is nothing to revoke, whatever is asked for.
    assert_eq!(authority.replace("first.request", "certificate").await.0, Some(0));
    assert_eq!(authority.revoked(), (0, 0));
    let plain = std::fs::read(authority.network_path()).unwrap();

    let (code, told) = authority.sign("second.request", "none").await;
    assert!(code == Some(65) && told.contains("with --replace, which revokes the first"), "{told}");
    let (code, told) = authority.replace("second.request", "certificate").await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("revocation list 1") && told.contains("all members"), "{told}");
    assert!(told.contains(authority.network_path().to_str().unwrap()), "{told}");
    assert_eq!(authority.revoked(), (1, 1));

    // The old request, in the network as it is and where somebody has put the old network file back.
    for put_back in [false, true] {
        if put_back {
            std::fs::write(authority.network_path(), &plain).unwrap();
        }
        for (code, told) in [
            authority.sign("first.request", "none").await,
            authority.replace("first.request", "none").await,
        ] {
            assert_eq!(code, Some(65), "{told}");
            assert!(told.contains(REVOKED) && told.contains("try:   have the applicant"), "{told}");
        }
    }
    assert!(!authority.file("none").exists());
    // From the old network file on nothing is forgotten.
    assert_eq!(authority.replace("third.request", "certificate").await.0, Some(0));
    assert_eq!(authority.revoked(), (2, 2));

    // A node that was taken back is not admitted again by the request that it made before.
    let (network, dir) = (authority.network_path(), authority.path("node"));
    let (network, request) = (network.to_str().unwrap(), authority.path("node.request"));
    let args = ["node", "request", "--network", network, "--dir", &dir, "--out", &request];
    assert!(authority.user.run(args).await.status.success());
    let (code, told) = authority.sign("node.request", "admission").await;
    assert_eq!(code, Some(0), "{told}");
    let id = told.trim().trim_start_matches("Signed for the node ").trim_end_matches('.');
    authority.revoke("--node", id).await;
    let (code, told) = authority.sign("node.request", "none").await;
    assert!(code == Some(65) && told.contains(REVOKED), "{told}");
    assert!(!authority.file("none").exists());
}

/// Whoever has a key of an address, and a certificate for it.
struct Holder {
    account: Account,
    certificate: AddressCertificate,
}

impl Holder {
    fn of(user: &User, network: &anon::network::Network) -> Self {
        let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
        let profile = Profile::open(&user.profile, &passphrase).unwrap();
        let account = Account::read(profile.vault()).unwrap();
        let certificate = account.certificate(network, now()).unwrap();
        Self { account, certificate }
    }

    fn proof(&self, operation: InboxOperation<'_>, node: &ClusterNode) -> InboxProof {
        let (secret, nonce) = (self.account.signing(), rand::random());
        InboxProof::sign(secret, &self.certificate, operation, node.id, now(), nonce)
    }

    /// What lies in the inbox at a node; `None`: it refuses.
    async fn list(&self, node: &ClusterNode) -> Option<Vec<[u8; 32]>> {
        let query = InboxQuery::FROM_THE_OLDEST;
        let proof = self.proof(InboxOperation::Read(&query), node);
        match ask(node, Request::ReadInbox { proof, query }).await {
            Response::Inbox(InboxPage::List { digests, .. }) => Some(digests),
            Response::Refused => None,
            other => panic!("{other:?}"),
        }
    }

    async fn acknowledge(&self, node: &ClusterNode, digests: &[[u8; 32]]) -> Response {
        let proof = self.proof(InboxOperation::Acknowledge(digests), node);
        ask(node, Request::Acknowledge { proof, digests: digests.to_vec() }).await
    }
}

/// Asks a node directly, as anybody can.
async fn ask(node: &ClusterNode, request: Request) -> Response {
    let mut address = node.address.clone();
    address.pop();
    let peer = net::peer_id(&node.id).unwrap();
    let links = Links::disposable("demo.alt").unwrap();
    let link = links.open_at(peer, vec![address], Carrier::Request).await.unwrap();
    link.request(&request, Duration::from_secs(30)).await.unwrap()
}

/// Puts the authority's revocations into a network file.
fn hand_out(authority: &Authority, path: &Path) {
    let mut file = NetworkFile::read(path).unwrap();
    file.revocations = authority.network().revocations;
    std::fs::write(path, toml::to_string(&file).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_key_reads_and_deletes_nothing_at_nodes_that_have_the_list() {
    let authority = Authority::found("demo.alt", &["--k", "3"]).await;
    let mut network = Network::start_with(5, |options| {
        options.k = 3;
        options.network = authority.network();
    })
    .await;
    let alice = network.user("alice").await;
    let file = network.cluster.network_file();
    let old_bob = authority.applicant("old", "bob@demo.alt", &file).await;
    let new_bob = authority.applicant("new", "bob@demo.alt", &file).await;
    let certificate = authority.path("certificate");
    assert_eq!(authority.sign("old.request", "certificate").await.0, Some(0));
    assert!(old_bob.run(["init", "--certificate", &certificate]).await.status.success());
    let (code, told) = authority.replace("new.request", "certificate").await;
    assert_eq!(code, Some(0), "{told}");
    assert!(new_bob.run(["init", "--certificate", &certificate]).await.status.success());
    let params = NetworkFile::read(&file).unwrap().network().unwrap();
    let (old, new) = (Holder::of(&old_bob, &params), Holder::of(&new_bob, &params));
    hand_out(&authority, &alice.profile.join("network.toml"));
    let mail = message("for the new key", 1);
    // In a network so young a mail may have to wait first.
    let sent = alice.run_with_input(["send", "--to", "bob@demo.alt"], &mail).await;
    if !sent.status.success() {
        alice.deliver().await;
    }

    // Nodes that have no list yet do what the old key wants.
    let mut holding = Vec::new();
    for (index, node) in network.cluster.nodes().iter().enumerate() {
        let listed = old.list(node).await.expect("a certificate that nobody took back");
        assert_eq!(old.acknowledge(node, &[[7; 32]]).await, Response::Acknowledged(0));
        holding.extend((!listed.is_empty()).then_some((index, listed)));
    }
    // A send is done with a quorum of its three nodes.
    assert!(holding.len() >= 2, "the mail lies at {} nodes", holding.len());

    hand_out(&authority, &file);
    for index in 0..5 {
        network.cluster.kill(index).await.unwrap();
        network.cluster.restart(index).await.unwrap();
    }
    for (index, listed) in &holding {
        let node = &network.cluster.nodes()[*index];
        assert_eq!(old.list(node).await, None);
        assert_eq!(old.acknowledge(node, listed).await, Response::Refused);
        assert_eq!(new.list(node).await.as_ref(), Some(listed), "nothing was deleted");
    }
    assert_eq!(new_bob.fetch().await["delivered"].as_array().unwrap().len(), 1);
    assert_eq!(new_bob.mails(), [mail]);
    for (index, _) in &holding {
        let listed = new.list(&network.cluster.nodes()[*index]).await;
        assert_eq!(listed, Some(Vec::new()), "the new key's acknowledgement holds");
    }
}
