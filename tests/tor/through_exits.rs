//! Agents that go over Tor to nodes that have nothing to do with it: through exits.

use std::{collections::BTreeSet, net::Ipv4Addr, path::Path, time::Duration};

use testbed::record;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::ground::{AGENT, REACHABLE, ground, reachable};
use crate::support::{Network, User, message, text};

/// The longest that a reader who watches may say nothing.
const WATCHED: Duration = Duration::from_secs(120);

/// Every IPv4 address from which a node was spoken to, by the nodes' own records.
fn speakers(network: &Network) -> BTreeSet<Ipv4Addr> {
    let nodes = network.cluster.nodes().iter();
    let records =
        nodes.flat_map(|node| record::read(&node.directory.join("record.jsonl"), 0).unwrap().0);
    let ip = |address: &str| address.split('/').nth(2).and_then(|text| text.parse().ok());
    records.filter_map(|record| ip(&record.address)).collect()
}

/// All that lies in the files of a directory and those below it.
fn contents(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        all.extend(if path.is_dir() {
            contents(&path)
        } else {
            std::fs::read(&path).unwrap_or_default()
        });
    }
    all
}

/// Sends a mail and reads it.
async fn converse(alice: &User, bob: &User, subject: &str) {
    let mail = message(subject, 2);
    let began = std::time::Instant::now();
    let report = alice.send(["--to", &bob.address, "-"], &mail).await;
    println!("{subject}: sent in {:.1} s: {report}", began.elapsed().as_secs_f64());
    assert_eq!(report["delivered"], serde_json::json!([bob.address]));
    let fetched = bob.fetch().await;
    assert_eq!(fetched["delivered"].as_array().unwrap().len(), 1, "{fetched}");
    assert_eq!(bob.mails().last(), Some(&mail));
}

/// Somebody who publishes a certificate directly, as those do who come first, and says `--tor` each time.
async fn newcomer(network: &Network, name: &str, host: Vec<String>, config: &str) -> User {
    let profile = network.directory.path().join(name);
    std::fs::create_dir_all(&profile).unwrap();
    std::fs::write(profile.join("config.toml"), config).unwrap();
    let user = User { profile, address: String::new(), scheme: None, host };
    let file = network.cluster.network_file();
    let init = ["init", "--direct", "--tor", "--network", file.to_str().unwrap()];
    let output = user.run(init).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    user
}

/// A mail that is sent with `--tor` to a reader who watches.
async fn watched(from: &User, to: &User) {
    let mut watching = to.command(["fetch", "--watch", "1", "--json"]).spawn().unwrap();
    from.send(["--tor", "--to", &to.address, "-"], &message("watched", 1)).await;
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    loop {
        let line = tokio::time::timeout(WATCHED, lines.next_line()).await.unwrap().unwrap();
        let report: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        if report["delivered"][0]["subject"] == "watched" {
            break;
        }
    }
    watching.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_sent_and_read_and_no_node_sees_from_where() {
    // The addresses are there once the ground is.
    drop(ground().await);
    let network = Network::aged(REACHABLE, |options| {
        (options.k, options.address, options.recorded) = (3, reachable, true);
    })
    .await;
    let ground = ground().await;
    let (watch, relays) = (ground.watch(), ground.relays());
    let config = ground.tor.toml("required");
    let alice = network.user_at("alice", ground.inside(), &config).await;
    let bob = network.user_at("bob", ground.inside(), &config).await;
    converse(&alice, &bob, "over Tor").await;
    let carol = newcomer(&network, "carol", ground.inside(), &config).await;
    watched(&carol, &bob).await;
    // Everything that left the agents' host went to a relay; the nodes were spoken to by exits, and by each other.
    let seen = watch.end();
    assert!(!seen.is_empty() && seen.is_subset(&relays), "{seen:?}");
    let speakers_over_tor = speakers(&network);
    assert!(!speakers_over_tor.contains(&AGENT), "{speakers_over_tor:?}");
    assert!(!speakers_over_tor.is_disjoint(&relays), "{speakers_over_tor:?}");
    // What Tor keeps on the disk names relays, and neither nodes nor recipients.
    let kept = contents(&alice.profile.join("tor"));
    let holds = |text: &str| kept.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(relays.iter().any(|relay| holds(&relay.to_string())));
    let (name, _) = bob.address.split_once('@').unwrap();
    assert!(!holds(name) && !holds("demo.alt"));
    for index in 0..REACHABLE {
        assert!(
            !holds(&format!("{}:", reachable(index))) && !holds(&format!("{}\"", reachable(index)))
        );
    }

    // Without it the same two are seen by both, so that neither is blind.
    let watch = ground.watch();
    for user in [&alice, &bob] {
        std::fs::write(user.profile.join("config.toml"), "tor = \"off\"\n").unwrap();
    }
    converse(&alice, &bob, "without").await;
    assert!(!watch.end().is_subset(&relays));
    assert!(speakers(&network).contains(&AGENT));

    // One word on the command line is as good as the file.
    let watch = ground.watch();
    let off = config.replace("mode = \"required\"", "mode = \"off\"");
    std::fs::write(bob.profile.join("config.toml"), off).unwrap();
    let fetched = bob.run(["fetch", "--tor"]).await;
    assert!(fetched.status.success(), "{}", text(&fetched.stderr));
    assert!(watch.end().is_subset(&relays));
}
