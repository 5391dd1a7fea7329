//! The roster's upkeep: filled by the nodes that the DHT meets, compared with other members' every now
//! and then, kept on disk. It happens whether or not anybody sends mail.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anon::{
    certificate::{NodeCertificate, UnverifiedNodeCertificate},
    network::{Epoch, Network},
    request::{Request, Response},
    roster::{MAX_CARRIED, MAX_NODES, Operator, PIECES, Roster, ShortDigest, Source, StoredRoster},
    wire,
};
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use rand::seq::IteratorRandom as _;
use sha2::{Digest as _, Sha256};

use crate::{
    client::ask,
    clock::Clock,
    durable,
    link::{LinkError, Links, peer_id},
};

/// How long a member may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a whole exchange may take, some hundred answers at the most; what came until then is kept.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Members asked in one round, one of which may be silent: networks that were parted meet again.
const MEMBERS: usize = 3;
/// Rounds an epoch in the smallest network, and one more for each fourfold size: each makes those who know
/// something four times as many, so news reaches everybody within an epoch.
const ROUNDS: u64 = 4;
/// The least time between two rounds.
const LEAST_PERIOD: Duration = Duration::from_millis(250);
/// Requests for certificates that one exchange has under way at once.
const AT_ONCE: usize = 3;
/// What one node of the roster takes in its file at most, bytes.
const MAX_ENTRY: usize = 4 << 10;
/// The longest roster file, bytes: whatever other nodes hand out, what is written is read again.
const MAX_FILE: usize = MAX_NODES * MAX_ENTRY;

/// A roster that several tasks share, and its file.
#[derive(Debug)]
pub struct RosterKeeper {
    network: Arc<Network>,
    roster: Mutex<Roster>,
    file: Option<PathBuf>,
    clock: Clock,
}

/// What an exchange cost and brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// Round trips.
    pub round_trips: usize,
    /// Bytes of requests and answers, encoded.
    pub bytes: usize,
    /// Nodes of which a certificate was taken over.
    pub learned: usize,
    /// Nodes that the member listed and that were not taken over.
    pub missing: usize,
}

impl RosterKeeper {
    /// The roster kept in `file`, or an empty one.
    #[must_use]
    pub fn open(network: Arc<Network>, file: Option<PathBuf>, clock: Clock) -> Self {
        let stored = file.as_deref().map(stored).unwrap_or_default();
        let roster = Roster::restore(stored, &network, clock.now());
        Self { network, roster: Mutex::new(roster), file, clock }
    }

    /// Looks at the roster, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Roster) -> T) -> T {
        look(&mut self.roster.lock())
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &Arc<Network> {
        &self.network
    }

    fn epoch(&self) -> Epoch {
        self.network.epoch(self.clock.now())
    }

    /// Takes in a node that was asked itself.
    pub fn met(&self, certificate: NodeCertificate) {
        let epoch = self.epoch();
        self.with(|roster| roster.learn(certificate, Source::Contact, epoch));
    }

    /// Compares the roster with a member's and takes over what it lacks. One round trip if they are alike.
    ///
    /// # Errors
    /// [`LinkError`] if the member does not answer, or not as it should, or takes longer than a minute.
    pub async fn exchange(
        &self,
        links: &Links,
        member: &NodeCertificate,
    ) -> Result<Exchanged, LinkError> {
        let exchange = self.exchange_all(links, member);
        let timeout = links.timeout(EXCHANGE_TIMEOUT);
        tokio::time::timeout(timeout, exchange).await.map_err(|_| LinkError::TimedOut)?
    }

