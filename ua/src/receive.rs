//! Reading (paper, 3.2 and 3.3): the superset of the k inboxes, bodies checked against their digests, deletion
//! at all k, and an acknowledgement only once a mail lies safely in the Maildir.
//!
//! ```text
//! read at every candidate ─► superset ─► for each notification not seen before:
//!   open ─► fetch parts (next replica where one is missing or wrong) ─► Maildir, fsynced ─► seen, fsynced
//!   ─► delete at the body's replicas
//! ─► acknowledge to the inboxes
//! ```
//! The paper's node deletes when it has sent; a lost answer would lose mail. Ours deletes when the reader says
//! that it has it.

mod route;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anon::{
    authorization::{Deletion, InboxOperation, InboxProof},
    certificate::{Address, AddressCertificate, NodeCertificate},
    keys::SigningSecret,
    mail::{Headers, Part, open_notification},
    position::Key,
    request::{InboxPage, MAX_ACKNOWLEDGED, Request, Response},
    wire,
};
use futures::{StreamExt as _, future::join_all, stream};
use node::now;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    account::Account,
    entrance::Entrance,
    error::AgentError,
    event::{Event, Purpose},
    maildir::Maildir,
    origin::{Origin, Origins},
    sealed,
    vault::Vault,
};

/// Rounds of reading in one go, each a page of every inbox; what lies behind is read the next time.
const MAX_ROUNDS: usize = 32;
pub use route::{AnonymousRoute, DirectRoute, Route};

/// Mails remembered as seen.
const MAX_SEEN: usize = 20_000;
/// Mails fetched at once.
const MAILS_AT_ONCE: usize = 4;
/// The sealed file that remembers them.
const SEEN: &str = "seen";

/// A mail that was delivered.
#[derive(Debug)]
pub struct Delivered {
    /// The subject in its headers.
    pub subject: String,
    /// Who signed it; `None`: the sender is anonymous.
    pub sender: Option<Address>,
    /// Its length, bytes.
    pub size: u64,
    /// Where an answer reaches the sender, if the sender says.
    pub reply_to: Option<Address>,
}

impl Delivered {
    /// What is kept beside the mail.
    fn origin(&self) -> Origin {
        Origin { signer: self.sender.clone(), reply_to: self.reply_to.clone() }
    }
}

/// What a fetch did.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Mails delivered now.
    pub delivered: Vec<Delivered>,
    /// Mails that had been delivered before.
    pub repeated: usize,
    /// Notifications that nobody sealed to this address.
    pub junk: usize,
    /// Mails whose body could not be had yet; they stay in the inbox.
    pub waiting: usize,
    /// Mails that say somebody signed them who did not; delivered as anonymous.
    pub forged: usize,
    /// Inbox nodes that answered.
    pub inboxes: usize,
}

/// SHA-256 of a notification.
type Digest = [u8; 32];
/// A notification's digest and what it announces.
type Announced = (Digest, Headers);

/// What one round of reading did.
struct Round {
    more: bool,
    settled: usize,
}

impl Fetched {
    /// Adds what another account's fetch did.
    pub fn merge(&mut self, other: Self) {
        self.delivered.extend(other.delivered);
        self.repeated += other.repeated;
        self.junk += other.junk;
        self.waiting += other.waiting;
        self.forged += other.forged;
        self.inboxes += other.inboxes;
    }
}

/// What the reader remembers of mails, so that none is delivered twice, whatever happens in between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// First Message-IDs, in the order in which they were seen.
    delivered: Vec<[u8; 20]>,
    /// The one that was being delivered when this was written.
    delivering: Option<[u8; 20]>,
}

/// Reads one account's mail.
pub struct Reader<'a> {
    entrance: Arc<Entrance>,
    route: Box<dyn Route>,
    vault: &'a Vault,
    account: &'a Account,
    certificate: AddressCertificate,
    maildir: &'a Maildir,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader(..)")
    }
}

impl<'a> Reader<'a> {
    /// A reader for `account`, whose certificate is `certificate`, over this route.
    #[must_use]
    pub fn new(
        entrance: Arc<Entrance>,
        route: Box<dyn Route>,
        vault: &'a Vault,
        account: &'a Account,
        certificate: AddressCertificate,
        maildir: &'a Maildir,
    ) -> Self {
        Self { entrance, route, vault, account, certificate, maildir }
    }

