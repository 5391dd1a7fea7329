//! What a node says of the view: `view.json` in its directory, which `cutout node status` reads.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anon::{
    id::NodeId,
    network::{Epoch, Network},
    time::Time,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::kept::Views;
use crate::status_file;

/// The file's name.
const FILE: &str = "view.json";
/// For how many views it is known how the node stated itself: the one that is made now, and those that may serve.
const TOLD: usize = 5;

/// The latest view that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewAtHand {
    /// Of which epoch it is.
    pub epoch: u64,
    /// When that epoch began.
    pub began: Time,
    /// How many nodes it has.
    pub nodes: u32,
    /// Whether this node is one of them.
    pub stands: bool,
}

/// How a node stated itself for a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// How many keepers took its statement, at most, in one go.
    heard: usize,
    /// How many keepers there are.
    keepers: usize,
}

/// What a node says of the view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewStatus {
    /// The latest view.
    pub view: Option<ViewAtHand>,
    /// The last epoch of which keepers say that it has no view, unless a later view is here.
    pub no_view: Option<u64>,
    /// How it stated itself, by the views' epochs.
    pub(crate) told: BTreeMap<u64, Told>,
    /// Whether it has no address that it could state.
    pub no_address: bool,
}

impl ViewStatus {
    /// What the node in this directory says; `None` if it has never been in a network with keepers.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        status_file::read(&directory.join(FILE))
    }

    /// Why the node does not stand in its latest view, as far as it can tell; `None` if it does, or has no view.
    #[must_use]
    pub fn why_absent(&self) -> Option<String> {
        let view = self.view.filter(|view| !view.stands)?;
        if self.no_address {
            return Some("it has no address that it could state to keepers".to_owned());
        }
        Some(match self.told.get(&view.epoch) {
            None => "it did not state itself for this view: it did not run in time, or it had lost its keys"
                .to_owned(),
            Some(Told { heard, keepers }) if *heard <= keepers / 2 => {
                format!("{heard} of {keepers} keepers took its statement, and more than half must")
            }
            Some(_) => "keepers did not reach it at the address that it states, or two other nodes stand at that address"
                .to_owned(),
        })
    }
}

/// Where a node writes down what it says.
#[derive(Debug)]
pub(crate) struct Board {
    path: PathBuf,
    own: NodeId,
    network: Arc<Network>,
    said: Mutex<ViewStatus>,
}

impl Board {
    /// That of a node, which knows from an earlier run how it stated itself.
    pub(crate) fn new(directory: &Path, own: NodeId, network: Arc<Network>) -> Self {
        let told = ViewStatus::read(directory).ok().flatten().unwrap_or_default().told;
        let said = Mutex::new(ViewStatus { told, ..ViewStatus::default() });
        Self { path: directory.join(FILE), own, network, said }
    }

    /// Says which view is the latest.
    pub(crate) fn show(&self, views: &Views) {
        let view = views.latest().map(|latest| ViewAtHand {
            epoch: latest.view.epoch().0,
            began: self.network.begins(latest.view.epoch()),
            nodes: latest.view.nodes().len(),
            stands: latest.view.nodes().rank_of(&self.own).is_some(),
        });
        self.say(|said| {
            said.view = view;
            let epoch = view.map(|view| view.epoch);
            said.no_view =
                said.no_view.filter(|no_view| epoch.is_none_or(|epoch| epoch < *no_view));
        });
    }

    /// The view that it has shown last.
    #[cfg(test)]
    pub(crate) fn at_hand(&self) -> Option<ViewAtHand> {
        self.said.lock().view
    }

    /// Says that keepers say that an epoch has no view.
    pub(crate) fn has_none(&self, epoch: Epoch) {
        self.say(|said| said.no_view = Some(epoch.0));
    }

    /// Says that there is no address to state.
    pub(crate) fn has_no_address(&self) {
        self.say(|said| said.no_address = true);
    }

    /// Says how many of so many keepers took this node's statement for a view.
    pub(crate) fn told(&self, view: Epoch, heard: usize, keepers: usize) {
        self.say(|said| {
            let told = said.told.entry(view.0).or_insert(Told { heard, keepers });
            told.heard = told.heard.max(heard);
            while said.told.len() > TOLD {
                said.told.pop_first();
            }
        });
    }

    /// Writes what has changed.
    fn say(&self, change: impl FnOnce(&mut ViewStatus)) {
        let mut said = self.said.lock();
        change(&mut said);
        if let Err(error) = status_file::write(&self.path, &*said) {
            tracing::debug!(%error, "what `node status` reads of the view is not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use net::NetworkFile;

    use super::*;

    fn absent(epoch: u64) -> ViewStatus {
        let view = Some(ViewAtHand { epoch, began: Time(70), nodes: 3, stands: false });
        ViewStatus { view, ..ViewStatus::default() }
    }

    #[test]
    fn who_is_not_in_the_view_is_told_why_as_far_as_the_node_knows() {
        assert_eq!(ViewStatus::default().why_absent(), None);
        let mut status = absent(7);
        let why = |status: &ViewStatus| status.why_absent().unwrap();
        assert!(why(&status).contains("did not run in time"), "{}", why(&status));
        for (heard, keepers, expected) in [
            (0, 1, "0 of 1 keepers took"),
            (2, 4, "2 of 4 keepers took"),
            (3, 4, "did not reach it"),
            (1, 1, "did not reach it"),
        ] {
            status.told.insert(7, Told { heard, keepers });
            assert!(why(&status).contains(expected), "{}", why(&status));
        }
        status.no_address = true;
        assert!(why(&status).contains("no address"));
        status.view = status.view.map(|view| ViewAtHand { stands: true, ..view });
        assert_eq!(status.why_absent(), None);
    }

    #[test]
    fn what_was_stated_is_known_after_a_restart_for_the_last_views() {
        let directory = tempfile::tempdir().unwrap();
        let network = NetworkFile::parse("name = 'test.alt'\nk = 1").unwrap().network().unwrap();
        let network = Arc::new(network);
        let board = || Board::new(directory.path(), NodeId([1; 32]), Arc::clone(&network));
        let first = board();
        for view in 1..=6 {
            first.told(Epoch(view), 1, 4);
            first.told(Epoch(view), 3, 4);
            first.told(Epoch(view), 2, 4);
        }
        first.has_none(Epoch(6));
        assert_eq!(ViewStatus::read(directory.path()).unwrap().unwrap().no_view, Some(6));
        board().told(Epoch(7), 4, 4);
        let read = ViewStatus::read(directory.path()).unwrap().unwrap();
        assert_eq!(read.no_view, None, "what was in an earlier run need not be now");
        let told: Vec<(u64, usize)> = read.told.iter().map(|(view, t)| (*view, t.heard)).collect();
        assert_eq!(told, [(3, 3), (4, 3), (5, 3), (6, 3), (7, 4)]);
    }
}
