//! Selection at scale.
