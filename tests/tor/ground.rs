//! What the scenarios over Tor stand on: a real Tor network, and a host of its own for user agents, whose network
//! interface leads to the relays and nowhere else. Started once for all of them.
//!
//! ```text
//! namespace of the agents                    namespace of the test
//! 10.99.0.2 ── eth0 ════════════════ veth ── 10.20.0.1 … 10.28.0.1   relays
//!              (all packets counted)         127.10.0.1 …            nodes, which only exits reach; or
//!                                            10.100.0.1 …            nodes that the agents could reach as well
//! ```

use std::{
    collections::BTreeSet,
    fs::File,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketType, recv, socket, sockopt};
use testbed::tor_network::{BRIDGE, TorNetwork};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// The agents' own address: what no node may ever see.
pub const AGENT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// How long the agents' host may take to be there.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How many addresses there are of [`reachable`].
pub const REACHABLE: usize = 16;

/// Tor, and a host that reaches nothing else.
pub struct Ground {
    pub tor: TorNetwork,
    /// The process whose network namespace the agents' host is. It ends with this test's process, and tidies up.
    host: Child,
}

static GROUND: OnceCell<Mutex<Ground>> = OnceCell::const_new();

/// The ground, for as long as a scenario needs it; to be asked for after the scenario's network, which waits for others.
pub async fn ground() -> MutexGuard<'static, Ground> {
    let mut ground =
        GROUND.get_or_init(async || Mutex::new(Ground::lay().await)).await.lock().await;
    // A scenario that failed may have left it dark.
    ground.tor.resume().await.unwrap();
    ground.wait_until_quiet().await;
    ground
}

/// The address of a node that agents could reach without Tor.
pub fn reachable(index: usize) -> IpAddr {
    Ipv4Addr::new(10, u8::try_from(100 + index).unwrap(), 0, 1).into()
}

fn relay(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, u8::try_from(20 + index).unwrap(), 0, 1)
}