    async fn exchange_all(
        &self,
        links: &Links,
        member: &NodeCertificate,
    ) -> Result<Exchanged, LinkError> {
        let operator = Operator::of(member);
        let epoch = self.epoch();
        let pieces = self.with(|roster| roster.pieces(epoch));
        let request = Request::Roster { pieces };
        let (answer, mut exchanged) = self.ask(links, member, &request).await?;
        let Response::Roster { alike, listed } = answer else { return Err(LinkError::Unreachable) };
        let Request::Roster { pieces } = request else { return Err(LinkError::Unreachable) };
        let alike: Vec<bool> = (0..PIECES).map(|piece| bit(&alike, piece)).collect();
        let (lacking, room) = self.with(|roster| {
            roster.vouch(&pieces, &alike, &listed, &operator, epoch);
            (roster.unknown(&listed), roster.room_for(&operator))
        });
        // Newer certificates of nodes that are known need no room, but nobody can tell which they are.
        let wanted = room.max(self.with(|roster| roster.len()));
        let requests = lacking.chunks(MAX_CARRIED).take(wanted.div_ceil(MAX_CARRIED));
        let requests: Vec<Request> =
            requests.map(|some| Request::RosterEntries { wanted: some.to_vec() }).collect();
        let mut answers = stream::iter(requests)
            .map(async |request| self.ask(links, member, &request).await)
            .buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            let (Response::RosterEntries(entries), cost) = answer? else {
                return Err(LinkError::Unreachable);
            };
            exchanged.round_trips += cost.round_trips;
            exchanged.bytes += cost.bytes;
            exchanged.learned += self.take_in(entries, &operator);
        }
        exchanged.missing = lacking.len().saturating_sub(exchanged.learned);
        Ok(exchanged)
    }

    async fn ask(
        &self,
        links: &Links,
        member: &NodeCertificate,
        request: &Request,
    ) -> Result<(Response, Exchanged), LinkError> {
        let answer = ask(links, member, request, TIMEOUT).await?;
        let bytes = wire::encode(request).len() + wire::encode(&answer).len();
        Ok((answer, Exchanged { round_trips: 1, bytes, ..Exchanged::default() }))
    }

    /// Takes over what a member handed out; of how many nodes.
    fn take_in(&self, entries: Vec<UnverifiedNodeCertificate>, operator: &Operator) -> usize {
        let current = self.clock.now();
        let epoch = self.network.epoch(current);
        let mut learned = 0;
        for entry in entries.into_iter().take(MAX_CARRIED) {
            let Ok(certificate) = entry.verify(&self.network, current) else { continue };
            let (node, source) = (certificate.node(), Source::Member(operator.clone()));
            let is_known = self.with(|roster| {
                roster.learn(certificate, source, epoch);
                roster.certificate(&node).is_some()
            });
            learned += usize::from(is_known);
        }
        learned
    }

    /// Answers a member that compares.
    #[must_use]
    pub fn compare(&self, theirs: &[ShortDigest]) -> Response {
        let epoch = self.epoch();
        self.with(|roster| {
            let mine = roster.pieces(epoch);
            let mut alike = [0_u8; 32];
            for (piece, (mine, theirs)) in mine.iter().zip(theirs).enumerate() {
                if mine == theirs
                    && let Some(byte) = alike.get_mut(piece / 8)
                {
                    *byte |= 1 << (piece % 8);
                }
            }
            Response::Roster { alike, listed: roster.differing(theirs, epoch) }
        })
    }

    /// Answers a member that wants certificates.
    #[must_use]
    pub fn hand_out(&self, wanted: &[ShortDigest]) -> Response {
        let epoch = self.epoch();
        Response::RosterEntries(self.with(|roster| roster.wanted(wanted, epoch)))
    }

    /// Tells silent nodes from those that are alive, now that the roster was compared.
    pub fn listen(&self) {
        self.with(|roster| roster.listen(&self.network, self.clock.now()));
    }

    /// Keeps the roster up, round after round, until the node stops.
    pub async fn keep_up(self: Arc<Self>, links: Links) {
        loop {
            tokio::time::sleep(self.period()).await;
            self.with(|roster| roster.expire(&self.network, self.clock.now()));
            for member in self.members(&links) {
                if let Err(error) = self.exchange(&links, &member).await {
                    tracing::debug!(%error, "a member did not exchange rosters");
                }
            }
            self.listen();
            if let Err(error) = self.save() {
                tracing::warn!(%error, "the roster is not saved");
            }
        }
    }

    /// How long one round waits for the next.
    fn period(&self) -> Duration {
        let nodes = self.with(|roster| roster.alive().count()).max(1);
        let rounds = ROUNDS + u64::from(nodes.ilog2() / 2);
        let epoch = self.network.epoch_seconds.saturating_mul(1_000);
        Duration::from_millis(epoch / rounds).max(LEAST_PERIOD)
    }

    /// Whom to compare with in a round: random nodes, all but the last one alive.
    fn members(&self, links: &Links) -> Vec<NodeCertificate> {
        let other = |n: &&NodeCertificate| peer_id(&n.node()).is_ok_and(|id| id != links.local());
        self.with(|roster| {
            let mut rng = rand::rng();
            let alive = roster.alive().filter(other).sample(&mut rng, MEMBERS - 1);
            let any = roster.known().filter(other).choose(&mut rng);
            alive.into_iter().chain(any).cloned().collect()
        })
    }

    /// Writes the roster to its file: a new file first, so that a crash leaves one of the two.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let stored = wire::encode(&self.with(|roster| roster.store()));
        let bytes = [digest(&stored).as_slice(), &stored].concat();
        durable::replace(file, &bytes)
    }
}

