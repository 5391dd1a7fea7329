//! The k inboxes of one address: what lies in them, handing it over, and acknowledging what is safe.
//!
//! Every node is asked what it holds, by digest, to the end of its list; each notification is then handed over by one
//! node that has it. What a node may tell is bounded by number, and one that lists what it does not hand over is not
//! asked again: a node that lies costs the reader a few answers, and hides nothing that another one has.

use std::collections::{BTreeMap, BTreeSet};

use anon::{
    authorization::{InboxOperation, InboxProof},
    certificate::NodeCertificate,
    id::NodeId,
    mail::NOTIFICATION,
    position::Key,
    request::{
        InboxPage, InboxQuery, MAX_ACKNOWLEDGED, Request, Response, handed_over_at_once,
        listed_at_once,
    },
};
use sha2::{Digest as _, Sha256};

use super::{Digest, Place, Reader, Way};
use crate::error::AgentError;

/// Notifications of one node that a reading looks at: twice what an inbox holds by default.
pub(crate) const MAX_LISTED_BY_ONE: usize = 16_384;
/// Lists that one node is asked for: those of an honest one are full but for the last.
const MAX_LISTS: usize = 32;
/// How many ways to the inbox are tried before a question is given up.
const ATTEMPTS: usize = 3;

/// The inboxes of the reader's address, and the way to them.
pub(super) struct Inbox<'r> {
    reader: &'r Reader<'r>,
    key: Key,
    way: Option<Box<dyn Way>>,
    /// What each node holds, oldest first; those that answered.
    pub(super) held: BTreeMap<NodeId, Vec<Digest>>,
    certificates: BTreeMap<NodeId, NodeCertificate>,
}

/// A list that one node has begun.
struct List {
    node: NodeCertificate,
    from: Option<u64>,
    digests: Vec<Digest>,
    answered: bool,
}

impl<'r> Inbox<'r> {
    pub(super) fn new(reader: &'r Reader<'r>) -> Self {
        let key = reader.account.address().inbox();
        let (held, certificates) = (BTreeMap::new(), BTreeMap::new());
        Self { reader, key, way: None, held, certificates }
    }

