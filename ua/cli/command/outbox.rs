//! `cutout outbox`: what waits to be delivered.

use std::{collections::BTreeSet, io::Write as _, sync::Arc};

use anon::id::NodeId;
use clap::{Args, Subcommand};
use comfy_table::presets::NOTHING;
use net::now;
use ua::{
    account::Account,
    error::AgentError,
    evidence::Violation,
    outbox::{Claim, DamagedMail, Found, Outbox, Progress as Delivery, State, TRIED_SECONDS},
    profile::Profile,
    vault::VaultError,
};

use super::{
    interruption::Interruption,
    scheme::SchemeArgs,
    send::{ADVICE, report},
};
use crate::{
    command::Global,
    printable,
    terminal::{Failure, Progress, say, say_json, table, tell},
    transport::agent,
};

/// The widest subject that is listed, columns.
const WIDEST: usize = 120;

/// Arguments of `cutout outbox`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout outbox                 try again what waits; nothing arrives twice\n  cutout outbox --list          what waits, and why\n  cutout outbox show ID         the mail itself, byte for byte\n  cutout outbox --drop ID       give a mail up\n\nA mail stays here until all its recipients have it or you drop it. After 30 days it is no longer tried."
)]
pub struct OutboxArgs {
    #[command(subcommand)]
    action: Option<OutboxAction>,
    /// Only list what waits
    #[arg(long, conflicts_with = "drop")]
    list: bool,
    /// Give up one mail
    #[arg(long, value_name = "ID")]
    drop: Option<String>,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// What is done with one mail.
#[derive(Debug, Subcommand)]
pub enum OutboxAction {
    /// Write one mail to stdout as it was handed in, byte for byte
    #[command(after_help = "Example:\n  cutout outbox show 1f2e3d4c5b6a > letter.eml")]
    Show {
        /// The mail, as `cutout outbox --list` names it
        id: String,
    },
}

/// Runs `cutout outbox`.
///
/// # Errors
/// [`Failure`], 75 if something still waits after a retry.
pub async fn run(global: &Global, args: OutboxArgs) -> Result<(), Failure> {
    let profile = Arc::new(global.open_profile()?);
    let outbox = Outbox::new(profile.vault());
    outbox.sweep()?;
    let found = outbox.look()?;
    let is_there = |id: &String| {
        let what = format!("nothing waits as {id}");
        let missing = || Failure::new(64, &what, "", "see `cutout outbox --list`");
        let is_known = found.waiting.iter().any(|(known, _)| known == id)
            || found.damaged.iter().any(|mail| mail.id == *id);
        is_known.then_some(()).ok_or_else(missing)
    };
    if let Some(OutboxAction::Show { id }) = &args.action {
        is_there(id)?;
        return show(&outbox.mail(id)?);
    }
    if let Some(id) = &args.drop {
        is_there(id)?;
        return match outbox.claim(id)? {
            Some(claim) => Ok(outbox.remove(&claim)?),
            None => Err(being_sent(id)),
        };
    }
    let incomplete = name_damaged(&found.damaged, args.json);
    if args.list || found.waiting.is_empty() {
        list(&outbox, &found, args.json)?;
        return incomplete;
    }
    let ids = found.waiting.into_iter().map(|(id, _)| id).collect();
    retry(global, &args, &profile, ids, incomplete).await
}

fn show(mail: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let written = out.write_all(mail).and_then(|()| out.flush());
    written.map_err(|error| Failure::new(74, "the output cannot be written", error, ""))
}

fn being_sent(id: &str) -> Failure {
    let error = AgentError::BeingSent;
    Failure::new(75, &format!("{id} is not touched"), &error, error.remedy())
}

fn list(outbox: &Outbox<'_>, found: &Found, json: bool) -> Result<(), Failure> {
    let mut table = table(NOTHING);
    table.set_header(["ID", "BYTES", "TO", "SUBJECT", "TRIED", "STATE", "WHY", "EVIDENCE"]);
    for (id, state) in &found.waiting {
        // Whoever sends it holds it now: a look that lasts no longer than this.
        let is_sent_now = matches!(outbox.claim(id), Ok(None));
        if json {
            say_json(&describe(id, state, is_sent_now))?;
            continue;
        }
        table.add_row([
            id.as_str(),
            &state.size.to_string(),
            &waiting(state).join(" "),
            &printable::cell(&state.subject, WIDEST),
            &state.attempts.to_string(),
            condition(state, is_sent_now),
            why(state),
            &evidence(state),
        ]);
    }
    if json {
        return Ok(());
    }
    if found.waiting.is_empty() {
        if found.damaged.is_empty() {
            tell("Nothing waits.");
        }
        return Ok(());
    }
    say(table.trim_fmt())?;
    tell(
        "Next: `cutout outbox` tries again, `cutout outbox show ID` gives a mail back, `cutout outbox --drop ID` gives it up.",
    );
    Ok(())
}

/// Tries every mail once, each by itself.
async fn retry(
    global: &Global,
    args: &OutboxArgs,
    profile: &Arc<Profile>,
    ids: Vec<String>,
    incomplete: Result<(), Failure>,
) -> Result<(), Failure> {
    // Without one's own account no mail can be tried.
    drop(Account::read(profile.vault())?);
    let interruption = Interruption::take_hold(ADVICE)?;
    let mut last: Option<Failure> = None;
    // Ways of sending, direct or not, by which nobody is reached now.
    let mut closed = BTreeSet::new();
    for id in ids {
        // The others wait as they did.
        if interruption.check().is_err() {
            break;
        }
        let retry = Retry { global, args, profile, interruption: &interruption, id: &id };
        let Err(failure) = retry.run(&mut closed).await else { continue };
        // That a file is damaged is what its owner must know, and says it last.
        let is_damage = last.as_ref().is_some_and(|last| matches!(last.code, 74 | 78));
        let first = if is_damage { Some(failure) } else { last.replace(failure) };
        if let Some(first) = first {
            first.print();
        }
    }
    match incomplete {
        // That a file is damaged is what its owner must know.
        Err(damaged) => {
            if let Some(failure) = last {
                failure.print();
            }
            Err(damaged)
        }
        Ok(()) => last.map_or_else(|| interruption.check(), Err),
    }
}

/// One mail, tried once more.
struct Retry<'a> {
    global: &'a Global,
    args: &'a OutboxArgs,
    profile: &'a Arc<Profile>,
    interruption: &'a Interruption,
    id: &'a str,
}

