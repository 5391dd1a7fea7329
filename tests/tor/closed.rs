//! Fail closed: where Tor cannot be had, nothing goes to any node, whatever command is typed, and whatever happened in the
//! middle of it; and what waited is delivered once when Tor is back.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::ground::{Ground, ground};
use crate::support::{Network, User, message, text};

/// How soon a command must give up: the timeout of the configuration, and as much again for all else.
const SOON: Duration = Duration::from_secs(40);

/// Runs a command while Tor is not there: it fails with 69, says so, and turns to nobody but relays.
async fn fails_closed(ground: &Ground, user: &User, arguments: &[&str], input: &[u8]) -> String {
    let (watch, began) = (ground.watch(), Instant::now());
    let output = user.run_with_input(arguments.iter().copied(), input).await;
    let told = text(&output.stderr);
    println!("{arguments:?} in {:.1} s: {}", began.elapsed().as_secs_f64(), told.trim());
    let seen = watch.end();
    assert!(seen.is_subset(&ground.relays()), "{arguments:?} turned to {seen:?}");
    assert_eq!(output.status.code(), Some(69), "{arguments:?}: {told}");
    assert!(told.contains("Tor cannot be reached"), "{arguments:?}: {told}");
    assert!(began.elapsed() < SOON, "{arguments:?}");
    told
}

/// Alice, who gives up soon once she is a user, and Bob.
async fn two(network: &Network, ground: &Ground, short_timeout: &str) -> (User, User) {
    let config = ground.tor.toml("required");
    let alice = network.user_at("alice", ground.inside(), &config).await;
    let bob = network.user_at("bob", ground.inside(), &config).await;
    std::fs::write(alice.profile.join("config.toml"), short_timeout).unwrap();
    (alice, bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tor_nothing_goes_to_any_node_and_with_it_all_does_once() {
    let network = Network::aged(16, |options| options.k = 3).await;
    let mut ground = ground().await;
    let config = ground.tor.toml("required");
    let short_timeout = config.replace("patience_seconds = 15", "patience_seconds = 3");
    let (alice, bob) = two(&network, &ground, &short_timeout).await;
    let mail = message("in the dark", 1);

    ground.tor.stop();
    let send = ["send", "--to", bob.address.as_str(), "-"];
    let told = fails_closed(&ground, &alice, &send, &mail).await;
    for part in ["error: the mail waits in the outbox", "cause: Tor cannot be reached", "try: "] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    fails_closed(&ground, &alice, &["send", "--direct", "--to", &bob.address, "-"], &mail).await;
    let answerable = ["send", "--reply-to", "new", "--to", bob.address.as_str(), "-"];
    fails_closed(&ground, &alice, &answerable, &mail).await;
    let paper = ["fetch", "--scheme", "paper"];
    for command in [&["outbox"][..], &["fetch"], &["fetch", "--direct"], &paper, &["doctor"]] {
        fails_closed(&ground, &alice, command, b"").await;
    }
    let eve = User {
        profile: network.directory.path().join("eve"),
        address: String::new(),
        scheme: None,
        host: ground.inside(),
    };
    std::fs::create_dir_all(&eve.profile).unwrap();
    std::fs::write(eve.profile.join("config.toml"), &short_timeout).unwrap();
    let file = network.cluster.network_file();
    fails_closed(&ground, &eve, &["init", "--network", file.to_str().unwrap()], b"").await;

    // Killed while it waits for Tor, and begun again.
    let watch = ground.watch();
    let mut child = alice.command(["send", "-v", "--to", &bob.address, "-"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&message("killed", 1)).await.unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("Tor: ") {
            break;
        }
    }
    child.kill().await.unwrap();
    assert!(watch.end().is_subset(&ground.relays()));
    fails_closed(&ground, &alice, &["outbox"], b"").await;
    // However often that happens, it is not held against the mails.
    let waiting = alice.outbox().await;
    assert_eq!(waiting.len(), 4);
    assert!(waiting.iter().all(|mail| mail["attempts"] == 0), "{waiting:?}");

    ground.tor.resume().await.unwrap();
    std::fs::write(alice.profile.join("config.toml"), &config).unwrap();
    let watch = ground.watch();
    alice.deliver().await;
    assert!(watch.end().is_subset(&ground.relays()));
    let fetched = bob.fetch().await;
    let subjects: Vec<_> = fetched["delivered"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| mail["subject"].clone())
        .collect();
    assert_eq!((subjects.len(), &fetched["repeated"]), (4, &json!(0)), "{fetched}");
    assert_eq!(subjects.iter().filter(|subject| *subject == "killed").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tor_that_dies_in_the_middle_of_a_mail_costs_no_mail_and_makes_none_twice() {
    let network = Network::aged(16, |options| options.k = 3).await;
    let mut ground = ground().await;
    let config = ground.tor.toml("required");
    let short_timeout = config.replace("patience_seconds = 15", "patience_seconds = 3");
    let (alice, bob) = two(&network, &ground, &short_timeout).await;
    let mail = message("cut off", 1);
    let arguments = ["send", "-v", "--delay", "3", "--to", &bob.address, "-"];
    let mut child = alice.command(arguments).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&mail).await.unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (mut told, mut is_down) = (String::new(), false);
    let watch = ground.watch();
    let began = Instant::now();
    while let Some(line) = lines.next_line().await.unwrap() {
        println!("{:5.1} s  {line}", began.elapsed().as_secs_f64());
        told = told + &line + "\n";
        // The body is stored, and nobody has been told of it yet.
        if line.contains("receipts verified") && !is_down {
            ground.tor.stop();
            is_down = true;
        }
    }
    let status = child.wait().await.unwrap();
    assert!(is_down && watch.end().is_subset(&ground.relays()), "{told}");
    assert!(matches!(status.code(), Some(69 | 75)), "{status}: {told}");
    assert!(told.contains("waits in the outbox") && told.contains("try: "), "{told}");
    // It is told as what it is: left to itself, the send would go on until no guard is left to blame.
    assert!(told.contains("cause: Tor cannot be reached"), "{told}");
    ground.tor.resume().await.unwrap();
    std::fs::write(alice.profile.join("config.toml"), &config).unwrap();
    alice.deliver().await;
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert_eq!(fetched["repeated"], json!(0));
    assert_eq!(bob.mails(), [mail]);
    assert!(bob.fetch().await["delivered"].as_array().unwrap().is_empty());
}
