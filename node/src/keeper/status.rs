//! What a keeper says of itself: `keeper.json` in its directory, which `cutout keeper status` reads.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use anon::{
    keeper::schedule::{Moment, Phase},
    network::Epoch,
    time::Time,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Keeper, evidence, work::Work};
use crate::status_file;

/// The file's name.
const FILE: &str = "keeper.json";

/// A view that a keeper has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastView {
    /// Of which epoch it is.
    pub epoch: u64,
    /// How many nodes it has.
    pub nodes: u32,
    /// The numbers of the keepers that signed it, as far as is known here.
    pub signed: BTreeSet<u8>,
    /// Those that did not.
    pub silent: BTreeSet<u8>,
    /// How many must sign.
    pub threshold: usize,
}

/// What a keeper says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperStatus {
    /// The keeper's number in the present set.
    pub number: Option<u8>,
    /// How many keepers there are.
    pub keepers: usize,
    /// The epoch whose view is being made.
    pub epoch: u64,
    /// What is done for it.
    pub phase: String,
    /// How many nodes have stated themselves for it.
    pub stated: usize,
    /// How many of them were reached.
    pub reached: usize,
    /// How many other keepers answered in the last exchange.
    pub answered: usize,
    /// The latest view.
    pub view: Option<LastView>,
    /// The present epoch, where it has no view.
    pub no_view: Option<u64>,
    /// Keepers that are known to have signed two votes or two views, lately.
    pub equivocated: BTreeSet<u8>,
    /// How many pieces of evidence are in the folder `evidence`.
    pub evidence: usize,
    /// Why this keeper does not do what it should.
    pub fault: Option<String>,
    /// When this was written.
    pub written: Option<Time>,
}

impl KeeperStatus {
    /// What the keeper in this directory says; `None` if none has run there.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        status_file::read(&directory.join(FILE))
    }

    /// What somebody must look at, the worst first; nothing if all is well.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.fault.iter().cloned().collect();
        if let Some(epoch) = self.no_view {
            let last = match &self.view {
                Some(view) => format!("; the last view is of epoch {}", view.epoch),
                None => String::new(),
            };
            warnings.push(format!("epoch {epoch} has no view{last}"));
        }
        if let Some(view) = &self.view {
            let (signed, silent) = (view.signed.len(), &view.silent);
            if signed < view.threshold + 1 && !silent.is_empty() {
                let threshold = view.threshold;
                let silent = numbers(silent);
                warnings.push(format!(
                    "one keeper less and there is no view: {signed} signed the last one, and {threshold} must; silent: {silent}"
                ));
            }
        }
        if !self.equivocated.is_empty() {
            let liars = numbers(&self.equivocated);
            warnings.push(format!("keepers that signed two different things: {liars}"));
        }
        warnings
    }
}

/// Keepers' numbers, for people.
#[must_use]
pub fn numbers(keepers: &BTreeSet<u8>) -> String {
    let numbers: Vec<String> = keepers.iter().map(ToString::to_string).collect();
    if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") }
}

/// Where a keeper writes down what it says.
#[derive(Debug)]
pub(super) struct Board {
    directory: PathBuf,
    said: Mutex<KeeperStatus>,
}

impl Board {
    pub(super) fn new(directory: &Path) -> Self {
        let said = KeeperStatus::read(directory).ok().flatten().unwrap_or_default();
        // What ailed an earlier run need not ail this one.
        let said = KeeperStatus { fault: None, no_view: None, written: None, ..said };
        Self { directory: directory.to_owned(), said: Mutex::new(said) }
    }

    fn fault(&self, what: &str) {
        self.said.lock().fault = Some(what.to_owned());
    }

    /// What ailed it does so no more.
    pub(super) fn mended(&self) {
        self.said.lock().fault = None;
    }

    /// Writes what has changed.
    fn say(&self, now: Time, change: impl FnOnce(&mut KeeperStatus)) {
        let mut said = self.said.lock();
        let mut status = said.clone();
        change(&mut status);
        if status == *said && said.written.is_some() {
            return;
        }
        status.written = Some(now);
        match status_file::write(&self.directory.join(FILE), &status) {
            Ok(()) => *said = status,
            Err(error) => tracing::debug!(%error, "what `keeper status` reads is not written"),
        }
    }
}

impl Keeper {
    /// Says that something is wrong with this keeper.
    pub(super) fn fault(&self, what: &str) {
        tracing::error!("{what}");
        self.board.fault(what);
    }

