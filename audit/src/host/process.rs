//! Running processes as the kernel shows them: command line, environment, open sockets.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A process of this user.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Its number.
    pub id: u32,
    /// Its command line, the program first.
    pub arguments: Vec<String>,
    directory: PathBuf,
}

impl Process {
    /// The processes of this user under `proc`, in the order of their numbers; not this one.
    #[must_use]
    pub(crate) fn all(proc: &Path) -> Vec<Self> {
        let user = rustix::process::geteuid().as_raw();
        let entries = fs::read_dir(proc).into_iter().flatten().flatten();
        let mut all: Vec<Self> = entries
            .filter_map(|entry| {
                let id: u32 = entry.file_name().to_str()?.parse().ok()?;
                let directory = entry.path();
                let is_own = fs::metadata(&directory).ok()?.uid() == user;
                if !is_own || id == std::process::id() {
                    return None;
                }
                let line = fs::read(directory.join("cmdline")).ok()?;
                Some(Self { id, arguments: strings(&line), directory })
            })
            .collect();
        all.sort_by_key(|process| process.id);
        all
    }

    /// Whether it is this program, by its name.
    #[must_use]
    pub(crate) fn is_cutout(&self) -> bool {
        let program = self.arguments.first().map(Path::new).and_then(Path::file_name);
        program == Some(OsStr::new("cutout"))
    }

    /// Whether it is `cutout node run`.
    #[must_use]
    pub(crate) fn is_node(&self) -> bool {
        let mut words = self.arguments.iter().skip_while(|word| *word != "node").skip(1);
        self.is_cutout() && words.next().is_some_and(|word| word == "run")
    }

    /// What it was given for an option, however often.
    pub(crate) fn options<'a>(&'a self, option: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.arguments.iter().zip(self.arguments.iter().skip(1));
        let apart = pairs.filter(move |(name, _)| *name == option).map(|(_, value)| value.as_str());
        let joined = self.arguments.iter().filter_map(move |argument| {
            argument.strip_prefix(option).and_then(|rest| rest.strip_prefix('='))
        });
        apart.chain(joined)
    }

    /// The path that it was given for an option, seen from here.
    #[must_use]
    pub(crate) fn path_of(&self, option: &str) -> Option<PathBuf> {
        let path = Path::new(self.options(option).next()?);
        let base = fs::read_link(self.directory.join("cwd")).unwrap_or_default();
        Some(base.join(path))
    }

    /// A variable of the environment that it was started in.
    #[must_use]
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(self.directory.join("environ")).ok()?;
        strings(&environment).into_iter().find_map(|pair| {
            pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        })
    }

    /// The soft limit on the size of its core dumps, as the kernel writes it.
    #[must_use]
    pub(crate) fn core_limit(&self) -> Option<String> {
        let limits = fs::read_to_string(self.directory.join("limits")).ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"))?;
        line.split_whitespace().next().map(str::to_owned)
    }

    /// Whether its program has been replaced or removed on the disk since it started.
    #[must_use]
    pub(crate) fn is_outdated(&self) -> bool {
        let program = fs::read_link(self.directory.join("exe"));
        program.is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
    }

    /// Where it listens for TCP connections.
    #[must_use]
    pub(crate) fn listening(&self) -> BTreeSet<SocketAddr> {
        let descriptors = fs::read_dir(self.directory.join("fd")).into_iter().flatten().flatten();
        let inodes: BTreeSet<String> = descriptors
            .filter_map(|entry| {
                let target = fs::read_link(entry.path()).ok()?;
                let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(inode.to_owned())
            })
            .collect();
        let tables = ["net/tcp", "net/tcp6"].map(|table| self.directory.join(table));
        let tables = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
        let lines = tables.iter().flat_map(|table| table.lines().skip(1));
        lines.filter_map(|line| listener(line, &inodes)).collect()
    }
}

/// The address of a line of `/proc/net/tcp` or `tcp6`, if it is a listener with one of these inodes.
fn listener(line: &str, inodes: &BTreeSet<String>) -> Option<SocketAddr> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace();
    let (local, _, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
    let inode = fields.nth(5)?;
    if state != LISTEN || !inodes.contains(inode) {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    // Words of four bytes, each as the machine holds it.
    let words: Vec<[u8; 4]> = (0..address.len())
        .step_by(8)
        .filter_map(|at| u32::from_str_radix(address.get(at..at.saturating_add(8))?, 16).ok())
        .map(u32::to_ne_bytes)
        .collect();
    let ip = match words.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(*word)),
        words => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Strings that end in a zero byte each.
fn strings(bytes: &[u8]) -> Vec<String> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found_where_it_listens() {
        for bound in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = std::net::TcpListener::bind(bound) else { continue };
            let own = Process {
                id: std::process::id(),
                arguments: Vec::new(),
                directory: PathBuf::from("/proc/self"),
            };
            let address = socket.local_addr().unwrap();
            assert!(own.listening().contains(&address), "{address}: {:?}", own.listening());
            drop(socket);
            assert!(!own.listening().contains(&address));
        }
    }

    #[test]
    fn a_command_line_is_read_as_the_program_reads_it() {
        let words = ["/x/cutout", "-v", "node", "run", "--dir=a", "--listen", "b", "--listen", "c"];
        let process = |words: &[&str]| Process {
            id: 1,
            arguments: words.iter().map(|word| (*word).to_owned()).collect(),
            directory: PathBuf::new(),
        };
        let node = process(&words);
        assert!(node.is_node());
        assert_eq!(node.options("--dir").collect::<Vec<_>>(), ["a"]);
        assert_eq!(node.options("--listen").collect::<Vec<_>>(), ["b", "c"]);
        assert!(!process(&["cutout", "node", "check"]).is_node());
        assert!(!process(&["grep", "cutout", "node", "run"]).is_node());
    }
}
