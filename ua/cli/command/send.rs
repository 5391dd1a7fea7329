//! `cutout send`.

use std::{
    fs::File,
    io::{IsTerminal as _, Read as _},
    os::fd::AsFd as _,
    path::PathBuf,
    pin::pin,
    sync::Arc,
};

use anon::{certificate::Address, mail::BODY_MAX, request::MAX_DELETERS};
use clap::{Args, ValueEnum};
use net::now;
use ua::{
    account::{Account, MAX_REPLIES},
    answers::Answers,
    certificates::publish_anonymously,
    compose::{Answered, ComposeError, Message},
    entrance::Entrance,
    error::AgentError,
    home::Home,
    identifying,
    outbox::Outbox,
    scheme::Scheme,
    send::{Mail, Outcome, Sender, hand_in},
    session::{SchemeChoice, prepare_scheme},
    vault::Passphrase,
};

use super::{interruption::Interruption, read_file};
use crate::{
    command::{Global, scheme::SchemeArgs},
    terminal::{Failure, Progress, say_json, tell},
    underlay::{UnderlayArgs, underlay, unless_lost},
};

/// How to go on after an interruption.
pub(super) const ADVICE: &str = "run `cutout outbox` to go on where this stopped";

/// Header fields that are warned of one by one.
const MOST_WARNINGS: usize = 30;

/// Arguments of `cutout send`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout send --to bob@demo.alt letter.eml             a finished message, byte for byte\n  echo 'at noon' | cutout send --to bob@demo.alt -s when\n  cutout send --to bob@demo.alt --to eve@demo.alt -s hello -   one body, two recipients\n\nSent anonymously: everything goes through channels to random nodes, and your address is not in it\nunless you write it there or --sign. What that hides, and what not: THREATMODEL.md."
)]
pub struct SendArgs {
    /// Whom to send to; may be repeated
    #[arg(long, value_name = "ADDR", required = true)]
    to: Vec<String>,
    /// The subject, for a text; a finished message has its own
    #[arg(short, long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// The message (RFC 5322) or, with -s, the text; `-` or nothing: standard input
    #[arg(value_name = "FILE.eml")]
    file: Option<PathBuf>,
    /// Sign the mail inside its seal: the recipients, and nobody else, learn that it is yours
    #[arg(long)]
    sign: bool,
    /// Do not hide: talk to the storage nodes directly (the paper's section 3)
    #[arg(long)]
    direct: bool,
    /// `new`: make an address for answers to this mail; `cutout fetch` watches it, through channels only
    #[arg(long, value_enum, value_name = "new", conflicts_with = "direct")]
    reply_to: Option<ReplyTo>,
    #[command(flatten)]
    scheme: SchemeArgs,
    #[command(flatten)]
    underlay: UnderlayArgs,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
    /// What the text answers, for `cutout reply`
    #[arg(skip)]
    answered: Answered,
}

impl SendArgs {
    /// An answer, for `cutout reply`: a text to one address.
    pub(super) fn answer(
        to: &Address,
        subject: String,
        how: AnswerArgs,
        answered: Answered,
    ) -> Self {
        let AnswerArgs { file, sign, reply_to, scheme, underlay, json } = how;
        let (to, subject) = (vec![to.to_string()], Some(subject));
        Self { to, subject, file, sign, direct: false, reply_to, scheme, underlay, json, answered }
    }
}

/// The options that `cutout reply` has in common with `cutout send`.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The text; `-` or nothing: standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Sign the answer inside its seal: the recipient, and nobody else, learns that it is yours
    #[arg(long)]
    sign: bool,
    /// `new`: make an address for answers to this answer
    #[arg(long, value_enum, value_name = "new")]
    reply_to: Option<ReplyTo>,
    #[command(flatten)]
    scheme: SchemeArgs,
    #[command(flatten)]
    underlay: UnderlayArgs,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Where answers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReplyTo {
    /// To an address made for this one conversation
    New,
}

/// Runs `cutout send`.
///
/// # Errors
/// [`Failure`], 75 if the mail waits in the outbox.
pub async fn run(global: &Global, args: SendArgs) -> Result<(), Failure> {
    run_unlocked(global, args, None).await
}

