//! What a log holds that no log should: addresses, peer ids, e-mail addresses, keys. What is found is counted and placed,
//! never printed again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use data_encoding::HEXLOWER;
use node::Identity;

use super::{Area, Finding, InstalledNode, Scope, Severity};

/// What names somebody.
#[derive(Clone, Copy, Debug, derive_more::Display, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    #[display("IP addresses")]
    IpAddress,
    #[display("peer ids")]
    PeerId,
    #[display("e-mail addresses")]
    EmailAddress,
    #[display("keys or node ids in hexadecimal")]
    HexKey,
}

/// Searches the logs that were named.
pub(super) fn look(scope: &Scope, nodes: &[InstalledNode]) -> Vec<Finding> {
    if scope.logs.is_empty() {
        let seen = "none was named; nodes log to standard error and keep no file";
        let finding = Finding::new(Area::Logs, Severity::Note, "logs", seen);
        return vec![finding.or_try("name the files that your service manager writes, with --log")];
    }
    let own = own_names(nodes);
    scope.logs.iter().flat_map(|log| search(log, &own)).collect()
}

/// What the nodes here call themselves and where they listen: their own log may say that.
fn own_names(nodes: &[InstalledNode]) -> BTreeSet<String> {
    let mut own = BTreeSet::new();
    for node in nodes {
        if let Ok(Some(identity)) = Identity::read(&node.directory) {
            own.insert(HEXLOWER.encode(&identity.node().0));
            own.insert(identity.keypair().public().to_peer_id().to_string());
        }
        if let Ok(config) = &node.config {
            let addresses = config.listen.iter().chain(&config.advertise);
            own.extend(addresses.flat_map(|text| text.split('/')).map(str::to_owned));
        }
    }
    own
}

fn search(log: &Path, own: &BTreeSet<String>) -> Vec<Finding> {
    let subject = log.display().to_string();
    let finding =
        |severity, seen: String| Finding::new(Area::Logs, severity, subject.clone(), seen);
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) => return vec![finding(Severity::Warn, format!("cannot be read: {error}"))],
    };
    let mut found: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    let (mut reader, mut line, mut number) = (BufReader::new(file), Vec::new(), 0_usize);
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => number = number.saturating_add(1),
            Err(error) => return vec![finding(Severity::Warn, format!("cannot be read: {error}"))],
        }
        for kind in names(&String::from_utf8_lossy(&line), own) {
            let (count, _) = found.entry(kind).or_insert((0, number));
            *count = count.saturating_add(1);
        }
    }
    if found.is_empty() {
        let seen = format!("{number} lines name nobody");
        return vec![finding(Severity::Ok, seen)];
    }
    let bad = found.into_iter().map(|(kind, (count, first))| {
        let seen = format!("{count} {kind}, the first in line {first} of {number}");
        finding(Severity::Bad, seen).or_try(
            "delete the log; run without --log-sensitive; if neither explains it, report it (SECURITY.md)",
        )
    });
    bad.collect()
}

/// Who is named in a line, but for the node itself.
fn names(line: &str, own: &BTreeSet<String>) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let is_part =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '@' | '-' | '_' | '+');
    for word in line.split(|c: char| !is_part(c)) {
        let word = word.trim_matches(['.', ':', '-']);
        if own.contains(word) {
            continue;
        }
        kinds.extend(kind(word));
        // host:port, key:value
        if word.contains(':') && word.parse::<Ipv6Addr>().is_err() {
            let parts = word.split(':').filter(|part| !own.contains(*part));
            kinds.extend(parts.filter_map(kind));
        }
    }
    kinds
}

fn kind(word: &str) -> Option<Kind> {
    let is_base58 =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() && !b"0OIl".contains(&b));
    let ip = word.parse::<Ipv4Addr>().map(IpAddr::V4);
    let ip = ip.or_else(|_| word.parse::<Ipv6Addr>().map(IpAddr::V6)).ok();
    if let Some(ip) = ip {
        return (!ip.is_unspecified()).then_some(Kind::IpAddress);
    }
    if let Some((local, domain)) = word.split_once('@') {
        let is_address = !local.is_empty() && domain.contains('.') && !domain.contains(['@', ':']);
        return is_address.then_some(Kind::EmailAddress);
    }
    let is_peer = (word.starts_with("12D3Koo") && word.len() == 52)
        || (word.starts_with("Qm") && word.len() == 46);
    if is_peer && is_base58(word) {
        return Some(Kind::PeerId);
    }
    let is_key = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then_some(Kind::HexKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_seen_and_times_are_not_taken_for_names() {
        let key = "ab".repeat(32);
        let seen = |line: &str| names(line, &BTreeSet::from([key.clone(), "127.1.0.1".into()]));
        for (line, kind) in [
            ("dialled 192.0.2.7:4001", Kind::IpAddress),
            ("/ip4/192.0.2.7/tcp/4001", Kind::IpAddress),
            ("from [2001:db8::7]:4001.", Kind::IpAddress),
            ("peer=12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", Kind::PeerId),
            ("mail for bob@demo.alt!", Kind::EmailAddress),
            (&format!("node={}", "cd".repeat(32)), Kind::HexKey),
        ] {
            assert_eq!(seen(line), [kind], "{line}");
        }
        for line in [
            "2026-11-24T20:41:16.123456Z  WARN node::server: [scrubbed] took too long",
            "12:34:56 version 0.1.0, 4.9 s, 1.2.3",
            "listening /ip4/0.0.0.0/tcp/4001 and /ip4/127.1.0.1/tcp/4001",
            &format!("node {key} serves"),
            "user@host ran it",
        ] {
            assert_eq!(seen(line), [], "{line}");
        }
    }
}
