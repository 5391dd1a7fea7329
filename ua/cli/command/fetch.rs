//! `cutout fetch`.

mod watch;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anon::{certificate::AddressCertificate, network::Network};
use clap::Args;
use net::now;
use ua::{
    account::{Account, MAX_REPLIES, OWN},
    answers::{Answers, MISSES},
    certificates::{fetch_anonymously, publish, publish_anonymously},
    entrance::Entrance,
    error::AgentError,
    home::Home,
    maildir::Maildir,
    receive::{AnonymousRoute, DirectRoute, Fetched, GIVE_UP_AFTER, Reader, Route},
    session::prepare_scheme,
    vault::VaultLock,
};

use super::{interruption::Interruption, scheme::SchemeArgs};
use crate::{
    command::Global,
    printable,
    terminal::{Failure, Progress, say, say_json, tell},
    underlay::{UnderlayArgs, underlay, unless_lost},
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
    #[command(flatten)]
    underlay: UnderlayArgs,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// How to go on after an interruption.
const ADVICE: &str =
    "run `cutout fetch` again: what was not delivered stays in the inbox, and nothing comes twice";

/// How often one run of the command catches up with the network and reads on.
const MAX_RUNS: usize = 64;

/// Runs `cutout fetch`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, args: FetchArgs) -> Result<(), Failure> {
    if let Some(seconds) = args.watch {
        return watch::run(global, &args, seconds).await;
    }
    let home = global.open_home()?;
    let interruption = Interruption::take_hold(ADVICE)?;
    let mut fetched = Fetched::default();
    let ended = fetch_all(&home, &args, global.verbose > 0, &interruption, &mut fetched).await;
    // What was delivered is told, whatever came after.
    if ended.has_read || !fetched.delivered.is_empty() {
        report(&fetched, args.json)?;
    }
    let interrupted = interruption.check().map_err(|failure| cut_short(failure, &fetched));
    // A damaged file is what its owner must know first.
    match ended.result {
        Err(failure) if interrupted.is_ok() || matches!(failure.code, 74 | 78) => Err(failure),
        _ => interrupted,
    }
}

/// How the reading of all addresses ended.
struct Ended {
    has_read: bool,
    result: Result<(), Failure>,
}

/// Reads the user's own address and those for answers.
async fn fetch_all(
    home: &Home,
    args: &FetchArgs,
    verbose: bool,
    interruption: &Interruption,
    fetched: &mut Fetched,
) -> Ended {
    let prepared = async {
        let session = Session::start(home, args, verbose, interruption).await?;
        if args.restored {
            session.look_for_answers().await?;
        }
        Ok((session, Account::replies(home.vault())?))
    };
    let (session, replies) = match prepared.await {
        Ok(prepared) => prepared,
        Err(failure) => return Ended { has_read: false, result: Err(failure) },
    };
    let read = session.fetch(OWN, true, fetched).await;
    let mut lost = Ok(());
    for name in replies.iter().take_while(|_| read.is_ok()) {
        session.progress.step("reading the inboxes of your addresses for answers");
        let Err(failure) = session.fetch(name, true, fetched).await else { continue };
        if interruption.check().is_err() {
            break;
        }
        tell(format!("warning: an address for answers was not read: {}", failure.cause));
        // The others are read; that a key is damaged is told by the exit code as well.
        if matches!(failure.code, 74 | 78) {
            lost = Err(failure.of("the mail of an address for answers cannot be fetched"));
        }
    }
    let ended = session.end(read.is_ok()).await;
    Ended { has_read: read.is_ok(), result: read.and(ended).and(lost) }
}

/// An interruption as that of a fetch that delivered this much.
fn cut_short(failure: Failure, fetched: &Fetched) -> Failure {
    failure.of(&match fetched.delivered.len() {
        0 => "the fetch ended before it delivered a mail".to_owned(),
        1 => "the fetch ended early; it delivered one mail".to_owned(),
        n => format!("the fetch ended early; it delivered {n} mails"),
    })
}

/// What reading takes, for as long as the home is open.
struct Session<'a> {
    home: &'a Home,
    network: Network,
    progress: Arc<Progress>,
    entrance: Arc<Entrance>,
    maildir: Maildir,
    args: &'a FetchArgs,
    interruption: &'a Interruption,
    _alone: VaultLock,
}

impl<'a> Session<'a> {
    async fn start(
        home: &'a Home,
        args: &'a FetchArgs,
        verbose: bool,
        interruption: &'a Interruption,
    ) -> Result<Self, Failure> {
        let alone = interruption.unless(alone(home)).await??;
        let network = home.network().network().map_err(ua::home::HomeError::from)?;
        let default = || Home::default_maildir(home.directory());
        let maildir = Maildir::open(&args.maildir.clone().unwrap_or_else(default))?;
        let progress = Arc::new(Progress::start("reading the inboxes", verbose));
        let reached = underlay(home.directory(), args.underlay, &progress);
        let reached = interruption.unless(reached).await.and_then(|reached| reached);
        let underlay = reached.map_err(|failure| {
            progress.finish();
            failure.of("your mail cannot be fetched")
        })?;
        let entrance = Arc::new(home.entrance(Arc::clone(&progress) as _, underlay)?);
        Ok(Self { home, network, progress, entrance, maildir, args, interruption, _alone: alone })
    }

