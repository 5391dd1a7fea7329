//! Proof against whoever showed two faces, in the folder `evidence/` of the node's directory. Anybody who has the network
//! file can check it with `cutout audit evidence`.
//!
//! ```text
//! two-votes-EPOCH-KEEPER        a keeper signed two votes                 anon::keeper::equivocation
//! two-signatures-EPOCH-KEEPER   a keeper signed two views                 anon::view::two_views, one signature each
//! two-views-EPOCH               two views of one epoch have a quorum      anon::view::two_views
//! two-statements-EPOCH-NODE     a node stated two things for one view     two statements, one after the other
//! ```

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anon::view::{statement::NodeStatement, two_views::TwoViews};
use net::durable;
use parking_lot::Mutex;

use super::work::Work;

/// The folder.
const FOLDER: &str = "evidence";
/// The most files in it.
const MAX_FILES: usize = 1_000;
/// The most of them against nodes: identities that show two faces are free, and leave room for what keepers do.
const MAX_AGAINST_NODES: usize = 500;
/// How the name of evidence against a node begins.
const AGAINST_NODE: &str = "two-statements-";

/// The folder of evidence.
#[derive(Debug)]
pub(super) struct Evidence {
    folder: PathBuf,
    /// The files that are there.
    names: Mutex<BTreeSet<String>>,
}

impl Evidence {
    /// That of the node in this directory.
    pub(super) fn new(directory: &Path) -> Self {
        let folder = directory.join(FOLDER);
        let files = fs::read_dir(&folder).into_iter().flatten().flatten();
        let names = files.filter_map(|file| file.file_name().into_string().ok()).collect();
        Self { folder, names: Mutex::new(names) }
    }

    /// Keeps two statements of one node for one view.
    pub(super) fn two_faces(&self, [one, other]: &[NodeStatement; 2]) {
        let node = one.descriptor().node();
        let name = format!("{AGAINST_NODE}{}-{}", one.epoch().0, node.short());
        let both = [one, other].map(|statement| statement.to_unverified().encode());
        self.keep(name, &both.concat());
    }

    /// Keeps what there is against keepers.
    pub(super) fn of_keepers(&self, proofs: Vec<(String, Vec<u8>)>) {
        for (name, proof) in proofs {
            self.keep(name, &proof);
        }
    }

    fn keep(&self, name: String, proof: &[u8]) {
        let mut names = self.names.lock();
        let against_nodes = names.iter().filter(|name| name.starts_with(AGAINST_NODE)).count();
        let is_full = names.len() >= MAX_FILES
            || name.starts_with(AGAINST_NODE) && against_nodes >= MAX_AGAINST_NODES;
        if is_full || names.contains(&name) {
            return;
        }
        let path = self.folder.join(&name);
        let written =
            fs::create_dir_all(&self.folder).and_then(|()| durable::replace(&path, proof));
        match written {
            Ok(()) => {
                tracing::warn!("there is evidence: {}", path.display());
                names.insert(name);
            }
            Err(error) => tracing::warn!(%error, "{} cannot be written", path.display()),
        }
    }

    /// How many pieces there are.
    pub(super) fn count(&self) -> usize {
        self.names.lock().len()
    }
}

/// What there is against keepers, with a name for each piece.
pub(super) fn against_keepers(work: &Work) -> Vec<(String, Vec<u8>)> {
    let epoch = work.epoch().0;
    let votes = work
        .broadcast
        .evidence()
        .into_iter()
        .map(|proof| (format!("two-votes-{epoch}-{}", proof.keeper()), proof.encode()));
    let signed_twice = work.collector.evidence();
    // Two quorums have keepers in common, so that without such a keeper there are none to look for.
    let quorums = if signed_twice.is_empty() { Vec::new() } else { work.collector.quorums() };
    let signatures = signed_twice.into_iter().map(|(keeper, [one, other])| {
        (format!("two-signatures-{epoch}-{keeper}"), TwoViews::new(one, other).encode())
    });
    let views = match quorums.as_slice() {
        [one, other, ..] => {
            let both = TwoViews::new(one.to_unverified(), other.to_unverified());
            Some((format!("two-views-{epoch}"), both.encode()))
        }
        _ => None,
    };
    votes.chain(signatures).chain(views).collect()
}

/// The keepers that have signed two votes or two views.
pub(super) fn liars(work: &Work) -> BTreeSet<u8> {
    let votes = work.broadcast.evidence().into_iter().map(|proof| proof.keeper());
    votes.chain(work.collector.evidence().into_keys()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_identities_leave_room_for_evidence_against_keepers() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        for node in 1..MAX_AGAINST_NODES {
            fs::write(folder.join(format!("{AGAINST_NODE}7-{node}")), "").unwrap();
        }
        let evidence = Evidence::new(directory.path());
        evidence.keep(format!("{AGAINST_NODE}7-last"), b"two faces");
        evidence.keep(format!("{AGAINST_NODE}7-one too many"), b"two faces");
        assert_eq!(evidence.count(), MAX_AGAINST_NODES);
        evidence.of_keepers(vec![("two-votes-7-3".to_owned(), b"two votes".to_vec())]);
        assert_eq!(fs::read(folder.join("two-votes-7-3")).unwrap(), b"two votes");
        assert_eq!(Evidence::new(directory.path()).count(), MAX_AGAINST_NODES + 1);
    }
}