fn run(program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{program} {arguments}` as root: {said}");
}

impl Ground {
    async fn lay() -> Self {
        let began = Instant::now();
        let directory = tempfile::Builder::new().prefix("cutout-tor").tempdir().unwrap().keep();
        let script = format!("cat; rm -rf {}", directory.display());
        let host = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let here = std::fs::read_link("/proc/self/ns/net").unwrap();
        let there = PathBuf::from(format!("/proc/{}/ns/net", host.id()));
        while std::fs::read_link(&there).is_ok_and(|ns| ns == here) {
            assert!(began.elapsed() < READY_WITHIN, "scenarios over Tor need root and `unshare`");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (id, veth) = (host.id(), format!("cutout{}", host.id() % 1_000_000));
        run("ip", &format!("link add {veth} type veth peer name eth0 netns {id}"));
        for index in 0..=BRIDGE {
            run("ip", &format!("address add {}/32 dev {veth}", relay(index)));
        }
        for index in 0..REACHABLE {
            run("ip", &format!("address add {}/32 dev {veth}", reachable(index)));
        }
        // Neither end speaks IPv6; where there is none, there is nothing to switch off.
        let off = |before: &[&str], interface: &str| {
            let setting = format!("net.ipv6.conf.{interface}.disable_ipv6=1");
            let words = before.iter().copied().chain(["sysctl", "-q", "-w", &setting]);
            let words: Vec<&str> = words.collect();
            let _ = Command::new(words[0]).args(&words[1..]).status();
        };
        off(&[], &veth);
        off(&["nsenter", "-t", &id.to_string(), "-n"], "all");
        run("ip", &format!("link set {veth} up"));
        run("ip", &format!("route add {AGENT}/32 dev {veth}"));
        let inside = |command: &str| run("nsenter", &format!("-t {id} -n {command}"));
        inside("ip link set lo up");
        inside(&format!("ip address add {AGENT}/32 dev eth0"));
        inside("ip link set eth0 up");
        inside("ip route add default dev eth0");
        // What a process leaves behind when it ends is over soon.
        inside("sysctl -q -w net.ipv4.tcp_fin_timeout=1 net.ipv4.tcp_orphan_retries=1");
        let tor =
            TorNetwork::start(&directory, relay).await.unwrap_or_else(|error| panic!("{error}"));
        println!("the Tor network is ready after {:.1} s", began.elapsed().as_secs_f64());
        Self { tor, host }
    }

    /// What goes before a command that is to run on the agents' host.
    pub fn inside(&self) -> Vec<String> {
        ["nsenter", "-t", &self.host.id().to_string(), "-n"].map(str::to_owned).into()
    }

    /// Waits until no connection of an earlier scenario is left on the agents' host: the kernel goes on ending those of a
    /// process that has ended, and a watch would take its packets for this scenario's.
    async fn wait_until_quiet(&self) {
        let began = Instant::now();
        let table = format!("/proc/{}/net/tcp", self.host.id());
        loop {
            let table = std::fs::read_to_string(&table).unwrap();
            let open: Vec<&str> = table.lines().skip(1).filter(|line| !is_over(line)).collect();
            if open.is_empty() {
                return;
            }
            assert!(began.elapsed() < READY_WITHIN, "connections stay: {open:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Counts what leaves the agents' host, or goes round in it, from now on.
    pub fn watch(&self) -> Watch {
        Watch::start(self.host.id())
    }

    /// All that the agents' host may ever turn to.
    pub fn relays(&self) -> BTreeSet<Ipv4Addr> {
        self.tor.addresses().iter().map(|address| *address.ip()).collect()
    }
}

/// Whether a line of the kernel's table is of a connection for which nothing is sent any more: in TIME_WAIT.
fn is_over(line: &str) -> bool {
    line.split_whitespace().nth(3) == Some("06")
}

/// A packet socket on the agents' host.
pub struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<Ipv4Addr>>,
}

impl Watch {
    fn start(host: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let (sender, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // A socket stays where it was opened; so does this thread, which does nothing else.
            let namespace = File::open(format!("/proc/{host}/ns/net")).unwrap();
            rustix::thread::move_into_link_name_space(namespace.as_fd(), None).unwrap();
            let all = std::num::NonZeroU32::new(u32::from(3_u16.to_be())).map(Protocol::from_raw);
            let socket = socket(AddressFamily::PACKET, SocketType::DGRAM, all).unwrap();
            sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20).unwrap();
            let turn = Some(Duration::from_millis(50));
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, turn).unwrap();
            sender.send(()).unwrap();
            listen(&socket, &over)
        });
        ready.recv().unwrap();
        Self { is_over, thread }
    }

    /// Everyone that a packet, or the question who has an address, was for; but not the agents' host itself.
    pub fn end(self) -> BTreeSet<Ipv4Addr> {
        std::thread::sleep(Duration::from_millis(150));
        self.is_over.store(true, Ordering::Relaxed);
        let mut seen = self.thread.join().unwrap();
        seen.remove(&AGENT);
        seen
    }
}

fn listen(socket: &OwnedFd, is_over: &AtomicBool) -> BTreeSet<Ipv4Addr> {
    let mut seen = BTreeSet::new();
    let mut buffer = vec![0; 1 << 17];
    while !is_over.load(Ordering::Relaxed) {
        let Ok((length, _)) = recv(socket, &mut buffer[..], RecvFlags::empty()) else { continue };
        seen.extend(destination(&buffer[..length]));
    }
    seen
}

/// Whom a packet is for: the destination of an IPv4 header, the target of an ARP question.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let at = match packet {
        // IPv6 is switched off: whatever it is, it is for nobody who may be.
        [0x60..=0x6f, ..] => return Some(Ipv4Addr::UNSPECIFIED),
        [0x40..=0x4f, ..] => 16,
        [0, 1, 8, 0, ..] => 24,
        _ => return None,
    };
    let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().unwrap();
    Some(Ipv4Addr::from(bytes))
}

#[tokio::test]
#[ignore = "for whoever wants to try things by hand: it stands until it is interrupted"]
async fn a_ground_to_stand_on() {
    let ground = ground().await;
    println!(
        "{}\n# before each command: {}",
        ground.tor.toml("required"),
        ground.inside().join(" ")
    );
    std::future::pending::<()>().await;
}
