//! Ages and ends of keys: what lies in clear says something by itself, what is sealed is reported as sealed unless the
//! passphrase was given. Opening the vault closes its directory to others, as every command does.

use std::{fs, path::Path};

use anon::{certificate::Admission, network::Network, time::Time, wire};
use node::{Identity, Limits};
use ua::{
    account::{Account, OWN, VALIDITY},
    guard::{GUARD_SECONDS, Guards},
    profile::Profile,
    vault::Vault,
};

use super::{Area, Finding, InstalledNode, Scope, Severity, read_network};

const DAY: u64 = 86_400;
/// From when on an end is worth a word, seconds: two weeks.
const SOON: u64 = 14 * DAY;
/// The longest admission, bytes.
const MAX_ADMISSION: usize = 1024;

/// Looks at the keys.
pub(super) fn look(scope: &Scope, nodes: &[InstalledNode]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if Profile::exists(&scope.profile) {
        findings.extend(agent(scope));
    }
    for node in nodes.iter().filter(|node| node.directory.join("identity.key").exists()) {
        findings.extend(identity(node));
        findings.push(channel_keys(node));
        findings.extend(admission(node, scope.now));
    }
    findings
}

fn finding(severity: Severity, subject: impl Into<String>, seen: impl Into<String>) -> Finding {
    Finding::new(Area::Keys, severity, subject, seen)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The agent's keys.
fn agent(scope: &Scope) -> Vec<Finding> {
    let directory = scope.profile.join("vault");
    let Some(passphrase) = &scope.passphrase else {
        let seen = "sealed: the ages of guards and certificates were not looked at";
        let remedy = "give the passphrase with --passphrase-file to have them looked at";
        return vec![finding(Severity::Note, shown(&directory), seen).or_try(remedy)];
    };
    let vault = match Vault::open(&directory, passphrase) {
        Ok(vault) => vault,
        Err(error) => {
            return vec![finding(
                Severity::Warn,
                shown(&directory),
                format!("not opened: {error}"),
            )];
        }
    };
    let mut findings = guards(&vault, scope.now);
    let Some(network) = read_network(&scope.profile.join("network.toml")) else {
        let seen = "cannot be read, so that no certificate can be checked";
        findings.push(finding(Severity::Warn, shown(&scope.profile.join("network.toml")), seen));
        return findings;
    };
    let names = Account::replies(&vault).unwrap_or_default();
    for name in std::iter::once(OWN.to_owned()).chain(names) {
        findings.push(certificate(&vault, &name, &network, scope.now));
    }
    findings
}

fn guards(vault: &Vault, now: Time) -> Vec<Finding> {
    let guards = match Guards::read(vault) {
        Ok(guards) => guards,
        Err(error) => return vec![finding(Severity::Warn, "guards", error.to_string())],
    };
    if guards.all().is_empty() {
        return vec![finding(Severity::Note, "guards", "none chosen yet")];
    }
    let places = ["guard", "spare"].into_iter().chain(std::iter::repeat("another"));
    let aged = guards.all().iter().zip(places).map(|(guard, place)| {
        let age = now.0.saturating_sub(guard.since.0);
        let (days, all) = (age / DAY, GUARD_SECONDS / DAY);
        let seen = format!("{place}, for {days} of {all} days");
        let subject = format!("guard {}", guard.node.short());
        if guard.since > now.after(DAY) {
            let seen =
                format!("{place}, since a day that is yet to come: the clock was or is wrong");
            return finding(Severity::Warn, subject, seen).or_try("check this machine's clock");
        }
        if age > GUARD_SECONDS {
            return finding(Severity::Note, subject, format!("{seen}: the next mail replaces it"));
        }
        finding(Severity::Ok, subject, seen)
    });
    aged.collect()
}

/// The certificate of one of the agent's addresses. The address is not printed.
fn certificate(vault: &Vault, name: &str, network: &Network, now: Time) -> Finding {
    let subject = if name == OWN { "your certificate" } else { "a certificate for answers" };
    let account = match Account::read_named(vault, name) {
        Ok(account) => account,
        Err(error) => return finding(Severity::Warn, subject, error.to_string()),
    };
    match account.certificate(network, now) {
        Ok(certificate) => {
            let end = certificate.claims().validity.not_after;
            let left = end.0.saturating_sub(now.0);
            let seen = format!("ends in {} days", left / DAY);
            let is_own = account.address().is_self_certifying();
            if is_own && left < VALIDITY / 4 {
                return finding(
                    Severity::Note,
                    subject,
                    format!("{seen}: `cutout fetch` renews it"),
                );
            }
            if !is_own && left < SOON {
                let remedy = "ask the authority for a new one";
                return finding(Severity::Warn, subject, seen).or_try(remedy);
            }
            finding(Severity::Ok, subject, seen)
        }
        Err(error) => {
            let remedy = "cutout fetch, or ask the authority for a new one";
            finding(Severity::Warn, subject, error.to_string()).or_try(remedy)
        }
    }
}

/// A node's identity: how old, and whether it can be read at all.
fn identity(node: &InstalledNode) -> Option<Finding> {
    let path = node.directory.join("identity.key");
    if let Err(error) = Identity::read(&node.directory) {
        let remedy = "restore it from a copy";
        return Some(finding(Severity::Bad, shown(&path), error.to_string()).or_try(remedy));
    }
    let changed = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
    let days = changed.elapsed().map_or(0, |age| age.as_secs() / DAY);
    let seen = format!("made {days} days ago; it has no end, and others know the node by it");
    Some(finding(Severity::Ok, shown(&path), seen))
}

/// A node's channel keys: never on the disk; how long they live is in its configuration.
fn channel_keys(node: &InstalledNode) -> Finding {
    let subject = format!("channel keys of {}", node.directory.display());
    let seconds = match &node.config {
        Ok(config) => config.limits.channel_key_seconds,
        Err(error) => {
            let remedy = "correct node.toml: the node does not start with it";
            return finding(Severity::Bad, subject, error.clone()).or_try(remedy);
        }
    };
    let seen = format!("in memory only; a new one every {seconds} s, honoured twice as long");
    let usual = Limits::default().channel_key_seconds;
    if seconds > usual {
        let remedy = format!("channel_key_seconds = {usual} in node.toml, or less");
        let seen = format!("{seen}: first messages can be opened for so long (L-08)");
        return finding(Severity::Warn, subject, seen).or_try(remedy);
    }
    finding(Severity::Ok, subject, seen)
}

/// The authority's admission of a node, if it has one and its network is known.
fn admission(node: &InstalledNode, now: Time) -> Option<Finding> {
    let path = node.directory.join("admission");
    let bytes = fs::read(&path).ok()?;
    let Ok(admission) = wire::decode::<Admission>(&bytes, MAX_ADMISSION) else {
        let remedy = "put the file in place that the authority made";
        return Some(finding(Severity::Bad, shown(&path), "no admission").or_try(remedy));
    };
    let Some((network, authority)) =
        node.network.as_ref().and_then(|network| Some((network, network.authority.as_ref()?)))
    else {
        let seen = "its end is not known: no network file of a running node says who signed it";
        return Some(finding(Severity::Note, shown(&path), seen));
    };
    let identity = Identity::read(&node.directory).ok()??.node();
    let at = |time: Time| admission.verify(authority, &network.id, identity, time);
    let remedy = "ask the authority for a new one: cutout node request";
    Some(match (at(now), at(now.after(SOON))) {
        (Err(error), _) => finding(Severity::Bad, shown(&path), error.to_string()).or_try(remedy),
        (Ok(()), Err(_)) => {
            let seen = format!("ends within {} days", SOON / DAY);
            finding(Severity::Warn, shown(&path), seen).or_try(remedy)
        }
        (Ok(()), Ok(())) => {
            finding(Severity::Ok, shown(&path), format!("holds for {} days and more", SOON / DAY))
        }
    })
}
