//! Proxied requests (paper, 4.2): an anonymizer performs a request at the k nodes and brings back what they answer.
//!
//! **Invariant:** however many nodes a proxied request names, what they answer takes no more memory than one message: each
//! has its share of it, and no more than that is read of what it says.

use std::collections::BTreeSet;

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    receipt::Expected,
    request::{ANSWER_OVERHEAD, Answer, ProxiedRequest, Request, Response, Targets, answer_share},
    time::Time,
    wire,
};
use futures::future::join_all;
use net::{client::ask_within, link::LinkError, observer::Via, peer::Peer};

use super::{Service as _, StandardService};

impl StandardService {
    pub(super) async fn perform(
        &self,
        peer: &Peer,
        targets: Targets,
        request: Request,
    ) -> Response {
        let found = match targets {
            Targets::Nodes(mut nodes) => {
                // One node named many times is asked once: a proxied request is no amplifier.
                let mut seen = BTreeSet::new();
                nodes.retain(|node| seen.insert(*node));
                let share = answer_share(nodes.len());
                let performed =
                    nodes.iter().map(|node| self.perform_at_known(*node, &request, share));
                let answers = join_all(performed).await;
                return Response::Performed { nodes: Vec::new(), answers };
            }
            Targets::LookedUp { key, count } => {
                let Some(found) = self.looked_up_for(peer, key, usize::from(count)).await else {
                    return Response::Refused;
                };
                found
            }
            Targets::Closest { key, count } => {
                let epoch = self.network.epoch(self.clock.now());
                self.roster.with(|roster| roster.closest(&key, usize::from(count), epoch))
            }
        };
        let nodes = found.iter().map(NodeCertificate::to_unverified).collect();
        let share = answer_share(found.len());
        let performed = found.iter().map(|target| self.perform_at(target, &request, share));
        Response::Performed { nodes, answers: join_all(performed).await }
    }

    /// Performs each proxied request at its own node, all at once. A node that is named again is not asked again: a proxied
    /// request is no amplifier.
    pub(super) async fn perform_each(&self, proxied_requests: Vec<ProxiedRequest>) -> Response {
        let mut seen = BTreeSet::new();
        let fresh: Vec<bool> =
            proxied_requests.iter().map(|proxied| seen.insert(proxied.target)).collect();
        let share = answer_share(proxied_requests.len());
        let performed = proxied_requests.iter().zip(fresh).map(async |(proxied, is_fresh)| {
            if is_fresh {
                self.perform_at_known(proxied.target, &proxied.request, share).await
            } else {
                Answer { node: proxied.target, response: None }
            }
        });
        Response::Performed { nodes: Vec::new(), answers: join_all(performed).await }
    }

    /// Performs at a node that this one knows; one that it does not know gives no answer.
    async fn perform_at_known(&self, node: NodeId, request: &Request, share: usize) -> Answer {
        match self.directory.known(&node) {
            Some(target) => self.perform_at(&target, request, share).await,
            None => Answer { node, response: None },
        }
    }

    /// What a node answers, if that is no more than its `share` of a message, bytes. The share depends on the number
    /// of nodes alone, so that what one says at length costs none of the others its word.
    async fn perform_at(
        &self,
        target: &NodeCertificate,
        request: &Request,
        share: usize,
    ) -> Answer {
        let node = target.node();
        let response = if node == self.identity.node() {
            self.perform_here(request).await
        } else {
            self.perform_there(target, request, share).await
        };
        Answer { node, response: response.filter(|response| fits(response, share)) }
    }

    async fn perform_here(&self, request: &Request) -> Option<Response> {
        let id = net::link::peer_id(&self.identity.node()).ok()?;
        let itself = Peer { id, address: libp2p::Multiaddr::empty() };
        Some(self.handle(&itself, Via::Direct, request.clone()).await)
    }

    async fn perform_there(
        &self,
        target: &NodeCertificate,
        request: &Request,
        share: usize,
    ) -> Option<Response> {
        let most = share.saturating_sub(ANSWER_OVERHEAD);
        match ask_within(&self.links, target, request, self.answer_timeout(), most).await {
            Ok(response) => {
                self.observer.answered(&target.node(), request, &response);
                if self.is_acceptable(target, request, &response) {
                    return Some(response);
                }
                tracing::debug!("a target gave a receipt for something else");
            }
            // It is there, and says too much.
            Err(LinkError::FrameTooLong) => tracing::debug!("a target's answer was too long"),
            Err(error) => {
                tracing::debug!(%error, "a target did not answer");
                self.directory.forget(&target.node());
            }
        }
        None
    }