    /// Reads, delivers, acknowledges and deletes everything that is there. What was delivered stands in `fetched` also
    /// where this fails or is dropped later: who signed a mail, and where an answer goes, is told there alone.
    ///
    /// # Errors
    /// [`AgentError`] if no inbox answers or the disk fails; then nothing was acknowledged that is not safe.
    pub async fn fetch(&self, fetched: &mut Fetched) -> Result<(), AgentError> {
        for _ in 0..MAX_ROUNDS {
            fetched.waiting = 0;
            let round = self.fetch_round(fetched).await?;
            // A page begins at the oldest that is not acknowledged: more comes once that is.
            if !round.more || round.settled == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn fetch_round(&self, fetched: &mut Fetched) -> Result<Round, AgentError> {
        let inbox = self.account.address().inbox();
        let candidates = self.route.candidates(inbox).await?;
        let errands = candidates
            .iter()
            .map(|node| (node.clone(), Request::ReadInbox(self.proof(InboxOperation::Read, node))))
            .collect();
        let pages: Vec<Option<InboxPage>> = self
            .route
            .ask_each(inbox, errands)
            .await
            .into_iter()
            .map(|answer| match answer {
                Some(Response::Inbox(page)) => Some(page),
                _ => None,
            })
            .collect();
        fetched.inboxes = pages.iter().flatten().count();
        if fetched.inboxes == 0 {
            return Err(AgentError::NoNode);
        }
        let more = pages.iter().flatten().any(|page| page.more);
        let mut superset: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
        let mut holders: Vec<(&NodeCertificate, Vec<Digest>)> = Vec::new();
        for (node, page) in candidates.iter().zip(pages) {
            let mut held = Vec::new();
            for notification in page.map(|page| page.notifications).unwrap_or_default() {
                let digest: Digest = Sha256::digest(&notification).into();
                held.push(digest);
                superset.insert(digest, notification.into_vec());
            }
            holders.push((node, held));
        }
        let (junk, mails) = self.open_all(superset);
        fetched.junk += junk.len();
        let done = self.deliver_all(junk, mails, fetched).await?;
        self.acknowledge_all(&holders, &done).await;
        Ok(Round { more, settled: done.len() })
    }

    /// Opens the superset: what nobody sealed to this address, and the mails, oldest first.
    fn open_all(&self, superset: BTreeMap<Digest, Vec<u8>>) -> (BTreeSet<Digest>, Vec<Announced>) {
        let mut junk = BTreeSet::new();
        let mut mails = Vec::new();
        for (digest, notification) in superset {
            match open_notification(&notification, self.account.sealing(), &self.certificate) {
                Ok(headers) => mails.push((digest, headers)),
                Err(_) => {
                    junk.insert(digest);
                }
            }
        }
        mails.sort_by_key(|(_, headers)| headers.date);
        (junk, mails)
    }

    async fn deliver_all(
        &self,
        mut done: BTreeSet<Digest>,
        mails: Vec<Announced>,
        fetched: &mut Fetched,
    ) -> Result<BTreeSet<Digest>, AgentError> {
        let mut seen = self.read_seen()?;
        let (known, new): (Vec<_>, Vec<_>) = mails.into_iter().partition(|(_, headers)| {
            first_id(headers).is_some_and(|id| seen.delivered.contains(&id))
        });
        for (digest, headers) in known {
            fetched.repeated += 1;
            done.insert(digest);
            self.delete_bodies(&headers).await;
        }
        let mut bodies = stream::iter(new)
            .map(async |(digest, headers)| {
                let body = self.fetch_body(&headers).await;
                (digest, headers, body)
            })
            .buffered(MAILS_AT_ONCE);
        while let Some((digest, headers, body)) = bodies.next().await {
            let (Some(body), Some(id)) = (body, first_id(&headers)) else {
                fetched.waiting += 1;
                continue;
            };
            if seen.delivered.contains(&id) {
                // Two notifications of one mail in one fetch.
                fetched.repeated += 1;
                let again = self.describe(&headers, &mut 0);
                Origins::new(self.vault).note(&body, &again.origin())?;
            } else {
                let mail = self.describe(&headers, &mut fetched.forged);
                // First, so that no mail lies in the Maildir whose signer is not known.
                Origins::new(self.vault).note(&body, &mail.origin())?;
                self.deliver(&mut seen, id, &body)?;
                fetched.delivered.push(mail);
            }
            done.insert(digest);
            self.delete_bodies(&headers).await;
        }
        Ok(done)
    }

    /// Puts a mail into the Maildir exactly once, also across a crash between its steps.
    fn deliver(&self, seen: &mut Seen, id: [u8; 20], body: &[u8]) -> Result<(), AgentError> {
        let interrupted = seen.delivering == Some(id) && self.is_in_maildir(body)?;
        if !interrupted {
            seen.delivering = Some(id);
            self.write_seen(seen)?;
            self.maildir.deliver(body)?;
        }
        seen.delivering = None;
        seen.delivered.push(id);
        let surplus = seen.delivered.len().saturating_sub(MAX_SEEN);
        seen.delivered.drain(..surplus);
        self.write_seen(seen)
    }

    fn is_in_maildir(&self, body: &[u8]) -> Result<bool, AgentError> {
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        for entry in self.maildir.list()?.iter().filter(|entry| entry.size == size) {
            if self.maildir.read(entry)? == body {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn describe(&self, headers: &Headers, forged: &mut usize) -> Delivered {
        let sender = headers.verified_sender(self.entrance.network(), now());
        if sender.is_err() {
            *forged += 1;
        }
        Delivered {
            subject: headers.subject.clone(),
            sender: sender.ok().flatten(),
            size: headers.size,
            reply_to: headers.reply_to.clone(),
        }
    }

    fn read_seen(&self) -> Result<Seen, AgentError> {
        let costs = "a mail that an inbox still holds may arrive once more";
        Ok(sealed::read_or_new(self.vault, SEEN, (MAX_SEEN + 10) * 32, costs)?)
    }

    fn write_seen(&self, seen: &Seen) -> Result<(), AgentError> {
        Ok(self.vault.write(SEEN, &wire::encode(seen))?)
    }

    fn proof(&self, operation: InboxOperation<'_>, node: &NodeCertificate) -> InboxProof {
        let secret = self.account.signing();
        InboxProof::sign(secret, &self.certificate, operation, node.node(), now(), rand::random())
    }

    /// A mail's bytes; `None` if a part cannot be had from any replica now.
    async fn fetch_body(&self, headers: &Headers) -> Option<Vec<u8>> {
        let parts = join_all(headers.parts.iter().map(|part| self.fetch_part(part))).await;
        let parts: Option<Vec<Vec<u8>>> = parts.into_iter().collect();
        Some(parts?.concat())
    }

    /// One part, from the first replica whose copy has the sender's digest.
    async fn fetch_part(&self, part: &Part) -> Option<Vec<u8>> {
        let key = part.message_id.key(&self.entrance.network().name);
        for node in self.route.candidates(key).await.ok()? {
            let mut answers = self.route.ask_each(key, vec![(node, Request::Fetch { key })]).await;
            let Some(Some(Response::Object(object))) = answers.pop() else { continue };
            match part.open(&object) {
                Ok(content) => return Some(content),
                Err(error) => {
                    let reason = format!("a replica's copy is no good: {error}");
                    let event = Event::Retry { purpose: Purpose::Body, reason };
                    self.entrance.listener().on(&event);
                }
            }
        }
        None
    }

    /// Gives up this recipient's permission at every replica; the last recipient's takes the body with it.
    async fn delete_bodies(&self, headers: &Headers) {
        join_all(headers.parts.iter().map(async |part| {
            let key = part.message_id.key(&self.entrance.network().name);
            let nodes = self.route.candidates(key).await.unwrap_or_default();
            let secret = headers.delete_secret(part);
            let errands = nodes.into_iter().map(|node| {
                let deletion = match &secret {
                    Some(secret) => self.deletion(secret, key, &node),
                    None => self.deletion(self.account.signing(), key, &node),
                };
                (node, Request::Delete(deletion))
            });
            // Where it does not get through, the body goes when its retention ends.
            self.route.ask_each(key, errands.collect()).await;
        }))
        .await;
    }

    fn deletion(&self, secret: &impl SigningSecret, key: Key, node: &NodeCertificate) -> Deletion {
        Deletion::sign(secret, &self.entrance.network().id, key, node.node(), now())
    }

    /// Tells every inbox what it may delete.
    async fn acknowledge_all(
        &self,
        holders: &[(&NodeCertificate, Vec<Digest>)],
        done: &BTreeSet<Digest>,
    ) {
        let mut errands = Vec::new();
        for (node, held) in holders {
            let digests: Vec<Digest> =
                held.iter().filter(|digest| done.contains(*digest)).copied().collect();
            for digests in digests.chunks(MAX_ACKNOWLEDGED) {
                let proof = self.proof(InboxOperation::Acknowledge(digests), node);
                let request = Request::Acknowledge { proof, digests: digests.to_vec() };
                errands.push(((*node).clone(), request));
            }
        }
        // A lost acknowledgement only means that the mail is recognised the next time.
        self.route.ask_each(self.account.address().inbox(), errands).await;
    }
}

fn first_id(headers: &Headers) -> Option<[u8; 20]> {
    headers.parts.first().map(|part| part.message_id.0)
}
