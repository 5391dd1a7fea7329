//! What checks the promises: nodes that do what honest ones would not, and nodes that write down what they are
//! told. Everything here is made from the public interfaces of `anon`, `node` and `ua`; production code has no
//! switch for any of it.
//!
//! ```text
//! node ── record    an Observer that writes down what came
//!      ├─ liar      a Service before the honest one: false statements, lists, receipts; drops
//!      └─ silence   an Acceptor beside the honest one: a go-between that stops forwarding
//!           └─ behaviour: which of it a node does, and while it is on the list of the hostile
//! ```

pub mod behaviour;
mod liar;
pub mod node;
pub mod record;
mod silence;
