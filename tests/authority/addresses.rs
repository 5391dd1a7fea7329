//! Addresses of one's own choice: asked for, signed, written to, taken back.

use anon::{
    certificate::{Address, SigningRequest},
    id::NetworkId,
    keys::{AddressSecret, SealingSecret, Signature},
    wire,
};
use net::NetworkFile;
use serde_json::json;
use testbed::cluster::Cluster;

use super::Authority;
use crate::support::{Network, User, message, text};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_signed_written_to_and_taken_back() {
    let authority = Authority::found("demo.alt", &["--k", "3"]).await;
    let network = Network::start_with(5, |options| {
        options.k = 3;
        options.network = authority.network();
    })
    .await;
    let alice = network.user("alice").await;
    let bob = authority.applicant("bob", "bob@demo.alt", &network.cluster.network_file()).await;

    // Without a certificate there is nothing to read with, and nobody to write to.
    let fetched = bob.run(["fetch"]).await;
    assert_eq!(fetched.status.code(), Some(78), "{}", text(&fetched.stderr));
    assert!(text(&fetched.stderr).contains("try:   have the authority sign your request"));
    let sent = alice.run_with_input(["send", "--to", "bob@demo.alt"], &message("early", 1)).await;
    assert_eq!(sent.status.code(), Some(67), "{}", text(&sent.stderr));

    let (code, told) = authority.sign("bob.request", "bob.certificate").await;
    assert_eq!((code, told.trim()), (Some(0), "Signed for the address bob@demo.alt."));
    let certificate = authority.path("bob.certificate");
    let installed = bob.run(["init", "--certificate", &certificate]).await;
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    assert_eq!(text(&installed.stdout).trim(), "bob@demo.alt");
    assert!(text(&installed.stderr).contains("Your certificate is published"));

    let mail = message("to a name", 5);
    alice.send(["--to", "bob@demo.alt"], &mail).await;
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 1);
    assert_eq!(bob.mails(), [mail]);
    bob.send(["--to", &alice.address, "--sign", "-s", "answer"], b"got it\n").await;
    assert_eq!(alice.fetch().await["delivered"][0]["sender"], json!("bob@demo.alt"));

    authority.revoke("--certificate", &certificate).await;
    hand_out(&authority, &network.cluster, &[&alice, &bob]);
    let sent = alice.run_with_input(["send", "--to", "bob@demo.alt"], &message("late", 1)).await;
    let told = text(&sent.stderr);
    assert_eq!(sent.status.code(), Some(67), "{told}");
    assert!(told.contains("bob@demo.alt cannot be written to"), "{told}");
    let fetched = bob.run(["fetch"]).await;
    assert_eq!(fetched.status.code(), Some(78), "{}", text(&fetched.stderr));
    assert!(text(&fetched.stderr).contains("revoked"), "{}", text(&fetched.stderr));
    // Whom the list does not name is written to as before.
    alice.send(["--to", &alice.address], &message("to myself", 1)).await;
    assert_eq!(alice.fetch().await["delivered"].as_array().unwrap().len(), 1);
}

/// Gives the authority's revocations to these users, with the way into the network that they had.
fn hand_out(authority: &Authority, cluster: &Cluster, users: &[&User]) {
    let mut file = NetworkFile::read(&cluster.network_file()).unwrap();
    file.revocations = authority.network().revocations;
    assert!(file.revocations.is_some());
    for user in users {
        std::fs::write(user.profile.join("network.toml"), toml::to_string(&file).unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_request_of_its_own_network_and_its_own_maker_is_signed() {
    let authority = Authority::found("demo.alt", &[]).await;
    let other = Authority::found("demo.alt", &[]).await;
    let own = authority.network_path();
    let bob = authority.applicant("bob", "bob@demo.alt", &own).await;
    authority.applicant("mallory", "mallory@demo.alt", &own).await;
    authority.applicant("stranger", "bob@demo.alt", &other.network_path()).await;

    // Mallory's own keys under Bob's address, and Bob's request with one byte of it changed.
    let network = authority.network().network().unwrap().id;
    std::fs::write(authority.file("forged.request"), forged(&network)).unwrap();
    let whole = std::fs::read(authority.file("bob.request")).unwrap();
    let mut changed = whole.clone();
    let place = whole.windows(3).position(|bytes| bytes == b"bob").unwrap();
    changed[place] = b'r';
    std::fs::write(authority.file("changed.request"), changed).unwrap();
    for cut in [0, 1, whole.len() - 1] {
        std::fs::write(authority.file(&format!("cut{cut}.request")), &whole[..cut]).unwrap();
    }
    std::fs::write(authority.file("longer.request"), [&whole[..], &[0]].concat()).unwrap();
    std::fs::write(authority.file("garbage.request"), vec![0xff; 500]).unwrap();

    let cut = format!("cut{}.request", whole.len() - 1);
    for (request, cause) in [
        ("stranger.request", "cause: the request was made for another network"),
        ("forged.request", "cause: the request is not signed by the key it names"),
        ("changed.request", "cause: the request is not signed by the key it names"),
        ("cut0.request", "error: this is no signing request"),
        ("cut1.request", "error: this is no signing request"),
        (&cut, "error: this is no signing request"),
        ("longer.request", "error: this is no signing request"),
        ("garbage.request", "error: this is no signing request"),
    ] {
        let (code, told) = authority.sign(request, "certificate").await;
        assert_eq!(code, Some(65), "{request}: {told}");
        assert!(told.contains(cause) && told.contains("try:   "), "{request}: {told}");
        assert!(!authority.file("certificate").exists(), "{request} was signed");
    }
    // A good one, but nobody there to say yes.
    let (request, dir) = (authority.path("bob.request"), authority.path("authority"));
    let out = authority.path("certificate");
    let output = authority.user.run(["ca", "sign", &request, "--dir", &dir, "--out", &out]).await;
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cause: Sign for the address bob@demo.alt, 365 days?"));

    // What was signed for one is of no use to another.
    assert_eq!(authority.sign("mallory.request", "mallory.certificate").await.0, Some(0));
    let output = bob.run(["init", "--certificate", &authority.path("mallory.certificate")]).await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("cause: the certificate is not for this account"), "{told}");
    assert!(told.contains("try:   install the certificate that was made from your request"));
}

/// A request for `bob@demo.alt` with one's own keys that somebody else has signed.
fn forged(network: &NetworkId) -> Vec<u8> {
    let (own, signer) = (AddressSecret::from_seed(&[1; 32]), AddressSecret::from_seed(&[2; 32]));
    let sealing = SealingSecret::from_seed(&[3; 32]).agreement_key();
    let address = Address::parse("bob@demo.alt").unwrap();
    let request = |secret| SigningRequest::for_address(network, secret, address.clone(), sealing);
    // A request is its network, its subject, its signature: mine with the other's signature.
    let (mine, theirs) = (wire::encode(&request(&own)), wire::encode(&request(&signer)));
    let signature = mine.len() - wire::encode(&Signature([0; 64])).len();
    [&mine[..signature], &theirs[signature..]].concat()
}
