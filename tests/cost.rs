//! What a guarded mail moves over the links: its own size a bounded number of times.

use std::time::Duration;

use crate::support::{Network, User, message, text};

const K: u64 = 8;
const HOPS: u64 = 1;

async fn bytes_of(network: &Network, work: impl Future<Output = ()>) -> u64 {
    let before = network.cluster.link_bytes();
    work.await;
    network.cluster.link_bytes() - before
}

async fn send(alice: &User, bob: &User, mail: &[u8]) {
    let sent = alice.run_with_input(["send", "--to", &bob.address, "-"], mail).await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mebibyte_moves_at_most_1_15_times_its_path_and_replicas() {
    let network = Network::aged(24, |options| options.proxied = true).await;
    let (alice, bob) = (network.user("alice").await, network.user("bob").await);
    // The first one compares the roster and fetches the certificate.
    send(&alice, &bob, &message("small", 1)).await;
    // Base 64 of 767 KiB and what is around it: a little more than a mebibyte.
    let mail = message("large", 767);
    let size = u64::try_from(mail.len()).unwrap();
    assert!((1_048_576..1_090_000).contains(&size), "{size}");
    let start = std::time::Instant::now();
    let moved = bytes_of(&network, send(&alice, &bob, &mail)).await;
    let length = start.elapsed();
    let idle = bytes_of(&network, tokio::time::sleep(length.max(Duration::from_secs(1)))).await;
    let ratio = moved.saturating_sub(idle) as f64 / ((2 + HOPS + K) * size) as f64;
    println!(
        "{size} bytes of mail: {moved} on the links, {idle} by the idle network; {ratio:.3} of (2 + hops + k) times"
    );
    assert!(ratio <= 1.15, "{ratio}");
}
