//! `cutout fetch --watch`: each address at random times of its own, so that neither the times nor the order of
//! readings tell that two addresses have one reader.
//!
//! Other commands work beside it; another `cutout fetch` waits for a reading to end.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ua::{
    account::{Account, OWN},
    receive::Fetched,
    session::random_delay,
    vault::Passphrase,
};

use super::{FetchArgs, Session, cut_short, show};
use crate::{
    command::{Global, interruption::Interruption},
    terminal::{Failure, tell},
};

/// How often one's own certificate is looked after: mostly it is there.
const CHECK: Duration = Duration::from_secs(6 * 3_600);
/// The least time between two looks at which addresses there are.
const LEAST: Duration = Duration::from_millis(500);

/// When an address is read next, and when its certificate was checked last.
struct Turn {
    next: Instant,
    checked: Option<Instant>,
}

/// How to go on after an interruption.
const ADVICE: &str = "run `cutout fetch --watch` again: what was not delivered stays in the inbox";

/// Reads until it is interrupted.
///
/// # Errors
/// [`Failure`]: 130 or 143 if it is interrupted, others if the profile cannot be opened; a reading that fails is told, and
/// comes round again.
pub(super) async fn run(global: &Global, args: &FetchArgs, seconds: u64) -> Result<(), Failure> {
    let passphrase = global.passphrase("Passphrase: ")?;
    drop(global.unlock(&passphrase)?);
    tell(format!("Reading every {seconds} s on average. Ctrl-C ends it."));
    let interruption = Interruption::take_hold(ADVICE)?;
    watch(global, args, Duration::from_secs(seconds), &passphrase, &interruption).await
}

async fn watch(
    global: &Global,
    args: &FetchArgs,
    mean: Duration,
    passphrase: &Passphrase,
    interruption: &Interruption,
) -> Result<(), Failure> {
    let mut turns: BTreeMap<String, Turn> = BTreeMap::new();
    // One's own address at once, so that whoever starts this sees that it works.
    turns.insert(OWN.to_owned(), Turn { next: Instant::now(), checked: None });
    loop {
        let due = turns.iter().min_by_key(|(_, turn)| turn.next);
        let Some((name, next)) = due.map(|(name, turn)| (name.clone(), turn.next)) else {
            return Ok(());
        };
        interruption.unless(tokio::time::sleep_until(next.into())).await.map_err(ended)?;
        let profile = Arc::new(global.unlock(passphrase)?);
        if let Some(turn) = turns.get_mut(&name) {
            turn.next = Instant::now() + random_delay(mean).max(LEAST);
            let check = turn.checked.is_none_or(|checked| checked.elapsed() > CHECK);
            let mut fetched = Fetched::default();
            let read = match Session::start(&profile, args, global.verbose > 0, interruption).await
            {
                Ok(session) => {
                    let read = session.fetch(&name, check, &mut fetched).await;
                    session.end(read.is_ok()).await;
                    read
                }
                Err(failure) => Err(failure),
            };
            if read.is_ok() || !fetched.delivered.is_empty() {
                show(&fetched, args.json)?;
            }
            interruption.check().map_err(|failure| cut_short(failure, &fetched))?;
            match read {
                Ok(()) if check => turn.checked = Some(Instant::now()),
                Ok(()) => {}
                Err(failure) => failure.print(),
            }
        }
        for name in Account::replies(profile.vault())? {
            let fresh = || Turn { next: Instant::now() + random_delay(mean), checked: None };
            turns.entry(name).or_insert_with(fresh);
        }
    }
}

/// An interruption as that of a watch that waits for its next reading.
fn ended(failure: Failure) -> Failure {
    failure.of("your mail is no longer watched")
}
