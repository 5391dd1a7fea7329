//! What one asks of a node: the paper's five primitives (2.2), its lookup service (2.1), and the request
//! that an anonymizer carries out (4.2), as one enum pair. The same request travels directly or through a channel.
//!
//! Identifiers travel hashed: an inbox node learns an address only when its owner reads. Whatever a field
//! here tells somebody is a row of `THREATMODEL.md`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    authorization::{Deletion, InboxProof},
    certificate::{UnverifiedAddressCertificate, UnverifiedNodeCertificate},
    create::{Create, Created},
    id::{NetworkId, NodeId},
    keys::VerifyKey,
    labels::{self, Label},
    mail::NOTIFICATION,
    network::MAX_K,
    position::Key,
    receipt::{Expected, Receipt, ReceiptKind},
    roster::{MAX_CARRIED, MAX_LISTED, PIECES, ShortDigest},
    time::Time,
    verification::Statement,
    wire::{self, WireError},
};

use view::{MAX_PIECE, ViewRequest};

pub mod view;

pub use crate::inbox::{
    InboxPage, InboxQuery, MAX_DIGESTS, MAX_HANDED_OVER, answer_share, handed_over_at_once,
    listed_at_once,
};
pub use crate::limits::{ANSWER_OVERHEAD, MAX_MESSAGE, MAX_OBJECT};

/// The most delete permissions an object carries, and so the most recipients of one mail.
pub const MAX_DELETERS: usize = 64;
/// The most notifications one acknowledgement names.
pub const MAX_ACKNOWLEDGED: usize = 1024;
/// What kind of object is stored; certificates are checked by the node, bodies are opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectKind {
    /// A sealed e-mail body, or one part of it.
    Body,
    /// An address certificate.
    Certificate,
}

/// Who may delete an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletePermission {
    /// Whoever holds the secret half of this key.
    OneTimeKey(VerifyKey),
    /// The owner of this address, as in the paper.
    Certificate(Box<UnverifiedAddressCertificate>),
}

/// The `store` primitive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Where the object belongs.
    pub key: Key,
    /// What it is.
    pub kind: ObjectKind,
    /// The object, at most [`MAX_OBJECT`] bytes.
    #[serde(with = "serde_bytes")]
    pub object: Vec<u8>,
    /// Who may delete it, at most [`MAX_DELETERS`].
    pub deleters: Vec<DeletePermission>,
    /// The sender's nonce, repeated in the receipt.
    pub nonce: [u8; 16],
}

/// The `append-inbox` primitive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The inbox: the position of its address.
    pub inbox: Key,
    /// The sealed headers, [`crate::mail::NOTIFICATION`] bytes.
    #[serde(with = "serde_bytes")]
    pub notification: Vec<u8>,
    /// The sender's nonce, repeated in the receipt.
    pub nonce: [u8; 16],
}

impl Store {
    /// What the receipt acknowledges: `SHA-256(label ‖ 0x00 ‖ encode(key, kind, object, deleters))`.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let object = serde_bytes::Bytes::new(&self.object);
        digest(labels::STORE_DIGEST, &(&self.key, &self.kind, object, &self.deleters))
    }
}

impl Append {
    /// What the receipt acknowledges: `SHA-256(label ‖ 0x00 ‖ encode(inbox, notification))`.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(labels::APPEND_DIGEST, &(&self.inbox, serde_bytes::Bytes::new(&self.notification)))
    }
}

fn digest<T: Serialize>(label: Label, content: &T) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(label.as_bytes());
    hash.update([0]);
    hash.update(wire::encode(content));
    hash.finalize().into()
}

/// At which nodes an anonymizer is to carry out a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Targets {
    /// At these, at most [`MAX_K`]: the cross-verified replica set. By name only: which certificates of them a sender
    /// has tells when it last compared its roster, and so two of its anonymizers that they serve the same one.
    Nodes(Vec<NodeId>),
    /// At the `count` closest to `key`, which the anonymizer looks up; for requests that change nothing.
    LookedUp {
        /// The key.
        key: Key,
        /// How many, at most [`MAX_K`].
        count: u8,
    },
    /// At the `count` closest by the anonymizer's roster, without a lookup; likewise.
    Closest {
        /// The key.
        key: Key,
        /// How many, at most [`MAX_K`].
        count: u8,
    },
}

