//! `cutout send`.

mod input;

use std::{path::PathBuf, pin::pin, sync::Arc};

use anon::{certificate::Address, network::Network, request::MAX_DELETERS};
use clap::{Args, ValueEnum};
use net::now;
use ua::{
    account::{Account, MAX_REPLIES},
    agent::Agent,
    answers::Answers,
    compose::{Answered, ComposeError, Message},
    error::AgentError,
    outbox::{Claim, Outbox},
    profile::{Profile, ProfileError},
    scheme::Scheme,
    send::{Mail, Outcome, hand_in},
    session::{Choices, SchemeChoice},
    vault::Passphrase,
};

use super::interruption::Interruption;
use crate::{
    command::{Global, scheme::SchemeArgs},
    terminal::{Failure, Progress, say_json, tell},
    transport::agent,
};

/// How to go on after an interruption.
pub(super) const ADVICE: &str = "run `cutout outbox` to go on where this stopped";

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
        let AnswerArgs { file, sign, reply_to, scheme, json } = how;
        let (to, subject) = (vec![to.to_string()], Some(subject));
        Self { to, subject, file, sign, direct: false, reply_to, scheme, json, answered }
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
    let recipients = recipients(&args.to)?;
    // Whoever is going to type is asked for the passphrase first: channels are built while they do.
    let types = input::is_typed(args.file.as_ref());
    let read = if types { None } else { Some(input::read(args.file.as_ref())?) };
    let profile = match passphrase {
        Some(passphrase) => global.unlock(&passphrase)?,
        None => global.open_profile()?,
    };
    let sending = Sending::new(profile, &args, recipients, global.verbose > 0)?;
    let mut entering = pin!(sending.enter(types));
    let (read, early) = match read {
        Some(read) => (read, None),
        None => input::typed(&sending.progress, entering.as_mut()).await?,
    };
    // From here on a signal leaves the mail in the outbox. Until here there is no mail that it could cost.
    let interruption = Interruption::take_hold(ADVICE)?;
    // From here on the mail is kept, whatever happens to it or to this program.
    let (claim, reply) = sending.hand_in(read)?;
    let (entered, ahead) = match early {
        Some(early) => early,
        None => match interruption.unless(entering).await {
            Ok(done) => done,
            Err(failure) => (Err(failure), None),
        },
    };
    let attempt = match &entered {
        Ok(agent) => {
            interruption.unless(sending.deliver(agent, &claim, reply.as_ref(), ahead)).await
        }
        Err(failure) => Err(failure.clone()),
    };
    sending.progress.finish();
    if let Err(failure) = &attempt {
        Outbox::new(sending.profile.vault()).failed(&claim, &failure.cause, false)?;
    }
    if let Ok(agent) = &entered {
        agent.remember();
    }
    let outcome = attempt.and_then(|outcome| Ok(outcome?));
    report(claim.id(), &outcome.map_err(|failure| failure.of(&waits(claim.id())))?, args.json)
}

