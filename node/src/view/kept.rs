//! The views that a node keeps: the latest and the one before it, on disk as they travel.
//!
//! `view.bin` and `view-before.bin` are whole views with their nodes' signatures. Neither is a secret or cannot be had
//! again: a file that is damaged, or of keepers that the network file no longer names, is not used and not touched.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anon::{
    id::NetworkId,
    keeper::charter::Charter,
    network::Epoch,
    request::view::{ViewRequest, piece},
    view::{header::ViewId, quorum::UnverifiedSignedView, signed::View, whole::WholeDecoder},
};
use net::durable;
use parking_lot::Mutex;

/// The file of the latest view.
const LATEST: &str = "view.bin";
/// The file of the one before it.
const BEFORE: &str = "view-before.bin";

/// A view, and how it travels.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The view, with its nodes' signatures.
    pub(crate) view: View,
    /// The same as bytes.
    pub(crate) encoded: Vec<u8>,
}

impl Kept {
    pub(crate) fn new(view: View) -> Self {
        let encoded = view.whole().flatten().collect();
        Self { view, encoded }
    }
}

#[derive(Debug, Default)]
struct Both {
    latest: Option<Arc<Kept>>,
    before: Option<Arc<Kept>>,
}

/// The views that a node keeps.
#[derive(derive_more::Debug)]
#[debug("Views(..)")]
pub(crate) struct Views {
    directory: PathBuf,
    network: NetworkId,
    charter: Charter,
    both: Mutex<Both>,
}

impl Views {
    /// Those in a node's directory.
    pub(crate) fn open(directory: &Path, network: NetworkId, charter: Charter) -> Self {
        let both = Mutex::default();
        let views = Self { directory: directory.to_owned(), network, charter, both };
        let [latest, before] = [LATEST, BEFORE].map(|name| views.read(name));
        let before = before.filter(|before| {
            latest.as_ref().is_some_and(|latest| latest.view.epoch() > before.view.epoch())
        });
        *views.both.lock() = Both { latest, before };
        views
    }

    fn read(&self, name: &str) -> Option<Arc<Kept>> {
        let path = self.directory.join(name);
        let encoded = match fs::read(&path) {
            Ok(encoded) => encoded,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, "{} cannot be read", path.display());
                return None;
            }
        };
        let view = self.decode(&encoded);
        if view.is_none() {
            tracing::warn!("{} is no view of this network's keepers", path.display());
        }
        Some(Arc::new(Kept { view: view?, encoded }))
    }

    /// Reads a whole view, which must have its nodes' signatures and a quorum of its epoch's keepers.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<View> {
        let epoch = epoch_of(bytes)?;
        let mut decoder = WholeDecoder::new(self.network, self.charter.keepers(epoch)?.clone());
        decoder.feed(bytes).ok()?;
        let view = decoder.finish().ok()?;
        (view.epoch() == epoch && view.signatures().is_some()).then_some(view)
    }

    /// The latest view.
    pub(crate) fn latest(&self) -> Option<Arc<Kept>> {
        self.both.lock().latest.clone()
    }

    /// The view with this id.
    pub(crate) fn find(&self, id: &ViewId) -> Option<Arc<Kept>> {
        self.matching(|view| view.id() == *id)
    }

    /// The latest view of an epoch before this one.
    pub(crate) fn before(&self, epoch: Epoch) -> Option<Arc<Kept>> {
        self.matching(|view| view.epoch() < epoch)
    }

    /// The view of an epoch.
    pub(crate) fn of(&self, epoch: Epoch) -> Option<Arc<Kept>> {
        self.matching(|view| view.epoch() == epoch)
    }

    fn matching(&self, is_it: impl Fn(&View) -> bool) -> Option<Arc<Kept>> {
        let both = self.both.lock();
        [&both.latest, &both.before].into_iter().flatten().find(|kept| is_it(&kept.view)).cloned()
    }

    /// Answers whoever wants a view, as far as it is here; the other requests are for keepers.
    pub(crate) fn answer(&self, request: &ViewRequest) -> Option<Vec<u8>> {
        match request {
            ViewRequest::Latest => {
                self.latest().map(|kept| kept.view.signed().to_unverified().encode())
            }
            ViewRequest::View { id, from } => {
                piece(&self.find(id)?.encoded, *from).map(<[u8]>::to_vec)
            }
            ViewRequest::State(_)
            | ViewRequest::Statements(_)
            | ViewRequest::Vote { .. }
            | ViewRequest::Chain(_)
            | ViewRequest::Signatures(_)
            | ViewRequest::Word(_)
            | ViewRequest::Words(_)
            | ViewRequest::Revocations { .. } => None,
        }
    }

    /// Keeps a view that is later than all that are kept, durably; another one is not kept.
    ///
    /// # Errors
    /// The disk's; the view is kept in memory all the same.
    pub(crate) fn keep(&self, view: View) -> io::Result<()> {
        let kept = Arc::new(Kept::new(view));
        let before = {
            let mut both = self.both.lock();
            if both.latest.as_ref().is_some_and(|old| old.view.epoch() >= kept.view.epoch()) {
                return Ok(());
            }
            let before = both.latest.replace(Arc::clone(&kept));
            both.before.clone_from(&before);
            before
        };
        if let Some(before) = before {
            durable::replace(&self.directory.join(BEFORE), &before.encoded)?;
        }
        durable::replace(&self.directory.join(LATEST), &kept.encoded)
    }
}

