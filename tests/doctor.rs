//! `cutout doctor` tells a wrong clock, a firewall and a dead network from each other, without Tor. Over Tor:
//! `tor/doctor.rs`.

use tokio::net::TcpListener;

use crate::support::{Network, User, text};

/// What the doctor says: its exit code, and all its words.
pub async fn visit(user: &User, arguments: &[&str]) -> (Option<i32>, String) {
    let output = user.run(["doctor"].iter().chain(arguments).copied()).await;
    let said = text(&output.stdout) + &text(&output.stderr);
    println!("{arguments:?}: {said}");
    (output.status.code(), said)
}

/// The same user on a machine whose clock is off by that much; what waits does so as long as ever.
pub fn with_clock(user: &User, offset: &str) -> User {
    let words = ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", offset];
    user.within(words.map(str::to_owned))
}

/// A network file whose only way in is a stranger's port.
fn file_with(network: &Network, port: u16) -> String {
    let text = std::fs::read_to_string(network.cluster.network_file()).unwrap();
    let node = &network.cluster.nodes()[0];
    let peer = node.address.to_string().rsplit_once("/p2p/").unwrap().1.to_owned();
    let mut file: toml::Table = text.parse().unwrap();
    let bootstrap = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}");
    file.insert("bootstrap".to_owned(), vec![bootstrap].into());
    let path = network.directory.path().join(format!("network-{port}.toml"));
    std::fs::write(&path, file.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tells_what_is_wrong() {
    let mut network = Network::start(4).await;
    let alice = network.user("alice").await;
    let (code, said) = visit(&alice, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("3 of 3 bootstrap nodes answer"), "{said}");
    let (code, said) = visit(&alice, &["--json"]).await;
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (Some(0), 5), "{said}");
    assert!(lines.iter().all(|line| line["good"] == true));

    for (offset, words) in [
        ("+6m", "clock is 6 minutes ahead"),
        ("-6m", "clock is 6 minutes behind"),
        ("+60m", "clock is 60 minutes ahead"),
        ("-9d", "clock is 9 days behind"),
        ("+9d", "clock is 9 days ahead"),
    ] {
        let (code, said) = visit(&with_clock(&alice, offset), &[]).await;
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains(words) && said.contains("try:   compare date, time"), "{said}");
    }

    // Who takes calls in another's place: as a firewall does, or a captive portal.
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = file_with(&network, stranger.local_addr().unwrap().port());
    let answering = tokio::spawn(async move {
        while let Ok((stream, _)) = stranger.accept().await {
            drop(stream);
        }
    });
    let (code, said) = visit(&alice, &["--network", &file]).await;
    assert!(code == Some(69) && said.contains("something answers in the place"), "{said}");
    answering.abort();
    let _ = answering.await;

    for index in 0..4 {
        network.cluster.kill(index).await.unwrap();
    }
    let (code, said) = visit(&alice, &[]).await;
    assert!(code == Some(69) && said.contains("the network is dead, or has moved"), "{said}");
    let (code, said) = visit(&alice, &["--network", "/nowhere.toml"]).await;
    assert!(code == Some(78) && said.contains("cause:"), "{said}");
}
