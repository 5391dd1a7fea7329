//! The views that a node keeps: the latest and the one before it, on disk as they travel, and the difference between them.
//!
//! `view.bin` and `view-before.bin` are whole views, with their nodes' signatures if a keeper made them itself. Neither is
//! a secret or cannot be had again: a file that is damaged, or of keepers that the network file no longer names, is not used
//! and not touched. A view is on the disk before it is handed on, so that a node that starts again has no older one.
//!
//! All nodes hand on the same bytes, but for the keepers' signatures: as many as make a quorum, of those that the node got
//! the ones of the lowest numbers. Agents hand on no view.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anon::{
    id::NetworkId,
    keeper::{absence::Absence, charter::Charter},
    network::Epoch,
    request::view::{ViewRequest, encode_words, piece},
    view::{
        header::ViewId,
        quorum::{KeeperSet, SignedView, UnverifiedSignedView},
        signed::View,
        whole::WholeDecoder,
    },
};
use net::durable;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The file of the latest view.
const LATEST: &str = "view.bin";
/// The file of the one before it.
const BEFORE: &str = "view-before.bin";

/// A view, and how it travels.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The view.
    pub(crate) view: View,
    /// The same as bytes, without its nodes' signatures.
    encoded: Vec<u8>,
}

impl Kept {
    pub(crate) fn new(view: View, keepers: &KeeperSet) -> Self {
        let view = view.with_lowest_quorum(keepers);
        let encoded = view.whole_without_signatures().flatten().collect();
        Self { view, encoded }
    }
}

#[derive(Debug, Default)]
struct Both {
    latest: Option<Arc<Kept>>,
    before: Option<Arc<Kept>>,
    /// From the one before to the latest, if that follows it.
    difference: Option<Vec<u8>>,
}

impl Both {
    fn new(latest: Option<Arc<Kept>>, before: Option<Arc<Kept>>) -> Self {
        let difference = match (&latest, &before) {
            (Some(latest), Some(before)) => latest.view.difference_from(&before.view).ok(),
            _ => None,
        };
        let difference = difference.map(|pieces| pieces.flatten().collect());
        Self { latest, before, difference }
    }
}

/// The views that a node keeps.
#[derive(derive_more::Debug)]
#[debug("Views(..)")]
pub(crate) struct Views {
    directory: PathBuf,
    network: NetworkId,
    charter: Charter,
    both: Mutex<Both>,
    /// Whoever writes the files holds it.
    writing: Mutex<()>,
    /// The latest view's epoch.
    newest: watch::Sender<Option<Epoch>>,
    /// Keepers' words, encoded, that an epoch has no view.
    words: Mutex<Option<(Epoch, Vec<u8>)>>,
}

impl Views {
    /// Those in a node's directory.
    pub(crate) fn open(directory: &Path, network: NetworkId, charter: Charter) -> Self {
        let views = Self {
            directory: directory.to_owned(),
            network,
            charter,
            both: Mutex::default(),
            writing: Mutex::default(),
            newest: watch::Sender::default(),
            words: Mutex::default(),
        };
        let [latest, before] = [LATEST, BEFORE].map(|name| views.read(name));
        let before = before.filter(|before| {
            latest.as_ref().is_some_and(|latest| latest.view.epoch() > before.view.epoch())
        });
        views.newest.send_replace(latest.as_ref().map(|latest| latest.view.epoch()));
        *views.both.lock() = Both::new(latest, before);
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
        let kept = self.decode(&encoded).and_then(|view| self.kept(view));
        if kept.is_none() {
            tracing::warn!("{} is no view of this network's keepers", path.display());
        }
        kept
    }

    fn kept(&self, view: View) -> Option<Arc<Kept>> {
        let keepers = self.charter.keepers(view.epoch())?;
        Some(Arc::new(Kept::new(view, keepers)))
    }