/// What one asks of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Keep an object.
    Store(Store),
    /// Hand out an object.
    Fetch {
        /// Where it belongs.
        key: Key,
    },
    /// Remove one permission from an object; the last one takes the object with it.
    Delete(Deletion),
    /// Add a notification to an inbox.
    AppendInbox(Append),
    /// List an inbox's notifications to its owner, or hand some over.
    ReadInbox {
        /// Who asks, for exactly this.
        proof: InboxProof,
        /// For what.
        query: InboxQuery,
    },
    /// Delete notifications that the owner holds safely.
    Acknowledge {
        /// Who says so.
        proof: InboxProof,
        /// SHA-256 of each notification, at most [`MAX_ACKNOWLEDGED`].
        digests: Vec<[u8; 32]>,
    },
    /// Look up the `count` nodes closest to `key` in the DHT, and list their certificates.
    Lookup {
        /// The key.
        key: Key,
        /// How many, at most [`MAX_K`].
        count: u8,
    },
    /// Hand out the node's own certificate.
    Certificate,
    /// Carry a request out at other nodes and bring back their answers: the anonymizer.
    Perform {
        /// Where.
        targets: Targets,
        /// What; no `Perform` and no `Extend` inside.
        #[serde(deserialize_with = "wire::innermost")]
        request: Box<Self>,
    },
    /// Open a channel to one more node and from then on only forward: the go-between. Through channels only.
    Extend {
        /// The next node.
        next: Box<UnverifiedNodeCertificate>,
        /// The handshake for it.
        create: Box<Create>,
    },
    /// State, from the roster and without any lookup, which `count` nodes are closest to `key`.
    Closest {
        /// The key.
        key: Key,
        /// How many, at most [`MAX_K`].
        count: u8,
    },
    /// Compare rosters: the digests of the asker's pieces.
    Roster {
        /// [`crate::roster::PIECES`] digests.
        pieces: Vec<ShortDigest>,
    },
    /// Hand out certificates of the roster.
    RosterEntries {
        /// Which, at most [`crate::roster::MAX_CARRIED`].
        wanted: Vec<ShortDigest>,
    },
    /// Carry several requests out, each at a node of its own, and bring back the answers in order.
    PerformEach(Vec<ProxiedRequest>),
    /// Tell the time, over a link of one's own: nodes compare their clocks.
    Time,
    /// Something for the sake of the view, over a link of one's own.
    View(ViewRequest),
}

/// One request for one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxiedRequest {
    /// Where; by name, as in [`Targets::Nodes`].
    pub target: NodeId,
    /// What; no proxied request inside.
    #[serde(deserialize_with = "wire::innermost")]
    pub request: Request,
}

/// One node's answer to a proxied request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The node.
    pub node: NodeId,
    /// What it answered, no `Performed`; `None`: it could not be reached in time.
    #[serde(deserialize_with = "wire::innermost")]
    pub response: Option<Response>,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Stored or appended, durably.
    Receipt(Box<Receipt>),
    /// The object asked for.
    Object(#[serde(with = "serde_bytes")] Vec<u8>),
    /// This permission is gone from the object (or already was).
    Deleted,
    /// What an inbox holds, or some of it.
    Inbox(InboxPage),
    /// That many notifications were deleted.
    Acknowledged(u32),
    /// The nodes that were looked up, closest first.
    LookedUp(Vec<UnverifiedNodeCertificate>),
    /// The node's certificate.
    Certificate(Box<UnverifiedNodeCertificate>),
    /// What the targets answered.
    Performed {
        /// The nodes that [`Targets::LookedUp`] turned out to be; empty for [`Targets::Nodes`].
        nodes: Vec<UnverifiedNodeCertificate>,
        /// One answer a target.
        answers: Vec<Answer>,
    },
    /// The next node's half of the handshake.
    Extended(Box<Created>),
    /// No such object here.
    NotFound,
    /// No room, even after garbage collection.
    Full,
    /// No; nobody is told why.
    Refused,
    /// The closest nodes by the answerer's roster, signed.
    Closest(Box<Statement>),
    /// How the rosters compare.
    Roster {
        /// A bit for each piece, set where the two are alike; 32 bytes.
        alike: [u8; 32],
        /// The certificates that the answerer tells of, in the other pieces.
        listed: Vec<ShortDigest>,
    },
    /// Certificates of the roster.
    RosterEntries(Vec<UnverifiedNodeCertificate>),
    /// The time by the answerer's clock.
    Time(Time),
    /// What was asked for the sake of the view, at most [`MAX_PIECE`] bytes.
    View(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl Request {
    /// Reads a request from a whole frame.
    ///
    /// # Errors
    /// [`WireError`], also for counts beyond their bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let request: Self = wire::decode(bytes, MAX_MESSAGE)?;
        if request.is_in_bounds() { Ok(request) } else { Err(WireError::Malformed) }
    }

    /// Whether all counts are within their bounds and no proxied request is inside a proxied request.
    #[must_use]
    pub fn is_in_bounds(&self) -> bool {
        match self {
            Self::Store(store) => {
                store.object.len() <= MAX_OBJECT && store.deleters.len() <= MAX_DELETERS
            }
            Self::AppendInbox(append) => append.notification.len() == NOTIFICATION,
            Self::ReadInbox { query, .. } => query.is_in_bounds(),
            Self::Acknowledge { digests, .. } => digests.len() <= MAX_ACKNOWLEDGED,
            Self::Lookup { count, .. } => (1..=MAX_K).contains(&usize::from(*count)),
            Self::Perform { targets, request } => {
                let plain = request.is_plain();
                let few = match targets {
                    Targets::Nodes(nodes) => nodes.len() <= MAX_K,
                    Targets::LookedUp { count, .. } | Targets::Closest { count, .. } => {
                        (1..=MAX_K).contains(&usize::from(*count)) && !request.changes_state()
                    }
                };
                plain && few && request.is_in_bounds()
            }
            Self::Closest { count, .. } => (1..=MAX_K).contains(&usize::from(*count)),
            Self::Roster { pieces } => pieces.len() == PIECES,
            Self::RosterEntries { wanted } => wanted.len() <= MAX_CARRIED,
            Self::PerformEach(proxied_requests) => {
                let good = |e: &ProxiedRequest| e.request.is_plain() && e.request.is_in_bounds();
                proxied_requests.len() <= MAX_K && proxied_requests.iter().all(good)
            }
            Self::Fetch { .. } | Self::Delete(_) | Self::Certificate | Self::Time => true,
            Self::Extend { next, .. } => next.is_in_bounds(),
            Self::View(view) => view.is_in_bounds(),
        }
    }

    /// Whether it is no proxied request, no extension and nothing about the view, so that it may be inside a proxied
    /// request.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        !matches!(
            self,
            Self::Perform { .. } | Self::PerformEach(_) | Self::Extend { .. } | Self::View(_)
        )
    }

    /// Whether carrying it out twice could differ from once: such a request never rides in a handshake's
    /// first message, which can be replayed. What is about the view rides in none at all.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        match self {
            Self::Store(_)
            | Self::Delete(_)
            | Self::AppendInbox(_)
            | Self::ReadInbox { .. }
            | Self::Acknowledge { .. }
            | Self::Extend { .. }
            | Self::View(_) => true,
            Self::Fetch { .. }
            | Self::Lookup { .. }
            | Self::Certificate
            | Self::Time
            | Self::Closest { .. }
            | Self::Roster { .. }
            | Self::RosterEntries { .. } => false,
            Self::Perform { request, .. } => request.changes_state(),
            Self::PerformEach(proxied_requests) => {
                proxied_requests.iter().any(|e| e.request.changes_state())
            }
        }
    }
}

