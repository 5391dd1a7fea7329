//! `cutout status`: what this user's agent knows and keeps.

use std::sync::Arc;

use anon::roster::Completeness;
use clap::Args;
use net::{Underlay, now};
use ua::{
    account::Account,
    event::Silent,
    evidence,
    guard::Guards,
    outbox::{Found, Outbox},
    roster::AgentRoster,
};

use crate::{
    command::Global,
    terminal::{Failure, say, say_json},
};

/// Arguments of `cutout status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cutout status\n  cutout status --json | jq .evidence")]
pub struct StatusArgs {
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs `cutout status`.
///
/// # Errors
/// [`Failure`].
pub fn run(global: &Global, args: &StatusArgs) -> Result<(), Failure> {
    let home = global.open_home()?;
    let account = Account::read(home.vault())?;
    let entrance = home.entrance(Arc::new(Silent), Underlay::Tcp)?;
    let network = Arc::clone(entrance.network());
    let roster = AgentRoster::read(home.vault(), &entrance)?;
    let epoch = network.epoch(now());
    let (known, active) =
        roster.keeper().with(|roster| (roster.len(), roster.active(epoch).count()));
    let complete = roster.completeness(epoch);
    let guards = Guards::read(home.vault())?;
    let evidence = evidence::read(home.vault())?;
    let liars = evidence::liars(&evidence);
    let Found { waiting, damaged } = Outbox::new(home.vault()).look()?;
    let (waiting, damaged) = (waiting.len(), damaged.len());
    let incomplete = match complete {
        Completeness::Complete => None,
        Completeness::Incomplete(reason) => Some(reason.to_string()),
    };
    if args.json {
        let guards: Vec<_> = guards
            .all()
            .iter()
            .map(|g| serde_json::json!({ "node": g.node.short(), "since": g.since.0 }))
            .collect();
        let evidence: Vec<_> = evidence
            .iter()
            .map(|e| {
                serde_json::json!({
                    "node": e.node.short(), "did": e.misdeed.words(), "seen": e.seen.0,
                    "signed": !e.proof.is_empty(),
                })
            })
            .collect();
        return say_json(&serde_json::json!({
            "address": account.address().to_string(),
            "network": network.name,
            "epoch": epoch.0,
            "roster": { "known": known, "active": active, "incomplete": incomplete },
            "guards": guards,
            "evidence": evidence,
            "outbox": waiting,
            "damaged": damaged,
        }));
    }
    say(format!("Address   {}", account.address()))?;
    say(format!(
        "Network   {}, k = {}, epoch {} of {} s",
        network.name, network.k, epoch.0, network.epoch_seconds
    ))?;
    say(format!("Roster    {known} nodes known, {active} of them active"))?;
    if let Some(reason) = incomplete {
        say(format!("          incomplete: {reason}"))?;
    }
    for (index, guard) in guards.all().iter().enumerate() {
        let label = if index == 0 { "Guard" } else { "Spare" };
        let days = now().0.saturating_sub(guard.since.0) / 86_400;
        say(format!("{label:9} {}, for {days} days", guard.node.short()))?;
    }
    say(format!("Outbox    {waiting} mails wait"))?;
    if damaged > 0 {
        say(format!("          {damaged} mails cannot be sent: see `cutout outbox --list`"))?;
    }
    say(format!(
        "Evidence  {} pieces against {} nodes held to be liars",
        evidence.len(),
        liars.len()
    ))?;
    for item in evidence.iter().rev().take(20) {
        let signed = if item.proof.is_empty() { "" } else { " (signed by it)" };
        say(format!("  {}  {}{signed}", item.node.short(), item.misdeed.words()))?;
    }
    Ok(())
}
