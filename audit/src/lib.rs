//! What checks the promises: the program `cutout-lab`, which `cutout audit` and `cutout demo` start. Everything here is
//! made from the public interfaces of the other crates; production code has no switch for any of it.
//!
//! | module | what it is |
//! |---|---|
//! | [`command`] | what there is to type |
//! | [`outcome`] | what comes of a check |
//! | `mod@checks` | what the checks are called, and where each lies |
//! | [`role`] | the places that a process may have in a mail, and which of them link together |
//! | [`claims`] | the claims, limits, views and coalitions that are published |
//! | [`live`] | mails across real processes: what each role is told, which coalitions link |
//! | [`mutant`] | a weakness put back in, and which check saw it |
//! | [`game`] | which role can tell who wrote to whom, by sizes, counts and times |
//! | [`canary`] | random values in memory, on disk, in logs and on the wire where they must not be |
//! | [`statistics`] | how sure one may be of a count, and of a difference |
//! | `sim` | selection on networks of 10^3 to 10^6 nodes: how often a hostile share links |
//! | `property` | what sealing, channels, receipts, stores and rosters must do, and versions that do not |
//! | `vectors` | the known answers of `tests/vectors/`, computed anew |
//! | `symbolic` | models of the handshake, run by Verifpal |
//! | `host` | the node and the agent that are installed here |
//! | `report` | all that a run saw, as data and as a page |
//! | `subnets` | a node that claims a subnet that it is not in |
//! | `demo` | one anonymous mail across a network, shown at each hop |
//!
//! # Example
//!
//! What there is to type is described in one place.
//!
//! ```
//! let command = audit::command::command();
//! let audit = command.find_subcommand("audit").unwrap();
//! assert!(audit.find_subcommand("explain").is_some());
//! ```

pub mod canary;
mod checks;
pub mod claims;
pub mod command;
mod demo;
mod evidence;
pub mod game;
mod host;
pub mod live;
pub mod mutant;
pub mod outcome;
mod property;
mod report;
pub mod role;
mod sim;
pub mod statistics;
mod subnets;
mod symbolic;
mod vectors;

pub use checks::CHECKS;
