//! Sizes that several parts of the protocol agree on.

/// The largest object, bytes.
pub const MAX_OBJECT: usize = 1 << 20;
/// The longest encoded request or response, bytes: an object and what goes with it.
pub const MAX_MESSAGE: usize = MAX_OBJECT + (1 << 16);
/// What an answer takes besides its response, encoded, bytes, at most.
pub const ANSWER_OVERHEAD: usize = 64;