/// Whom the mail goes to, each once.
fn recipients(to: &[String]) -> Result<Vec<Address>, Failure> {
    let mut recipients: Vec<Address> = Vec::new();
    for text in to {
        let address = Address::parse(text).map_err(|error| {
            let remedy = "give one such as bob@demo.alt";
            Failure::new(64, &format!("{text} is no address"), error, remedy)
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
    Ok(recipients)
}

/// That a mail is kept.
fn waits(id: &str) -> String {
    format!("the mail waits in the outbox as {id}")
}

/// The agent that sends, or why there is none; and the scheme that builds channels ahead, if one does.
type Entered = (Result<Agent, Failure>, Option<Arc<dyn Scheme>>);

/// What sending one mail takes.
struct Sending<'a> {
    args: &'a SendArgs,
    profile: Arc<Profile>,
    network: Network,
    recipients: Vec<Address>,
    choices: Choices,
    progress: Arc<Progress>,
}

impl<'a> Sending<'a> {
    fn new(
        profile: Profile,
        args: &'a SendArgs,
        recipients: Vec<Address>,
        verbose: bool,
    ) -> Result<Self, Failure> {
        let network = profile.network().network().map_err(ProfileError::from)?;
        if let Some(foreign) = recipients.iter().find(|r| r.domain() != network.name) {
            let cause = format!("addresses of this network end in @{}", network.name);
            let what = format!("{foreign} is not in this network");
            let remedy = "check the address, or name the --home of a user of its network";
            return Err(Failure::new(67, &what, cause, remedy));
        }
        let mut choices = args.scheme.choices(args.direct, profile.network());
        if args.direct {
            // Nothing is to be chosen.
            choices.scheme = SchemeChoice::Paper;
        }
        let progress = Arc::new(Progress::start("looking for nodes", verbose));
        Ok(Self { args, profile: Arc::new(profile), network, recipients, choices, progress })
    }

    /// Makes the agent; for whoever is still typing it begins to build channels.
    async fn enter(&self, is_typed: bool) -> Entered {
        let agent = agent(&self.profile, self.args.scheme.transport, &self.progress).await;
        let ahead = match &agent {
            Ok(agent) if is_typed => self.build_ahead(agent).await,
            _ => None,
        };
        (agent, ahead)
    }

    /// Prepares the scheme and begins to build channels for a mail of one part; `None` if that cannot be done now, which
    /// the sending will say.
    async fn build_ahead(&self, agent: &Agent) -> Option<Arc<dyn Scheme>> {
        let scheme = agent.scheme(self.choices.scheme).await.ok()?;
        let keys: Vec<_> =
            self.recipients.iter().flat_map(|r| [r.inbox(), r.certificate()]).collect();
        if let Some(guarded) = Arc::clone(&scheme).guarded() {
            guarded.build_ahead(2 + 3 * self.recipients.len(), &keys);
        }
        Some(scheme)
    }

    /// Makes a message of what was read, and puts it into the outbox: the mail, which is this command's to send, and the
    /// account for answers that was made for it.
    fn hand_in(&self, read: Vec<u8>) -> Result<(Claim, Option<Account>), Failure> {
        let (vault, args) = (self.profile.vault(), self.args);
        let account = Account::read(vault)?;
        if args.reply_to.is_some() && Account::replies(vault)?.len() >= MAX_REPLIES {
            let what = "you keep as many addresses for answers as you may";
            let cause = format!("{MAX_REPLIES} of them");
            return Err(Failure::new(64, what, cause, "send without --reply-to"));
        }
        // Kept before the mail is: nobody could read the answers otherwise.
        let make = |ReplyTo::New| Answers::open(vault)?.make(&self.network, now());
        let reply = args.reply_to.map(make).transpose()?;
        let reply_to = reply.as_ref().map(Account::address);
        let from = args.sign.then(|| account.address());
        let message = self.message(read, from, reply_to)?;
        if args.sign {
            account.certificate(&self.network, now())?;
        }
        let mail = Mail {
            bytes: &message.bytes,
            subject: &message.subject,
            recipients: &self.recipients,
            signed: args.sign,
            direct: args.direct,
            reply_to,
        };
        let outbox = Outbox::new(vault);
        let id = hand_in(&outbox, &mail, now())?;
        // Another command may have been quicker, and is sending it already.
        let claim = outbox.claim(&id)?;
        let claim = claim.ok_or_else(|| Failure::from(AgentError::BeingSent).of(&waits(&id)))?;
        // Sealed, the mail is all that is needed: nobody finds it here while it is on its way.
        Ok((claim, reply))
    }

    /// The message: a text is made into one, and a finished one goes out byte for byte.
    fn message(
        &self,
        read: Vec<u8>,
        from: Option<&Address>,
        reply_to: Option<&Address>,
    ) -> Result<Message, Failure> {
        let Some(subject) = &self.args.subject else {
            let message = Message::from_rfc5322(read)?;
            input::warn_of(&message.bytes, &self.network.name, from);
            return Ok(message);
        };
        let text = String::from_utf8(read).map_err(|error| {
            Failure::new(65, "the text is not UTF-8", error, "send it as a finished message")
        })?;
        if text.is_empty() && subject.trim().is_empty() {
            return Err(ComposeError::Empty.into());
        }
        let (to, answered) = (&self.recipients, &self.args.answered);
        Ok(Message::answer(&text, subject, to, (from, reply_to), now(), answered)?)
    }

    /// Tries to deliver the mail, by the scheme that was made ready ahead if there is one.
    async fn deliver(
        &self,
        agent: &Agent,
        claim: &Claim,
        reply: Option<&Account>,
        ahead: Option<Arc<dyn Scheme>>,
    ) -> Result<Outcome, AgentError> {
        let choice = self.choices.scheme;
        let prepared = async {
            if let Some(reply) = reply {
                // An answer must find its address, which is published before the mail goes.
                self.progress.step("making an address for answers");
                let certificate = reply.certificate(&self.network, agent.context().now())?;
                // By channels of their own: those of the mail must share no anonymizer with them.
                let apart = agent.scheme(choice).await?;
                agent.publish(&certificate, Some(apart)).await?;
            }
            match ahead {
                Some(scheme) => Ok(scheme),
                None => agent.scheme(choice).await,
            }
        };
        agent.deliver(claim, self.choices.delay, prepared).await
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
    if !outcome.waiting.is_empty() {
        let what = waits(id);
        let Some(error) = &outcome.error else {
            return Err(Failure::new(75, &what, "", "run `cutout outbox` later"));
        };
        let code = match error.exit_code() {
            code @ (69 | 76) => code,
            _ => 75,
        };
        return Err(Failure::new(code, &what, error, error.remedy()));
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
