//! `cutout ca keeper`: who makes the network's views, from which epoch on.

use std::path::PathBuf;

use anon::{
    keeper::charter::{DEFAULT_ROUND, MAX_SETS},
    network::Epoch,
    view::{keys::SERVES, quorum::KeeperSet},
};
use clap::{Args, Subcommand};
use net::{
    NetworkFile,
    network_file::{Keepers, keeper},
    now,
};

use super::{authority::Authority, network_path};
use crate::{
    command::Global,
    terminal::{Failure, say, tell},
};

/// How many epochs ahead a change of keepers holds, so that every keeper has the new network file by then.
const AHEAD: u64 = 2;

/// The `ca keeper` commands.
#[derive(Debug, Subcommand)]
pub enum KeeperCommand {
    /// Add a keeper; give the new network file to all members
    #[command(
        after_help = "Example:\n  cutout ca keeper add /ip4/192.0.2.2/tcp/4001/p2p/12D3… --dir authority"
    )]
    Add(KeeperArgs),
    /// Take a keeper out; give the new network file to all members
    #[command(
        after_help = "Example:\n  cutout ca keeper remove /ip4/192.0.2.2/tcp/4001/p2p/12D3… --dir authority"
    )]
    Remove(KeeperArgs),
}

/// Arguments of `cutout ca keeper add` and `remove`.
#[derive(Debug, Args)]
pub struct KeeperArgs {
    /// The keeper's node, as `cutout node run` prints it
    #[arg(value_name = "MULTIADDR")]
    keeper: String,
    /// Where the authority lives
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The first epoch whose view the new set of keepers makes [default: two epochs from now]
    #[arg(long, value_name = "EPOCH")]
    from_epoch: Option<u64>,
}

/// Runs a `ca keeper` command.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(global: &Global, command: KeeperCommand) -> Result<(), Failure> {
    let (args, is_added) = match command {
        KeeperCommand::Add(args) => (args, true),
        KeeperCommand::Remove(args) => (args, false),
    };
    let authority = Authority::open(global, &args.dir)?;
    let writing = authority.vault.lock()?;
    let present = authority.network.epoch(now());
    let file = authority.change(&writing, |file| {
        let mut nodes = file.keepers.last().map_or_else(Vec::new, |set| set.nodes.clone());
        change(&mut nodes, &args.keeper, is_added)?;
        put(file, nodes, present, args.from_epoch)
    })?;
    report(&file, present)?;
    say(network_path(&args.dir).display().to_string())
}

/// Puts a keeper into a set, or takes it out.
fn change(nodes: &mut Vec<String>, named: &str, is_added: bool) -> Result<(), Failure> {
    let bad =
        |error| Failure::new(64, "this is no keeper", error, "copy it from `cutout node run`");
    let (node, _) = keeper(named).map_err(bad)?;
    let is_it = |text: &String| keeper(text).is_ok_and(|(other, _)| other == node);
    match (nodes.iter().position(is_it), is_added) {
        (None, true) => nodes.push(named.to_owned()),
        (Some(at), false) => drop(nodes.remove(at)),
        (Some(_), true) => {
            let remedy = "name another node, or leave the keepers as they are";
            return Err(Failure::new(64, "this node is a keeper already", named, remedy));
        }
        (None, false) => {
            let remedy = "copy the address of a keeper from the network file";
            return Err(Failure::new(64, "this node is no keeper", named, remedy));
        }
    }
    if nodes.is_empty() {
        let cause = "a network with views has at least one keeper";
        let remedy = "add another keeper first";
        return Err(Failure::new(64, "the last keeper cannot be removed", cause, remedy));
    }
    Ok(())
}

/// Puts a set of keepers in, from an epoch that all members can know of in time.
fn put(
    file: &mut NetworkFile,
    nodes: Vec<String>,
    present: Epoch,
    from: Option<u64>,
) -> Result<(), Failure> {
    let soonest = present.after(AHEAD).0;
    let last = file.keepers.last().map(|set| set.from_epoch);
    let least = last.map_or(0, |last| last.max(soonest));
    let from_epoch = from.unwrap_or_else(|| least.max(soonest));
    if from_epoch < least {
        let cause = format!("the present one is {}, and the soonest is {least}", present.0);
        let what = format!("the keepers of epoch {from_epoch} are settled");
        return Err(Failure::new(64, &what, cause, "name a later --from-epoch"));
    }
    file.keepers.retain(|set| set.from_epoch != from_epoch);
    file.keepers.push(Keepers { from_epoch, nodes });
    file.round_milliseconds =
        file.round_milliseconds.or_else(|| round_that_fits(file.epoch_seconds));
    // A set is no longer needed when all views that it made are too old to serve: the last one is of the epoch before.
    while let [_, next, ..] = file.keepers.as_slice()
        && file.keepers.len() > MAX_SETS
        && next.from_epoch.saturating_add(SERVES) <= present.0
    {
        file.keepers.remove(0);
    }
    let [_, next, ..] = file.keepers.as_slice() else { return Ok(()) };
    if file.keepers.len() > MAX_SETS {
        let what = "the keepers have changed too often of late";
        let cause = format!("a network file names {MAX_SETS} sets of keepers");
        let remedy = format!("wait until epoch {}", next.from_epoch.saturating_add(SERVES));
        return Err(Failure::new(64, what, cause, &remedy));
    }
    Ok(())
}