    /// Asks every node what it holds: all digests, and those that more nodes hold first.
    ///
    /// # Errors
    /// [`AgentError::NoInbox`] if no node answers, or what kept the reader from asking.
    pub(super) async fn list(&mut self) -> Result<Vec<Digest>, AgentError> {
        let mut last = AgentError::NoInbox;
        for _ in 0..ATTEMPTS {
            match self.list_once().await {
                Ok(()) if !self.held.is_empty() => return Ok(self.by_holders()),
                Ok(()) => self.way = None,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn list_once(&mut self) -> Result<(), AgentError> {
        self.held.clear();
        let nodes = self.open().await?.nodes().to_vec();
        let begin = |node| List { node, from: Some(0), digests: Vec::new(), answered: false };
        let mut lists: Vec<List> = nodes.into_iter().map(begin).collect();
        for _ in 0..MAX_LISTS {
            let open = lists.iter().filter(|list| list.from.is_some()).count();
            if open == 0 {
                break;
            }
            let count = listed_at_once(open);
            let queries = lists.iter().filter_map(|list| {
                Some((list.node.clone(), InboxQuery::List { from: list.from?, count }))
            });
            let queries = queries.collect();
            let mut answers = self.ask(queries).await?.into_iter();
            for list in lists.iter_mut().filter(|list| list.from.is_some()) {
                list.take_in(answers.next().flatten(), count.into());
            }
        }
        for list in lists.into_iter().filter(|list| list.answered) {
            self.certificates.insert(list.node.node(), list.node.clone());
            self.held.insert(list.node.node(), list.digests);
        }
        Ok(())
    }

    /// All digests, those first that more nodes hold, and of those the oldest: what one node makes up comes last.
    fn by_holders(&self) -> Vec<Digest> {
        let mut holders: BTreeMap<Digest, (usize, usize)> = BTreeMap::new();
        for held in self.held.values() {
            for (place, digest) in held.iter().enumerate() {
                let (count, first) = holders.entry(*digest).or_insert((0, place));
                (*count, *first) = (*count + 1, place.min(*first));
            }
        }
        let mut order: Vec<(Digest, (usize, usize))> = holders.into_iter().collect();
        order.sort_by_key(|(_, (count, place))| (std::cmp::Reverse(*count), *place));
        order.into_iter().map(|(digest, _)| digest).collect()
    }

    /// Has these notifications handed over, each by a node that holds it. Those that nobody hands over are left out.
    pub(super) async fn hand_over(&mut self, wanted: &[Digest]) -> Vec<(Digest, Vec<u8>)> {
        let mut wanted: BTreeSet<Digest> = wanted.iter().copied().collect();
        let mut handed_over = Vec::new();
        loop {
            let asked = self.share_out(&wanted);
            if asked.is_empty() {
                return handed_over;
            }
            let queries = asked.iter().filter_map(|(node, digests)| {
                let digests = digests.iter().copied().collect();
                Some((self.certificates.get(node)?.clone(), InboxQuery::HandOver(digests)))
            });
            let queries = queries.collect();
            let Ok(answers) = self.ask(queries).await else { return handed_over };
            for ((node, digests), answer) in asked.into_iter().zip(answers) {
                let mut left = digests.clone();
                let Some(Response::Inbox(InboxPage::HandedOver(notifications))) = answer else {
                    self.forget(&node, None);
                    continue;
                };
                for notification in notifications {
                    let digest: Digest = Sha256::digest(&notification).into();
                    if notification.len() == NOTIFICATION && left.remove(&digest) {
                        wanted.remove(&digest);
                        handed_over.push((digest, notification.into_vec()));
                    }
                }
                // Another copy of this profile may have acknowledged some. Who lacks most of what it listed is not asked
                // for more.
                let is_good = left.len() * 2 <= digests.len();
                self.forget(&node, is_good.then_some(&left));
            }
        }
    }

    /// Shares out what is wanted among the nodes that hold it: to each as much as fits one answer.
    fn share_out(&self, wanted: &BTreeSet<Digest>) -> Vec<(NodeId, BTreeSet<Digest>)> {
        let most = handed_over_at_once(self.held.len());
        let mut asked: BTreeMap<NodeId, BTreeSet<Digest>> = BTreeMap::new();
        let mut given = BTreeSet::new();
        // In turns, so that all have about as much to do.
        let mut left: Vec<_> = self.held.iter().map(|(node, held)| (*node, held.iter())).collect();
        while !left.is_empty() {
            left.retain_mut(|(node, held)| {
                let next = held.find(|digest| wanted.contains(*digest) && !given.contains(*digest));
                let mine = asked.entry(*node).or_default();
                next.is_some_and(|digest| {
                    given.insert(*digest);
                    mine.insert(*digest);
                    mine.len() < most
                })
            });
        }
        asked.into_iter().filter(|(_, digests)| !digests.is_empty()).collect()
    }

    /// Forgets that a node holds these; `None`: that it holds anything.
    fn forget(&mut self, node: &NodeId, digests: Option<&BTreeSet<Digest>>) {
        match (self.held.get_mut(node), digests) {
            (Some(held), Some(digests)) => held.retain(|digest| !digests.contains(digest)),
            (Some(held), None) => held.clear(),
            (None, _) => {}
        }
    }

    /// Tells every node what it may delete. A lost acknowledgement only means that a mail is recognised the next time.
    pub(super) async fn acknowledge(&mut self, done: &BTreeSet<Digest>, holders: &Holders) {
        let mut left: Vec<(NodeId, Vec<Digest>)> = holders
            .0
            .iter()
            .map(|(node, held)| (*node, held.intersection(done).copied().collect()))
            .collect();
        while left.iter().any(|(_, digests)| !digests.is_empty()) {
            let mut requests = Vec::new();
            for (node, digests) in &mut left {
                let some = digests.split_off(digests.len().saturating_sub(MAX_ACKNOWLEDGED));
                if let Some(node) = self.certificates.get(node).filter(|_| !some.is_empty()) {
                    requests.push((node.clone(), some));
                }
            }
            let sent = self.send(|reader| {
                let request = |(node, digests): &(NodeCertificate, Vec<Digest>)| {
                    let proof = reader.proof(InboxOperation::Acknowledge(digests), node);
                    let request = Request::Acknowledge { proof, digests: digests.clone() };
                    (node.clone(), request)
                };
                requests.iter().map(request).collect()
            });
            if sent.await.is_err() {
                return;
            }
        }
    }

    /// What each node holds as it was listed.
    pub(super) fn holders(&self) -> Holders {
        let set = |held: &Vec<Digest>| held.iter().copied().collect();
        Holders(self.held.iter().map(|(node, held)| (*node, set(held))).collect())
    }

    async fn ask(
        &mut self,
        queries: Vec<(NodeCertificate, InboxQuery)>,
    ) -> Result<Vec<Option<Response>>, AgentError> {
        self.send(|reader| {
            let request = |(node, query): &(NodeCertificate, InboxQuery)| {
                let proof = reader.proof(InboxOperation::Read(query), node);
                (node.clone(), Request::ReadInbox { proof, query: query.clone() })
            };
            queries.iter().map(request).collect()
        })
        .await
    }

    /// Sends requests over the way that is open, or a new one if that breaks: with new proofs, since a proof that
    /// came through counts once.
    async fn send(
        &mut self,
        requests: impl Fn(&Reader<'_>) -> Vec<(NodeCertificate, Request)>,
    ) -> Result<Vec<Option<Response>>, AgentError> {
        let mut last = AgentError::NoInbox;
        for _ in 0..ATTEMPTS {
            let reader = self.reader;
            let way = self.open().await?;
            match way.ask_each(requests(reader)).await {
                Ok(answers) => return Ok(answers),
                Err(error) => {
                    self.way = None;
                    last = error;
                }
            }
        }
        Err(last)
    }

    async fn open(&mut self) -> Result<&mut Box<dyn Way>, AgentError> {
        let way = match self.way.take() {
            Some(way) => way,
            None => self.reader.route.open(self.key, Place::Inbox).await?,
        };
        Ok(self.way.insert(way))
    }
}

/// Which node holds what.
pub(super) struct Holders(BTreeMap<NodeId, BTreeSet<Digest>>);

impl List {
    /// Takes in a node's answer; the list is at its end if that was none, or does not go on.
    fn take_in(&mut self, answer: Option<Response>, count: usize) {
        let from = self.from.take();
        let Some(Response::Inbox(InboxPage::List { digests, next })) = answer else { return };
        if digests.len() > count {
            return;
        }
        self.answered = true;
        let is_empty = digests.is_empty();
        self.digests.extend(digests);
        if !is_empty && self.digests.len() < MAX_LISTED_BY_ONE {
            self.from = next.filter(|next| Some(*next) > from);
        }
        self.digests.truncate(MAX_LISTED_BY_ONE);
    }
}

impl Reader<'_> {
    fn proof(&self, operation: InboxOperation<'_>, node: &NodeCertificate) -> InboxProof {
        let secret = self.account.signing();
        let (node, now) = (node.node(), self.context.now());
        InboxProof::sign(secret, &self.certificate, operation, node, now, rand::random())
    }
}

#[cfg(test)]
mod tests {
    use anon::{
        certificate::NodeClaims,
        keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
        time::Validity,
    };

    use net::now;

    use super::*;

    /// A list of one node that has told of so many notifications, and is asked for the next ones.
    fn list(told: usize) -> List {
        let network = net::NetworkFile::parse("name = 'list.alt'").unwrap().network().unwrap();
        let identity = IdentitySecret::from_seed(&[1; 32]);
        let claims = NodeClaims {
            network: network.id,
            identity: NodeId(identity.verify_key().0),
            channel_key: ChannelSecret::from_seed(&[1; 32]).agreement_key(),
            addresses: Vec::new(),
            family: String::new(),
            validity: Validity::starting(now(), 1_000),
            admission: None,
        };
        let node = NodeCertificate::issue(&identity, claims).verify(&network, now()).unwrap();
        List { node, from: Some(7), digests: vec![[0; 32]; told], answered: false }
    }

    /// Where a list goes on, and how long it is, after a node told of so many more, of at most ten, and where to go on.
    fn after(told: usize, more: usize, next: Option<u64>) -> (Option<u64>, usize) {
        let mut list = list(told);
        let digests = vec![[1; 32]; more];
        list.take_in(Some(Response::Inbox(InboxPage::List { digests, next })), 10);
        (list.from, list.digests.len())
    }

    #[test]
    fn a_list_goes_on_while_it_grows_and_is_within_its_bound() {
        assert_eq!(after(0, 10, Some(17)), (Some(17), 10));
        assert_eq!(after(0, 1, None), (None, 1), "the node says that it is at its end");
        assert_eq!(after(0, 10, Some(7)), (None, 10), "it goes round in a circle");
        assert_eq!(after(0, 0, Some(8)), (None, 0), "nothing is told, and more is promised");
        assert_eq!(after(0, 11, Some(18)), (None, 0), "more than was asked for");
        assert_eq!(after(MAX_LISTED_BY_ONE - 11, 10, Some(17)), (Some(17), MAX_LISTED_BY_ONE - 1));
        for told in [MAX_LISTED_BY_ONE - 10, MAX_LISTED_BY_ONE - 1] {
            assert_eq!(after(told, 10, Some(17)), (None, MAX_LISTED_BY_ONE), "{told}");
        }
    }

    #[test]
    fn a_node_that_does_not_list_has_not_answered() {
        for answer in [None, Some(Response::NotFound)] {
            let mut list = list(0);
            list.take_in(answer, 10);
            assert!(!list.answered && list.from.is_none());
        }
    }
}
