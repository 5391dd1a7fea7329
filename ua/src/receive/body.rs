//! The parts of one mail: fetched from the next replica where one is missing or wrong, and given up afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use anon::{
    authorization::Deletion,
    certificate::NodeCertificate,
    id::NodeId,
    keys::SigningSecret,
    mail::{Headers, MessageId, Part},
    position::Key,
    request::{Request, Response},
};
use futures::{StreamExt as _, future::join_all, stream};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;

use super::{Place, Reader, Way, parts::Parts};
use crate::{
    error::AgentError,
    event::{Event, Purpose},
};

/// Channels that are opened, or fetched through, at once. A guard lets one agent have 64 channels; each of these takes
/// two while it is made, and a mail of sixteen parts keeps all of its open until it is delivered.
const CHANNELS_AT_ONCE: usize = 8;
/// Bytes of parts that one reading fetches for mails of several parts that are not whole in the end. Beyond that
/// such mails wait for the next reading.
const MAX_WASTED: u64 = 256 << 20;
/// How often in a row a node may be silent before it is asked last.
const MAX_TIMEOUTS: u32 = 3;
/// How many ways to a part are tried in one go.
const ATTEMPTS: usize = 3;
/// Parts of one mail fetched at once.
const PARTS_AT_ONCE: usize = 4;

/// What came of fetching a mail.
pub(super) enum Mail {
    /// All of it, and the ways to its parts that are open.
    Whole(Vec<u8>, Vec<OpenPart>),
    /// Most nodes near a part say that they do not have it.
    Missing,
    /// A part could not be reached.
    Unreached,
    /// A part is what the sender stored, and holds nothing that opens.
    Nonsense,
}

/// The way that a part was fetched by.
pub(super) type OpenPart = (MessageId, Box<dyn Way>);

/// What came of fetching a part.
enum Fetched {
    Object(Vec<u8>, Option<Box<dyn Way>>),
    Missing,
    Unreached,
}

/// The bodies that a reading fetches, and what it learns on the way.
pub(super) struct Bodies<'r> {
    reader: &'r Reader<'r>,
    parts: Mutex<Parts<'r>>,
    channels: Semaphore,
    timeouts: Mutex<BTreeMap<NodeId, u32>>,
    wasted: AtomicU64,
    has_no_path: AtomicBool,
}

impl<'r> Bodies<'r> {
    /// What one reading begins with.
    ///
    /// # Errors
    /// [`AgentError::Vault`] if the disk fails.
    pub(super) fn new(reader: &'r Reader<'r>) -> Result<Self, AgentError> {
        Ok(Self {
            reader,
            parts: Mutex::new(Parts::read(reader.vault, reader.context.now())?),
            channels: Semaphore::new(CHANNELS_AT_ONCE),
            timeouts: Mutex::default(),
            wasted: AtomicU64::new(0),
            has_no_path: AtomicBool::new(false),
        })
    }

    /// Whether no more ways can be opened, whatever for: the agent has to catch up with the network first. What was not
    /// tried because of that is as new as before.
    pub(super) fn has_no_path(&self) -> bool {
        self.has_no_path.load(Ordering::Relaxed)
    }