impl Response {
    /// Reads a response from a whole frame.
    ///
    /// # Errors
    /// [`WireError`], also for counts beyond their bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let response: Self = wire::decode(bytes, MAX_MESSAGE)?;
        if response.is_in_bounds() { Ok(response) } else { Err(WireError::Malformed) }
    }

    /// Whether all counts and lengths are within their bounds: what an honest node answers is, and what nobody bounds
    /// somebody keeps.
    #[must_use]
    pub fn is_in_bounds(&self) -> bool {
        let all = |certificates: &[UnverifiedNodeCertificate], most: usize| {
            certificates.len() <= most && certificates.iter().all(|c| c.is_in_bounds())
        };
        match self {
            Self::Object(object) => object.len() <= MAX_OBJECT,
            Self::View(bytes) => bytes.len() <= MAX_PIECE,
            Self::Inbox(page) => page.is_in_bounds(),
            Self::LookedUp(nodes) => all(nodes, MAX_K),
            Self::Certificate(certificate) => certificate.is_in_bounds(),
            Self::Performed { nodes, answers } => {
                let good = |a: &Answer| a.response.as_ref().is_none_or(Self::is_in_bounds);
                all(nodes, MAX_K) && answers.len() <= MAX_K && answers.iter().all(good)
            }
            Self::Closest(statement) => statement.claims.closest.len() <= MAX_K,
            Self::Roster { listed, .. } => listed.len() <= MAX_LISTED,
            Self::RosterEntries(entries) => all(entries, MAX_CARRIED),
            Self::Receipt(_)
            | Self::Deleted
            | Self::Acknowledged(_)
            | Self::Extended(_)
            | Self::NotFound
            | Self::Full
            | Self::Refused
            | Self::Time(_) => true,
        }
    }
}
impl Expected {
    /// What is expected of whoever performs this request; `None` if it is none that receipts are given for.
    #[must_use]
    pub fn of(request: &Request, network: NetworkId, keep_until: Time) -> Option<Self> {
        let (kind, key, digest, content, nonce) = match request {
            Request::Store(s) => (ReceiptKind::Stored, s.key, s.digest(), &s.object, s.nonce),
            Request::AppendInbox(a) => {
                (ReceiptKind::Appended, a.inbox, a.digest(), &a.notification, a.nonce)
            }
            _ => return None,
        };
        let size = u64::try_from(content.len()).unwrap_or(u64::MAX);
        Some(Self { network, kind, key, digest, size, nonce, keep_until })
    }
}
