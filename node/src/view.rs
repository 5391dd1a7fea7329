//! What every node has to do with the view: it states itself to the keepers, gets each view, keeps the last two, and
//! hands them on.
//!
//! | module | what it is |
//! |---|---|
//! | [`address`] | addresses as descriptors and as libp2p have them |
//! | [`exchange`] | asking another node, and having something long of it piece by piece |
//! | [`fetch`] | having a view of another node, checked while it comes |
//! | [`follow`] | once an epoch a node that does not make the view gets it |
//! | [`kept`] | the latest view and the one before it, on disk and for whoever asks |
//! | [`keys`] | the node's channel keys, one for each view, sealed on disk |
//! | [`state`] | once an epoch the node states itself to all keepers |
//! | [`status`] | `view.json`, which `cutout node status` reads |
//! | [`turn`] | what follows from a later view: keys are destroyed, the status is written |

pub(crate) mod address;
pub(crate) mod exchange;
pub(crate) mod fetch;
pub(crate) mod follow;
pub(crate) mod kept;
pub(crate) mod keys;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod turn;

#[cfg(test)]
mod tests;