    /// Reads a whole view, which must have a quorum of its epoch's keepers.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<View> {
        let epoch = epoch_of(bytes)?;
        let mut decoder = WholeDecoder::new(self.network, self.charter.keepers(epoch)?.clone());
        decoder.feed(bytes).ok()?;
        decoder.finish().ok()
    }

    /// Reads a signed view without its nodes, which must have a quorum of its epoch's keepers.
    pub(crate) fn verify(&self, bytes: &[u8]) -> Option<SignedView> {
        let shown = UnverifiedSignedView::decode(bytes).ok()?;
        let keepers = self.charter.keepers(shown.header.epoch)?;
        shown.verify(&self.network, keepers).ok()
    }

    /// The latest view's epoch, now and whenever there is a later one.
    pub(crate) fn newest(&self) -> watch::Receiver<Option<Epoch>> {
        self.newest.subscribe()
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
            ViewRequest::Difference { base, id, from } => self.difference(base, id, *from),
            ViewRequest::Words(epoch) => {
                let words = self.words.lock();
                words.as_ref().filter(|(of, _)| of == epoch).map(|(_, words)| words.clone())
            }
            ViewRequest::State(_)
            | ViewRequest::Statements(_)
            | ViewRequest::Vote { .. }
            | ViewRequest::Chain(_)
            | ViewRequest::Signatures(_)
            | ViewRequest::Word(_)
            | ViewRequest::Revocations { .. } => None,
        }
    }

    fn difference(&self, base: &ViewId, id: &ViewId, from: u32) -> Option<Vec<u8>> {
        let both = self.both.lock();
        let is = |kept: &Option<Arc<Kept>>, id: &ViewId| {
            kept.as_ref().is_some_and(|kept| kept.view.id() == *id)
        };
        if !is(&both.before, base) || !is(&both.latest, id) {
            return None;
        }
        piece(both.difference.as_ref()?, from).map(<[u8]>::to_vec)
    }

    /// Hands out, from now on, keepers' words that an epoch has no view. The caller has found that they are to be believed.
    pub(crate) fn believe(&self, epoch: Epoch, words: &[Absence]) {
        *self.words.lock() = Some((epoch, encode_words(words)));
    }

    /// Keeps a view that is later than all that are kept, durably; another one is not kept.
    ///
    /// # Errors
    /// The disk's; the view is not kept.
    pub(crate) fn keep(&self, view: View) -> io::Result<()> {
        let Some(kept) = self.kept(view) else { return Ok(()) };
        let _writing = self.writing.lock();
        let (latest, epoch) = (self.latest(), kept.view.epoch());
        if latest.as_ref().is_some_and(|old| old.view.epoch() >= epoch) {
            return Ok(());
        }
        let both = Both::new(Some(kept), latest);
        for (name, kept) in [(BEFORE, &both.before), (LATEST, &both.latest)] {
            if let Some(kept) = kept {
                let bytes: Vec<u8> = kept.view.whole().flatten().collect();
                durable::replace(&self.directory.join(name), &bytes)?;
            }
        }
        *self.both.lock() = both;
        self.newest.send_replace(Some(epoch));
        Ok(())
    }

    /// As [`Self::keep`], from where nobody may wait for the disk.
    ///
    /// # Errors
    /// As [`Self::keep`].
    pub(crate) async fn keep_aside(self: &Arc<Self>, view: View) -> io::Result<()> {
        let views = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || views.keep(view)).await;
        kept.map_err(io::Error::other)?
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
        view::difference::DifferenceDecoder,
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
    fn the_difference_is_handed_out_between_the_two_that_are_kept_if_one_follows_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let keepers = Keepers::new(4);
        let open = || Views::open(directory.path(), NETWORK, charter(&keepers));
        let views = open();
        let [first, other] = [5, 6].map(|epoch| keepers.view_of(epoch, None, 0..300));
        let next = keepers.view_of(7, Some(&other), 10..310);
        let [base, id] = [other.id(), next.id()];
        let ask = |views: &Views, base, id, from| {
            views.answer(&ViewRequest::Difference { base, id, from })
        };
        views.keep(first.clone()).unwrap();
        views.keep(other.clone()).unwrap();
        assert_eq!(ask(&views, first.id(), base, 0), None, "it does not follow");
        views.keep(next.clone()).unwrap();
        for views in [views, open()] {
            let answer = ask(&views, base, id, 0).unwrap();
            let mut decoder = DifferenceDecoder::new(&other, keepers.set.clone());
            decoder.feed(&answer).unwrap();
            assert_eq!(decoder.finish().as_ref(), Ok(&next));
            assert_eq!(ask(&views, base, id, 7).unwrap(), answer[7..]);
            assert_eq!(ask(&views, id, base, 0), None);
            assert_eq!(ask(&views, first.id(), base, 0), None);
            assert_eq!(ask(&views, first.id(), id, 0), None);
            let whole = views.answer(&ViewRequest::View { id, from: 0 }).unwrap();
            assert_eq!(views.decode(&whole).as_ref(), Some(&next));
        }
    }

    #[test]
    fn what_is_handed_on_has_no_more_signatures_than_it_takes_and_a_keeper_keeps_its_nodes() {
        let directory = tempfile::tempdir().unwrap();
        let keepers = Keepers::new(4);
        let views = Views::open(directory.path(), NETWORK, charter(&keepers));
        let made = view(&keepers, 5);
        let all = keepers.sign(made.header(), &[0, 1, 2, 3]).verify(&NETWORK, &keepers.set);
        let signatures = made.signatures().cloned();
        views.keep(View::new(all.unwrap(), made.nodes().clone(), signatures).unwrap()).unwrap();
        let signers = |signed: &SignedView| -> Vec<u8> {
            signed.signatures().iter().map(|one| one.keeper).collect()
        };
        let shown = views.answer(&ViewRequest::Latest).unwrap();
        assert_eq!(signers(&views.verify(&shown).unwrap()), [0, 1, 2]);
        let whole = views.answer(&ViewRequest::View { id: made.id(), from: 0 }).unwrap();
        let whole = views.decode(&whole).unwrap();
        assert_eq!(signers(whole.signed()), [0, 1, 2]);
        assert!(whole.signatures().is_none());
        let again = Views::open(directory.path(), NETWORK, charter(&keepers));
        assert_eq!(again.latest().unwrap().view.signatures(), made.signatures());
    }

    #[test]
    fn what_is_not_on_the_disk_is_not_handed_on() {
        let directory = tempfile::tempdir().unwrap();
        let keepers = Keepers::new(1);
        let gone = directory.path().join("gone");
        fs::create_dir(&gone).unwrap();
        let views = Views::open(&gone, NETWORK, charter(&keepers));
        let newest = views.newest();
        fs::remove_dir(&gone).unwrap();
        assert!(views.keep(view(&keepers, 5)).is_err());
        assert!(views.latest().is_none() && newest.borrow().is_none());
        fs::create_dir(&gone).unwrap();
        views.keep(view(&keepers, 5)).unwrap();
        assert_eq!(*newest.borrow(), Some(Epoch(5)));
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
            let bare = latest.view.clone().without_signatures();
            assert_eq!(views.decode(&latest.encoded), Some(bare));
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
