//! An observer at the protocol's edge: it is told what this node was told, and nothing else.
//!
//! The demo and the audit install one to draw what each role saw from what the processes really received.
//! `cutout node run` never does.

use anon::{
    certificate::NodeId,
    request::{Request, Response},
};

use crate::link::Peer;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Over a link of its own: the peer asks for itself.
    Direct,
    /// Through a channel: the peer is the last go-between.
    Channel,
}

/// Told what a node receives, as it does.
pub trait Observer: Send + Sync + 'static {
    /// A request arrived.
    fn received(&self, peer: &Peer, via: Via, request: &Request);
    /// A channel was opened to this node by `peer`.
    fn channel_opened(&self, peer: &Peer);
    /// This node extended the channel of `peer` to `next` and is its go-between now.
    fn extended(&self, peer: &Peer, next: &NodeId);
    /// This node forwarded a cell on the channel of `peer`; towards the far end or back.
    fn forwarded(&self, peer: &Peer, forward: bool);
    /// This node asked another one something, on an errand, and got an answer.
    fn answered(&self, node: &NodeId, request: &Request, response: &Response);
}
