//! A network of real node processes on loopback: for the demo, the tests and the benchmarks.
//!
//! Each node is a process of its own with a directory of its own. Where its links are to be delayed or counted,
//! it sits behind a [`DelayProxy`], whose address is the one it advertises.

mod keepers;
mod nodes;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anon::id::NodeId;
use libp2p::multiaddr::{Multiaddr, Protocol};
use net::{LinkError, NetworkFile};
use node::NodeError;
use thiserror::Error;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::{delay::DelayProxy, process, programs};

/// How long a node may take to listen, and the network to come together.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How many of the first nodes are named as a way in.
const BOOTSTRAP_NODES: usize = 3;
/// Nodes that are started at once.
const STARTS_AT_ONCE: usize = 8;

/// Why there is no network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A process, a file or a socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A node did not say what it should in time.
    #[error("node {0} does not come up\n{1}")]
    NotReady(usize, String),
    /// A keeper's identity cannot be made.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The name of a node is none.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The network file cannot be written.
    #[error(transparent)]
    Toml(#[from] toml::ser::Error),
}

/// What network to start.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// One of the two programs, `cutout` or `cutout-lab`: the other one is beside it.
    pub program: PathBuf,
    /// Where the nodes' directories go.
    pub directory: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Replicas of each object.
    pub k: usize,
    /// The address of each, on this machine; one /16 each where they are to serve on one path.
    pub address: fn(usize) -> IpAddr,
    /// Whether the nodes sit behind proxies.
    pub proxied: bool,
    /// Whether the nodes have onion services and no other address; `node_toml` says over which Tor.
    pub onion_only: bool,
    /// Whether the nodes record what they receive (see [`crate::record`]).
    pub recorded: bool,
    /// Whether the nodes may be left running ([`Cluster::leave`]): a signal to this process is none to them.
    pub kept: bool,
    /// Nodes that run by another command than the rest: the arguments before `--network`. They live until their
    /// standard input ends.
    pub dressed: BTreeMap<usize, Vec<OsString>>,
    /// The rest of the network file: name, authority, quorum, admission.
    pub network: NetworkFile,
    /// What goes into each node's `node.toml`.
    pub node_toml: String,
    /// How many of the first nodes are keepers.
    pub keepers: usize,
}

impl ClusterOptions {
    /// `nodes` plain nodes under `directory`, k = 8 or as many as there are.
    #[must_use]
    pub fn new(program: PathBuf, directory: PathBuf, nodes: usize) -> Self {
        let k = nodes.min(8);
        let network = NetworkFile {
            name: "demo.alt".to_owned(),
            authority: None,
            admission_required: false,
            k,
            quorum: None,
            epoch_seconds: 86_400,
            delay_seconds: 30,
            bootstrap: Vec::new(),
            revocations: None,
            ..NetworkFile::default()
        };
        Self {
            program,
            directory,
            nodes,
            k,
            address: loopback,
            proxied: false,
            onion_only: false,
            recorded: false,
            kept: false,
            dressed: BTreeMap::new(),
            network,
            node_toml: String::new(),
            keepers: 0,
        }
    }

    /// Where the node of this number has its directory.
    #[must_use]
    pub fn node_directory(&self, index: usize) -> PathBuf {
        self.directory.join(format!("node{index}"))
    }
}

/// One node of a cluster.
#[derive(Debug)]
pub struct ClusterNode {
    /// Its identity.
    pub id: NodeId,
    /// Its directory.
    pub directory: PathBuf,
    /// What it advertises, with its peer id.
    pub address: Multiaddr,
    /// Its proxy, if it has one.
    pub proxy: Option<DelayProxy>,
    listen: SocketAddr,
    process: Option<(Child, Lines<BufReader<ChildStdout>>)>,
}

/// A running network. Dropping it kills its processes.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    nodes: Vec<ClusterNode>,
    /// Where the keepers listen, which is known before they run.
    settled: Vec<SocketAddr>,
}

