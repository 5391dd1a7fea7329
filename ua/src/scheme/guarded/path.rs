//! How a path comes about: in one pass, three round trips for a guard, one more go-between and an anonymizer. A hop
//! whose roster lacks the next node says no; then hop by hop over the same nodes, each named by its certificate.
//!
//! In one pass the anonymizer hears its request before the answers of those who come before it are judged. They
//! could not have changed who it is: that is the agent's own roster's word. They are judged as they come, and
//! nothing more is sent if one is bad.

use anon::{
    channel::ChannelError,
    handshake::HandshakeError,
    request::{Request, Response},
    verification::CrossVerified,
};
use net::{Channel, LinkError, Links};

use super::{ANSWER_TIMEOUT, HANDSHAKE_TIMEOUT};
use crate::error::AgentError;

/// The hops in their order, and what each is asked.
type Hops = [(CrossVerified, Option<Request>)];

/// Makes a path; each go-between that is asked something is judged, by its place, before the path grows on. The
/// last hop's answer is the channel's next response.
pub(super) async fn make(
    links: &Links,
    hops: &Hops,
    judge: impl Fn(usize, &Response) -> Result<(), AgentError>,
) -> Result<Channel, AgentError> {
    let hear = |hop, answer| judge(hop, &answer);
    match Channel::open_path(links, hops, ANSWER_TIMEOUT, hear).await {
        Err(AgentError::Link(LinkError::Channel(
            ChannelError::NotExtended | ChannelError::Handshake(HandshakeError::BadPath),
        ))) => telescope(links, hops, judge).await,
        made => made,
    }
}

async fn telescope(
    links: &Links,
    hops: &Hops,
    judge: impl Fn(usize, &Response) -> Result<(), AgentError>,
) -> Result<Channel, AgentError> {
    let Some(((first, question), rest)) = hops.split_first() else {
        return Err(AgentError::RosterTooSmall);
    };
    let mut channel = Channel::open(links, first, question.as_ref(), HANDSHAKE_TIMEOUT).await?;
    let mut is_asked = question.is_some();
    for (place, (next, question)) in rest.iter().enumerate() {
        if is_asked {
            judge(place, &channel.response(ANSWER_TIMEOUT).await?)?;
        }
        channel = channel.extend(next, question.as_ref(), HANDSHAKE_TIMEOUT).await?;
        is_asked = question.is_some();
    }
    Ok(channel)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use anon::{position::Key, verification::cross_verify};
    use net::{NetworkFile, Via, now};
    use node::{Node, NodeConfig, Running, Service as _};

    use super::*;

    /// Three nodes that have not heard of each other.
    async fn nodes(directory: &std::path::Path) -> Vec<Running> {
        let file = NetworkFile {
            name: "path.alt".to_owned(),
            authority: None,
            admission_required: false,
            k: 1,
            quorum: None,
            epoch_seconds: 86_400,
            delay_seconds: 0,
            bootstrap: Vec::new(),
            revocations: None,
            ..NetworkFile::default()
        };
        let mut nodes = Vec::new();
        for number in 0..3 {
            let listen = vec![format!("/ip4/127.{}.0.1/tcp/0", 80 + number)];
            let config = NodeConfig { listen, ..NodeConfig::default() };
            let directory = directory.join(number.to_string());
            nodes.push(Node::new(directory, file.clone(), config).start().await.unwrap());
        }
        nodes
    }

    /// A path over them, each asked something.
    async fn hops(nodes: &[Running]) -> Vec<(CrossVerified, Option<Request>)> {
        let mut hops = Vec::new();
        for node in nodes {
            let peer = net::Peer {
                id: net::peer_id(&node.id()).unwrap(),
                address: node.addresses()[0].clone(),
            };
            let own = node.service().handle(&peer, Via::Direct, Request::Certificate).await;
            let Response::Certificate(own) = own else { panic!("{own:?}") };
            let own = own.verify(node.network(), now()).unwrap();
            let question = Request::Closest { key: Key([1; 32]), count: 1 };
            hops.push((cross_verify(own.clone(), own).unwrap(), Some(question)));
        }
        hops
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_one_pass_cannot_reach_is_reached_hop_by_hop_unless_an_answer_is_bad() {
        let directory = tempfile::tempdir().unwrap();
        let nodes = nodes(directory.path()).await;
        let (hops, links) = (hops(&nodes).await, Links::disposable("path.alt").unwrap());
        let judged = RefCell::new(Vec::new());
        let judge = |place: usize, answer: &Response| {
            assert!(matches!(answer, Response::Closest(_)));
            judged.borrow_mut().push(place);
            Ok(())
        };
        // The first knows the second, and the second not the third until it has been there.
        nodes[0].service().roster().met(hops[1].0.certificate().unwrap().clone());
        let mut channel = make(&links, &hops, judge).await.unwrap();
        assert!(matches!(channel.response(ANSWER_TIMEOUT).await, Ok(Response::Closest(_))));
        assert_eq!(judged.take(), [0, 1, 0, 1]);

        nodes[1].service().roster().met(hops[2].0.certificate().unwrap().clone());
        let mut channel = make(&links, &hops, judge).await.unwrap();
        assert!(matches!(channel.response(ANSWER_TIMEOUT).await, Ok(Response::Closest(_))));
        assert_eq!(judged.take(), [0, 1]);

        let refuse = |place: usize, _: &Response| {
            judged.borrow_mut().push(place);
            Err(AgentError::BadAnswer)
        };
        let made = make(&links, &hops, refuse).await;
        assert!(matches!(made, Err(AgentError::BadAnswer)), "{made:?}");
        assert_eq!(judged.take(), [0]);
    }
}
