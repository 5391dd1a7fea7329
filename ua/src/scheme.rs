//! Schemes: how the nodes of a channel are chosen and checked. All else is shared.

mod paper;

use anon::request::{Request, Response};
use futures::future::BoxFuture;
use node::Channel;

use crate::{
    error::AgentError,
    event::{Path, Purpose},
};

pub use paper::PaperScheme;

/// A channel, and the far end's answer to the request that rode along.
#[derive(Debug)]
pub struct OpenChannel {
    /// The channel.
    pub channel: Channel,
    /// The answer to the early request.
    pub answer: Response,
    /// Its nodes.
    pub path: Path,
}

/// A way to get channels.
pub trait Scheme: Send + Sync {
    /// Its name, as `--scheme` has it.
    fn name(&self) -> &'static str;

    /// Opens a channel to a random node that nobody could choose for us, with a first request on board.
    fn open<'a>(
        &'a self,
        purpose: Purpose,
        early: &'a Request,
    ) -> BoxFuture<'a, Result<OpenChannel, AgentError>>;
}
