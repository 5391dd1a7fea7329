//! Why an agent's work fails, and the exit code that tells a script (sysexits).

use anon::{mail::MailError, verification::Disagreement};
use net::{LinkError, TransportLost};
use thiserror::Error;

use crate::{account::AccountError, maildir::MaildirError, vault::VaultError};

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
    /// The network has fewer nodes than an anonymous mail needs.
    #[error(
        "this network has {known} {}, as far as this agent knows; an anonymous mail needs {needed}: {} {} missing",
        if *.known == 1 { "node" } else { "nodes" },
        .needed.saturating_sub(*.known),
        if .needed.saturating_sub(*.known) == 1 { "is" } else { "are" }
    )]
    NetworkTooSmall {
        /// How many nodes are known and alive.
        known: usize,
        /// How many an anonymous mail needs.
        needed: usize,
    },
    /// The roster has too few nodes of different operators that have been known for an epoch.
    #[error("too few nodes have been known for an epoch to choose a path among them")]
    RosterTooSmall,
    /// A path needs a go-between, a witness and an anonymizer, and a verifier another anonymizer; sample after sample
    /// fell on the same nodes.
    #[error("the network has too few nodes for a path of different ones")]
    TooFewNodes,
    /// Quorums of the nodes that would hold a certificate for this address agree that they have none.
    #[error("no certificate for this address is stored in the network")]
    NoSuchRecipient,
    /// Neither a certificate nor a quorum of nodes that have none was found.
    #[error(
        "whether this address exists could not be found out: too few of the nodes that would know it answered, or their answers do not agree"
    )]
    NotFoundOut,
    /// Another command of the same user is sending this mail now.
    #[error("another cutout command is sending this mail now")]
    BeingSent,
    /// No node that keeps the inbox answered, whichever way it was asked.
    #[error("none of the nodes that keep this inbox answered")]
    NoInbox,
    /// Certificates or lists disagree, attempt after attempt.
    #[error(transparent)]
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
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What links go over is gone.
    #[error(transparent)]
    Lost(#[from] TransportLost),
    /// A node answered something that is no answer to the question.
    #[error("a node refused, or answered something else than it was asked")]
    BadAnswer,
    /// The mail cannot be sealed.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The sealed files of this user.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// One's own address.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The Maildir.
    #[error(transparent)]
    Maildir(#[from] MaildirError),
    /// The guards are lost, and sampling others is not for the program to decide.
    #[error("{0}")]
    LostGuards(VaultError),
    /// A sealed file opens, so it is whole, and does not hold what this program writes there.
    #[error("vault/{0} is whole, but another version of cutout wrote it")]
    BadFile(String),
}

impl AgentError {
    /// Whether nobody in the network has heard of an attempt that ended so.
    #[must_use]
    pub(crate) const fn has_reached_nobody(&self) -> bool {
        matches!(self, Self::NoNode | Self::NoGuard)
    }

    /// Whether what kept one recipient from being served would keep all others, too.
    #[must_use]
    pub(crate) const fn is_everybodys(&self) -> bool {
        self.has_reached_nobody() || matches!(self, Self::NetworkTooSmall { .. })
    }

    /// The sysexits code: 65 data, 67 no user, 69 unavailable, 73 cannot create, 74 a file or the disk, 75 try again,
    /// 76 protocol, 77 passphrase, 78 another version.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoNode | Self::OneNode | Self::NoGuard | Self::Lost(_) => 69,
            Self::NoSuchRecipient => 67,
            Self::Disagreement(_) => 76,
            Self::OneOperator
            | Self::NetworkTooSmall { .. }
            | Self::RosterTooSmall
            | Self::TooFewNodes
            | Self::NotFoundOut
            | Self::BeingSent
            | Self::TooFewReplicas { .. }
            | Self::NotEnoughReceipts { .. }
            | Self::NoInbox
            | Self::Link(_)
            | Self::BadAnswer => 75,
            Self::Mail(_) => 65,
            Self::Vault(error)
            | Self::LostGuards(error)
            | Self::Account(AccountError::Vault(error)) => error.exit_code(),
            Self::Maildir(error) => error.exit_code(),
            Self::Account(_) | Self::BadFile(_) => 78,
        }
    }

    /// What the person at the terminal can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
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
            Self::NotFoundOut => "run `cutout outbox` later: the nodes are asked again",
            Self::BeingSent => "let it end; `cutout outbox --list` tells what still waits",
            Self::NoInbox => "run `cutout fetch` again: your mail stays where it is",
            Self::Disagreement(_) => {
                "some node lies, or the network is changing: run `cutout outbox` later"
            }
            Self::OneOperator => {
                "run `cutout outbox` later, or name bootstrap nodes of different operators in the network file"
            }
            Self::NetworkTooSmall { .. } => {
                "run `cutout outbox` when the network has grown and an epoch has passed"
            }
            Self::RosterTooSmall => "wait for the network's next epoch, then run `cutout outbox`",
            Self::TooFewNodes => {
                "run `cutout outbox`: other nodes are chosen; in a small network that may take several runs"
            }
            Self::TooFewReplicas { .. } => {
                "the network needs more nodes, or a smaller k in its file"
            }
            Self::Lost(_) => "run `cutout doctor`. Nothing went around Tor",
            Self::NotEnoughReceipts { .. } | Self::Link(_) | Self::BadAnswer => {
                "run `cutout outbox` later: it picks up where this stopped"
            }
            Self::Mail(_) => "send a smaller mail, or fewer and shorter headers",
            Self::LostGuards(VaultError::Damaged(_)) => {
                "restore that file from your backup. Without a backup remove it: the next mail chooses another guard, \
                 which is one more node that learns this machine's address"
            }
            Self::Vault(error) | Self::LostGuards(error) => error.remedy(),
            Self::Account(error) => error.remedy(),
            Self::Maildir(error) => error.remedy(),
            Self::BadFile(name) => VaultError::OtherForm(name.clone()).remedy(),
        }
    }

    /// The same for who reads: their mail stays where it is.
    #[must_use]
    pub fn reading_remedy(&self) -> &'static str {
        match self {
            Self::Disagreement(_) => {
                "some node lies, or the network is changing: run `cutout fetch` later; your mail stays in the inbox"
            }
            Self::OneOperator => {
                "run `cutout fetch` later, or name bootstrap nodes of different operators in the network file"
            }
            Self::NetworkTooSmall { .. } => {
                "run `cutout fetch` when the network has grown and an epoch has passed; your mail stays in the inbox"
            }
            Self::RosterTooSmall => {
                "wait for the network's next epoch, then run `cutout fetch`: your mail stays in the inbox"
            }
            Self::BeingSent
            | Self::NotFoundOut
            | Self::TooFewNodes
            | Self::TooFewReplicas { .. }
            | Self::NotEnoughReceipts { .. }
            | Self::Link(_)
            | Self::BadAnswer => "run `cutout fetch` later: your mail stays in the inbox",
            // None of these speaks of sending.
            Self::NoNode
            | Self::OneNode
            | Self::NoGuard
            | Self::NoSuchRecipient
            | Self::NoInbox
            | Self::Lost(_)
            | Self::Mail(_)
            | Self::Vault(_)
            | Self::Account(_)
            | Self::Maildir(_)
            | Self::LostGuards(_)
            | Self::BadFile(_) => self.remedy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sent is kept in the outbox, and what is read is not.
    #[test]
    fn a_reader_is_never_sent_to_the_outbox() {
        let errors = [
            AgentError::NoNode,
            AgentError::OneNode,
            AgentError::OneOperator,
            AgentError::NoGuard,
            AgentError::NetworkTooSmall { known: 1, needed: 2 },
            AgentError::RosterTooSmall,
            AgentError::TooFewNodes,
            AgentError::NoSuchRecipient,
            AgentError::NotFoundOut,
            AgentError::BeingSent,
            AgentError::NoInbox,
            AgentError::Disagreement(Disagreement::Lists { only_first: 1, only_second: 1 }),
            AgentError::TooFewReplicas { found: 1, wanted: 2 },
            AgentError::NotEnoughReceipts { valid: 1, wanted: 2, full: true },
            AgentError::Link(LinkError::TimedOut),
            AgentError::BadAnswer,
            AgentError::Mail(MailError::TooLong),
            AgentError::Vault(VaultError::NotFound),
            AgentError::LostGuards(VaultError::NotFound),
            AgentError::LostGuards(VaultError::Damaged("guards".to_owned())),
            AgentError::Maildir(MaildirError::NotFound),
            AgentError::BadFile("guards".to_owned()),
        ];
        for error in errors {
            let remedy = error.reading_remedy();
            assert!(!remedy.contains("outbox"), "{error:?}: {remedy}");
        }
    }
}
