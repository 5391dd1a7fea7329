//! Nodes that do what honest ones would not, made from the public interfaces of `anon` and `node`.

pub mod behaviour;
pub(crate) mod channels;
pub(crate) mod keeper;
pub(crate) mod liar;
pub(crate) mod marking;
pub mod note;
pub mod opened;
pub(crate) mod silence;
pub(crate) mod tagging;