/// Which epoch the view is of that these bytes begin as; nothing is checked.
fn epoch_of(bytes: &[u8]) -> Option<Epoch> {
    // The version of whole views, their kind, then the signed view.
    let (_, signed) = bytes.split_first_chunk::<2>()?;
    UnverifiedSignedView::decode_first(signed).ok()?.map(|(signed, _)| signed.header.epoch)
}

#[cfg(test)]
mod tests {
    use anon::{
        keeper::{charter::CharterTerms, vote::Rules},
        testing::views::{Keepers, NETWORK, placeholders},
    };

    use super::*;

    fn charter(keepers: &Keepers) -> Charter {
        let sets = vec![(Epoch(0), keepers.set.keys().to_vec())];
        let rules = Rules::default();
        let terms = CharterTerms { epoch_seconds: 10, round: 100, sets, rules, is_capped: false };
        Charter::new(NETWORK, terms).unwrap()
    }

    fn view(keepers: &Keepers, epoch: u64) -> View {
        let nodes = keepers.view_of(epoch, None, 0..300).nodes().clone();
        keepers.view(epoch, None, nodes, Some(placeholders(300)))
    }

    #[test]
    fn the_latest_two_are_kept_and_there_again_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let keepers = Keepers::new(4);
        let open = || Views::open(directory.path(), NETWORK, charter(&keepers));
        let views = open();
        for epoch in [5, 7, 6, 9] {
            views.keep(view(&keepers, epoch)).unwrap();
        }
        for views in [views, open()] {
            let epoch = |kept: Option<Arc<Kept>>| kept.map(|kept| kept.view.epoch().0);
            assert_eq!(epoch(views.latest()), Some(9));
            assert_eq!(epoch(views.before(Epoch(9))), Some(7), "6 came after 7");
            assert_eq!(epoch(views.of(Epoch(7))), Some(7));
            assert!(views.of(Epoch(6)).is_none() && views.before(Epoch(7)).is_none());
            let latest = views.latest().unwrap();
            assert_eq!(views.decode(&latest.encoded).as_ref(), Some(&latest.view));
            assert!(views.find(&latest.view.id()).is_some());
        }
    }

    #[test]
    fn what_is_damaged_or_of_other_keepers_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let keepers = Keepers::new(4);
        Views::open(directory.path(), NETWORK, charter(&keepers)).keep(view(&keepers, 5)).unwrap();
        let other = charter(&Keepers::new(7));
        assert!(Views::open(directory.path(), NETWORK, other).latest().is_none());
        let path = directory.path().join(LATEST);
        let mut bytes = fs::read(&path).unwrap();
        bytes[2_000] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(Views::open(directory.path(), NETWORK, charter(&keepers)).latest().is_none());
    }
}