/// What stands before a stored roster.
fn digest(stored: &[u8]) -> [u8; 32] {
    Sha256::digest(stored).into()
}

/// The roster in the bytes of a file, if they are what was written.
fn whole(bytes: &[u8]) -> Option<StoredRoster> {
    let (before, stored) = bytes.split_first_chunk::<32>()?;
    let whole = digest(stored) == *before;
    whole.then(|| wire::decode(stored, MAX_FILE).ok()).flatten()
}

/// The roster in this file. A roster is learned anew, so one that cannot be read is said and given up.
fn stored(file: &Path) -> StoredRoster {
    let read = || {
        let length = std::fs::metadata(file)?.len();
        if usize::try_from(length).is_ok_and(|length| length <= MAX_FILE) {
            return std::fs::read(file);
        }
        Err(std::io::ErrorKind::FileTooLarge.into())
    };
    let file = file.display();
    match read() {
        Ok(bytes) => whole(&bytes).unwrap_or_else(|| {
            tracing::warn!(%file, "the roster is damaged and begun anew");
            StoredRoster::default()
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => StoredRoster::default(),
        Err(error) => {
            tracing::warn!(%file, %error, "the roster cannot be read and is begun anew");
            StoredRoster::default()
        }
    }
}

fn bit(bits: &[u8; 32], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
}

#[cfg(test)]
mod tests {
    use anon::{
        certificate::NodeClaims,
        id::NodeId,
        keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
        time::{Time, Validity},
    };

    use super::*;
    use crate::network_file::NetworkFile;

    const NOW: Time = Time(1_800_000_000);

    fn network() -> Arc<Network> {
        let text = "name = 'test.alt'\nk = 1\nbootstrap = []\n";
        Arc::new(toml::from_str::<NetworkFile>(text).unwrap().network().unwrap())
    }

    fn open(network: &Arc<Network>, file: &Path) -> RosterKeeper {
        let clock = Clock::stopped_at(NOW);
        RosterKeeper::open(Arc::clone(network), Some(file.to_owned()), clock)
    }

    /// As long a certificate as there is.
    fn longest(network: &Network, seed: u8) -> NodeCertificate {
        let secret = IdentitySecret::from_seed(&[seed; 32]);
        let address =
            |n: u8| format!("/onion3/{}:65535", char::from(b'a' + n).to_string().repeat(56));
        let claims = NodeClaims {
            network: network.id,
            identity: NodeId(secret.verify_key().0),
            channel_key: ChannelSecret::generate(&mut rand::rng()).agreement_key(),
            addresses: (0..3).map(address).collect(),
            family: "f".repeat(anon::certificate::MAX_FAMILY),
            validity: Validity::starting(NOW, anon::certificate::MAX_NODE_VALIDITY),
            admission: None,
        };
        NodeCertificate::issue(&secret, claims).verify(network, NOW).unwrap()
    }

    #[test]
    fn whatever_is_handed_out_the_file_is_read_again() {
        let (folder, network) = (tempfile::tempdir().unwrap(), network());
        let file = folder.path().join("roster.bin");
        let keeper = open(&network, &file);
        let members: Vec<_> = (100..110).map(|seed| longest(&network, seed)).collect();
        for seed in 1..=4 {
            for member in &members {
                let unverified = longest(&network, seed).to_unverified();
                keeper.take_in(vec![unverified], &Operator::of(member));
            }
        }
        keeper.save().unwrap();
        let length = usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap();
        // An admission is some hundred bytes more.
        assert!(length / 4 + 512 <= MAX_ENTRY, "{length} bytes for four nodes");
        let again = open(&network, &file);
        assert_eq!(again.with(|roster| roster.known().count()), 4);
    }

    #[test]
    fn a_roster_that_cannot_be_read_is_begun_anew() {
        let (folder, network) = (tempfile::tempdir().unwrap(), network());
        let file = folder.path().join("roster.bin");
        for garbled in [&b"garbled"[..], b"", &[0xff; 5_000]] {
            std::fs::write(&file, garbled).unwrap();
            let keeper = open(&network, &file);
            assert_eq!(keeper.with(|roster| roster.known().count()), 0);
            keeper.met(longest(&network, 1));
            keeper.save().unwrap();
            let keeper = open(&network, &file);
            assert_eq!(keeper.with(|roster| roster.known().count()), 1);
        }
        // A hole of a terabyte is not read into memory.
        std::fs::File::options().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();
        let keeper = open(&network, &file);
        assert_eq!(keeper.with(|roster| roster.known().count()), 0);
    }
}
