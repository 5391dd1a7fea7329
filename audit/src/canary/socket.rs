//! From where a process calls: its own TCP sockets, looked at again and again while it lives.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddrV4},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// The time between two looks. A connection that is shorter is not seen.
const TURN: Duration = Duration::from_millis(4);

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    own: BTreeSet<(SocketAddrV4, SocketAddrV4)>,
    others: BTreeSet<u16>,
}

/// Watches a process.
#[derive(Debug)]
pub(super) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watch {
    /// Begins.
    pub(super) fn start(pid: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !over.load(Ordering::Relaxed) {
                look(pid, &mut seen);
                std::thread::sleep(TURN);
            }
            seen
        });
        Self { is_over, thread }
    }

    /// Ends: from where it called, and whom. A port from which others called as well at some time would be found where
    /// it is theirs, so it is left out.
    pub(super) fn end(self) -> BTreeSet<(SocketAddrV4, SocketAddrV4)> {
        self.is_over.store(true, Ordering::Relaxed);
        let Seen { mut own, others } = self.thread.join().unwrap_or_default();
        own.retain(|(local, _)| !others.contains(&local.port()));
        own
    }
}

fn look(pid: u32, seen: &mut Seen) {
    let Ok(table) = std::fs::read_to_string("/proc/net/tcp") else { return };
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    let links = open.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets: BTreeSet<String> = links
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    for (local, remote, inode) in table.lines().skip(1).filter_map(row) {
        if sockets.contains(inode) {
            if remote.port() != 0 {
                seen.own.insert((local, remote));
            }
        } else if inode != "0" {
            seen.others.insert(local.port());
        }
    }
}

fn row(line: &str) -> Option<(SocketAddrV4, SocketAddrV4, &str)> {
    let mut fields = line.split_whitespace();
    let (local, remote) = (fields.nth(1)?, fields.next()?);
    Some((endpoint(local)?, endpoint(remote)?, fields.nth(6)?))
}

fn endpoint(text: &str) -> Option<SocketAddrV4> {
    let (ip, port) = text.split_once(':')?;
    // The number in memory is in network order, and printed as the machine reads it.
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    Some(SocketAddrV4::new(Ipv4Addr::from(ip), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_call_is_seen_with_both_its_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let call = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let watch = Watch::start(std::process::id());
        std::thread::sleep(TURN * 20);
        let seen = watch.end();
        let ends = (call.local_addr().unwrap(), call.peer_addr().unwrap());
        assert!(seen.iter().any(|(a, b)| ((*a).into(), (*b).into()) == ends), "{seen:?}");
    }
}
