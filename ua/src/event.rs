//! What happens while an agent works, for whoever shows it: the terminal, the demo, a test.

use std::sync::Arc;

use anon::{
    id::NodeId,
    selection::{GuardedPath, SampledKeys},
};
use libp2p::PeerId;

use crate::{error::AgentError, violation::Evidence};

/// What a channel or a step is for.
#[derive(Clone, Copy, Debug, derive_more::Display, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Fetching the recipient's certificate.
    #[display("certificate")]
    Certificate,
    /// Storing a body: through the anonymizer.
    #[display("body")]
    Body,
    /// Checking a body's replica list: the verifier.
    #[display("body check")]
    BodyCheck,
    /// Appending to an inbox: through the anonymizer.
    #[display("inbox")]
    Inbox,
    /// Checking an inbox's replica list: the verifier.
    #[display("inbox check")]
    InboxCheck,
    /// Reading: an inbox, or the bodies of one mail.
    #[display("reading")]
    Reading,
    /// Nothing yet: built ahead.
    #[display("channel ahead")]
    Ahead,
}

impl Purpose {
    /// The verifier's purpose beside an anonymizer's.
    #[must_use]
    pub(crate) const fn check(self) -> Self {
        match self {
            Self::Body | Self::BodyCheck => Self::BodyCheck,
            Self::Inbox | Self::InboxCheck => Self::InboxCheck,
            Self::Certificate | Self::Reading | Self::Ahead => self,
        }
    }
}

/// The nodes of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// X.
    pub go_between: NodeId,
    /// M: go-betweens behind X, in the guarded scheme.
    pub middle: Vec<NodeId>,
    /// Y, which confirmed the anonymizer.
    pub witness: NodeId,
    /// Z, or W.
    pub anonymizer: NodeId,
}

impl From<&GuardedPath> for Path {
    fn from(path: &GuardedPath) -> Self {
        Self {
            go_between: path.guard.node(),
            middle: path.middle.iter().map(|(_, node)| node.node()).collect(),
            witness: path.witness.1.node(),
            anonymizer: path.anonymizer.1.node(),
        }
    }
}

impl Path {
    /// The nodes that cells pass, from the guard to the anonymizer.
    #[must_use]
    pub fn along(&self) -> Vec<NodeId> {
        [self.go_between].iter().chain(&self.middle).chain([&self.anonymizer]).copied().collect()
    }

    /// The nodes that the question to the witness of a guarded path passes, and the witness.
    #[must_use]
    pub fn to_witness(&self) -> Vec<NodeId> {
        [self.go_between].iter().chain(&self.middle).chain([&self.witness]).copied().collect()
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A channel stands.
    Channel {
        /// What for.
        purpose: Purpose,
        /// Its nodes.
        path: Path,
        /// The keys that were sampled for it.
        keys: SampledKeys,
    },
    /// A disposable identity was made, to be used towards a node, or a few.
    Identity(PeerId),
    /// Two answers that should agree do not.
    Disagreed {
        /// What for.
        purpose: Purpose,
        /// How they differ.
        disagreement: anon::verification::Disagreement,
    },
    /// Anonymizer and verifier agree on the replicas.
    Agreed {
        /// What for.
        purpose: Purpose,
        /// The replicas, closest first.
        replicas: Vec<NodeId>,
    },
    /// Receipts were verified.
    Receipts {
        /// What for.
        purpose: Purpose,
        /// How many so far, from distinct replicas.
        valid: usize,
        /// How many were hoped for.
        wanted: usize,
    },
    /// A node did what honest ones do not.
    Evidence(Evidence),
    /// The agent's roster is known to be incomplete: what is closest to a key is looked up in the DHT, by the far
    /// ends of channels.
    Incomplete {
        /// Why.
        reason: anon::roster::Reason,
    },
    /// A chosen random delay between a mail's body and its notification.
    Waiting {
        /// How long, whole seconds.
        seconds: u64,
    },
    /// So many announced mails of an account were tried.
    Tried {
        /// How many so far.
        tried: usize,
        /// Of how many.
        all: usize,
    },
    /// The inboxes of the addresses for answers are read now.
    ReadingAnswers,
    /// The mail of an address for answers was not read.
    NotRead {
        /// Why.
        reason: String,
    },
    /// It was not seen to that one's own certificate is in the network.
    NotPublished {
        /// Why.
        reason: String,
    },
    /// Something failed and is tried again with other nodes.
    Retry {
        /// What for.
        purpose: Purpose,
        /// Why.
        reason: String,
    },
}

impl Event {
    /// What an attempt that failed, and is made again, is to whoever watches.
    #[must_use]
    pub(crate) fn failed(purpose: Purpose, error: &AgentError) -> Self {
        match error {
            AgentError::Disagreement(disagreement) => {
                Self::Disagreed { purpose, disagreement: disagreement.clone() }
            }
            error => Self::Retry { purpose, reason: error.to_string() },
        }
    }
}

/// Is told what happens.
pub trait Listener: Send + Sync {
    /// Something happened.
    fn on(&self, event: &Event);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Listener for Silent {
    fn on(&self, _: &Event) {}
}

/// A listener that several tasks share.
pub type SharedListener = Arc<dyn Listener>;
