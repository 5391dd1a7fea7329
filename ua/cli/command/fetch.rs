//! `cutout fetch`.

mod watch;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use ua::{
    account::{Account, MAX_REPLIES},
    agent::Agent,
    answers::{Answers, MISSES},
    error::AgentError,
    maildir::Maildir,
    profile::Profile,
    receive::{Fetched, GIVE_UP_AFTER},
    session::Choices,
    vault::VaultLock,
};

use super::{interruption::Interruption, scheme::SchemeArgs};
use crate::{
    command::Global,
    printable,
    terminal::{Failure, Progress, say, say_json, tell},
    transport::agent,
};

/// How long another command's reading is waited for.
const OTHERS: Duration = Duration::from_secs(60);
/// How often it is looked whether that has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Arguments of `cutout fetch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout fetch                        into your own Maildir\n  cutout fetch --maildir ~/Maildir    where your mail program looks\n  cutout fetch --watch                go on, at random times; Ctrl-C ends it\n\nIn the guarded scheme mail is read through channels, one inbox a channel. With --direct, or --scheme paper,\nthe k nodes of your inbox see this machine's address and whose inbox it reads. See THREATMODEL.md."
)]
pub struct FetchArgs {
    /// The Maildir to deliver to, made if it is missing [default: mail/ in the user's directory]
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
    /// Read directly, even in the guarded scheme: the inbox's nodes see this machine's address
    #[arg(long)]
    direct: bool,
    /// This home comes from a backup, or is a copy: look first for addresses for answers that were made since
    #[arg(long, conflicts_with = "watch")]
    restored: bool,
    /// Go on reading, each address at random times of its own, this many seconds apart on average; 900 if no number
    /// is given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "900",
          value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// How to go on after an interruption.
const ADVICE: &str =
    "run `cutout fetch` again: what was not delivered stays in the inbox, and nothing comes twice";

/// What is said where the user's own mail is not read, and where that of another address is not.
const UNREAD: &str = "your mail cannot be fetched";
const OF_ANSWERS: &str = "the mail of an address for answers cannot be fetched";

/// Runs `cutout fetch`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, args: FetchArgs) -> Result<(), Failure> {
    if let Some(seconds) = args.watch {
        return watch::run(global, &args, seconds).await;
    }
    let profile = Arc::new(global.open_profile()?);
    let interruption = Interruption::take_hold(ADVICE)?;
    let mut fetched = Fetched::default();
    let ended = fetch_all(&profile, &args, global.verbose > 0, &interruption, &mut fetched).await;
    // What was delivered is told, whatever came after.
    if fetched.has_read_own || !fetched.delivered.is_empty() {
        report(&fetched, args.json)?;
    }
    let interrupted = interruption.check().map_err(|failure| cut_short(failure, &fetched));
    // A damaged file is what its owner must know first.
    match ended {
        Err(failure) if interrupted.is_ok() || matches!(failure.code, 74 | 78) => Err(failure),
        _ => interrupted,
    }
}

/// Reads the user's own address and those for answers.
async fn fetch_all(
    profile: &Arc<Profile>,
    args: &FetchArgs,
    verbose: bool,
    interruption: &Interruption,
    fetched: &mut Fetched,
) -> Result<(), Failure> {
    let session = Session::start(profile, args, verbose, interruption).await?;
    if args.restored {
        session.look_for_answers().await?;
    }
    let Session { agent, choices, maildir, .. } = &session;
    let read = interruption.unless(agent.fetch(choices, maildir, fetched)).await;
    let has_read = fetched.has_read_own;
    let read = read.and_then(|read| read.map_err(unread));
    session.end(has_read).await;
    read.map_err(|failure| if has_read { failure.of(OF_ANSWERS) } else { failure })
}

