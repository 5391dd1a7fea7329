//! `cutout fetch`.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use node::now;

use super::send::{SchemeArgs, SchemeName};

use crate::{
    account::Account,
    certificates::{publish, publish_by},
    cli::Global,
    courier::AnonymousCourier,
    event::Purpose,
    home::Home,
    maildir::Maildir,
    receive::{AnonymousRoute, DirectRoute, Fetched, Reader, Route},
    session::prepare_scheme,
    terminal::{Failure, Progress, say, tell},
};

/// Arguments of `cutout fetch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout fetch                        into your own Maildir\n  cutout fetch --maildir ~/Maildir    where your mail program looks\n\nReading is direct unless --scheme guarded is given: the k nodes of your inbox see this machine's\naddress and whose inbox it reads. See THREATMODEL.md."
)]
pub struct FetchArgs {
    /// The Maildir to deliver to, made if it is missing [default: mail/ in the user's directory]
    #[arg(long, value_name = "DIR")]
    maildir: Option<PathBuf>,
    /// Read directly even with --scheme guarded: the inbox's nodes see this machine's address
    #[arg(long)]
    direct: bool,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Runs `cutout fetch`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, args: FetchArgs) -> Result<(), Failure> {
    let home = global.open_home()?;
    let network = home.network().network().map_err(crate::home::HomeError::from)?;
    let mut account = Account::read(home.vault())?;
    if account.wants_renewal(&network, now()) {
        account.renew(&network, now());
        account.write(home.vault())?;
    }
    let certificate = account.certificate(&network, now())?;
    let path = args.maildir.unwrap_or_else(|| Home::default_maildir(home.directory()));
    let maildir = Maildir::open(&path)?;
    let progress = Arc::new(Progress::start("reading the inboxes", global.verbose > 0));
    let entrance = Arc::new(home.entrance(Arc::clone(&progress) as _)?);
    let anonymous = args.scheme.scheme == SchemeName::Guarded && !args.direct;
    let scheme = if anonymous {
        Some(prepare_scheme(args.scheme.choice(), home.vault(), &entrance).await?)
    } else {
        None
    };
    let route: Box<dyn Route> = match &scheme {
        Some(scheme) => Box::new(AnonymousRoute::new(Arc::clone(scheme), &entrance)),
        None => Box::new(DirectRoute::new(Arc::clone(&entrance))?),
    };
    let reader = Reader::new(
        Arc::clone(&entrance),
        route,
        home.vault(),
        &account,
        certificate.clone(),
        &maildir,
    );
    let fetched = reader.fetch().await;
    // The owner's periodic check (paper, 2.4), whatever came of the reading, and by the same way.
    progress.step("checking that your certificate is published");
    let key = certificate.address().certificate();
    let published = match scheme {
        None => publish(&entrance, &certificate).await,
        Some(scheme) => {
            let opened =
                AnonymousCourier::open(scheme, Arc::clone(&entrance), key, Purpose::Certificate);
            match opened.await {
                Ok(mut courier) => publish_by(&mut courier, &entrance, &certificate).await,
                Err(error) => Err(error),
            }
        }
    };
    progress.finish();
    home.remember(&entrance)?;
    let fetched = fetched.map_err(|e| Failure::from(e).of("your mail cannot be fetched"))?;
    if let Err(error) = published {
        tell(format!("warning: your certificate could not be checked: {error}"));
    }
    report(&fetched, args.json)
}

fn report(fetched: &Fetched, json: bool) -> Result<(), Failure> {
    if json {
        let mails: Vec<_> = fetched
            .delivered
            .iter()
            .map(|mail| {
                let sender = mail.sender.as_ref().map(ToString::to_string);
                serde_json::json!({ "subject": mail.subject, "sender": sender, "bytes": mail.size })
            })
            .collect();
        return say(serde_json::json!({
            "delivered": mails,
            "repeated": fetched.repeated,
            "junk": fetched.junk,
            "waiting": fetched.waiting,
            "forged": fetched.forged,
            "inboxes": fetched.inboxes,
        })
        .to_string());
    }
    for mail in &fetched.delivered {
        let sender = match &mail.sender {
            Some(address) => format!("signed by {address}"),
            None => "anonymous".to_owned(),
        };
        say(format!("{}\t{} bytes\t{}", sender, mail.size, printable(&mail.subject)))?;
    }
    match fetched.delivered.len() {
        0 => tell("No new mail."),
        1 => tell("1 new mail."),
        n => tell(format!("{n} new mails.")),
    }
    if fetched.waiting > 0 {
        tell(format!(
            "{} more announced whose body no node hands out yet; they stay in the inbox.",
            fetched.waiting
        ));
    }
    if fetched.forged > 0 {
        tell(format!(
            "{} claim a signature that does not verify; treat them as anonymous.",
            fetched.forged
        ));
    }
    if fetched.junk > 0 {
        tell(format!("{} notifications were not sealed to you and are dropped.", fetched.junk));
    }
    Ok(())
}

/// Text from a stranger, without control characters.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