/// As [`run`], with a passphrase that was typed already.
///
/// # Errors
/// As [`run`].
pub(super) async fn run_unlocked(
    global: &Global,
    args: SendArgs,
    passphrase: Option<Passphrase>,
) -> Result<(), Failure> {
    let mut recipients: Vec<Address> = Vec::new();
    for text in &args.to {
        let address = Address::parse(text).map_err(|error| {
            Failure::new(
                64,
                &format!("{text} is no address"),
                error,
                "give one such as bob@demo.alt",
            )
        })?;
        if !recipients.contains(&address) {
            recipients.push(address);
        }
    }
    if recipients.len() > MAX_DELETERS {
        let cause = format!("{} recipients; a mail may have {MAX_DELETERS}", recipients.len());
        let remedy = format!("send it to {MAX_DELETERS} at a time");
        return Err(Failure::new(65, "this cannot be sent", cause, &remedy));
    }
    // Whoever is going to type is asked for the passphrase first: channels are built while they do.
    let types = args.file.as_ref().is_none_or(|path| path.as_os_str() == "-")
        && std::io::stdin().is_terminal();
    let input = if types { None } else { Some(read_input(args.file.as_ref())?) };
    let home = match passphrase {
        Some(passphrase) => global.unlock(&passphrase)?,
        None => global.open_home()?,
    };
    let network = home.network().network().map_err(ua::home::HomeError::from)?;
    if let Some(foreign) = recipients.iter().find(|r| r.domain() != network.name) {
        let cause = format!("addresses of this network end in @{}", network.name);
        let what = format!("{foreign} is not in this network");
        let remedy = "check the address, or name the --home of a user of its network";
        return Err(Failure::new(67, &what, cause, remedy));
    }
    // Sent directly, nothing is to be chosen.
    let choice = if args.direct { SchemeChoice::Paper } else { args.scheme.choice() };
    let progress = Arc::new(Progress::start("looking for nodes", global.verbose > 0));
    let enter = async || {
        let underlay = underlay(home.directory(), args.underlay, &progress).await?;
        Ok::<_, Failure>(Arc::new(home.entrance(Arc::clone(&progress) as _, underlay)?))
    };
    let is_typed = input.is_none();
    let mut entering = pin!(async {
        let entered = enter().await;
        let ahead = match &entered {
            Ok(entrance) if is_typed => build_ahead(choice, &home, entrance, &recipients).await,
            _ => None,
        };
        (entered, ahead)
    });
    let mut early = None;
    let input = match input {
        Some(input) => input,
        None => {
            progress.hide();
            let mut typing = tokio::task::spawn_blocking(|| read_input(None));
            // Channels are built meanwhile. What was typed is handed in at once, however far they are.
            let typed = tokio::select! {
                typed = &mut typing => typed,
                done = &mut entering => {
                    early = Some(done);
                    typing.await
                }
            };
            progress.show();
            typed.map_err(|error| Failure::new(66, "nothing was read", error, ""))??
        }
    };
    // From here on a signal leaves the mail in the outbox. Until here there is no mail that it could cost.
    let interruption = Interruption::take_hold(ADVICE)?;
    let account = Account::read(home.vault())?;
    if args.reply_to.is_some() && Account::replies(home.vault())?.len() >= MAX_REPLIES {
        let what = "you keep as many addresses for answers as you may";
        return Err(Failure::new(
            64,
            what,
            format!("{MAX_REPLIES} of them"),
            "send without --reply-to",
        ));
    }
    // Kept before the mail is: nobody could read the answers otherwise.
    let make = |ReplyTo::New| Answers::open(home.vault())?.make(&network, now());
    let reply = args.reply_to.map(make).transpose()?;
    let reply_to = reply.as_ref().map(Account::address);
    let message = match &args.subject {
        Some(subject) => {
            let text = String::from_utf8(input).map_err(|error| {
                Failure::new(65, "the text is not UTF-8", error, "send it as a finished message")
            })?;
            let from = args.sign.then(|| account.address());
            if text.is_empty() && subject.trim().is_empty() {
                return Err(ComposeError::Empty.into());
            }
            let senders = (from, reply_to);
            Message::answer(&text, subject, &recipients, senders, now(), &args.answered)?
        }
        None => {
            let message = Message::from_rfc5322(input)?;
            warn_of(&message.bytes, &network.name, args.sign.then(|| account.address()));
            message
        }
    };
    if args.sign {
        account.certificate(&network, now())?;
    }
    let mail = Mail {
        bytes: &message.bytes,
        subject: &message.subject,
        recipients: &recipients,
        signed: args.sign,
        direct: args.direct,
        reply_to,
    };
    // From here on the mail is kept, whatever happens to it or to this program.
    let outbox = Outbox::new(home.vault());
    let id = hand_in(&outbox, &mail)?;
    let what = format!("the mail waits in the outbox as {id}");
    // Another command may have been quicker, and is sending it already.
    let claim = outbox.claim(&id)?;
    let claim = claim.ok_or_else(|| Failure::from(AgentError::BeingSent).of(&what))?;
    // Sealed, it is all that is needed: nobody finds it here while it is on its way.
    drop(message);
    let (entered, ahead) = match early {
        Some(early) => early,
        None => match interruption.unless(entering).await {
            Ok(done) => done,
            Err(failure) => (Err(failure), None),
        },
    };
    let attempt = async |entrance: &Arc<Entrance>| {
        if let Some(reply) = &reply {
            // An answer must find its address, which is published before the mail goes.
            progress.step("making an address for answers");
            let certificate = reply.certificate(&network, now())?;
            // By channels of their own: those of the mail must share no far end with them.
            let apart = prepare_scheme(choice, home.vault(), entrance).await?;
            publish_anonymously(apart, entrance, &certificate).await?;
        }
        let scheme = match ahead {
            Some(scheme) => scheme,
            None => prepare_scheme(choice, home.vault(), entrance).await?,
        };
        let sender = Sender {
            scheme,
            entrance: Arc::clone(entrance),
            outbox: Outbox::new(home.vault()),
            account: &account,
            delay: args.scheme.mean_delay(home.network()),
        };
        Ok::<_, Failure>(sender.deliver_claimed(&claim).await?)
    };
    let outcome = match &entered {
        Ok(entrance) => {
            let attempt = unless_lost(entrance.underlay(), attempt(entrance));
            interruption.unless(attempt).await.and_then(|done| done)
        }
        Err(failure) => Err(failure.clone()),
    };
    progress.finish();
    match &outcome {
        Err(lost) => outbox.failed(&claim, &lost.cause, false)?,
        Ok(Err(failure)) => outbox.failed(&claim, &failure.cause, failure.code != 69)?,
        Ok(Ok(_)) => {}
    }
    if let Ok(entrance) = &entered {
        home.remember(entrance);
    }
    let outcome = outcome.and_then(|done| done);
    report(&id, &outcome.map_err(|failure| failure.of(&what))?, args.json)
}

