//! `cutout node status`: whether a node runs, whether its clock is right, which view it has, and whether its onion service can
//! be reached.

use std::path::PathBuf;

use clap::Args;
use net::now;
use node::{OnionStatus, RunningStatus, ViewAtHand, ViewStatus, clock_fault};

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
    let view = ViewStatus::read(&args.dir).map_err(unreadable)?;
    let runs = running.is_some();
    let behind = running.and_then(|running| running.clock_behind);
    let said = Said { runs, behind, onion, view: view.filter(|_| runs) };
    if args.json {
        say(said.describe().to_string())?;
    } else {
        said.show()?;
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
    match said.onion {
        Some(onion) if !onion.is_reachable() => {
            let remedy = "wait a minute or two after a start; `cutout doctor` looks at Tor itself";
            Err(Failure::new(69, "the onion service is not reached", onion.state, remedy))
        }
        _ => Ok(()),
    }
}

/// What the node says of itself.
struct Said {
    runs: bool,
    behind: Option<i64>,
    onion: Option<OnionStatus>,
    /// Nothing in a network without keepers, and nothing of a node that does not run.
    view: Option<ViewStatus>,
}

impl Said {
    const fn state(&self) -> &'static str {
        if self.runs { "running" } else { "not running" }
    }

    fn describe(&self) -> serde_json::Value {
        let onion = self.onion.as_ref().map(|onion| {
            serde_json::json!({
                "address": onion.address,
                "state": onion.state,
                "published": onion.published,
                "reachable": self.runs && onion.is_reachable(),
                "tried": onion.tried.map(|time| time.0),
                "reached": onion.reached.map(|time| time.0),
            })
        });
        let view = self.view.as_ref().map(|status| {
            serde_json::json!({
                "epoch": status.view.map(|view| view.epoch),
                "age_seconds": status.view.map(age),
                "nodes": status.view.map(|view| view.nodes),
                "stands": status.view.map(|view| view.stands),
                "why_absent": status.why_absent(),
                "no_view_of_epoch": status.no_view,
            })
        });
        serde_json::json!({
            "state": self.state(),
            "serves": self.runs && self.behind.is_none(),
            "clock_behind_seconds": self.behind,
            "onion": onion,
            "view": view,
        })
    }

    fn show(&self) -> Result<(), Failure> {
        say(format!("node        {}", self.state()))?;
        if let Some(behind) = self.behind {
            say(format!("clock       {}, as most other nodes have it", clock_fault(behind)))?;
        }
        if let Some(view) = &self.view {
            show_view(view)?;
        }
        if let Some(onion) = &self.onion {
            say(format!("onion       {}", onion.address))?;
            let published = if onion.published { "published" } else { "not published" };
            say(format!("descriptor  {published} ({})", onion.state))?;
            say(format!("reachable   {}", reachable(onion, self.runs)))?;
        }
        Ok(())
    }
}

/// For how long a view's epoch has lasted, seconds.
fn age(view: ViewAtHand) -> u64 {
    now().0.saturating_sub(view.began.0)
}

fn show_view(status: &ViewStatus) -> Result<(), Failure> {
    match status.view {
        Some(view) => {
            let ViewAtHand { epoch, nodes, .. } = view;
            say(format!("view        of epoch {epoch}, {nodes} nodes, {} s old", age(view)))?;
        }
        None => say("view        none yet")?,
    }
    if let Some(epoch) = status.no_view {
        say(format!("            keepers say that epoch {epoch} has none"))?;
    }
    if let Some(view) = status.view {
        let why = status.why_absent().map_or_else(String::new, |why| format!(": {why}"));
        say(format!("in it       {}{why}", if view.stands { "yes" } else { "no" }))?;
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
