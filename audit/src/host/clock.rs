//! Whether this clock agrees with the others'. All clocks must be within five minutes (L-27). Nobody is asked: what
//! counts is what time services have left here, and the dates that other members signed, as far as they lie here.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use anon::{
    id::NodeId,
    network::Network,
    roster::{Roster, StoredRoster},
    time::{MAX_SKEW, Time},
    wire,
};
use node::Identity;

use super::{Area, Finding, InstalledNode, Scope, Severity, read_network};

/// The longest roster file that is read, bytes.
const MAX_ROSTER: usize = 128 << 20;
/// How old the mark of a time service may be.
const FRESH: Duration = Duration::from_secs(2 * 86_400);
/// Marks that time services leave when they have set the clock: below `/run`.
const MARKS: [&str; 3] =
    ["systemd/timesync/synchronized", "chrony/chronyd.pid", "openntpd/ntpd.sock"];
/// By how much this clock is tried against the certificates, seconds back and forth.
const SHIFTS: [u64; 5] = [600, 3_600, 86_400, 7 * 86_400, 90 * 86_400];

/// Looks at the clock.
pub(super) fn look(scope: &Scope, nodes: &[InstalledNode]) -> Vec<Finding> {
    let of = |severity, seen: String| Finding::new(Area::Clock, severity, "clock", seen);
    let mut findings = Vec::new();
    let mark = MARKS.iter().find(|mark| is_fresh(&scope.run.join(mark)));
    if let Some(mark) = mark {
        findings.push(of(Severity::Ok, format!("a time service keeps it ({mark})")));
    }
    let mut networks: Vec<Network> =
        read_network(&scope.profile.join("network.toml")).into_iter().collect();
    networks.extend(nodes.iter().filter_map(|node| node.network.clone()));
    for node in nodes {
        let file = node.directory.join("roster.bin");
        let own = Identity::read(&node.directory).ok().flatten().map(|identity| identity.node());
        let judged = networks.iter().find_map(|network| against(&file, own, network, scope.now));
        findings.extend(judged);
    }
    if findings.is_empty() {
        let seen = format!(
            "unknown: no time service has left a mark here, and no other node's certificate can be read; it must be \
             right to {MAX_SKEW} s"
        );
        findings.push(
            of(Severity::Note, seen).or_try("timedatectl set-ntp true, or compare it by hand"),
        );
    }
    findings
}

fn is_fresh(mark: &Path) -> bool {
    let changed = mark.metadata().and_then(|metadata| metadata.modified());
    changed.is_ok_and(|at| SystemTime::now().duration_since(at).unwrap_or_default() < FRESH)
}

/// The certificates of others in a roster's file that are valid at a time, and the last date among them.
fn valid(
    stored: StoredRoster,
    own: Option<NodeId>,
    network: &Network,
    now: Time,
) -> (usize, Option<Time>) {
    let roster = Roster::restore(stored, network, now);
    let others = roster.known().filter(|certificate| Some(certificate.node()) != own);
    let dates: Vec<Time> = others.map(|other| other.claims().validity.not_before).collect();
    (dates.len(), dates.into_iter().max())
}

/// Holds the clock against the dates in a roster's file; `None` if it holds none of this network.
fn against(file: &Path, own: Option<NodeId>, network: &Network, now: Time) -> Option<Finding> {
    let bytes = std::fs::read(file).ok()?;
    let stored = || wire::decode::<StoredRoster>(&bytes, MAX_ROSTER).ok();
    let (count, last) = valid(stored()?, own, network, now);
    let of = |severity, seen: String| {
        Finding::new(Area::Clock, severity, file.display().to_string(), seen)
    };
    let remedy = "set this machine's clock, and keep it with a time service";
    for shift in SHIFTS {
        let (later, _) = valid(stored()?, own, network, now.after(shift));
        if later > count {
            let more = later.saturating_sub(count);
            let seen = format!(
                "{more} certificates begin within {shift} s from now: this clock is behind"
            );
            return Some(of(Severity::Bad, seen).or_try(remedy));
        }
    }
    if count == 0 {
        let earlier = SHIFTS.iter().find(|shift| {
            stored().is_some_and(|stored| valid(stored, own, network, now.before(**shift)).0 > 0)
        })?;
        let seen = format!(
            "all certificates are over, and were valid {earlier} s ago: the node was off, or this clock is ahead"
        );
        return Some(of(Severity::Warn, seen).or_try(remedy));
    }
    let age = now.0.saturating_sub(last.map_or(0, |last| last.0));
    let seen =
        format!("fits the dates on {count} certificates of others, the last one {age} s old");
    Some(of(Severity::Ok, seen))
}