/// The rounds of a network whose keepers nobody chose rounds for: as long as they usually are, or as long as its epochs
/// have room for, however many keepers there will be.
pub(super) fn round_that_fits(epoch_seconds: u64) -> Option<u64> {
    let most = epoch_seconds.saturating_mul(1_000) / 2 / (4 + MOST_FAULTS);
    (most < DEFAULT_ROUND).then_some(most)
}

/// f of the most keepers there can be.
const MOST_FAULTS: u64 = 5;

/// Says what the keepers of the last set can bear.
pub(super) fn report(file: &NetworkFile, present: Epoch) -> Result<(), Failure> {
    let network = file.network().map_err(ua::profile::ProfileError::from)?;
    let Some((from, set)) = network.charter.as_ref().and_then(|charter| charter.last_set()) else {
        return Ok(());
    };
    let since = if from <= present { String::new() } else { format!("From epoch {}: ", from.0) };
    tell(format!("{since}{}", words(set)));
    if let Some(warning) = warning(set) {
        tell(format!("warning: {warning}"));
    }
    Ok(())
}

fn words(set: &KeeperSet) -> String {
    let (n, f, threshold) = (set.keys().len(), set.faults(), set.threshold());
    let keepers = if n == 1 { "keeper" } else { "keepers" };
    format!("{n} {keepers}, of which {f} may fail or lie; {threshold} must sign a view.")
}

/// What is wrong with a number of keepers.
fn warning(set: &KeeperSet) -> Option<String> {
    match set.keys().len() {
        2 | 3 => Some(
            "2 or 3 keepers are no better than 1: none of them may fail or lie. With 4 one of them may.".to_owned(),
        ),
        n if n > 1 && n % 3 != 1 => Some(format!(
            "{n} keepers bear no more than {}, and more of them must sign.",
            3 * set.faults() + 1
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anon::keys::{KeeperSecret, SigningSecret as _};

    fn set(n: u8) -> KeeperSet {
        let key = |number| KeeperSecret::from_seed(&[number + 1; 32]).verify_key();
        KeeperSet::new((0..n).map(key).collect()).unwrap()
    }

    #[test]
    fn what_keepers_can_bear_is_said_and_what_is_no_better_than_fewer() {
        assert_eq!(words(&set(1)), "1 keeper, of which 0 may fail or lie; 1 must sign a view.");
        assert_eq!(words(&set(4)), "4 keepers, of which 1 may fail or lie; 3 must sign a view.");
        let warned: Vec<u8> = (1..=16).filter(|n| warning(&set(*n)).is_some()).collect();
        assert_eq!(warned, [2, 3, 5, 6, 8, 9, 11, 12, 14, 15]);
    }

    #[test]
    fn a_set_begins_when_all_can_know_of_it_and_takes_the_place_of_one_that_has_not_begun() {
        let mut file = NetworkFile::default();
        let mut at = |present, from| {
            let result = put(&mut file, vec![format!("{present}")], Epoch(present), from);
            let sets: Vec<u64> = file.keepers.iter().map(|set| set.from_epoch).collect();
            (result.is_ok(), sets)
        };
        assert_eq!(at(10, Some(5)), (true, vec![5]), "the first set may begin at once");
        assert_eq!(at(10, Some(11)), (false, vec![5]));
        assert_eq!(at(10, None), (true, vec![5, 12]));
        assert_eq!(at(10, Some(12)), (true, vec![5, 12]), "it has not begun");
        assert_eq!(at(11, Some(12)), (false, vec![5, 12]), "it is too near");
        assert_eq!(at(13, None), (true, vec![5, 12, 15]));
        assert_eq!(at(14, None), (true, vec![5, 12, 15, 16]));
        assert_eq!(at(15, None), (true, vec![12, 15, 16, 17]), "5 is older than any view");
    }

    #[test]
    fn a_set_that_is_still_needed_is_not_pushed_out() {
        let mut file = NetworkFile::default();
        for present in 10..14 {
            put(&mut file, vec![String::new()], Epoch(present), None).unwrap();
        }
        let refused = put(&mut file, vec![String::new()], Epoch(14), None).unwrap_err();
        assert_eq!(refused.code, 64);
        assert!(refused.remedy.contains("16"), "{}", refused.remedy);
    }

    #[test]
    fn short_epochs_get_rounds_that_any_number_of_keepers_fits_into() {
        assert_eq!(round_that_fits(86_400), None);
        for seconds in [1, 3, 10, 600] {
            let round = round_that_fits(seconds).unwrap();
            assert!(anon::keeper::schedule::Schedule::new(seconds, round, 5).is_ok(), "{seconds}");
        }
    }
}
