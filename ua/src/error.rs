//! Why an agent's work fails, and the exit code that tells a script (sysexits).

use anon::{mail::MailError, verification::Disagreement};
use node::LinkError;
use thiserror::Error;

use crate::{maildir::MaildirError, vault::VaultError};

/// Why sending, fetching or publishing fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// No node of the network answers.
    #[error("no node of the network can be reached")]
    NoNode,
    /// Fewer than two nodes answer, so nothing can be compared.
    #[error(
        "only one node of the network can be reached, and one answer cannot be compared with another"
    )]
    OneNode,
    /// Whoever answers may be one operator, whose word for a node is not enough.
    #[error(
        "all nodes that answer are of one family or one subnet; two operators must vouch for each node"
    )]
    OneOperator,
    /// Whoever would take this agent's mail into the network is not there.
    #[error("neither the guard nor its spare can be reached")]
    NoGuard,
    /// The roster has too few nodes of different operators that have been known for an epoch.
    #[error("too few nodes have been known for an epoch to choose a path among them")]
    RosterTooSmall,
    /// A path needs a go-between, a witness and a far end, and a verifier another far end; draw after draw
    /// fell on the same nodes.
    #[error("the network has too few nodes for a path of different ones")]
    TooFewNodes,
    /// Nobody holds a valid certificate for this address.
    #[error("no certificate for this address is stored in the network")]
    NoSuchRecipient,
    /// No node that keeps the inbox answered, whichever way it was asked.
    #[error("none of the nodes that keep this inbox answered")]
    NoInbox,
    /// Certificates or lists disagree, attempt after attempt.
    #[error("{0}")]
    Disagreement(#[from] Disagreement),
    /// The network is smaller than its file says it must be.
    #[error("the network names only {found} replicas where {wanted} are needed")]
    TooFewReplicas {
        /// How many were named.
        found: usize,
        /// How many receipts a success needs.
        wanted: usize,
    },
    /// Not enough replicas acknowledged.
    #[error("only {valid} of {wanted} needed receipts came back{}", if *.full { " (the nodes have no room)" } else { "" })]
    NotEnoughReceipts {
        /// Valid receipts.
        valid: usize,
        /// The quorum.
        wanted: usize,
        /// Whether nodes said that they have no room.
        full: bool,
    },
    /// A link or a channel failed.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// A node answered something that is no answer to the question.
    #[error("a node refused, or answered something else than it was asked")]
    BadAnswer,
    /// The mail cannot be sealed.
    #[error("{0}")]
    Mail(#[from] MailError),
    /// The sealed files of this user.
    #[error("{0}")]
    Vault(#[from] VaultError),
    /// The Maildir.
    #[error("{0}")]
    Maildir(#[from] MaildirError),
    /// A sealed file does not hold what its name says.
    #[error("the sealed file {0} does not hold what it should")]
    BadFile(String),
}

impl AgentError {
    /// The sysexits code: 65 data, 67 no user, 69 unavailable, 73 cannot create, 75 try again, 76 protocol.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoNode | Self::OneNode | Self::NoGuard => 69,
            Self::NoSuchRecipient => 67,
            Self::Disagreement(_) => 76,
            Self::OneOperator
            | Self::RosterTooSmall
            | Self::TooFewNodes
            | Self::TooFewReplicas { .. }
            | Self::NotEnoughReceipts { .. }
            | Self::NoInbox
            | Self::Link(_)
            | Self::BadAnswer => 75,
            Self::Mail(_) => 65,
            Self::Vault(_) | Self::Maildir(_) | Self::BadFile(_) => 73,
        }
    }

    /// What the person at the terminal can do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NoNode | Self::OneNode => {
                "check the bootstrap addresses in the network file, and this machine's connection"
            }
            Self::NoGuard => {
                "check this machine's connection; if that is good, wait: guards that are gone are replaced within two epochs"
            }
            Self::NoSuchRecipient => {
                "check the address; its owner must have run `cutout init` or `cutout fetch` while connected"
            }
            Self::NoInbox => "run `cutout fetch` again: your mail stays where it is",
            Self::Disagreement(_) => {
                "some node lies, or the network is changing: run `cutout outbox` later"
            }
            Self::OneOperator => {
                "name bootstrap nodes of different operators, or use --scheme paper and read what it leaks"
            }
            Self::RosterTooSmall => {
                "wait for the network's next epoch, or use --scheme paper and read what it leaks"
            }
            Self::TooFewNodes => {
                "run `cutout outbox`; in a network of fewer than some 15 nodes a mail may need several runs, or --hops 0"
            }
            Self::TooFewReplicas { .. } => {
                "the network needs more nodes, or a smaller k in its file"
            }
            Self::NotEnoughReceipts { .. } | Self::Link(_) | Self::BadAnswer => {
                "run `cutout outbox` later: it picks up where this stopped"
            }
            Self::Mail(_) => "send a smaller mail, or fewer and shorter headers",
            Self::Vault(_) | Self::Maildir(_) | Self::BadFile(_) => {
                "check the disk, the directory's permissions and the passphrase"
            }
        }
    }
}