    /// Writes down how things are.
    pub(super) fn report(&self, now: Moment) {
        let (present, at) = (self.present(), Time(now.0 / 1_000));
        let works = self.works.lock();
        let (late, next) = (works.get(&present), works.get(&present.after(1)));
        let liars: BTreeSet<u8> = works.values().flat_map(evidence::liars).collect();
        self.board.say(at, |status| {
            if let Some(next) = next {
                next.describe(now, status);
            }
            if let Some(late) = late {
                late.describe_result(now, status);
            }
            if let Some(next) = next {
                next.describe_result(now, status);
            }
            status.equivocated = liars;
            status.evidence = self.evidence.count();
        });
    }
}

impl Work {
    /// Says how far the view is.
    fn describe(&self, now: Moment, status: &mut KeeperStatus) {
        status.number = Some(self.me);
        status.keepers = self.ballot.keepers().keys().len();
        status.epoch = self.epoch().0;
        status.phase = phase(self.deadlines.phase(now));
        status.stated = self.statements.len();
        status.reached = self.reached.len();
        if !self.answered.is_empty() || self.tally.is_some() {
            status.answered = self.answered.len();
        }
    }

    /// Says what came of it.
    fn describe_result(&self, now: Moment, status: &mut KeeperStatus) {
        let epoch = self.epoch();
        if self.quorum.is_none() {
            if now > self.deadlines.late_until {
                status.no_view = Some(epoch.0);
            }
            return;
        }
        if status.no_view.is_some_and(|no_view| Epoch(no_view) <= epoch) {
            status.no_view = None;
        }
        let Some(quorum) = &self.quorum else { return };
        let signed = self.collector.signers(&quorum.id());
        let silent = self.ballot.numbers().filter(|keeper| !signed.contains(keeper)).collect();
        let threshold = self.ballot.keepers().threshold();
        let nodes = quorum.header().count;
        status.view = Some(LastView { epoch: epoch.0, nodes, signed, silent, threshold });
    }
}

/// What is done in a phase.
fn phase(phase: Phase) -> String {
    match phase {
        Phase::Before => "waiting".to_owned(),
        Phase::Statements => "nodes state themselves".to_owned(),
        Phase::Measuring => "nodes are measured".to_owned(),
        Phase::Voting => "the vote is made".to_owned(),
        Phase::Round(round) => format!("votes are exchanged, round {round}"),
        Phase::Gathering => "the view is computed".to_owned(),
        Phase::Signing => "signatures are exchanged".to_owned(),
        Phase::Late | Phase::Over => "over".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(n: u8, signed: u8, threshold: usize) -> KeeperStatus {
        let view = LastView {
            epoch: 9,
            nodes: 3,
            signed: (0..signed).collect(),
            silent: (signed..n).collect(),
            threshold,
        };
        KeeperStatus { view: Some(view), keepers: n.into(), ..KeeperStatus::default() }
    }

    #[test]
    fn a_keeper_warns_before_the_quorum_is_lost_and_not_when_all_have_signed() {
        assert_eq!(status(1, 1, 1).warnings(), [""; 0]);
        assert_eq!(status(4, 4, 3).warnings(), [""; 0]);
        assert_eq!(status(7, 6, 5).warnings(), [""; 0]);
        let last = status(4, 3, 3).warnings();
        assert_eq!(
            last,
            ["one keeper less and there is no view: 3 signed the last one, and 3 must; silent: 3"]
        );
        let two = status(7, 5, 5).warnings();
        assert!(two[0].ends_with("5 signed the last one, and 5 must; silent: 5, 6"), "{two:?}");
        // Of two keepers both must sign, always: a warning that never ends is none.
        assert_eq!(status(2, 2, 2).warnings(), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_said_the_worst_first() {
        let status = KeeperStatus {
            fault: Some("the record cannot be written".to_owned()),
            no_view: Some(10),
            equivocated: [2].into(),
            ..status(4, 4, 3)
        };
        let expected = [
            "the record cannot be written",
            "epoch 10 has no view; the last view is of epoch 9",
            "keepers that signed two different things: 2",
        ];
        assert_eq!(status.warnings(), expected);
    }

    #[test]
    fn what_is_written_is_read_and_a_fault_of_an_earlier_run_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(KeeperStatus::read(directory.path()).unwrap(), None);
        let board = Board::new(directory.path());
        board.fault("ill");
        board.say(Time(7), |status| {
            *status = KeeperStatus { fault: status.fault.clone(), ..self::status(4, 4, 3) }
        });
        let read = KeeperStatus::read(directory.path()).unwrap().unwrap();
        assert_eq!((read.fault.as_deref(), read.written), (Some("ill"), Some(Time(7))));
        Board::new(directory.path()).say(Time(8), |_| {});
        let read = KeeperStatus::read(directory.path()).unwrap().unwrap();
        assert_eq!((read.fault, read.view.unwrap().epoch), (None, 9));
    }
}
