//! `cutout status`: what this user's agent knows and keeps.

use std::sync::Arc;

use anon::roster::Completeness;
use clap::Args;
use net::{Clock, Transport};
use ua::{
    agent::{Agent, Status},
    context::Context,
    event::Silent,
    evidence,
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
    let profile = global.open_profile()?;
    let context = profile.context(Clock::default(), Arc::new(Silent), Transport::Tcp)?;
    let agent = Agent::new(profile, context)?;
    let status = agent.status()?;
    let incomplete = match &status.completeness {
        Completeness::Complete => None,
        Completeness::Incomplete(reason) => Some(reason.to_string()),
    };
    if args.json {
        return say_json(&describe(&status, &agent.context().network.name, incomplete.as_deref()));
    }
    show(&status, agent.context(), incomplete.as_deref())
}

fn describe(status: &Status, network: &str, incomplete: Option<&str>) -> serde_json::Value {
    let guards: Vec<_> = status
        .guards
        .iter()
        .map(|g| serde_json::json!({ "node": g.node.short(), "since": g.since.0 }))
        .collect();
    let evidence: Vec<_> = status
        .evidence
        .iter()
        .map(|e| {
            serde_json::json!({
                "node": e.node.short(), "did": e.violation.to_string(), "seen": e.seen.0,
                "signed": !e.proof.is_empty(),
            })
        })
        .collect();
    serde_json::json!({
        "address": status.address.to_string(),
        "network": network,
        "epoch": status.epoch.0,
        "roster": { "known": status.known, "active": status.active, "incomplete": incomplete },
        "guards": guards,
        "evidence": evidence,
        "outbox": status.outbox.waiting.len(),
        "damaged": status.outbox.damaged.len(),
    })
}

fn show(status: &Status, context: &Context, incomplete: Option<&str>) -> Result<(), Failure> {
    let network = &context.network;
    let Status { known, active, epoch, guards, evidence, outbox, .. } = status;
    say(format!("Address   {}", status.address))?;
    say(format!(
        "Network   {}, k = {}, epoch {} of {} s",
        network.name, network.k, epoch.0, network.epoch_seconds
    ))?;
    say(format!("Roster    {known} nodes known, {active} of them active"))?;
    if let Some(reason) = incomplete {
        say(format!("          incomplete: {reason}"))?;
    }
    for (index, guard) in guards.iter().enumerate() {
        let label = if index == 0 { "Guard" } else { "Spare" };
        let days = context.now().0.saturating_sub(guard.since.0) / 86_400;
        say(format!("{label:9} {}, for {days} days", guard.node.short()))?;
    }
    say(format!("Outbox    {} mails wait", outbox.waiting.len()))?;
    if !outbox.damaged.is_empty() {
        let damaged = outbox.damaged.len();
        say(format!("          {damaged} mails cannot be sent: see `cutout outbox --list`"))?;
    }
    say(format!(
        "Evidence  {} pieces against {} nodes held to be liars",
        evidence.len(),
        evidence::liars(evidence).len()
    ))?;
    for item in evidence.iter().rev().take(20) {
        let signed = if item.proof.is_empty() { "" } else { " (signed by it)" };
        say(format!("  {}  {}{signed}", item.node.short(), item.violation))?;
    }
    Ok(())
}