impl Retry<'_> {
    async fn run(&self, closed: &mut BTreeSet<bool>) -> Result<(), Failure> {
        let outbox = Outbox::new(self.profile.vault());
        let is_gone = |error: &AgentError| {
            matches!(error, AgentError::Vault(VaultError::NotFound | VaultError::Missing(_)))
        };
        let claim = match outbox.claim(self.id) {
            Ok(Some(claim)) => claim,
            Ok(None) => return Err(being_sent(self.id)),
            // Another command has delivered it meanwhile.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let state = match outbox.state(self.id) {
            Err(error) if is_gone(&error) => return Ok(()),
            state => state.map_err(|error| self.failed(error.into()))?,
        };
        if state.is_over(now()) {
            return Err(self.is_over());
        }
        if closed.contains(&state.direct) {
            let error = AgentError::NoNode;
            return Err(self.failed(error.into()));
        }
        let tried = self.attempt(&outbox, &claim).await;
        if tried.as_ref().is_err_and(|failure| failure.code == 69) {
            closed.insert(state.direct);
        }
        tried
    }

    async fn attempt(&self, outbox: &Outbox<'_>, claim: &Claim) -> Result<(), Failure> {
        let (profile, args) = (self.profile, self.args);
        let step = format!("delivering {}", self.id);
        let progress = Arc::new(Progress::start(&step, self.global.verbose > 0));
        let made = self.interruption.unless(agent(profile, args.scheme.transport, &progress)).await;
        let agent = match made.and_then(|made| made) {
            Ok(agent) => agent,
            Err(failure) => {
                progress.finish();
                outbox.failed(claim, &failure.cause, false)?;
                return Err(self.failed(failure));
            }
        };
        let choices = args.scheme.choices(false, profile.network());
        let outcome = self.interruption.unless(agent.retry(claim, &choices)).await;
        progress.finish();
        agent.remember();
        match outcome {
            Ok(Ok(outcome)) => report(self.id, &outcome, args.json),
            Ok(Err(error)) => Err(self.failed(error.into())),
            Err(interrupted) => {
                outbox.failed(claim, &interrupted.cause, false)?;
                Err(self.failed(interrupted))
            }
        }
    }

    fn failed(&self, failure: Failure) -> Failure {
        failure.of(&format!("{} still waits", self.id))
    }

    fn is_over(&self) -> Failure {
        let id = self.id;
        let days = TRIED_SECONDS / 86_400;
        let cause = format!("it was handed in more than {days} days ago");
        let remedy = format!(
            "get it back with `cutout outbox show {id}` and send it anew, or give it up with `cutout outbox --drop {id}`"
        );
        Failure::new(75, &format!("{id} is no longer tried"), cause, &remedy)
    }
}

