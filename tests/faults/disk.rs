//! A node whose disk is full: it takes in nothing new, and all that is there can be read and deleted. Over a
//! real process on a file system of 24 MiB.

use std::{io::Write as _, path::Path, process::Stdio, time::Duration};

use anon::{
    authorization::Deletion,
    certificate::NodeCertificate,
    keys::{DeleteSecret, SigningSecret as _},
    network::Network,
    position::Key,
    request::{DeletePermission, ObjectKind, Request, Response, Store},
};
use net::{Carrier, Links, NetworkFile, ask, now};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};

use crate::support::{alone, program};

/// A file system in memory, unmounted when dropped.
pub struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// `None` where mounting is not allowed. CI sets `CUTOUT_REQUIRE_ROOT=1`, and then it must be.
    pub fn with(at: &'a Path, options: &str) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(at);
        let mounted = mount.status().is_ok_and(|status| status.success());
        let is_required = std::env::var("CUTOUT_REQUIRE_ROOT").is_ok_and(|value| value == "1");
        assert!(mounted || !is_required, "mounting a tmpfs fails");
        if !mounted {
            println!("not tried: mounting a tmpfs needs root");
        }
        mounted.then_some(Self(at))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// A running node, and how it is asked.
struct Asked {
    child: Child,
    _lines: tokio::io::Lines<BufReader<ChildStdout>>,
    links: Links,
    certificate: NodeCertificate,
}

impl Asked {
    async fn start(network: &Network, file: &Path, dir: &Path) -> Self {
        let mut command = Command::new(program());
        command.args(["node", "run", "--listen", "/ip4/127.0.0.1/tcp/0", "--network"]).arg(file);
        command.arg("--dir").arg(dir).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap_or_default();
        let text = line.strip_prefix("listening ").unwrap();
        let mut address: libp2p::Multiaddr = text.parse().unwrap();
        let Some(libp2p::multiaddr::Protocol::P2p(peer)) = address.pop() else { panic!("{text}") };
        let links = Links::disposable(&network.name).unwrap();
        let link = links.open_at(peer, vec![address], Carrier::Request).await.unwrap();
        let answer = link.request(&Request::Certificate, Duration::from_secs(5)).await.unwrap();
        let Response::Certificate(certificate) = answer else { panic!("{answer:?}") };
        let certificate = certificate.verify(network, now()).unwrap();
        Self { child, _lines: lines, links, certificate }
    }

    /// Kills it, and waits until it is gone.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn ask(&self, request: &Request) -> Response {
        ask(&self.links, &self.certificate, request, Duration::from_secs(30)).await.unwrap()
    }
}

fn key(number: u16) -> Key {
    let mut key = [7; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    Key(key)
}

fn body(number: u16, bob: &DeleteSecret) -> Request {
    Request::Store(Store {
        key: key(number),
        kind: ObjectKind::Body,
        object: vec![9; 100_000],
        deleters: vec![DeletePermission::OneTimeKey(bob.verify_key())],
        nonce: [1; 16],
    })
}

/// Stores until there is no room; how many bodies that were.
async fn fill(node: &Asked, from: u16, bob: &DeleteSecret) -> u16 {
    for number in from.. {
        match node.ask(&body(number, bob)).await {
            Response::Receipt(_) => {}
            Response::Full => return number - from,
            other => panic!("{other:?}"),
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_no_deadlock() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let (dir, file) = (folder.path().join("node"), folder.path().join("network.toml"));
    std::fs::create_dir(&dir).unwrap();
    let Some(_mount) = Mount::with(&dir, "size=24m,mode=700") else { return };
    std::fs::write(&file, "name = 'full.alt'\nk = 1\n").unwrap();
    std::fs::write(dir.join("node.toml"), "[limits]\nstore_reserve_bytes = 4194304\n").unwrap();
    let network = NetworkFile::read(&file).unwrap().network().unwrap();
    let node = Asked::start(&network, &file, &dir).await;
    let bob = DeleteSecret::generate(&mut rand::rng());
    let stored = fill(&node, 0, &bob).await;
    assert!(stored > 50, "{stored} bodies");
    // Others fill what the node has left free.
    let ballast = dir.join("ballast");
    let mut others = std::fs::File::create(&ballast).unwrap();
    for piece in [1 << 16, 1] {
        while others.write_all(&vec![7; piece]).is_ok() {}
    }
    assert_eq!(
        node.ask(&body(stored, &bob)).await,
        Response::Full,
        "no receipt for what is not kept"
    );
    for number in 0..stored {
        let fetched = node.ask(&Request::Fetch { key: key(number) }).await;
        assert!(fetched == Response::Object(vec![9; 100_000]), "{number}");
        let (id, at) = (&network.id, node.certificate.node());
        let deletion = Deletion::sign(&bob, id, key(number), at, now());
        assert_eq!(node.ask(&Request::Delete(deletion)).await, Response::Deleted, "{number}");
        assert_eq!(node.ask(&Request::Fetch { key: key(number) }).await, Response::NotFound);
    }
    // What was freed inside the file is used again, though the disk is as full as it was.
    let again = fill(&node, 1_000, &bob).await;
    assert!(again > 5, "{again} of {stored}");
    node.kill().await;
    std::fs::remove_file(&ballast).unwrap();
    let node = Asked::start(&network, &file, &dir).await;
    assert!(matches!(node.ask(&Request::Fetch { key: key(1_000) }).await, Response::Object(_)));
    assert!(fill(&node, 2_000, &bob).await > 5);
}
