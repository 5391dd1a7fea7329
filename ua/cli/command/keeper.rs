//! `cutout keeper status`: whether the keepers of a network make views, as one of them sees it.

use clap::Subcommand;
use node::{KeeperStatus, RunningStatus, numbers};

use super::node::status::StatusArgs;
use crate::terminal::{Failure, say, say_json};

/// The `keeper` commands.
#[derive(Debug, Subcommand)]
pub enum KeeperCommand {
    /// Say what the keeper does, who signed the last view, and whether the quorum is in danger
    #[command(
        after_help = "Examples:\n  cutout keeper status --dir node1\n  cutout keeper status --dir node1 --json | jq .warnings"
    )]
    Status(StatusArgs),
}

/// Runs a `keeper` command.
///
/// # Errors
/// [`Failure`].
pub fn run(command: &KeeperCommand) -> Result<(), Failure> {
    let KeeperCommand::Status(args) = command;
    let unreadable = |error: std::io::Error| {
        let what = format!("what the keeper in {} wrote cannot be read", args.dir.display());
        Failure::new(74, &what, error, "check the directory and its permissions")
    };
    let Some(status) = KeeperStatus::read(&args.dir).map_err(unreadable)? else {
        let what = format!("no keeper has run in {}", args.dir.display());
        let remedy = "name the --dir of a node that runs with --keeper";
        return Err(Failure::new(78, &what, "", remedy));
    };
    let runs = RunningStatus::read(&args.dir).map_err(unreadable)?.is_some();
    let warnings = status.warnings();
    if args.json {
        say_json(&describe(&status, runs, &warnings))?;
    } else {
        show(&status, runs, &warnings)?;
    }
    if !runs {
        let remedy = "start it with `cutout node run --keeper`";
        return Err(Failure::new(69, "the keeper does not run", "", remedy));
    }
    match warnings.into_iter().next() {
        Some(first) => {
            let remedy = "see docs/operators.md, \"Keepers\", and talk to the other operators";
            Err(Failure::new(69, "the keepers need attention", first, remedy))
        }
        None => Ok(()),
    }
}

fn describe(status: &KeeperStatus, runs: bool, warnings: &[String]) -> serde_json::Value {
    let view = status.view.as_ref().map(|view| {
        serde_json::json!({
            "epoch": view.epoch, "nodes": view.nodes, "threshold": view.threshold,
            "signed": view.signed, "silent": view.silent,
        })
    });
    serde_json::json!({
        "state": if runs { "running" } else { "not running" },
        "number": status.number,
        "keepers": status.keepers,
        "epoch": status.epoch,
        "phase": status.phase,
        "stated": status.stated,
        "reached": status.reached,
        "answered": status.answered,
        "view": view,
        "no_view": status.no_view,
        "equivocated": status.equivocated,
        "evidence": status.evidence,
        "fault": status.fault,
        "written": status.written.map(|time| time.0),
        "warnings": warnings,
    })
}

fn show(status: &KeeperStatus, runs: bool, warnings: &[String]) -> Result<(), Failure> {
    let KeeperStatus { keepers, epoch, phase, stated, reached, answered, .. } = status;
    let number = status.number.map_or_else(String::new, |number| format!("number {number} of "));
    let state = if runs { "running" } else { "not running" };
    say(format!("keeper      {state}; {number}{keepers}"))?;
    say(format!("epoch       {epoch}: {phase}"))?;
    say(format!("nodes       {stated} have stated themselves, {reached} were reached"))?;
    let others = keepers.saturating_sub(1);
    say(format!("answered    {answered} of {others} other keepers, in the last exchange"))?;
    match &status.view {
        Some(view) => {
            let (signed, threshold) = (view.signed.len(), view.threshold);
            say(format!("last view   epoch {}, {} nodes", view.epoch, view.nodes))?;
            say(format!("signed      {signed} of {keepers} keepers; {threshold} must"))?;
            say(format!("silent      {}", numbers(&view.silent)))?;
        }
        None => say("last view   none")?,
    }
    if status.evidence > 0 {
        say(format!("evidence    {} pieces in the folder `evidence`", status.evidence))?;
    }
    for warning in warnings {
        say(format!("warning     {warning}"))?;
    }
    Ok(())
}
