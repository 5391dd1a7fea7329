//! How a path comes about: in one pass, three round trips for a guard, one more go-between and a far end. A hop
//! whose roster lacks the next node says no; then hop by hop over the same nodes, each named by its certificate.
//!
//! In one pass the far end hears its request before the answers of those who come before it are judged. They
//! could not have changed who it is: that is the agent's own roster's word. They are judged as they come, and
//! nothing more is sent if one is bad.

use anon::{
    channel::ChannelError,
    handshake::HandshakeError,
    request::{Request, Response},
    verification::CrossVerified,
};
use node::{Channel, LinkError, Links};

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