    /// Whether an answer, if it is a receipt, is one for this request by this node. Whoever brings others is
    /// taken for their author, since only an anonymizer knows what it asked.
    fn is_acceptable(
        &self,
        target: &NodeCertificate,
        request: &Request,
        response: &Response,
    ) -> bool {
        let Response::Receipt(receipt) = response else { return true };
        // How long a receipt must last is the sender's own matter.
        let expected = Expected::of(request, self.network.id, Time(0));
        expected.is_some_and(|expected| expected.fits(&receipt.claims).is_ok())
            && receipt.claims.node == target.node()
            && receipt.verify(&self.network.id).is_ok()
    }
}

/// Whether a response is no longer than its share of one message, bytes.
fn fits(response: &Response, share: usize) -> bool {
    wire::encode(&Some(response)).len() + ANSWER_OVERHEAD <= share
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use anon::{
        network::MAX_K,
        position::Key,
        request::{MAX_MESSAGE, MAX_OBJECT},
    };
    use futures::future::BoxFuture;

    use super::*;
    use crate::{Acceptor, Node, Parts, Running, Service, StandardService, testing};
    use net::{
        Carrier, Link,
        shares::{RangeShare, Shares},
    };

    const FETCH: Request = Request::Fetch { key: Key([7; 32]) };

    fn kept(lengths: &[usize]) -> Vec<Option<usize>> {
        let share = answer_share(lengths.len());
        let answer = |(number, length): (u8, &usize)| {
            let response = Response::Object(vec![number; *length]);
            let response = Some(response).filter(|response| fits(response, share));
            Answer { node: NodeId([number; 32]), response }
        };
        let answers: Vec<Answer> = (0..).zip(lengths).map(answer).collect();
        let whole = Response::Performed { nodes: Vec::new(), answers: answers.clone() };
        assert!(wire::encode(&whole).len() <= MAX_MESSAGE);
        answers.into_iter().map(length).collect()
    }

    fn length(answer: Answer) -> Option<usize> {
        match answer.response {
            Some(Response::Object(bytes)) => Some(bytes.len()),
            _ => None,
        }
    }

    #[test]
    fn one_long_answer_pushes_out_no_other() {
        for place in 0..3 {
            let mut lengths = [400; 3];
            lengths[place] = MAX_OBJECT;
            let mut expected = [Some(400); 3];
            expected[place] = None;
            assert_eq!(kept(&lengths), expected);
        }
        assert_eq!(kept(&[MAX_OBJECT; 4]), [None; 4]);
        assert_eq!(kept(&[MAX_OBJECT]), [Some(MAX_OBJECT)], "one alone has all the room");
        let fits = answer_share(MAX_K) - ANSWER_OVERHEAD - 8;
        assert_eq!(kept(&[fits; MAX_K]), [Some(fits); MAX_K]);
        assert_eq!(kept(&[fits + 2_000; MAX_K]), [None; MAX_K]);
    }

    fn introduce(to: &Running, other: &Running) {
        to.service().roster().met(other.service().keys.certificate().unwrap());
    }

    fn peer() -> Peer {
        Peer { id: libp2p::PeerId::random(), address: "/ip4/127.9.0.1/tcp/1".parse().unwrap() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_peer_has_its_share_of_lookups_within_proxied_requests_as_well() {
        let (here, _here) = testing::node().await;
        let (service, key) = (here.service(), Key([7; 32]));
        let (one, other) = (peer(), peer());
        let all = service.limits.lookups_per_peer;
        let held = service.lookups.take(one.caller(), all).unwrap();
        let targets = Targets::LookedUp { key, count: 1 };
        let performed = async |peer: &Peer| service.perform(peer, targets.clone(), FETCH).await;
        assert_eq!(performed(&one).await, Response::Refused);
        assert!(matches!(performed(&other).await, Response::Performed { .. }));
        drop(held);
        assert!(matches!(performed(&one).await, Response::Performed { .. }));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_is_itself_a_target_answers_as_the_others_do() {
        let (here, _here) = testing::node().await;
        let answer = Answer { node: here.id(), response: Some(Response::NotFound) };
        let key = Key([7; 32]);
        for targets in [Targets::Nodes(vec![here.id()]), Targets::LookedUp { key, count: 1 }] {
            let performed = here.service().perform(&peer(), targets, FETCH).await;
            let Response::Performed { answers, .. } = performed else { panic!("{performed:?}") };
            assert_eq!(answers, std::slice::from_ref(&answer));
        }
    }

    /// Counts what it is asked to fetch.
    struct Counting(Arc<StandardService>, Arc<AtomicUsize>);

    impl Service for Counting {
        fn handle<'a>(
            &'a self,
            peer: &'a Peer,
            via: Via,
            request: Request,
        ) -> BoxFuture<'a, Response> {
            self.1.fetch_add(usize::from(request == FETCH), Ordering::SeqCst);
            self.0.handle(peer, via, request)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_is_named_twenty_times_is_asked_once() {
        let asked = Arc::new(AtomicUsize::new(0));
        let (here, _here) = testing::node().await;
        let count = Arc::clone(&asked);
        let counting = |node: Node| node.serving(|inner| Arc::new(Counting(inner, count)));
        let (there, _there) = testing::dressed(counting).await;
        introduce(&here, &there);
        let answered = |response: &Response| match response {
            Response::Performed { answers, .. } => {
                answers.iter().filter(|a| a.response == Some(Response::NotFound)).count()
            }
            _ => 0,
        };

        let twenty = Targets::Nodes(vec![there.id(); MAX_K]);
        let performed = here.service().perform(&peer(), twenty, FETCH).await;
        assert_eq!((answered(&performed), asked.swap(0, Ordering::SeqCst)), (1, 1));

        let proxied = ProxiedRequest { target: there.id(), request: FETCH };
        let performed = here.service().perform_each(vec![proxied; MAX_K]).await;
        assert_eq!((answered(&performed), asked.swap(0, Ordering::SeqCst)), (1, 1));
    }

    /// Answers everything with a megabyte, and counts how many that were asked for were read to the end, and how many
    /// not.
    struct Verbose([Arc<AtomicUsize>; 2]);

    impl Acceptor for Verbose {
        fn serve(&self, mut link: Link, _: Carrier) -> BoxFuture<'_, Result<(), LinkError>> {
            Box::pin(async move {
                let all = RangeShare { percent: 100, unknown: 100 };
                let budget = Shares::new("bytes", MAX_MESSAGE, MAX_MESSAGE, all);
                let (request, _held) = link.read_request(MAX_MESSAGE, &budget).await?;
                let answer = wire::encode(&Response::Object(vec![1; MAX_OBJECT]));
                let responded = link.respond(&answer).await;
                let [read, left] = &self.0;
                let count = if responded.is_ok() { read } else { left };
                count.fetch_add(usize::from(request == FETCH), Ordering::SeqCst);
                responded
            })
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_is_read_of_an_answer_than_its_share_of_a_message() {
        let counts: [Arc<AtomicUsize>; 2] = Default::default();
        let (here, _here) = testing::node().await;
        let mut others = Vec::new();
        for _ in 0..3 {
            let verbose = Verbose(counts.clone());
            let dress = |node: Node| node.accepting(|_, _: Parts| Arc::new(verbose));
            others.push(testing::dressed(dress).await);
        }
        others.iter().for_each(|(other, _)| introduce(&here, other));
        let nodes: Vec<NodeId> = others.iter().map(|(other, _)| other.id()).collect();
        let counted = async |all: usize| {
            let [read, left] = &counts;
            while read.load(Ordering::SeqCst) + left.load(Ordering::SeqCst) < all {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            [read.swap(0, Ordering::SeqCst), left.swap(0, Ordering::SeqCst)]
        };
        for _ in 0..3 {
            let performed =
                here.service().perform(&peer(), Targets::Nodes(nodes.clone()), FETCH).await;
            let Response::Performed { answers, .. } = performed else { panic!("{performed:?}") };
            assert_eq!(answers.into_iter().map(length).collect::<Vec<_>>(), [None; 3]);
            assert_eq!(counted(3).await, [0, 3], "three megabytes for one message");
        }
        // One alone has all the room, and was not forgotten for what it said before.
        let performed =
            here.service().perform(&peer(), Targets::Nodes(vec![nodes[0]]), FETCH).await;
        let Response::Performed { answers, .. } = performed else { panic!("{performed:?}") };
        assert_eq!(answers.into_iter().map(length).collect::<Vec<_>>(), [Some(MAX_OBJECT)]);
        assert_eq!(counted(1).await, [1, 0]);
    }
}
