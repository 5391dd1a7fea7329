//! Modes and owners of what agent and nodes keep, and what lies in clear that should be sealed.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use ua::profile::Profile;

use super::{Area, Finding, InstalledNode, Scope, Severity};

/// The most entries of one directory tree that are looked at: a Maildir can be long.
const MOST: usize = 20_000;
/// What the agent keeps at the top of its directory.
const KNOWN: [&str; 6] = [".begin", "config.toml", "mail", "network.toml", "tor", "vault"];
/// How a vault's own file begins (`ua/src/vault/header.rs`).
const VAULT_MAGIC: &[u8] = b"cutvault";
/// How a sealed file begins (`ua/src/vault/seal.rs`): a version, then nonce and tag, which are random.
const SEALED_VERSION: u8 = 1;
const SEALED_START: u64 = 41;
/// Different bytes among 40 random ones: about 37; fewer than this once in 10^11 files.
const LEAST_DIFFERENT: usize = 24;

/// Looks at the files of the agent and of the nodes.
pub(super) fn look(scope: &Scope, nodes: &[InstalledNode]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let profile = &scope.profile;
    if Profile::exists(profile) {
        findings.extend(tree(profile, "agent"));
        findings.extend(vault(&profile.join("vault")));
        findings.extend(strangers(profile));
        if profile.join("mail").is_dir() {
            let seen = "the Maildir is plain text, by design (L-18)";
            let finding = finding(Severity::Note, &profile.join("mail"), seen);
            findings.push(finding.or_try("encrypt the disk that it is on"));
        }
    } else {
        findings.push(finding(Severity::Note, profile, "no agent here"));
    }
    if nodes.is_empty() {
        let seen = "none runs, and none was named with --node";
        findings.push(Finding::new(Area::Files, Severity::Note, "nodes", seen));
    }
    for node in nodes {
        if !node.directory.join("identity.key").exists() {
            findings.push(finding(Severity::Note, &node.directory, "no node here"));
            continue;
        }
        findings.extend(tree(&node.directory, "node"));
        let seen = "in clear, by design: a node starts without anybody to ask. Who reads it can pass for the node";
        let key = finding(Severity::Note, &node.directory.join("identity.key"), seen);
        findings.push(key.or_try("encrypt the disk that it is on, and keep copies sealed"));
    }
    findings
}

fn finding(severity: Severity, path: &Path, seen: impl Into<String>) -> Finding {
    Finding::new(Area::Files, severity, path.display().to_string(), seen)
}

/// Modes and owners of a directory and of all in it. What others can reach is bad; a mode that only a closed
/// directory above makes harmless is worth a warning.
fn tree(root: &Path, what: &str) -> Vec<Finding> {
    let top = match fs::metadata(root) {
        Ok(top) => top,
        Err(error) => {
            return vec![finding(Severity::Warn, root, format!("cannot be read: {error}"))];
        }
    };
    let is_closed = top.mode() & 0o077 == 0;
    let (mut findings, mut seen) = (Vec::new(), 0_usize);
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        seen = seen.saturating_add(1);
        if seen > MOST {
            findings.push(finding(Severity::Note, root, format!("only {MOST} entries looked at")));
            break;
        }
        let is_root = path == root;
        let metadata = if is_root { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        let Ok(metadata) = metadata else { continue };
        findings.extend(entry(&path, &metadata, is_closed && !is_root));
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()));
        }
    }
    if findings.iter().all(|finding| finding.severity < Severity::Warn) {
        let seen = format!("{what}: {seen} files and directories, open to their owner alone");
        findings.push(finding(Severity::Ok, root, seen));
    }
    findings
}

/// One file or directory.
fn entry(path: &Path, metadata: &Metadata, is_behind_closed: bool) -> Option<Finding> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return Some(finding(Severity::Note, path, "a symbolic link; not followed"));
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        let seen = format!("belongs to user {}, and you are {user}", metadata.uid());
        return Some(finding(Severity::Bad, path, seen).or_try("chown it, or run as its owner"));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 == 0 {
        return None;
    }
    let (noun, good) = match () {
        () if kind.is_dir() => ("directory", "700"),
        () if kind.is_socket() => ("socket", "600"),
        () => ("file", "600"),
    };
    let severity = if is_behind_closed { Severity::Warn } else { Severity::Bad };
    let seen = if is_behind_closed {
        format!("{noun} has mode {mode:03o}; only the closed directory above keeps others out")
    } else {
        format!("{noun} has mode {mode:03o}: others on this machine can open it")
    };
    Some(finding(severity, path, seen).or_try(format!("chmod {good} {}", path.display())))
}

/// Whether all in a vault is sealed.
fn vault(directory: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sealed = 0_usize;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_lock = [".lock", ".present"].contains(&name.as_ref()) || name.starts_with(".alone-");
        if is_lock || path.is_dir() {
            continue;
        }
        if name.starts_with(".tmp-") {
            let seen = "left by a write that was cut short; the next command sweeps it away";
            findings.push(finding(Severity::Note, &path, seen));
            continue;
        }
        if is_sealed(&path, &name) {
            sealed = sealed.saturating_add(1);
        } else {
            let seen = "lies among the sealed files and is not sealed";
            let remedy = "move it away; if it holds a secret, take new keys";
            findings.push(finding(Severity::Bad, &path, seen).or_try(remedy));
        }
    }
    let seen = format!("{sealed} files sealed under the passphrase; names, sizes and times show");
    findings.push(finding(Severity::Ok, directory, seen));
    findings
}

fn is_sealed(path: &Path, name: &str) -> bool {
    let mut start = Vec::new();
    let file = fs::File::open(path);
    if file.and_then(|file| file.take(SEALED_START).read_to_end(&mut start)).is_err() {
        return false;
    }
    if name == "vault" {
        return start.starts_with(VAULT_MAGIC);
    }
    let Some((version, random)) = start.split_first() else { return false };
    let is_whole = u64::try_from(start.len()) == Ok(SEALED_START);
    let different: BTreeSet<u8> = random.iter().copied().collect();
    *version == SEALED_VERSION && is_whole && different.len() >= LEAST_DIFFERENT
}

/// Files in the agent's directory that the agent did not put there: a passphrase beside what it opens, say.
fn strangers(profile: &Path) -> Vec<Finding> {
    let named = std::env::var_os("CUTOUT_PASSPHRASE_FILE").map(PathBuf::from);
    let named = named.and_then(|path| path.canonicalize().ok());
    let entries = fs::read_dir(profile).into_iter().flatten().flatten();
    let strange = entries.map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|name| !KNOWN.iter().any(|known| name == *known))
    });
    strange
        .map(|path| {
            let lower = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            let is_named = named.is_some() && path.canonicalize().ok() == named;
            if is_named || lower.contains("pass") {
                let seen = "looks like the passphrase, beside what it opens";
                return finding(Severity::Bad, &path, seen)
                    .or_try("keep it on another disk, or type it");
            }
            finding(Severity::Note, &path, "not the agent's; not sealed by it")
        })
        .collect()
}
