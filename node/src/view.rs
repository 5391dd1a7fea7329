//! What every node has to do with the view: it states itself to the keepers, and keeps views.
//!
//! | module | what it is |
//! |---|---|
//! | [`address`] | addresses as descriptors and as libp2p have them |
//! | [`exchange`] | asking another node, and having something long of it piece by piece |
//! | [`kept`] | the latest view and the one before it, on disk |
//! | [`keys`] | the node's channel keys, one for each view, sealed on disk |
//! | [`state`] | once an epoch the node states itself to all keepers |

pub(crate) mod address;
pub(crate) mod exchange;
pub(crate) mod kept;
pub(crate) mod keys;
pub(crate) mod state;
