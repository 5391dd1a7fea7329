//! `cutout audit host`.

use std::path::PathBuf;

use clap::Args;
use comfy_table::presets::NOTHING;
use cutout::{
    command::Global,
    terminal::{Failure, say},
};
use ua::profile::Profile;

use crate::host::{self, Findings, Scope, Severity};

/// Arguments of `cutout audit host`.
#[derive(Debug, Args)]
#[command(
    after_help = "Looks at the agent in --home, at the nodes that this user runs, and at those named with --node. It changes nothing and asks nobody. The passphrase is used if it was given, and never asked for.\n\nExit codes: 0 nothing is BAD, also where nothing is installed; 1 something is; 66 a directory or file that was named is not there.\n\nExamples:\n  cutout audit host\n  cutout audit host --node node1 --log node1.log\n  \
                  cutout audit host --json | jq '.findings[] | select(.severity == \"bad\")'"
)]
pub(crate) struct HostArgs {
    /// A node's directory, beside those of running nodes; may be repeated
    #[arg(long, value_name = "DIR")]
    node: Vec<PathBuf>,
    /// A log to search for addresses, identities and keys; may be repeated
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// Show all that is well, too
    #[arg(long)]
    all: bool,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs `cutout audit host`.
///
/// # Errors
/// [`Failure`]: with 1 if something is bad, with 66 if a named directory or file is missing.
pub(crate) fn run(global: &Global, args: &HostArgs) -> Result<(), Failure> {
    let profile = global.directory()?;
    if let Some(named) = &global.home
        && !Profile::exists(named)
    {
        return Err(missing(named, "there is no cutout user in it"));
    }
    for named in args.node.iter().chain(&args.log) {
        if !named.exists() {
            return Err(missing(named, "it is not there"));
        }
    }
    // Never asked for: what is sealed is reported as sealed.
    let is_given = global.passphrase_file.is_some() || cutout::handover::passphrase().is_some();
    let passphrase = if is_given { Some(global.passphrase("")?) } else { None };
    let findings = host::run(&Scope {
        profile,
        passphrase,
        nodes: args.node.clone(),
        logs: args.log.clone(),
        proc: PathBuf::from("/proc"),
        run: PathBuf::from("/run"),
        now: net::now(),
    });
    let bad = findings.count(Severity::Bad);
    if args.json {
        let report = serde_json::json!({ "bad": bad, "findings": findings.findings });
        say(report.to_string())?;
    } else {
        say(table(&findings, args.all))?;
    }
    match bad {
        0 => Ok(()),
        1 => Err(failure("one finding is bad")),
        bad => Err(failure(&format!("{bad} findings are bad"))),
    }
}

fn missing(path: &std::path::Path, cause: &str) -> Failure {
    Failure::new(66, &format!("cannot look at {}", path.display()), cause, "check the path")
}

fn failure(error: &str) -> Failure {
    Failure::new(1, error, "see the lines marked BAD", "do what they say, then look again")
}

/// The findings, the worst first.
fn table(findings: &Findings, all: bool) -> String {
    let mut shown: Vec<_> = findings.findings.iter().collect();
    shown.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut table = cutout::terminal::table(NOTHING);
    for finding in shown.iter().filter(|finding| all || finding.severity > Severity::Ok) {
        let mut seen = format!("{}: {}", finding.subject, finding.seen);
        if !finding.remedy.is_empty() {
            seen.push_str("\ntry: ");
            seen.push_str(&finding.remedy);
        }
        table.add_row([finding.severity.to_string(), finding.area.to_string(), seen]);
    }
    let counts = [Severity::Bad, Severity::Warn, Severity::Note, Severity::Ok].map(|severity| {
        format!("{} {}", findings.count(severity), severity.to_string().to_lowercase())
    });
    let table = table.to_string();
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    format!("{}\n{}", lines.join("\n"), counts.join(", "))
}