/// An interruption as that of a fetch that delivered this much.
fn cut_short(failure: Failure, fetched: &Fetched) -> Failure {
    failure.of(&match fetched.delivered.len() {
        0 => "the fetch ended before it delivered a mail".to_owned(),
        1 => "the fetch ended early; it delivered one mail".to_owned(),
        n => format!("the fetch ended early; it delivered {n} mails"),
    })
}

/// What reading takes, for as long as the profile is open.
struct Session<'a> {
    agent: Agent,
    choices: Choices,
    progress: Arc<Progress>,
    maildir: Maildir,
    interruption: &'a Interruption,
    _alone: VaultLock,
}

impl<'a> Session<'a> {
    async fn start(
        profile: &Arc<Profile>,
        args: &FetchArgs,
        verbose: bool,
        interruption: &'a Interruption,
    ) -> Result<Self, Failure> {
        let alone = interruption.unless(alone(profile)).await??;
        let default = || Profile::default_maildir(profile.directory());
        let maildir = Maildir::open(&args.maildir.clone().unwrap_or_else(default))?;
        let progress = Arc::new(Progress::start("reading the inboxes", verbose));
        let made = interruption.unless(agent(profile, args.scheme.transport, &progress)).await;
        let agent = made.and_then(|made| made).map_err(|failure| {
            progress.finish();
            failure.of(UNREAD)
        })?;
        let choices = args.scheme.choices(args.direct, profile.network());
        Ok(Self { agent, choices, progress, maildir, interruption, _alone: alone })
    }

    /// Reads one address, whose certificate is perhaps to be checked.
    async fn fetch(&self, name: &str, check: bool, all: &mut Fetched) -> Result<(), Failure> {
        let reading = self.agent.fetch_account(name, check, &self.choices, &self.maildir, all);
        self.interruption.unless(reading).await?.map_err(unread)
    }

    /// Closes it; where something was read, more of the network is got to know.
    async fn end(self, has_read: bool) {
        if has_read && self.choices.asks_bootstrap_nodes() {
            // All was read: whoever ends this here misses nothing.
            let _ = self.interruption.unless(self.agent.keep_ready(&self.choices)).await;
        }
        self.progress.finish();
        self.agent.remember();
    }

    /// Takes over the addresses for answers that were made since this profile was copied: those of the next
    /// [`ua::answers::WINDOW`] numbers that the network has a certificate of. Each is asked for by channels of its own,
    /// which tell nobody that they have one owner.
    async fn look_for_answers(&self) -> Result<(), Failure> {
        let (vault, context) = (self.agent.profile().vault(), self.agent.context());
        let mut answers = Answers::open(vault)?;
        let (mut found, mut misses) = (0, 0);
        for (number, account) in answers.ahead(&context.network, context.now()) {
            if misses >= MISSES || Account::replies(vault)?.len() >= MAX_REPLIES {
                break;
            }
            self.progress.step("looking for addresses for answers that were made since");
            let look = async {
                let scheme = self.agent.scheme(self.choices.scheme).await?;
                self.agent.look_up(account.address(), Some(scheme)).await
            };
            match self.interruption.unless(look).await? {
                Ok(_) => {
                    answers.adopt(number, &account)?;
                    (found, misses) = (found + 1, 0);
                }
                Err(AgentError::NoSuchRecipient) => misses += 1,
                Err(AgentError::Lost(lost)) => return Err(lost.into()),
                Err(error) => {
                    tell(format!("warning: an address for answers was not looked for: {error}"));
                }
            }
        }
        tell(match found {
            0 => "No address for answers was made since this copy.".to_owned(),
            1 => "One address for answers was made since this copy, and is read now.".to_owned(),
            n => format!("{n} addresses for answers were made since this copy, and are read now."),
        });
        Ok(())
    }
}

/// Why an inbox is not read, and what to do about that: what a sender would do helps no reader.
fn unread(error: AgentError) -> Failure {
    match &error {
        AgentError::Account(_) => error.into(),
        AgentError::Lost(_) => Failure::from(error).of(UNREAD),
        _ => {
            let remedy = error.reading_remedy().to_owned();
            Failure { remedy, ..error.into() }.of(UNREAD)
        }
    }
}

