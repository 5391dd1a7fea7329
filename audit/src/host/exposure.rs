//! What running processes show to others and keep where others look, and what the machine does with memory.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use super::{Area, Finding, InstalledNode, Scope, Severity, process::Process};

/// Looks at the processes and the machine.
pub(super) fn look(scope: &Scope, processes: &[Process], nodes: &[InstalledNode]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for process in processes {
        if process.is_cutout() {
            findings.extend(secrets(process));
        }
        if process.is_node() {
            let directory = process.path_of("--dir");
            let node = nodes.iter().find(|node| Some(&node.directory) == directory.as_ref());
            findings.extend(ports(process, node));
        }
        // A shell that was handed the passphrase in the text of a command.
        let is_told = |argument: &String| argument.contains("CUTOUT_PASSPHRASE=");
        if process.arguments.iter().any(is_told) {
            let seen =
                "the passphrase is on its command line, which every user of this machine can read";
            let remedy = "end it; change the passphrase; use --passphrase-file";
            findings.push(finding(Severity::Bad, process, seen).or_try(remedy));
        }
    }
    if !processes.iter().any(Process::is_cutout) {
        let seen = "no cutout process of this user runs";
        findings.push(Finding::new(Area::Exposure, Severity::Note, "processes", seen));
    }
    findings.extend(machine(scope));
    findings
}

fn subject(process: &Process) -> String {
    let words = process.arguments.iter().skip(1).filter(|word| !word.starts_with('-')).take(2);
    let words: Vec<&str> = words.map(String::as_str).collect();
    format!("process {} ({})", process.id, words.join(" "))
}

fn finding(severity: Severity, process: &Process, seen: impl Into<String>) -> Finding {
    Finding::new(Area::Exposure, severity, subject(process), seen)
}

/// What a process holds that others could get hold of.
fn secrets(process: &Process) -> Vec<Finding> {
    let mut findings = Vec::new();
    if process.variable("CUTOUT_PASSPHRASE").is_some_and(|value| !value.is_empty()) {
        let seen = "the passphrase is in its environment, for every process of this user to read";
        let remedy = if process.is_node() {
            "start it without CUTOUT_PASSPHRASE: a node needs none"
        } else {
            "use --passphrase-file, with a file on memory (/run/user) or a service manager's credential"
        };
        findings.push(finding(Severity::Warn, process, seen).or_try(remedy));
    }
    if process.arguments.iter().any(|argument| argument == "--log-sensitive") {
        let seen = "its log names addresses and identities";
        findings
            .push(finding(Severity::Bad, process, seen).or_try("start it without --log-sensitive"));
    }
    match process.core_limit().as_deref() {
        Some("0") => {}
        Some(limit) => {
            let seen = format!("may write a core dump ({limit}), with all its keys in it");
            let remedy = "set the limit to 0: ulimit -c 0, or LimitCORE=0 in its service";
            findings.push(finding(Severity::Warn, process, seen).or_try(remedy));
        }
        None => findings.push(finding(Severity::Note, process, "its limits cannot be read")),
    }
    if process.is_outdated() {
        let seen = "runs a program that has been replaced or removed since";
        findings.push(finding(Severity::Warn, process, seen).or_try("start it again"));
    }
    if rustix::process::geteuid().is_root() {
        let seen = "runs as root, which it never needs";
        findings.push(finding(Severity::Warn, process, seen).or_try("give it a user of its own"));
    }
    findings
}

/// Whether a node listens where it was told to, and nowhere else.
fn ports(process: &Process, node: Option<&InstalledNode>) -> Vec<Finding> {
    let Some(Ok(config)) = node.map(|node| &node.config) else {
        return vec![finding(Severity::Warn, process, "its configuration cannot be read")];
    };
    let told: BTreeSet<SocketAddr> = config.listen.iter().filter_map(|text| socket(text)).collect();
    let listening = process.listening();
    let fits = |told: &SocketAddr, seen: &SocketAddr| {
        told.ip() == seen.ip() && (told.port() == 0 || told.port() == seen.port())
    };
    let mut findings = Vec::new();
    for seen in listening.iter().filter(|seen| !told.iter().any(|told| fits(told, seen))) {
        let text = format!("listens at {seen}, which its configuration does not name");
        let remedy = "find out what it serves there; check --listen and node.toml";
        findings.push(finding(Severity::Bad, process, text).or_try(remedy));
    }
    for told in told.iter().filter(|told| !listening.iter().any(|seen| fits(told, seen))) {
        let text = format!("does not listen at {told}, as it was told");
        let remedy = "look at its log; look again as the user that runs it";
        findings.push(finding(Severity::Warn, process, text).or_try(remedy));
    }
    if findings.is_empty() {
        let list: Vec<String> = listening.iter().map(ToString::to_string).collect();
        let text = match list.join(", ").as_str() {
            "" => "listens nowhere, as it was told: it is reached over Tor alone".to_owned(),
            list => format!("listens at {list}, as it was told, and nowhere else"),
        };
        findings.push(finding(Severity::Ok, process, text));
    }
    findings
}

/// The socket of `/ip4/…/tcp/…` or `/ip6/…/tcp/…`.
fn socket(multiaddr: &str) -> Option<SocketAddr> {
    let mut parts = multiaddr.split('/').skip(2);
    let (ip, _, port) = (parts.next()?, parts.next()?, parts.next()?);
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

/// What the machine does with memory.
fn machine(scope: &Scope) -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(scope.proc.join(path)).unwrap_or_default();
    let of = |severity, subject: &str, seen: String| {
        Finding::new(Area::Exposure, severity, subject, seen)
    };
    let mut findings = Vec::new();
    let swaps = read("swaps");
    let swaps: Vec<&str> =
        swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let (in_memory, on_disk): (Vec<&str>, Vec<&str>) =
        swaps.into_iter().partition(|swap| swap.starts_with("/dev/zram"));
    if on_disk.is_empty() {
        let seen = if in_memory.is_empty() { "off" } else { "in memory only" };
        findings.push(of(Severity::Ok, "swap", seen.to_owned()));
    } else {
        let seen = format!("on {}: keys in memory may be written there", on_disk.join(", "));
        let remedy = "switch it off, or encrypt it with a key that is made at each start";
        findings.push(of(Severity::Warn, "swap", seen).or_try(remedy));
    }
    match read("sys/kernel/yama/ptrace_scope").trim() {
        "0" => findings.push(
            of(
                Severity::Warn,
                "ptrace",
                "any process of this user may read the memory of any other of the same user"
                    .to_owned(),
            )
            .or_try("sysctl kernel.yama.ptrace_scope=1, or give the node a user of its own"),
        ),
        "" => {
            let seen =
                "this kernel says nothing of who may read other processes' memory".to_owned();
            findings.push(of(Severity::Note, "ptrace", seen));
        }
        scope => findings.push(of(Severity::Ok, "ptrace", format!("restricted ({scope})"))),
    }
    findings
}