impl Cluster {
    /// Starts a network and waits until every node has entered it. `step` is told how many have.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn start(
        options: ClusterOptions,
        mut step: impl FnMut(usize),
    ) -> Result<Self, ClusterError> {
        std::fs::create_dir_all(&options.directory)?;
        let mut cluster = Self { options, nodes: Vec::new(), settled: Vec::new() };
        (cluster.settled, cluster.options.network.keepers) = keepers::named(&cluster.options)?;
        cluster.write_network_file()?;
        let all = cluster.options.nodes;
        while cluster.nodes.len() < all {
            let first = cluster.nodes.len();
            // The first few come one by one, so that each knows the ones before it.
            let together = if first < BOOTSTRAP_NODES {
                1
            } else {
                STARTS_AT_ONCE.min(all.saturating_sub(first))
            };
            cluster.spawn_together(together, &mut step).await?;
            if first < BOOTSTRAP_NODES {
                cluster.write_network_file()?;
            }
        }
        Ok(cluster)
    }

    fn write_network_file(&self) -> Result<(), ClusterError> {
        let mut file = self.options.network.clone();
        file.k = self.options.k;
        let running = self.nodes.iter().filter(|node| node.process.is_some());
        file.bootstrap =
            running.take(BOOTSTRAP_NODES).map(|node| node.address.to_string()).collect();
        std::fs::write(self.network_file(), toml::to_string(&file)?)?;
        Ok(())
    }

    /// The network file, for users of the network.
    #[must_use]
    pub fn network_file(&self) -> PathBuf {
        self.options.directory.join("network.toml")
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[ClusterNode] {
        &self.nodes
    }

    /// Starts so many more nodes, and waits until they have joined. `step` is told how many there are.
    async fn spawn_together(
        &mut self,
        count: usize,
        mut step: impl FnMut(usize),
    ) -> Result<(), ClusterError> {
        let first = self.nodes.len();
        for index in first..first + count {
            let node = self.spawn(index).await?;
            self.nodes.push(node);
        }
        for index in first..first + count {
            self.await_event(index, "joined").await?;
            step(index + 1);
        }
        Ok(())
    }

    async fn spawn(&self, index: usize) -> Result<ClusterNode, ClusterError> {
        let ip = (self.options.address)(index);
        // A port that is free now; whoever else takes it in between makes the start fail, not lie.
        let listen = match self.settled.get(index) {
            Some(settled) => *settled,
            None => TcpListener::bind(SocketAddr::new(ip, 0))?.local_addr()?,
        };
        let proxy = match self.options.proxied {
            true => Some(DelayProxy::start(SocketAddr::new(ip, 0), listen).await?),
            false => None,
        };
        let directory = self.options.node_directory(index);
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("node.toml"), &self.options.node_toml)?;
        let id = NodeId([0; 32]);
        let address = Multiaddr::empty();
        let mut node = ClusterNode { id, directory, address, proxy, listen, process: None };
        self.run(index, &mut node).await?;
        Ok(node)
    }

    /// Starts a node's process and waits until it listens.
    async fn run(&self, index: usize, node: &mut ClusterNode) -> Result<(), ClusterError> {
        let dressed = self.options.dressed.get(&index).and_then(|arguments| arguments.first());
        let is_of_lab = dressed.map_or(self.options.recorded, |first| first == process::COMMAND);
        let program = &self.options.program;
        let program = if is_of_lab { programs::lab(program) } else { programs::cutout(program) };
        let mut command = Command::new(program);
        if let Some(arguments) = self.options.dressed.get(&index) {
            command.args(arguments).stdin(Stdio::piped());
        } else if self.options.recorded {
            command.arg(process::COMMAND).arg("--record").arg(node.record());
            command.stdin(Stdio::piped());
        } else {
            command.args(["node", "run", "--json"]).stdin(Stdio::null());
            if index < self.options.keepers {
                command.arg("--keeper");
            }
        }
        command.arg("--network").arg(self.network_file()).arg("--dir").arg(&node.directory);
        if self.options.onion_only {
            command.arg("--onion-only");
        } else {
            command.args(["--listen", &multiaddr(node.listen).to_string()]);
        }
        if let Some(proxy) = &node.proxy {
            command.args(["--advertise", &multiaddr(proxy.local_addr()).to_string()]);
        }
        let log = std::fs::File::create(node.directory.join("log"))?;
        command.stdout(Stdio::piped()).stderr(log).kill_on_drop(!self.options.kept);
        if self.options.kept {
            command.process_group(0);
        }
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or(ClusterError::NotReady(index, String::new()))?;
        node.process = Some((child, BufReader::new(stdout).lines()));
        let event = next_event(node, "listening").await.ok_or_else(|| not_ready(index, node))?;
        let address = event.get("address").and_then(|a| a.as_str()).and_then(|a| a.parse().ok());
        let address: Multiaddr = address.ok_or(ClusterError::NotReady(index, String::new()))?;
        node.id = node_of(&address).ok_or(ClusterError::NotReady(index, String::new()))?;
        node.address = address;
        Ok(())
    }

    /// Waits until a node has reported an event.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`].
    async fn await_event(&mut self, index: usize, name: &str) -> Result<(), ClusterError> {
        let node = self.nodes.get_mut(index).ok_or(ClusterError::NotReady(index, String::new()))?;
        next_event(node, name).await.map(|_| ()).ok_or_else(|| not_ready(index, node))
    }

    /// Kills a node with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// [`ClusterError::Io`].
    pub async fn kill(&mut self, index: usize) -> Result<(), ClusterError> {
        if let Some(node) = self.nodes.get_mut(index)
            && let Some((mut child, _)) = node.process.take()
        {
            child.kill().await?;
        }
        Ok(())
    }

    /// Starts a killed node again, on its own directory and addresses, and waits until it has entered the network, if
    /// there is one: where all are dead, the first to come back finds nobody.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn restart(&mut self, index: usize) -> Result<(), ClusterError> {
        if index >= self.nodes.len() {
            return Err(ClusterError::NotReady(index, String::new()));
        }
        let mut node = self.nodes.remove(index);
        let is_alone = self.nodes.iter().all(|other| other.process.is_none());
        let result = self.run(index, &mut node).await;
        self.nodes.insert(index, node);
        result?;
        if is_alone { Ok(()) } else { self.await_event(index, "joined").await }
    }

    /// Starts so many more nodes, with identities of their own, which enter by nodes that run; the first of the
    /// new ones.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn add(&mut self, count: usize) -> Result<usize, ClusterError> {
        self.write_network_file()?;
        let first = self.nodes.len();
        self.spawn_together(count, |_| ()).await?;
        Ok(first)
    }

    /// Kademlia requests that all nodes of a recorded cluster have handled, and lookups that they have done.
    ///
    /// # Errors
    /// [`ClusterError`] if a node does not tell.
    pub async fn lookup_counters(&mut self) -> Result<(u64, u64), ClusterError> {
        let mut sums = (0, 0);
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let Some((child, _)) = node.process.as_mut() else { continue };
            let stdin = child.stdin.as_mut().ok_or(ClusterError::NotReady(index, String::new()))?;
            stdin.write_all(b"\n").await?;
            let event = next_event(node, "counters")
                .await
                .ok_or(ClusterError::NotReady(index, String::new()))?;
            let count = |name| event.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
            sums = (sums.0 + count("kademlia_requests"), sums.1 + count("lookups"));
        }
        Ok(sums)
    }

    /// Delays every link of a proxied cluster by this much each way.
    pub fn set_delay(&self, one_way: Duration) {
        for proxy in self.nodes.iter().filter_map(|node| node.proxy.as_ref()) {
            proxy.set_delay(one_way);
        }
    }

    /// Bytes that passed all proxies, both ways.
    #[must_use]
    pub fn link_bytes(&self) -> u64 {
        let proxies = self.nodes.iter().filter_map(|node| node.proxy.as_ref());
        proxies.map(|proxy| proxy.counters().to_target + proxy.counters().to_client).sum()
    }

    /// Leaves the processes running, and forgets them.
    pub fn leave(mut self) {
        self.nodes.clear();
    }

    /// CPU time that all nodes have used; `None` where the system does not tell.
    #[must_use]
    pub fn cpu(&self) -> Option<Duration> {
        self.nodes.iter().filter_map(|node| node.pid()).map(cpu_of).sum()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (child, _) in self.nodes.iter_mut().filter_map(|node| node.process.as_mut()) {
            let _ = child.start_kill();
        }
    }
}

