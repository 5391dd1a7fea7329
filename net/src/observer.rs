//! An observer at the protocol's edge: it is told what this node was told, and nothing else.
//!
//! The demo and the audit install one to draw what each role saw from what the processes really received.
//! `cutout node run` never does.

use anon::{
    create::Create,
    id::NodeId,
    position::Key,
    request::{Request, Response},
};

use crate::peer::Peer;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Over a link of its own: the peer asks for itself.
    Direct,
    /// Through a channel: the peer is the last go-between.
    Channel,
}

/// One end of a stream: who is at the other, and the number by which this process tells its streams apart.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    /// The other end.
    pub peer: &'a Peer,
    /// The stream's number, counted from the process's start.
    pub stream: u64,
}

/// Told what a node receives, as it does.
pub trait Observer: Send + Sync + 'static {
    /// A request arrived.
    fn received(&self, at: Edge<'_>, via: Via, request: &Request);
    /// A channel was opened to this node, with this handshake.
    fn channel_opened(&self, at: Edge<'_>, create: &Create);
    /// This node extended a channel to `next`, with this handshake, and is its go-between now.
    fn extended(&self, at: Edge<'_>, next: &NodeId, create: &Create);
    /// This node forwarded a cell on a channel; towards the last hop or back.
    fn forwarded(&self, at: Edge<'_>, forward: bool);
    /// This node asked another one something, on a sender's behalf, and got an answer.
    fn answered(&self, node: &NodeId, request: &Request, response: &Response);
    /// This node looked a key up in the DHT, and these are closest: each of them was asked.
    fn looked_up(&self, key: &Key, closest: &[NodeId]);
}

/// Nobody looks.
impl Observer for () {
    fn received(&self, _: Edge<'_>, _: Via, _: &Request) {}
    fn channel_opened(&self, _: Edge<'_>, _: &Create) {}
    fn extended(&self, _: Edge<'_>, _: &NodeId, _: &Create) {}
    fn forwarded(&self, _: Edge<'_>, _: bool) {}
    fn answered(&self, _: &NodeId, _: &Request, _: &Response) {}
    fn looked_up(&self, _: &Key, _: &[NodeId]) {}
}