    /// Opens a way to a part.
    async fn open(&self, key: Key) -> Option<Box<dyn Way>> {
        if self.has_no_path() {
            return None;
        }
        match self.reader.route.open(key, Place::Body).await {
            Ok(way) => Some(way),
            Err(AgentError::RosterTooSmall | AgentError::NoGuard | AgentError::NoNode) => {
                self.has_no_path.store(true, Ordering::Relaxed);
                None
            }
            Err(_) => None,
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts<'r>> {
        self.parts.lock()
    }

    /// Whether a node let its last questions run into their timeouts.
    fn is_silent(&self, node: &NodeCertificate) -> bool {
        let timeouts = self.timeouts.lock();
        timeouts.get(&node.node()).is_some_and(|timeouts| *timeouts >= MAX_TIMEOUTS)
    }

    fn note_timeout(&self, node: &NodeCertificate, is_silent: bool) {
        let mut timeouts = self.timeouts.lock();
        let timeouts = timeouts.entry(node.node()).or_default();
        *timeouts = if is_silent { timeouts.saturating_add(1) } else { 0 };
    }

    /// Fetches all parts of a mail; stops at the first that cannot be had. Parts of a mail of several are kept.
    pub(super) async fn fetch_mail(&self, headers: &Headers) -> Mail {
        let is_long = headers.parts.len() > 1;
        if is_long && self.wasted.load(Ordering::Relaxed) > MAX_WASTED {
            return Mail::Unreached;
        }
        let keeps = is_long || self.is_deleted_by_certificate(headers);
        let fetching = stream::iter(&headers.parts)
            .map(async |part| (part, self.fetch_part(part, keeps).await))
            .buffered(PARTS_AT_ONCE);
        let mut fetching = std::pin::pin!(fetching);
        let (mut mail, mut ways) = (Vec::new(), Vec::new());
        while let Some((part, fetched)) = fetching.next().await {
            match fetched {
                Fetched::Object(object, way) => match part.open(&object) {
                    Ok(content) => {
                        mail.extend(content);
                        ways.extend(way.map(|way| (part.message_id, way)));
                    }
                    Err(_) => return Mail::Nonsense,
                },
                Fetched::Missing => return Mail::Missing,
                Fetched::Unreached => return Mail::Unreached,
            }
        }
        if is_long {
            self.waste(mail.len(), false);
        }
        Mail::Whole(mail, ways)
    }

    /// Counts bytes of parts of long mails as wasted, until the mail is whole.
    fn waste(&self, bytes: usize, is_wasted: bool) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let _ = self.wasted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |wasted| {
            Some(if is_wasted {
                wasted.saturating_add(bytes)
            } else {
                wasted.saturating_sub(bytes)
            })
        });
    }

    /// Whether the parts' storage nodes know the recipient's own key, as with mail that was sent directly. Whoever
    /// knows the parts can announce them to him once more, and his reader would then delete what another announcement,
    /// yet to come, needs: so parts of such mails are kept for a while.
    fn is_deleted_by_certificate(&self, headers: &Headers) -> bool {
        headers.parts.first().is_some_and(|part| headers.delete_secret(part).is_none())
    }

    async fn fetch_part(&self, part: &Part, keeps: bool) -> Fetched {
        let kept = self.parts().get(&part.digest);
        if let Some(object) = kept.filter(|object| part.check(object).is_ok()) {
            return Fetched::Object(object, None);
        }
        let key = part.message_id.key(&self.reader.context.network.name);
        for _ in 0..ATTEMPTS {
            let Ok(_permit) = self.channels.acquire().await else { return Fetched::Unreached };
            let Some(mut way) = self.open(key).await else { continue };
            match self.ask_replicas(way.as_mut(), key, part).await {
                Some(Fetched::Object(object, _)) => {
                    if keeps {
                        self.waste(object.len(), true);
                        self.keep(part, &object);
                    }
                    return Fetched::Object(object, Some(way));
                }
                Some(Fetched::Missing) => return Fetched::Missing,
                Some(Fetched::Unreached) | None => {}
            }
        }
        Fetched::Unreached
    }

    /// Keeps a part. Where that fails it is fetched again, so it is only told.
    fn keep(&self, part: &Part, object: &[u8]) {
        if let Err(error) = self.parts().keep(part.digest, object, self.reader.context.now()) {
            self.tell(format!("a part could not be kept: {error}"));
        }
    }

    /// One part over one way: from the closest node; if that has none, from all others at once, of which those answer
    /// whose copy fits a share of a message; and then one by one from those that did not. `None` if the way breaks.
    async fn ask_replicas(&self, way: &mut dyn Way, key: Key, part: &Part) -> Option<Fetched> {
        let all = way.nodes().to_vec();
        let (going, silent): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|node| !self.is_silent(node));
        let mut left = if going.is_empty() { silent } else { going };
        let mut missing = 0;
        let first = left.len().min(1);
        let rest = left.split_off(first);
        for (together, alone) in [(left, true), (rest, false)] {
            let mut unclear = Vec::new();
            let answers = ask(way, key, &together).await?;
            for (node, answer) in together.into_iter().zip(answers) {
                match self.judge(part, &node, answer) {
                    Judged::Good(object) => return Some(Fetched::Object(object, None)),
                    Judged::Absent => missing += 1,
                    Judged::Unclear if alone => self.note_timeout(&node, true),
                    Judged::Unclear => unclear.push(node),
                }
            }
            for node in unclear {
                let answer = ask(way, key, std::slice::from_ref(&node)).await?.pop().flatten();
                match self.judge(part, &node, answer) {
                    Judged::Good(object) => return Some(Fetched::Object(object, None)),
                    Judged::Absent => missing += 1,
                    Judged::Unclear => self.note_timeout(&node, true),
                }
            }
        }
        // Silence says nothing.
        let most = missing * 2 > all.len();
        Some(if most { Fetched::Missing } else { Fetched::Unreached })
    }

    fn judge(&self, part: &Part, node: &NodeCertificate, answer: Option<Response>) -> Judged {
        if answer.is_some() {
            self.note_timeout(node, false);
        }
        match answer {
            Some(Response::Object(object)) => match part.check(&object) {
                Ok(()) => Judged::Good(object),
                Err(error) => {
                    self.tell(format!("a replica's copy is no good: {error}"));
                    Judged::Absent
                }
            },
            Some(Response::NotFound) => Judged::Absent,
            _ => Judged::Unclear,
        }
    }

    fn tell(&self, reason: String) {
        let event = Event::Retry { purpose: Purpose::Body, reason };
        self.reader.context.tell(&event);
    }

    /// Gives up this recipient's permission at every replica; the last recipient's takes the body with it. Parts that
    /// another announced mail needs, which was not delivered, are left alone.
    pub(super) async fn delete_bodies(
        &self,
        headers: &Headers,
        mut ways: Vec<OpenPart>,
        needed: &BTreeSet<MessageId>,
    ) {
        self.forget_parts(headers);
        let parts = headers.parts.iter().filter(|part| !needed.contains(&part.message_id));
        let deleted = parts.map(|part| {
            let open = ways.iter().position(|(id, _)| *id == part.message_id);
            (part, open.map(|at| ways.swap_remove(at).1))
        });
        let deleted: Vec<_> = deleted.collect();
        join_all(deleted.into_iter().map(async |(part, way)| {
            let key = part.message_id.key(&self.reader.context.network.name);
            // Where it does not get through, the body goes when its retention ends.
            if let Some(mut way) = way
                && self.delete(way.as_mut(), headers, part, key).await
            {
                return;
            }
            let Ok(_permit) = self.channels.acquire().await else { return };
            if let Some(mut way) = self.open(key).await {
                self.delete(way.as_mut(), headers, part, key).await;
            }
        }))
        .await;
    }

    /// Forgets the kept parts of a mail that was delivered, unless another announcement may need them.
    fn forget_parts(&self, headers: &Headers) {
        if !self.is_deleted_by_certificate(headers) {
            let mut kept = self.parts();
            // What stays goes when a week is over.
            headers.parts.iter().for_each(|part| drop(kept.forget(&part.digest)));
        }
    }

    /// Whether the way held.
    async fn delete(&self, way: &mut dyn Way, headers: &Headers, part: &Part, key: Key) -> bool {
        let secret = headers.delete_secret(part);
        let requests = way.nodes().iter().map(|node| {
            let deletion = match &secret {
                Some(secret) => self.deletion(secret, key, node),
                None => self.deletion(self.reader.account.signing(), key, node),
            };
            (node.clone(), Request::Delete(deletion))
        });
        let requests = requests.collect();
        way.ask_each(requests).await.is_ok()
    }

    fn deletion(&self, secret: &impl SigningSecret, key: Key, node: &NodeCertificate) -> Deletion {
        Deletion::sign(
            secret,
            &self.reader.context.network.id,
            key,
            node.node(),
            self.reader.context.now(),
        )
    }
}

/// What an answer to a fetch is worth.
enum Judged {
    Good(Vec<u8>),
    Absent,
    Unclear,
}

/// Asks nodes for what they have at a key, all at once.
async fn ask(
    way: &mut dyn Way,
    key: Key,
    nodes: &[NodeCertificate],
) -> Option<Vec<Option<Response>>> {
    if nodes.is_empty() {
        return Some(Vec::new());
    }
    let requests = nodes.iter().map(|node| (node.clone(), Request::Fetch { key })).collect();
    way.ask_each(requests).await.ok()
}
