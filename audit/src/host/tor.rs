//! Whether Tor is used as it is configured: by the agent, and by nodes with onion services.

use cutout::transport::AgentConfig;
use node::{NodeConfig, Onion, OnionStatus};
use ua::profile::Profile;

use super::{Area, Finding, InstalledNode, Scope, Severity, process::Process};

/// Looks at the agent's configuration, and at the nodes'.
pub(super) fn look(scope: &Scope, processes: &[Process], nodes: &[InstalledNode]) -> Vec<Finding> {
    let mut findings = vec![agent(scope)];
    for node in nodes {
        if let Ok(config) = &node.config {
            let directory = Some(&node.directory);
            let process = processes.iter().find(|process| {
                process.is_node() && process.path_of("--dir").as_ref() == directory
            });
            findings.push(of_node(node, config, process));
        }
    }
    findings
}

fn finding(severity: Severity, subject: impl Into<String>, seen: impl Into<String>) -> Finding {
    Finding::new(Area::Tor, severity, subject, seen)
}

fn agent(scope: &Scope) -> Finding {
    let subject = scope.profile.join("config.toml").display().to_string();
    if !Profile::exists(&scope.profile) {
        return finding(Severity::Note, subject, "no agent here");
    }
    match AgentConfig::read(&scope.profile) {
        Err(failure) => {
            let seen = format!("cannot be used, so that every command fails: {}", failure.cause);
            finding(Severity::Warn, subject, seen).or_try("mend the file")
        }
        Ok(config) if config.requires_tor() && !cfg!(feature = "tor") => {
            let seen = "asks for Tor, and this program was built without it: every command fails";
            finding(Severity::Warn, subject, seen)
                .or_try("use a program built with the feature `tor`")
        }
        Ok(config) if config.requires_tor() => {
            finding(Severity::Ok, subject, "every command goes over Tor or fails")
        }
        Ok(_) => {
            let seen = "not over Tor unless --tor is typed: guard, sync peers and bootstrap nodes \
                        see this machine's address (L-49)";
            finding(Severity::Note, subject, seen).or_try("tor = \"required\" in config.toml")
        }
    }
}

fn of_node(node: &InstalledNode, config: &NodeConfig, process: Option<&Process>) -> Finding {
    let subject = node.directory.display().to_string();
    if config.onion == Onion::Off {
        return finding(Severity::Note, subject, "a node without an onion service");
    }
    // What it is reached by is looked at beside all other sockets: `host.exposure`.
    match OnionStatus::read(&node.directory) {
        Err(error) => {
            let seen = format!("what it says of its onion service cannot be read: {error}");
            finding(Severity::Warn, subject, seen).or_try("look at its log")
        }
        Ok(None) => {
            let seen = "is to have an onion service, and has not said anything of one yet";
            finding(Severity::Warn, subject, seen).or_try("look at its log; `cutout doctor`")
        }
        Ok(Some(_)) if process.is_none() => {
            finding(Severity::Note, subject, "has an onion service, and does not run")
        }
        Ok(Some(status)) if status.is_reachable() => {
            let seen = format!("its onion service is reached ({})", status.state);
            finding(Severity::Ok, subject, seen)
        }
        Ok(Some(status)) => {
            let seen = format!("its onion service is not reached ({})", status.state);
            finding(Severity::Warn, subject, seen).or_try("`cutout node status`, `cutout doctor`")
        }
    }
}
