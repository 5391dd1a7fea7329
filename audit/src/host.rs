//! What this machine does with the agent and the nodes that are installed on it: files, keys, logs, processes, clock,
//! program. It reads and reports; it changes nothing, asks nobody, and uses no network.
//!
//! | module | what it looks at |
//! |---|---|
//! | [`files`] | modes and owners; what lies in clear that should be sealed |
//! | [`keys`] | ages of guards, certificates, admissions, channel keys |
//! | [`logs`] | what a log holds of others |
//! | [`process`], [`exposure`] | what running processes show and keep |
//! | [`clock`] | whether the clock agrees with the others' |
//! | [`tor`] | whether Tor is used as configured |
//! | [`program`] | what this program was built from |

pub(crate) mod clock;
pub(crate) mod exposure;
pub(crate) mod files;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod tor;

use std::path::{Path, PathBuf};

use anon::{network::Network, time::Time};
use net::NetworkFile;
use node::{NodeConfig, Onion};
use process::Process;
use serde::Serialize;
use ua::vault::Passphrase;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, derive_more::Display, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    /// As it should be.
    #[display("ok")]
    Ok,
    /// Good to know.
    #[display("note")]
    Note,
    /// Weakens something; nothing is given away by it alone.
    #[display("WARN")]
    Warn,
    /// Gives something away, or will.
    #[display("BAD")]
    Bad,
}

/// What is looked at; each is a check, `host.files` and so on.
#[derive(Clone, Copy, Debug, derive_more::Display, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[display(rename_all = "lowercase")]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Area {
    /// Modes, owners, what lies in clear.
    Files,
    /// Ages and ends of keys and certificates.
    Keys,
    /// What logs hold.
    Logs,
    /// What processes and the machine show or keep.
    Exposure,
    /// The clock.
    Clock,
    /// Tor.
    Tor,
    /// The program itself.
    Build,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub area: Area,
    /// How bad it is.
    pub severity: Severity,
    /// The file, process or setting.
    pub subject: String,
    /// What was seen.
    pub seen: String,
    /// What to do; empty if nothing.
    pub remedy: String,
}

impl Finding {
    /// A finding with nothing to do about it.
    #[must_use]
    pub(crate) fn new(
        area: Area,
        severity: Severity,
        subject: impl Into<String>,
        seen: impl Into<String>,
    ) -> Self {
        let (subject, seen) = (subject.into(), seen.into());
        Self { area, severity, subject, seen, remedy: String::new() }
    }

    /// The same, with what to do.
    #[must_use]
    pub(crate) fn or_try(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

/// All that was seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Findings {
    /// By area.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// How many are of this severity.
    #[must_use]
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Where to look.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The agent's directory.
    pub profile: PathBuf,
    /// Its passphrase, if it was given: what is sealed is reported as sealed without.
    pub passphrase: Option<Passphrase>,
    /// Directories of nodes, beside those of running ones.
    pub nodes: Vec<PathBuf>,
    /// Logs to search.
    pub logs: Vec<PathBuf>,
    /// Where the kernel shows its processes: `/proc`.
    pub proc: PathBuf,
    /// Where services keep what runs: `/run`.
    pub run: PathBuf,
    /// The time.
    pub now: Time,
}

/// A node's directory, and what else is known of the node.
#[derive(Debug)]
pub(crate) struct InstalledNode {
    /// The directory.
    pub directory: PathBuf,
    /// Its configuration, with what its command line says instead.
    pub config: Result<NodeConfig, String>,
    /// Its network, if its network file is known.
    pub network: Option<Network>,
}

impl InstalledNode {
    /// What is known of the node in `directory`, which `process` runs.
    fn look(directory: PathBuf, process: Option<&Process>) -> Self {
        let config = NodeConfig::read_or_default(&directory.join("node.toml"));
        let mut config = config.map_err(|error| error.to_string());
        if let (Ok(config), Some(process)) = (&mut config, process) {
            for (option, list) in
                [("--listen", &mut config.listen), ("--advertise", &mut config.advertise)]
            {
                let given: Vec<String> = process.options(option).map(str::to_owned).collect();
                if !given.is_empty() {
                    *list = given;
                }
            }
            let says = |word: &str| process.arguments.iter().any(|argument| argument == word);
            if says("--onion-only") {
                config.onion = Onion::Only;
            } else if says("--onion") {
                config.onion = Onion::Beside;
            }
            if config.listen.is_empty() && config.onion != Onion::Only {
                config.listen.push(String::from("/ip4/0.0.0.0/tcp/4001"));
            }
        }
        let file = process.and_then(|process| process.path_of("--network"));
        let network = file.and_then(|file| read_network(&file));
        Self { directory, config, network }
    }
}

/// The network of a network file, if it can be read.
fn read_network(file: &Path) -> Option<Network> {
    NetworkFile::read(file).ok()?.network().ok()
}

/// Looks at everything.
#[must_use]
pub(crate) fn run(scope: &Scope) -> Findings {
    let processes = Process::all(&scope.proc);
    let mut nodes: Vec<InstalledNode> = Vec::new();
    let running = processes.iter().filter(|process| process.is_node());
    let running = running.filter_map(|process| Some((process.path_of("--dir")?, Some(process))));
    for (directory, process) in running.chain(scope.nodes.iter().map(|dir| (dir.clone(), None))) {
        let same = |node: &InstalledNode| {
            node.directory == directory
                || node.directory.canonicalize().ok() == directory.canonicalize().ok()
        };
        if !nodes.iter().any(same) {
            nodes.push(InstalledNode::look(directory, process));
        }
    }
    let mut findings = files::look(scope, &nodes);
    findings.extend(keys::look(scope, &nodes));
    findings.extend(logs::look(scope, &nodes));
    findings.extend(exposure::look(scope, &processes, &nodes));
    findings.extend(clock::look(scope, &nodes));
    findings.extend(tor::look(scope, &processes, &nodes));
    findings.extend(program::look());
    Findings { findings }
}

#[cfg(test)]
mod tests;
