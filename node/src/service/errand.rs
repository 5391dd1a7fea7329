//! Errands (paper, 4.2): an anonymizer performs a request at the k nodes and brings back what they answer.

use std::collections::BTreeSet;

use anon::{
    certificate::{NodeCertificate, NodeId},
    receipt::Expected,
    request::{ANSWER_OVERHEAD, Answer, Errand, Request, Response, Targets, answer_share},
    time::Time,
    wire,
};
use futures::future::join_all;

use super::{Service as _, StandardService};
use crate::{client::ask, clock::now, link::Peer, observer::Via};

impl StandardService {
    pub(super) async fn perform(&self, targets: Targets, request: Request) -> Response {
        let found = match targets {
            Targets::Nodes(mut nodes) => {
                // One node named many times is asked once: an errand is no amplifier.
                let mut seen = BTreeSet::new();
                nodes.retain(|node| seen.insert(*node));
                let performed = nodes.iter().map(|node| self.perform_at_known(*node, &request));
                let answers = within_one_message(join_all(performed).await);
                return Response::Performed { nodes: Vec::new(), answers };
            }
            Targets::Closest { key, count } => {
                let Some(found) = self.closest_certificates(key, usize::from(count)).await else {
                    return Response::Refused;
                };
                found
            }
            Targets::Nearest { key, count } => {
                let epoch = self.network.epoch(now());
                self.roster.with(|roster| roster.closest(&key, usize::from(count), epoch))
            }
        };
        let nodes = found.iter().map(NodeCertificate::to_unverified).collect();
        let answers = join_all(found.iter().map(|target| self.perform_at(target, &request))).await;
        Response::Performed { nodes, answers: within_one_message(answers) }
    }

    /// Performs each errand at its own node, all at once. A node that is named again is not asked again: an errand is
    /// no amplifier.
    pub(super) async fn perform_each(&self, errands: Vec<Errand>) -> Response {
        let mut seen = BTreeSet::new();
        let fresh: Vec<bool> = errands.iter().map(|errand| seen.insert(errand.target)).collect();
        let performed = errands.iter().zip(fresh).map(async |(errand, is_fresh)| {
            if is_fresh {
                self.perform_at_known(errand.target, &errand.request).await
            } else {
                Answer { node: errand.target, response: None }
            }
        });
        let answers = within_one_message(join_all(performed).await);
        Response::Performed { nodes: Vec::new(), answers }
    }

    /// Performs at a node that this one knows; one that it does not know gives no answer.
    async fn perform_at_known(&self, node: NodeId, request: &Request) -> Answer {
        match self.directory.known(&node) {
            Some(target) => self.perform_at(&target, request).await,
            None => Answer { node, response: None },
        }
    }

    async fn perform_at(&self, target: &NodeCertificate, request: &Request) -> Answer {
        let node = target.node();
        if node == self.identity.node() {
            let Ok(id) = crate::link::peer_id(&node) else {
                return Answer { node, response: None };
            };
            let itself = Peer { id, address: libp2p::Multiaddr::empty() };
            let response = Some(self.handle(&itself, Via::Direct, request.clone()).await);
            return Answer { node, response };
        }
        match ask(&self.links, target, request, self.answer_timeout()).await {
            Ok(response) => {
                if let Some(observer) = &self.observer {
                    observer.answered(&node, request, &response);
                }
                if !self.is_acceptable(target, request, &response) {
                    tracing::debug!("a target gave a receipt for something else");
                    return Answer { node, response: None };
                }
                Answer { node, response: Some(response) }
            }
            Err(error) => {
                tracing::debug!(%error, "a target did not answer");
                self.directory.forget(&node);
                Answer { node, response: None }
            }
        }
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

/// Drops each answer that is longer than its share of one message. The share depends on the number of answers
/// alone, so that what one node says at length costs none of the others their word.
fn within_one_message(mut answers: Vec<Answer>) -> Vec<Answer> {
    let share = answer_share(answers.len());
    for answer in &mut answers {
        if wire::encode(&answer.response).len() + ANSWER_OVERHEAD > share {
            answer.response = None;
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use anon::{
        network::MAX_K,
        request::{MAX_MESSAGE, MAX_OBJECT},
    };

    use super::*;

    fn kept(lengths: &[usize]) -> Vec<Option<usize>> {
        let answer = |(number, length): (u8, &usize)| Answer {
            node: NodeId([number; 32]),
            response: Some(Response::Object(vec![number; *length])),
        };
        let answers = within_one_message((0..).zip(lengths).map(answer).collect());
        let whole = Response::Performed { nodes: Vec::new(), answers: answers.clone() };
        assert!(wire::encode(&whole).len() <= MAX_MESSAGE);
        let length = |answer: Answer| match answer.response {
            Some(Response::Object(bytes)) => Some(bytes.len()),
            _ => None,
        };
        answers.into_iter().map(length).collect()
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
}
