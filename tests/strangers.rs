//! A node's process and what strangers, scripts and other programs do to it: silent sockets, signals, a second node at
//! the same port, somebody who looks at it all the time, a clock that is wrong.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anon::request::{Request, Response};
use libp2p::multiaddr::{Multiaddr, Protocol};
use net::{Carrier, Links, NetworkFile};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    net::TcpSocket,
    process::{Child, ChildStdout, Command},
    task::JoinSet,
};

use crate::support::{Network, program, text};

/// How long anything may take that does happen.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A node's process, and what it prints.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(before: &[String], network: &Path, directory: &Path, listen: &str) -> Self {
        let mut words = before.iter().map(PathBuf::from).chain([program()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["node", "run", "--listen", listen]);
        command.arg("--network").arg(network).arg("--dir").arg(directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> Option<String> {
        tokio::time::timeout(TIMEOUT, self.lines.next_line()).await.expect("a line").unwrap()
    }

    /// Its exit code, and what it said on the way.
    async fn end(self) -> (Option<i32>, String) {
        let ended = tokio::time::timeout(TIMEOUT, self.child.wait_with_output()).await;
        let output = ended.expect("it runs, and should not").unwrap();
        (output.status.code(), text(&output.stderr))
    }
}

/// What goes before a command whose clock is off by what this file says, which may change meanwhile. `faketime` itself
/// would stay between the command and its signals.
async fn with_clock(file: &Path) -> Vec<String> {
    let library = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let library = text(&library.await.unwrap().stdout);
    let words = ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"];
    let set = [
        format!("LD_PRELOAD={}", library.trim()),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
    ];
    words.map(str::to_owned).into_iter().chain(set).collect()
}

/// Asks a node something over a link of its own.
async fn ask(address: &Multiaddr, request: &Request) -> Option<Response> {
    let mut address = address.clone();
    let Some(Protocol::P2p(peer)) = address.pop() else { panic!("{address}") };
    let links = Links::disposable("demo.alt").unwrap();
    let link = links.open_at(peer, vec![address], Carrier::Request).await.ok()?;
    link.request(request, Duration::from_secs(10)).await.ok()
}

/// Holds a socket on which nothing is said, and another one when it is closed, and counts those that were closed.
async fn be_silent(source: Ipv4Addr, target: SocketAddr) {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        if let Ok(mut stream) = socket.connect(target).await {
            let _ = stream.read(&mut [0]).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_outlives_signals_silent_sockets_and_whoever_looks_at_it() {
    let network = Network::start(3).await;
    let node = &network.cluster.nodes()[0];
    let address = node.address.clone();
    let pid = Pid::from_raw(i32::try_from(node.pid().unwrap()).unwrap()).unwrap();
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        kill_process(pid, signal).unwrap();
    }

    // 128 sockets were enough, whoever they belonged to: 300 of an address range of their own, 200 of everybody's.
    let parts: Vec<_> = address.iter().collect();
    let [Protocol::Ip4(ip), Protocol::Tcp(port), _] = parts.as_slice() else { panic!() };
    let target = SocketAddr::from((*ip, *port));
    let mut silent = JoinSet::new();
    for number in 0..500_u16 {
        let source = if number < 300 { Ipv4Addr::new(127, 66, 0, 1) } else { Ipv4Addr::LOCALHOST };
        silent.spawn(be_silent(source, target));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut good = 0;
    for _ in 0..40 {
        let answer = ask(&address, &Request::Certificate).await;
        good += usize::from(matches!(answer, Some(Response::Certificate(_))));
    }
    println!("beside 500 silent sockets: {good} of 40");
    silent.shutdown().await;
    assert!(good >= 38, "{good} of 40");

    let log = std::fs::read_to_string(node.directory.join("log")).unwrap();
    println!("{log}");
    for signal in ["SIGHUP", "SIGUSR1", "SIGUSR2"] {
        assert!(log.contains(&format!("{signal} changes nothing")), "{log}");
    }
    let silence = log.matches("connections that say nothing").count();
    assert!((1..=3).contains(&silence), "a line a minute at most, and no address:\n{log}");
    assert!(!log.contains("127.66.0.1"), "{log}");

    // Looking at a directory all the time keeps no node from starting there.
    let directory = network.directory.path().join("looked-at");
    let file = network.cluster.network_file();
    let listen = "/ip4/127.77.0.1/tcp/0";
    let mut first = Process::start(&[], &file, &directory, listen);
    assert!(first.line().await.unwrap().starts_with("listening"));
    first.child.kill().await.unwrap();
    let mut looking = JoinSet::new();
    for command in ["status", "check"] {
        let (directory, file) = (directory.clone(), file.clone());
        looking.spawn(async move {
            loop {
                let mut look = Command::new(program());
                look.args(["node", command, "--dir"]).arg(&directory);
                if command == "check" {
                    look.arg("--network").arg(&file);
                }
                look.kill_on_drop(true).output().await.unwrap();
            }
        });
    }
    for _ in 0..8 {
        let mut node = Process::start(&[], &file, &directory, listen);
        let line = node.line().await;
        assert!(line.is_some_and(|line| line.starts_with("listening")), "{:?}", node.end().await);
        node.child.kill().await.unwrap();
    }
    looking.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_alone_at_its_port_and_has_joined_when_another_has_answered() {
    let mut network = Network::start(1).await;
    let file = network.cluster.network_file();
    let place = |name: &str| network.directory.path().join(name);
    let mut address = network.cluster.nodes()[0].address.clone();
    let bootstrap = address.to_string();
    address.pop();
    let second = Process::start(&[], &file, &place("second"), &address.to_string());
    let (code, said) = second.end().await;
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains(&format!("another program listens at {address}")), "{said}");
    assert!(said.contains("give this node another port"), "{said}");

    // A way in that leads nowhere, and one that leads into another network.
    let stranger = place("stranger.toml");
    std::fs::write(&stranger, format!("name = 'other.alt'\nk = 1\nbootstrap = ['{bootstrap}']\n"))
        .unwrap();
    let mut elsewhere =
        Process::start(&[], &stranger, &place("elsewhere"), "/ip4/127.78.0.1/tcp/0");
    assert!(elsewhere.line().await.unwrap().starts_with("listening"));
    network.cluster.kill(0).await.unwrap();
    let mut early = Process::start(&[], &file, &place("early"), "/ip4/127.79.0.1/tcp/0");
    assert!(early.line().await.unwrap().starts_with("listening"));
    for node in [&mut elsewhere, &mut early] {
        let line = tokio::time::timeout(Duration::from_secs(8), node.lines.next_line()).await;
        assert!(line.is_err(), "{line:?}");
    }
    // It goes on trying, and has joined when there is somebody.
    network.cluster.restart(0).await.unwrap();
    assert_eq!(early.line().await.as_deref(), Some("joined"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_wrong_clock_serves_nobody_until_it_is_set_right() {
    let network = Network::start(4).await;
    let file = network.cluster.network_file();
    let params = NetworkFile::read(&file).unwrap().network().unwrap();
    for (offset, seconds) in [("+3600", -3_600_i64), ("-3600", 3_600)] {
        let directory = network.directory.path().join(offset);
        let clock = network.directory.path().join(format!("clock{offset}"));
        std::fs::write(&clock, offset).unwrap();
        let before = with_clock(&clock).await;
        let mut node = Process::start(&before, &file, &directory, "/ip4/127.80.0.1/tcp/0");
        let listening = node.line().await.unwrap();
        let address: Multiaddr = listening.strip_prefix("listening ").unwrap().parse().unwrap();
        let status = async || {
            let mut command = Command::new(program());
            command.args(["node", "status", "--json", "--dir"]).arg(&directory);
            let output = command.output().await.unwrap();
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            (status, text(&output.stderr))
        };
        let noticed = async {
            loop {
                let (status, said) = status().await;
                if let Some(behind) = status["clock_behind_seconds"].as_i64() {
                    break (status, behind, said);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let (status, behind, said) =
            tokio::time::timeout(TIMEOUT, noticed).await.expect("it notices");
        assert!(behind.abs_diff(seconds) <= 10, "{behind}");
        assert!(status["state"] == "running" && status["serves"] == false, "{status}");
        assert!(said.contains("the node serves nobody"), "{said}");
        assert!(ask(&address, &Request::Certificate).await.is_none(), "it serves");
        let time = ask(&address, &Request::Time).await;
        assert!(matches!(time, Some(Response::Time(_))), "what others need to judge it: {time:?}");

        // The clock is set right while the node runs: it serves again, under a certificate that others accept now.
        std::fs::write(&clock, "+0").unwrap();
        let serves = async {
            loop {
                if let Some(answer) = ask(&address, &Request::Certificate).await {
                    break answer;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let own = tokio::time::timeout(TIMEOUT, serves).await.expect("it serves again");
        let Response::Certificate(own) = own else { panic!("{own:?}") };
        let own = own.verify(&params, net::now());
        assert!(own.is_ok(), "{offset}: {own:?}");
        let pid = i32::try_from(node.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        let (_, log) = node.end().await;
        assert!(log.contains("this machine's clock is right again"), "{log}");
        let side = if seconds > 0 { "behind" } else { "ahead" };
        assert!(log.contains(&format!("60 minutes {side}")), "{log}");
    }
    // The others go on, whatever such a node says.
    for node in network.cluster.nodes() {
        assert!(ask(&node.address, &Request::Certificate).await.is_some());
    }
}