/// CPU time of a process: the first field of `/proc/PID/schedstat` of each of its threads, nanoseconds.
#[must_use]
pub fn cpu_of(pid: u32) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let nanoseconds = |path: &Path| -> Option<u64> {
        std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
    };
    let each = threads.flatten().filter_map(|thread| nanoseconds(&thread.path().join("schedstat")));
    Some(Duration::from_nanos(each.sum()))
}

/// What to say of a node that does not come up: its log.
fn not_ready(index: usize, node: &ClusterNode) -> ClusterError {
    let log = std::fs::read_to_string(node.directory.join("log")).unwrap_or_default();
    ClusterError::NotReady(index, log)
}

async fn next_event(node: &mut ClusterNode, name: &str) -> Option<serde_json::Value> {
    let (_, lines) = node.process.as_mut()?;
    let wait = async {
        while let Ok(Some(line)) = lines.next_line().await {
            let event: serde_json::Value = serde_json::from_str(&line).ok()?;
            if event.get("event").and_then(|e| e.as_str()) == Some(name) {
                return Some(event);
            }
        }
        None
    };
    tokio::time::timeout(START_TIMEOUT, wait).await.ok()?
}

/// An address of its own for each node where loopback has more than one, a /16 apart.
fn loopback(index: usize) -> IpAddr {
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST.into();
    }
    let second = u8::try_from(10 + index % 200).unwrap_or(10);
    let third = u8::try_from(index / 200).unwrap_or(0);
    Ipv4Addr::new(127, second, third, 1).into()
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

fn node_of(address: &Multiaddr) -> Option<NodeId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => NodeId::from_peer_id(&peer.to_bytes()),
        _ => None,
    }
}
