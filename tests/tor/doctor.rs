//! `cutout doctor` over Tor: a firewall, a wrong clock, a dead network.

use tokio::net::TcpListener;

use super::ground::ground;
use crate::{
    doctor::{visit, with_clock},
    support::Network,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tells_tor_from_the_network_behind_it() {
    let mut network = Network::start(4).await;
    let ground = ground().await;
    let config = ground.tor.toml("required");
    let mut alice = network.user_at("alice", ground.inside(), &config).await;
    let (code, said) = visit(&alice, &[]).await;
    assert!(code == Some(0) && said.contains("everything goes over it"), "{said}");
    assert!(said.contains("3 of 3 bootstrap nodes answer"), "{said}");

    let fresh = |name: &str| network.directory.path().join(name);
    let write = |profile: &std::path::Path, text: &str| {
        std::fs::create_dir_all(profile).unwrap();
        std::fs::write(profile.join("config.toml"), text).unwrap();
    };
    let file = network.cluster.network_file().to_str().unwrap().to_owned();
    let short_timeout = config.replace("patience_seconds = 15", "patience_seconds = 10");

    // No Tor state yet, so that all is asked for: the clock first. Arti judges it by eight relays, and tries again and again
    // until so many have answered.
    alice.profile = fresh("late");
    write(&alice.profile, &config.replace("patience_seconds = 15", "patience_seconds = 40"));
    let (code, said) = visit(&with_clock(&alice, "+40d"), &["--network", &file]).await;
    assert!(code == Some(69) && said.contains("Tor cannot be reached"), "{said}");
    assert!(said.contains("clock"), "{said}");

    // Relays that take calls and hang up.
    let stranger = TcpListener::bind("10.20.0.1:0").await.unwrap();
    let port = stranger.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = stranger.accept().await {
            drop(stream);
        }
    });
    let mut filtered = short_timeout.clone();
    for relay in ground.tor.addresses() {
        filtered = filtered.replace(&relay.to_string(), &format!("10.20.0.1:{port}"));
    }
    alice.profile = fresh("filtered");
    write(&alice.profile, &filtered);
    let (code, said) = visit(&alice, &["--network", &file]).await;
    assert!(code == Some(69) && said.contains("cut off or changed on the way"), "{said}");

    alice.profile = fresh("alice");
    for index in 0..4 {
        network.cluster.kill(index).await.unwrap();
    }
    let (code, said) = visit(&alice, &[]).await;
    assert!(code == Some(69) && said.contains("Tor works, and no node answers over it"), "{said}");
}