/// Says which header fields of a finished message tell of its sender: it goes out byte for byte.
fn warn_of(message: &[u8], network: &str, signer: Option<&Address>) {
    let telling = identifying::fields(message, network, signer);
    if telling.is_empty() {
        return;
    }
    tell("warning: the message goes out byte for byte, and every recipient reads in its header:");
    for field in telling.iter().take(MOST_WARNINGS) {
        tell(format!("  {}: {}", field.name, field.shows));
    }
    if telling.len() > MOST_WARNINGS {
        tell(format!("  and {} more fields", telling.len() - MOST_WARNINGS));
    }
    tell(
        "  Take out what nobody is to know. A text, with -s, is made into a message that names nobody.",
    );
}

/// Prepares the scheme and begins to build channels for a mail of one part; `None` if that cannot be done now, which
/// the sending will say.
async fn build_ahead(
    choice: SchemeChoice,
    home: &Home,
    entrance: &Arc<Entrance>,
    recipients: &[Address],
) -> Option<Arc<dyn Scheme>> {
    let scheme = prepare_scheme(choice, home.vault(), entrance).await.ok()?;
    let keys: Vec<_> = recipients.iter().flat_map(|r| [r.inbox(), r.certificate()]).collect();
    if let Some(guarded) = Arc::clone(&scheme).guarded() {
        guarded.build_ahead(2 + 3 * recipients.len(), &keys);
    }
    Some(scheme)
}

fn read_input(file: Option<&PathBuf>) -> Result<Vec<u8>, Failure> {
    match file {
        Some(path) if path.as_os_str() != "-" => read_file(path),
        _ => {
            if std::io::stdin().is_terminal() {
                tell("Type the message, then Ctrl-D.");
            }
            let limit = u64::try_from(BODY_MAX).unwrap_or(u64::MAX).saturating_add(1);
            let unreadable = |error| Failure::new(66, "standard input cannot be read", error, "");
            // Past the standard library's own buffer, which would keep a copy until the program ends.
            let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?;
            let mut bytes = Vec::new();
            File::from(input).take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
            Ok(bytes)
        }
    }
}

/// Says what came of an attempt; the failure if it is not all done.
///
/// # Errors
/// [`Failure`] with the exit code that fits.
pub fn report(id: &str, outcome: &Outcome, json: bool) -> Result<(), Failure> {
    if json {
        let names = |list: &[Address]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let object = serde_json::json!({
            "id": id,
            "delivered": names(&outcome.delivered),
            "unknown": names(&outcome.unknown),
            "waiting": names(&outcome.waiting),
            "receipts": { "body": outcome.body_receipts, "inbox": outcome.inbox_receipts },
            "error": outcome.error.as_ref().map(ToString::to_string),
        });
        say_json(&object)?;
    } else {
        for address in &outcome.delivered {
            tell(format!("Delivered to {address}."));
        }
        for address in &outcome.unknown {
            tell(format!("No such recipient, as far as the network knows today: {address}."));
        }
    }
    if let Some(error) = &outcome.error
        && !outcome.waiting.is_empty()
    {
        let what = format!("the mail waits in the outbox as {id}");
        let code = match error.exit_code() {
            code @ (69 | 76) => code,
            _ => 75,
        };
        return Err(Failure::new(code, &what, error, error.remedy()));
    }
    if !outcome.waiting.is_empty() {
        let what = format!("the mail waits in the outbox as {id}");
        return Err(Failure::new(75, &what, "", "run `cutout outbox` later"));
    }
    if let Some(unknown) = outcome.unknown.first() {
        let what =
            format!("{unknown} cannot be written to now; the mail waits in the outbox as {id}");
        let remedy = format!(
            "check the address. If it is right, its owner must run `cutout init` or `cutout fetch` while connected, and \
             `cutout outbox` sends the mail then. If it is wrong, give the mail up with `cutout outbox --drop {id}`"
        );
        return Err(Failure::new(67, &what, AgentError::NoSuchRecipient, &remedy));
    }
    Ok(())
}
