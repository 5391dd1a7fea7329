//! The roster's upkeep: filled by the nodes that the substrate meets, compared with other members' every now
//! and then, kept on disk. It happens whether or not anybody sends mail.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anon::{
    certificate::{NodeCertificate, UnverifiedNodeCertificate},
    network::Network,
    request::{Request, Response},
    roster::{MAX_CARRIED, Operator, PIECES, Roster, ShortDigest, Source, StoredEntry},
    wire,
};
use rand::seq::IteratorRandom as _;

use crate::{
    client::ask,
    clock::now,
    link::{LinkError, Links},
};

/// How long a member may take for its part of an exchange.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Members asked in one round.
const MEMBERS: usize = 3;
/// The longest roster file, bytes: `MAX_NODES` entries of at most about 1 KiB.
const MAX_FILE: usize = 128 << 20;

/// A roster that several tasks share, and its file.
#[derive(Debug)]
pub struct RosterKeeper {
    network: Arc<Network>,
    roster: Mutex<Roster>,
    file: Option<PathBuf>,
}

/// What an exchange cost and brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// Round trips.
    pub round_trips: usize,
    /// Bytes of requests and answers, encoded.
    pub bytes: usize,
    /// Certificates that were new.
    pub learned: usize,
}

impl RosterKeeper {
    /// The roster kept in `file`, or an empty one.
    #[must_use]
    pub fn open(network: Arc<Network>, file: Option<PathBuf>) -> Self {
        let stored = file.as_ref().and_then(|file| std::fs::read(file).ok());
        let stored: Vec<StoredEntry> =
            stored.and_then(|bytes| wire::decode(&bytes, MAX_FILE).ok()).unwrap_or_default();
        let roster = Roster::restore(stored, &network, now());
        Self { network, roster: Mutex::new(roster), file }
    }

    /// Looks at the roster, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Roster) -> T) -> T {
        look(&mut self.roster.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Takes in a node that was asked itself.
    pub fn met(&self, certificate: NodeCertificate) {
        let epoch = self.network.epoch(now());
        self.with(|roster| roster.learn(certificate, Source::Contact, epoch));
    }

    /// Compares the roster with a member's and takes over what it lacks. One round trip if they are alike.
    ///
    /// # Errors
    /// [`LinkError`] if the member does not answer, or not as it should.
    pub async fn exchange(
        &self,
        links: &Links,
        member: &NodeCertificate,
    ) -> Result<Exchanged, LinkError> {
        let operator = Operator::of(member);
        let epoch = self.network.epoch(now());
        let mut exchanged = Exchanged::default();
        let pieces = self.with(|roster| roster.pieces(epoch));
        let answer = self.ask(links, member, &Request::Roster { pieces }, &mut exchanged).await?;
        let Response::Roster { alike, listed } = answer else { return Err(LinkError::Unreachable) };
        let alike: Vec<bool> = (0..PIECES).map(|piece| bit(&alike, piece)).collect();
        let mut lacking = self.with(|roster| {
            roster.vouch(&alike, &listed, &operator, epoch);
            roster.unknown(&listed)
        });
        while !lacking.is_empty() {
            let later = lacking.split_off(lacking.len().min(MAX_CARRIED));
            let request = Request::RosterEntries { wanted: lacking };
            let answer = self.ask(links, member, &request, &mut exchanged).await?;
            let Response::RosterEntries(entries) = answer else {
                return Err(LinkError::Unreachable);
            };
            exchanged.learned += self.take_in(entries, &operator);
            lacking = later;
        }
        Ok(exchanged)
    }

    async fn ask(
        &self,
        links: &Links,
        member: &NodeCertificate,
        request: &Request,
        exchanged: &mut Exchanged,
    ) -> Result<Response, LinkError> {
        let answer = ask(links, member, request, TIMEOUT).await?;
        exchanged.round_trips += 1;
        exchanged.bytes += wire::encode(request).len() + wire::encode(&answer).len();
        Ok(answer)
    }

    fn take_in(&self, entries: Vec<UnverifiedNodeCertificate>, operator: &Operator) -> usize {
        let (current, mut learned) = (now(), 0);
        let epoch = self.network.epoch(current);
        for entry in entries.into_iter().take(MAX_CARRIED) {
            if let Ok(certificate) = entry.verify(&self.network, current) {
                let source = Source::Member(operator.clone());
                self.with(|roster| roster.learn(certificate, source, epoch));
                learned += 1;
            }
        }
        learned
    }

    /// Answers a member that compares.
    #[must_use]
    pub fn compare(&self, theirs: &[ShortDigest]) -> Response {
        let epoch = self.network.epoch(now());
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
        let epoch = self.network.epoch(now());
        Response::RosterEntries(self.with(|roster| roster.wanted(wanted, epoch)))
    }

    /// Keeps the roster up, a round each quarter of an epoch, until the node stops.
    pub(crate) async fn keep_up(self: Arc<Self>, links: Links) {
        let period = Duration::from_millis(self.network.epoch_seconds.saturating_mul(250).max(250));
        loop {
            tokio::time::sleep(period).await;
            self.with(|roster| roster.expire(&self.network, now()));
            let members: Vec<NodeCertificate> = self.with(|roster| {
                let known = roster.known();
                known.cloned().sample(&mut rand::rng(), MEMBERS)
            });
            for member in members {
                if let Err(error) = self.exchange(&links, &member).await {
                    tracing::debug!(%error, "a member did not exchange rosters");
                }
            }
            if let Err(error) = self.save() {
                tracing::warn!(%error, "the roster is not saved");
            }
        }
    }

    /// Writes the roster to its file: a new file first, so that a crash leaves one of the two.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let bytes = wire::encode(&self.with(|roster| roster.store()));
        let new = file.with_extension("new");
        std::fs::write(&new, bytes)?;
        std::fs::rename(&new, file)
    }
}

fn bit(bits: &[u8; 32], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
}
