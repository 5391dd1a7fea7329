//! What experiments cost, in guarded channels: for the progress bar.

/// A mail of the paper's scheme, lookups included.
pub(super) const PAPER_MAIL: f64 = 100.0;
/// A mail of the guarded scheme.
pub(super) const GUARDED_MAIL: f64 = 6.0;
/// A channel of the paper's scheme, lookups included.
pub(super) const PAPER_CHANNEL: f64 = 20.0;