    /// Does some work, unless a signal ends it or what its links go over is lost.
    async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        self.interruption.unless(unless_lost(self.entrance.underlay(), work)).await?
    }

    /// One account, with a certificate that lasts for a while.
    fn account(&self, name: &str) -> Result<Account, Failure> {
        let vault = self.home.vault();
        // As one change: `cutout init --certificate` may write it meanwhile.
        let _writing = vault.lock()?;
        let mut account = Account::read_named(vault, name)?;
        if account.wants_renewal(&self.network, now()) {
            account.renew(&self.network, now());
            account.write_named(vault, name)?;
        }
        Ok(account)
    }

    /// Closes it; where something was read, more of the network is got to know.
    async fn end(self, has_read: bool) -> Result<(), Failure> {
        if has_read && self.args.scheme.wants_entrances(self.args.direct) {
            // All was read: whoever ends this here misses nothing.
            let _ = self.interruption.unless(self.entrance.widen()).await;
        }
        self.progress.finish();
        self.home.remember(&self.entrance);
        Ok(())
    }

    /// Takes over the addresses for answers that were made since this home was copied: those of the next
    /// [`ua::answers::WINDOW`] numbers that the network has a certificate of. Each is asked for by channels of its own, which
    /// tell nobody that they have one owner.
    async fn look_for_answers(&self) -> Result<(), Failure> {
        let (vault, entrance) = (self.home.vault(), &self.entrance);
        let mut answers = Answers::open(vault)?;
        let (mut found, mut misses) = (0, 0);
        for (number, account) in answers.ahead(&self.network, now()) {
            if misses >= MISSES || Account::replies(vault)?.len() >= MAX_REPLIES {
                break;
            }
            self.progress.step("looking for addresses for answers that were made since");
            let look = async {
                let choice = self.args.scheme.choice();
                let scheme = prepare_scheme(choice, vault, entrance).await?;
                fetch_anonymously(&scheme, entrance, account.address()).await
            };
            match self.unless_ended(look).await? {
                Ok(_) => {
                    answers.adopt(number, &account)?;
                    (found, misses) = (found + 1, 0);
                }
                Err(AgentError::NoSuchRecipient) => misses += 1,
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

    /// Reads one account and, if it is to be checked, sees to it that its certificate is published (paper, 2.4),
    /// by the same way: an address made for answers never directly, two addresses never through one channel.
    /// `all` gets what was read, also where not everything was.
    async fn fetch(&self, name: &str, check: bool, all: &mut Fetched) -> Result<(), Failure> {
        let vault = self.home.vault();
        let account = self.account(name)?;
        let certificate = account.certificate(&self.network, now())?;
        let is_direct = self.args.scheme.wants_entrances(self.args.direct) && name == OWN;
        // Apart from what follows: what was read is told, whatever becomes of that.
        let mut fetched = Fetched::default();
        let mut read = Ok(());
        for _ in 0..MAX_RUNS {
            let mut some = Fetched::default();
            read = self.read(&account, &certificate, is_direct, &mut some).await;
            let has_moved = some.tried > 0;
            fetched.go_on(some);
            if read.is_err() || !fetched.is_cut_short || !has_moved {
                break;
            }
        }
        all.merge(fetched);
        if check && read.is_ok() {
            let entrance = Arc::clone(&self.entrance);
            let publishing = async {
                if is_direct {
                    return publish(&entrance, &certificate).await;
                }
                // A scheme of its own: what served the reading is free again.
                let apart = prepare_scheme(self.args.scheme.choice(), vault, &entrance).await?;
                publish_anonymously(apart, &entrance, &certificate).await
            };
            let published = self.unless_ended(publishing).await;
            if let Err(failure) = published.and_then(|published| Ok(published?))
                && self.interruption.check().is_ok()
            {
                let cause = failure.cause;
                tell(format!("warning: your certificate could not be checked: {cause}"));
            }
        }
        read.map_err(|failure| failure.of("your mail cannot be fetched"))
    }

    /// Reads an account's mail until its inbox is empty, or the roster is too old to make paths with.
    async fn read(
        &self,
        account: &Account,
        certificate: &AddressCertificate,
        is_direct: bool,
        fetched: &mut Fetched,
    ) -> Result<(), Failure> {
        let (vault, entrance) = (self.home.vault(), &self.entrance);
        let route: Box<dyn Route> = if is_direct {
            Box::new(DirectRoute::new(Arc::clone(entrance)).map_err(reading)?)
        } else {
            let prepared = prepare_scheme(self.args.scheme.choice(), vault, entrance);
            let scheme = self.unless_ended(prepared).await?.map_err(reading)?;
            Box::new(AnonymousRoute::new(scheme, entrance))
        };
        let certificate = certificate.clone();
        let reader =
            Reader::new(Arc::clone(entrance), route, vault, account, certificate, &self.maildir);
        let reader = reader.telling(|tried, all| {
            if all > 1 {
                self.progress.step(&format!("{tried} of {all} announced mails were tried"));
            }
        });
        self.unless_ended(reader.fetch(fetched)).await?.map_err(reading)
    }
}

/// Why nothing can be read, and what to do about that: what a sender would do helps no reader.
fn reading(error: AgentError) -> Failure {
    Failure { remedy: error.reading_remedy().to_owned(), ..error.into() }
}

/// Takes the reading of this user's mail, which one command does at a time: each mail is delivered once. Another one's is
/// waited for, a minute at most.
///
/// # Errors
/// [`Failure`] with 75 if it lasts longer.
async fn alone(home: &Home) -> Result<VaultLock, Failure> {
    let deadline = Instant::now() + OTHERS;
    let mut is_told = false;
    loop {
        if let Some(lock) = home.vault().alone("fetch")? {
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
