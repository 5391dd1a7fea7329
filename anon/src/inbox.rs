//! Reading an inbox in two steps (paper, 2.2): what lies there, by digest, and then what the owner does not have yet.
//!
//! ```text
//! list  from, count ─► digests, oldest first, and where the list goes on
//! hand over digests ─► those notifications that are there, each once
//! ```
//! The k inboxes of an owner hold the same notifications, of 4 KiB each. Digests of 32 bytes tell the owner what
//! lies where, so that each notification travels once and not k times, and what could not be fetched the last time
//! not at all. An owner goes on behind what it cannot settle: nothing at the head of an inbox hides what follows.
//!
//! **Invariant:** a list goes on by a number of the node's own, which says how many notifications came before. Its
//! owner's proof covers it. It is good while the inbox is not empty, so nobody keeps it from one reading to the next.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    certificate::MAX_NODE_CERTIFICATE,
    limits::{ANSWER_OVERHEAD, MAX_MESSAGE},
    mail::NOTIFICATION,
    network::MAX_K,
};

/// The most digests one answer lists.
pub const MAX_DIGESTS: usize = 4_096;
/// The most notifications one answer hands over: a mebibyte of them.
pub const MAX_HANDED_OVER: usize = 253;
/// What an answer takes beside what it lists or hands over, encoded, with some to spare, bytes.
const FRAME: usize = 128;

/// What an owner wants of an inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InboxQuery {
    /// The digests of what lies there.
    List {
        /// The first arrival number that counts; 0: from the oldest on.
        from: u64,
        /// How many at most, up to [`MAX_DIGESTS`].
        count: u16,
    },
    /// The notifications with these digests, at most [`MAX_HANDED_OVER`].
    HandOver(Vec<[u8; 32]>),
}

impl InboxQuery {
    /// The longest list, from the oldest notification on.
    pub const FROM_THE_OLDEST: Self = Self::List { from: 0, count: 4_096 };

    /// Whether its counts are within their bounds.
    #[must_use]
    pub(crate) fn is_in_bounds(&self) -> bool {
        match self {
            Self::List { count, .. } => (1..=MAX_DIGESTS).contains(&usize::from(*count)),
            Self::HandOver(digests) => digests.len() <= MAX_HANDED_OVER,
        }
    }
}

/// What an inbox node answers to its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InboxPage {
    /// What lies there.
    List {
        /// SHA-256 of each notification, oldest first.
        digests: Vec<[u8; 32]>,
        /// From where on more is listed; `None`: this was the end.
        next: Option<u64>,
    },
    /// Notifications that were asked for by their digests; those that are not there are left out.
    HandedOver(Vec<ByteBuf>),
}

impl InboxPage {
    /// Whether its counts and lengths are within their bounds.
    #[must_use]
    pub(crate) fn is_in_bounds(&self) -> bool {
        match self {
            Self::List { digests, .. } => digests.len() <= MAX_DIGESTS,
            Self::HandedOver(notifications) => {
                notifications.len() <= MAX_HANDED_OVER
                    && notifications.iter().all(|n| n.len() <= NOTIFICATION)
            }
        }
    }
}

/// How many bytes of a `super::Response::Performed` one answer may take, encoded, where so many nodes are asked:
/// each an equal share of a message, so that no node's answer pushes out another's. What is longer is dropped, for
/// that node alone.
#[must_use]
pub fn answer_share(nodes: usize) -> usize {
    let room = MAX_MESSAGE.saturating_sub(MAX_K * MAX_NODE_CERTIFICATE + ANSWER_OVERHEAD);
    room / nodes.max(1)
}

/// How many digests each of so many nodes may list in one message, if they are asked at once.
#[must_use]
pub fn listed_at_once(nodes: usize) -> u16 {
    let fits = answer_share(nodes).saturating_sub(FRAME) / 32;
    u16::try_from(fits.clamp(1, MAX_DIGESTS)).unwrap_or(u16::MAX)
}

/// How many notifications each of so many nodes may hand over in one message, if they are asked at once.
#[must_use]
pub fn handed_over_at_once(nodes: usize) -> usize {
    let fits = answer_share(nodes).saturating_sub(FRAME) / (NOTIFICATION + 3);
    fits.clamp(1, MAX_HANDED_OVER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::NodeId,
        request::{Answer, MAX_OBJECT, Response},
        wire,
    };

    fn length(response: Response) -> usize {
        wire::encode(&Answer { node: NodeId([1; 32]), response: Some(response) }).len()
    }

    #[test]
    fn the_longest_answers_fit_their_shares_and_all_shares_one_message() {
        assert!(length(Response::Object(vec![1; MAX_OBJECT])) <= answer_share(1));
        for nodes in 1..=MAX_K {
            let count = usize::from(listed_at_once(nodes));
            let list = InboxPage::List { digests: vec![[1; 32]; count], next: Some(u64::MAX) };
            assert!(length(Response::Inbox(list)) <= answer_share(nodes), "{nodes}");
            let notifications =
                vec![ByteBuf::from(vec![1; NOTIFICATION]); handed_over_at_once(nodes)];
            let handed_over = InboxPage::HandedOver(notifications);
            assert!(length(Response::Inbox(handed_over)) <= answer_share(nodes), "{nodes}");
            let certificates = nodes * MAX_NODE_CERTIFICATE;
            assert!(
                answer_share(nodes) * nodes + certificates + ANSWER_OVERHEAD <= MAX_MESSAGE,
                "{nodes}"
            );
        }
        assert!(handed_over_at_once(MAX_K) >= 12 && listed_at_once(MAX_K) >= 1_600);
    }
}
