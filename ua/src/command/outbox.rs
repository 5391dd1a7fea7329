//! `cutout outbox`: what waits to be delivered.

use std::sync::Arc;

use anon::certificate::NodeId;
use clap::Args;
use comfy_table::presets::NOTHING;

use super::{scheme::SchemeArgs, send::report};
use crate::{
    account::Account,
    command::Global,
    evidence::Misdeed,
    outbox::{DamagedMail, Found, MAX_ATTEMPTS, Outbox, Progress as Delivery, State},
    printable,
    send::Sender,
    session::{SchemeChoice, prepare_scheme},
    terminal::{Failure, Progress, say, say_json, table, tell},
    underlay::{UnderlayArgs, underlay, unless_lost},
    vault::VaultError,
};

/// The widest subject that is listed, columns.
const WIDEST: usize = 120;

/// Arguments of `cutout outbox`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout outbox                 try again what waits; nothing arrives twice\n  cutout outbox --list          what waits, and why\n  cutout outbox --drop ID       give a mail up"
)]
pub struct OutboxArgs {
    /// Only list what waits
    #[arg(long, conflicts_with = "drop")]
    list: bool,
    /// Give up one mail
    #[arg(long, value_name = "ID")]
    drop: Option<String>,
    #[command(flatten)]
    scheme: SchemeArgs,
    #[command(flatten)]
    underlay: UnderlayArgs,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs `cutout outbox`.
///
/// # Errors
/// [`Failure`], 75 if something still waits after a retry.
pub async fn run(global: &Global, args: OutboxArgs) -> Result<(), Failure> {
    let home = global.open_home()?;
    let outbox = Outbox::new(home.vault());
    outbox.sweep()?;
    let Found { waiting: mails, damaged } = outbox.look()?;
    if let Some(id) = &args.drop {
        let is_known =
            mails.iter().any(|(known, _)| known == id) || damaged.iter().any(|mail| mail.id == *id);
        if !is_known {
            return Err(Failure::new(
                64,
                &format!("nothing waits as {id}"),
                "",
                "see `cutout outbox`",
            ));
        }
        return Ok(outbox.remove(id)?);
    }
    let incomplete = name_damaged(&damaged, args.json);
    if args.list || mails.is_empty() {
        let mut table = table(NOTHING);
        table.set_header(["ID", "BYTES", "TO", "SUBJECT", "TRIED", "WHY", "EVIDENCE"]);
        for (id, state) in &mails {
            if args.json {
                say_json(&describe(id, state))?;
                continue;
            }
            let waiting = waiting(state).join(" ");
            let (size, tried) = (state.size.to_string(), state.attempts.to_string());
            table.add_row([
                id.as_str(),
                &size,
                &waiting,
                &printable::cell(&state.subject, WIDEST),
                &tried,
                &state.last_error,
                &evidence(state),
            ]);
        }
        match (args.json, mails.is_empty()) {
            (false, true) if incomplete.is_ok() => tell("Nothing waits."),
            (false, false) => say(table.trim_fmt())?,
            _ => {}
        }
        return incomplete;
    }
    let account = Account::read(home.vault())?;
    let mut last = incomplete;
    for (id, state) in mails {
        if state.attempts >= MAX_ATTEMPTS {
            tell(format!(
                "{id} was tried {} times ({}); drop it with --drop {id}, or send it anew.",
                state.attempts, state.last_error
            ));
            last = Err(Failure::new(75, "a mail waits for you", state.last_error, ""));
            continue;
        }
        let progress = Arc::new(Progress::start(&format!("delivering {id}"), global.verbose > 0));
        let underlay = match underlay(home.directory(), args.underlay, &progress).await {
            Ok(underlay) => underlay,
            Err(failure) => {
                progress.finish();
                outbox.was_cut_off(&id, &failure.cause, state.attempts)?;
                // It would fail for the others, too.
                return Err(failure.of(&format!("{id} still waits")));
            }
        };
        let entrance = Arc::new(home.entrance(Arc::clone(&progress) as _, underlay)?);
        let choice = if state.direct { SchemeChoice::Paper } else { args.scheme.choice() };
        let attempt = async {
            let sender = Sender {
                scheme: prepare_scheme(choice, home.vault(), &entrance).await?,
                entrance: Arc::clone(&entrance),
                outbox: Outbox::new(home.vault()),
                account: &account,
                delay: args.scheme.mean_delay(home.network()),
            };
            Ok::<_, Failure>(sender.deliver(&id).await?)
        };
        let outcome = unless_lost(entrance.underlay(), attempt).await;
        progress.finish();
        home.remember(&entrance);
        let reported = match outcome {
            Ok(Ok(outcome)) => report(&id, &outcome, args.json),
            Ok(Err(failure)) => {
                if let Err(error) = outbox.could_not_begin(&id, &failure.cause) {
                    tell(format!("warning: {id}: {error}"));
                }
                Err(failure.of(&format!("{id} still waits")))
            }
            Err(lost) => {
                outbox.was_cut_off(&id, &lost.cause, state.attempts)?;
                return Err(lost.of(&format!("{id} still waits")));
            }
        };
        if let Err(failure) = reported {
            // Only the last one is printed with its cause; a file that is damaged is named in any case.
            if failure.code == 74 || failure.code == 78 {
                tell(format!("warning: {id}: {}", failure.cause));
            }
            // That a file is damaged is what its owner must know.
            if !last.as_ref().is_err_and(|last| matches!(last.code, 74 | 78)) {
                last = Err(failure);
            }
        }
    }
    last
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

fn waiting(state: &State) -> Vec<String> {
    let waits = |p: &Delivery| matches!(p, Delivery::Waiting | Delivery::Sealed(_));
    let recipients = state.recipients.iter().filter(|r| waits(&r.progress));
    recipients.map(|r| r.address.to_string()).collect()
}

/// What speaks against nodes on this mail's way, a few words each; `cutout status` has all of it.
fn evidence(state: &State) -> String {
    let noted =
        |(node, misdeed): &(NodeId, Misdeed)| format!("{} {}", node.short(), misdeed.words());
    let speaks = |m: Misdeed| !matches!(m, Misdeed::OnBrokenPath | Misdeed::OtherNearest);
    let told = state.evidence.iter().filter(|(_, misdeed)| speaks(*misdeed));
    let mut words: Vec<String> = told.map(noted).take(3).collect();
    let broken = state.evidence.iter().filter(|(_, m)| *m == Misdeed::OnBrokenPath).count();
    if broken > 0 {
        words.push(format!("{broken} nodes were on paths that broke"));
    }
    words.join("; ")
}

fn describe(id: &str, state: &State) -> serde_json::Value {
    serde_json::json!({
        "id": id,
        "bytes": state.size,
        "subject": state.subject,
        "created": state.created.0,
        "waiting": waiting(state),
        "attempts": state.attempts,
        "error": state.last_error,
        "evidence": state.evidence.iter().map(|(node, misdeed)| {
            serde_json::json!({ "node": node.short(), "did": misdeed.words() })
        }).collect::<Vec<_>>(),
    })
}