/// Takes the reading of this user's mail, which one command does at a time: each mail is delivered once. Another one's is
/// waited for, a minute at most.
///
/// # Errors
/// [`Failure`] with 75 if it lasts longer.
async fn alone(profile: &Profile) -> Result<VaultLock, Failure> {
    let deadline = Instant::now() + OTHERS;
    let mut is_told = false;
    loop {
        if let Some(lock) = profile.vault().alone("fetch")? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            let cause = "another cutout command is reading it, and has been for a minute";
            let remedy = "let that one end, then run `cutout fetch` again";
            return Err(Failure::new(75, "your mail is not fetched", cause, remedy));
        }
        if !is_told {
            tell("Another cutout command is reading your mail; waiting for it to end.");
            is_told = true;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn report(fetched: &Fetched, json: bool) -> Result<(), Failure> {
    show(fetched, json)?;
    if !json {
        match fetched.delivered.len() {
            0 => tell("No new mail."),
            1 => tell("1 new mail."),
            n => tell(format!("{n} new mails.")),
        }
    }
    Ok(())
}

fn show(fetched: &Fetched, json: bool) -> Result<(), Failure> {
    if json {
        let mails: Vec<_> = fetched
            .delivered
            .iter()
            .map(|mail| {
                let sender = mail.sender.as_ref().map(ToString::to_string);
                let reply_to = mail.reply_to.as_ref().map(ToString::to_string);
                serde_json::json!({
                    "subject": mail.subject, "sender": sender, "bytes": mail.size,
                    "reply_to": reply_to,
                })
            })
            .collect();
        return say_json(&serde_json::json!({
            "delivered": mails,
            "repeated": fetched.repeated,
            "junk": fetched.junk,
            "unopened": fetched.unopened,
            "waiting": fetched.waiting(),
            "missing": fetched.missing,
            "unreached": fetched.unreached,
            "given_up": fetched.given_up,
            "forged": fetched.forged,
            "inboxes": fetched.inboxes,
        }));
    }
    for mail in &fetched.delivered {
        let sender = match &mail.sender {
            Some(address) => format!("signed by {address}"),
            None => "anonymous".to_owned(),
        };
        say(format!("{}\t{} bytes\t{}", sender, mail.size, printable::line(&mail.subject)))?;
        if let Some(address) = &mail.reply_to {
            tell(format!("  an answer reaches its sender at {address}"));
        }
    }
    remains(fetched);
    Ok(())
}

/// Tells what else the inboxes hold, and why it was not delivered.
fn remains(fetched: &Fetched) {
    let tell_some = |count: usize, text: String| {
        if count > 0 {
            tell(format!("{count} {text}"));
        }
    };
    let days = GIVE_UP_AFTER / 86_400;
    tell_some(
        fetched.unreached,
        "more could not be fetched this time: paths broke, or nodes did not answer. They stay in the inbox; \
         `cutout fetch` tries them again."
            .to_owned(),
    );
    tell_some(
        fetched.missing,
        format!(
            "more are announced, but the nodes that should keep them say that they have nothing. They stay in the \
             inbox, and are given up {days} days after they were first missed."
        ),
    );
    tell_some(
        fetched.given_up,
        format!("were given up: announced, and missing for {days} days or more."),
    );
    tell_some(
        fetched.unopened,
        "notifications do not open with your key. They stay in the inbox until they expire; they may be junk, or \
         sealed to a newer key of this address."
            .to_owned(),
    );
    tell_some(
        fetched.junk,
        "notifications in the inbox announce nothing that can be read; they are dropped."
            .to_owned(),
    );
    tell_some(
        fetched.forged,
        "claim a signature that does not verify; treat them as anonymous.".to_owned(),
    );
}
