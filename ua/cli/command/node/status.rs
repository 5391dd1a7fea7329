//! `cutout node status`: whether a node runs, whether its clock is right, and whether its onion service can be reached.

use std::path::PathBuf;

use clap::Args;
use net::now;
use node::{OnionStatus, RunningStatus, clock_fault};

use crate::terminal::{Failure, say};

/// Arguments of `cutout node status`, and of `cutout keeper status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The node's directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs `cutout node status`.
///
/// # Errors
/// [`Failure`], 69 if the node does not run, or serves nobody, or its onion service is not reached.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        let what = format!("what the node in {} wrote cannot be read", args.dir.display());
        Failure::new(74, &what, error, "check the directory and its permissions")
    };
    if !args.dir.join("store.redb").exists() {
        let what = format!("there is no node in {}", args.dir.display());
        return Err(Failure::new(78, &what, "", "name the --dir that `cutout node run` was given"));
    }
    let onion = OnionStatus::read(&args.dir).map_err(unreadable)?;
    let running = RunningStatus::read(&args.dir).map_err(unreadable)?;
    let runs = running.is_some();
    let behind = running.and_then(|running| running.clock_behind);
    if args.json {
        say(describe(runs, behind, onion.as_ref()).to_string())?;
    } else {
        show(runs, behind, onion.as_ref())?;
    }
    if !runs {
        let remedy = "start it with `cutout node run`";
        return Err(Failure::new(69, "the node does not run", "", remedy));
    }
    if let Some(behind) = behind {
        let cause = format!("this machine's clock is {}", clock_fault(behind));
        let remedy = "set date, time and time zone; the node serves again by itself";
        return Err(Failure::new(69, "the node serves nobody", cause, remedy));
    }
    match onion {
        Some(onion) if !onion.is_reachable() => {
            let remedy = "wait a minute or two after a start; `cutout doctor` looks at Tor itself";
            Err(Failure::new(69, "the onion service is not reached", onion.state, remedy))
        }
        _ => Ok(()),
    }
}

const fn state(runs: bool) -> &'static str {
    if runs { "running" } else { "not running" }
}

fn describe(runs: bool, behind: Option<i64>, onion: Option<&OnionStatus>) -> serde_json::Value {
    let onion = onion.map(|onion| {
        serde_json::json!({
            "address": onion.address,
            "state": onion.state,
            "published": onion.published,
            "reachable": runs && onion.is_reachable(),
            "tried": onion.tried.map(|time| time.0),
            "reached": onion.reached.map(|time| time.0),
        })
    });
    serde_json::json!({
        "state": state(runs),
        "serves": runs && behind.is_none(),
        "clock_behind_seconds": behind,
        "onion": onion,
    })
}

fn show(runs: bool, behind: Option<i64>, onion: Option<&OnionStatus>) -> Result<(), Failure> {
    say(format!("node        {}", state(runs)))?;
    if let Some(behind) = behind {
        say(format!("clock       {}, as most other nodes have it", clock_fault(behind)))?;
    }
    if let Some(onion) = onion {
        say(format!("onion       {}", onion.address))?;
        let published = if onion.published { "published" } else { "not published" };
        say(format!("descriptor  {published} ({})", onion.state))?;
        say(format!("reachable   {}", reachable(onion, runs)))?;
    }
    Ok(())
}

fn reachable(onion: &OnionStatus, runs: bool) -> String {
    let ago = |time: anon::time::Time| now().0.saturating_sub(time.0);
    match (onion.reached, onion.tried) {
        _ if !runs => "no".to_owned(),
        (Some(reached), _) if onion.is_reachable() => {
            format!("yes: by itself, over Tor, {} s ago", ago(reached))
        }
        (Some(reached), _) => format!("no: last {} s ago", ago(reached)),
        (None, Some(tried)) => format!("no: tried {} s ago", ago(tried)),
        (None, None) => "not tried yet".to_owned(),
    }
}
