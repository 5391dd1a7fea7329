//! What checks the promises: `cutout audit`, and the hostile and recording nodes that it and the tests run. Everything
//! here is made from the public interfaces of `anon`, `node` and `ua`; production code has no switch for any of it.
//!
//! | module | what it is |
//! |---|---|
//! | [`command`] | what there is to type |
//! | [`outcome`] | what comes of a check |
//! | [`checks`] | what the checks are called, and where each lies |
//! | [`claims`] | the claims, limits, views and coalitions that are published |
//! | [`live`] | mails across real processes: what each role is told, which coalitions link |
//! | [`mutant`] | a weakness put back in, and which check saw it |
//! | [`sim`] | selection on networks of 10^3 to 10^6 nodes: how often a hostile share links |
//! | [`property`] | what sealing, channels, receipts, stores and rosters must do, and versions that do not |
//! | [`vectors`] | the known answers of `tests/vectors/`, computed anew |
//! | [`symbolic`] | models of the handshake, run by Verifpal |
//! | [`host`] | the node and the agent that are installed here |
//! | [`node`] | the audit's nodes, as processes |
//! | [`hostile`] | nodes that do what honest ones would not |

pub mod checks;
pub mod claims;
pub mod command;
pub mod host;
pub mod hostile;
pub mod live;
pub mod mutant;
pub mod node;
pub mod outcome;
pub mod property;
pub mod sim;
pub mod symbolic;
pub mod vectors;

pub use checks::checks;