/// Names the mails that cannot be sent as they are; the others go on.
fn name_damaged(damaged: &[DamagedMail], json: bool) -> Result<(), Failure> {
    for DamagedMail { id, error } in damaged {
        if json {
            let object = serde_json::json!({ "id": id, "damaged": error.to_string() });
            say(object.to_string())?;
        }
        tell(format!("warning: {id} cannot be sent: {error}"));
    }
    let Some(DamagedMail { id, error }) = damaged.first() else { return Ok(()) };
    let what = match damaged.len() {
        1 => "a mail in the outbox cannot be sent".to_owned(),
        n => format!("{n} mails in the outbox cannot be sent"),
    };
    let remedy = match error.exit_code() {
        // Giving it up is for its owner to choose, who has no backup.
        74 if !matches!(error, VaultError::Io { .. }) => format!(
            "restore that file from your backup; nothing was changed. Without a backup that mail is lost, and `cutout outbox --drop {id}` forgets it"
        ),
        _ => error.remedy().to_owned(),
    };
    Err(Failure::new(error.exit_code(), &what, error, &remedy))
}

/// Whom a mail waits for.
fn waiting(state: &State) -> Vec<String> {
    let recipients = state.recipients.iter().filter(|r| r.progress != Delivery::Delivered);
    recipients.map(|r| r.address.to_string()).collect()
}

/// Whom the network did not know when it was asked last.
fn unknown(state: &State) -> Vec<String> {
    let recipients = state.recipients.iter().filter(|r| r.progress == Delivery::NoSuchRecipient);
    recipients.map(|r| r.address.to_string()).collect()
}

/// What state a mail is in, one or two words.
fn condition(state: &State, is_sent_now: bool) -> &'static str {
    if is_sent_now {
        "being sent"
    } else if state.is_over(now()) {
        "expired"
    } else if !unknown(state).is_empty() && unknown(state).len() == waiting(state).len() {
        "unknown recipient"
    } else {
        "waits"
    }
}

fn why(state: &State) -> &str {
    match (state.last_error.as_str(), state.attempts) {
        ("", 0) => "it was not tried yet, or its sending was interrupted",
        (error, _) => error,
    }
}

/// What speaks against nodes on this mail's way, a few words each; `cutout status` has all of it.
fn evidence(state: &State) -> String {
    let noted = |(node, violation): &(NodeId, Violation)| format!("{} {violation}", node.short());
    let speaks = |m: Violation| !matches!(m, Violation::OnBrokenPath | Violation::OtherClosest);
    let told = state.evidence.iter().filter(|(_, violation)| speaks(*violation));
    let mut words: Vec<String> = told.map(noted).take(3).collect();
    let broken = state.evidence.iter().filter(|(_, m)| *m == Violation::OnBrokenPath).count();
    if broken > 0 {
        words.push(format!("{broken} nodes were on paths that broke"));
    }
    words.join("; ")
}

fn describe(id: &str, state: &State, is_sent_now: bool) -> serde_json::Value {
    serde_json::json!({
        "id": id,
        "bytes": state.size,
        "subject": state.subject,
        "created": state.created.0,
        "tried_until": state.created.after(TRIED_SECONDS).0,
        "state": condition(state, is_sent_now),
        "waiting": waiting(state),
        "unknown": unknown(state),
        "attempts": state.attempts,
        "error": why(state),
        "evidence": state.evidence.iter().map(|(node, violation)| {
            serde_json::json!({ "node": node.short(), "did": violation.to_string() })
        }).collect::<Vec<_>>(),
    })
}
