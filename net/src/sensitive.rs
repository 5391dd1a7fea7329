//! `Sensitive<T>`: values that a log must not hold unless its operator asks for them.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

static REVEAL: AtomicBool = AtomicBool::new(false);

/// Prints `[scrubbed]` for a peer's address, an identity, an e-mail address or a path.
#[derive(Clone, Copy)]
pub struct Sensitive<T>(pub T);

impl Sensitive<()> {
    /// From now on sensitive values are printed: for an operator who debugs a node of their own.
    pub fn reveal_all() {
        REVEAL.store(true, Ordering::Relaxed);
    }
}

impl<T: fmt::Display> fmt::Display for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if REVEAL.load(Ordering::Relaxed) { self.0.fmt(f) } else { f.write_str("[scrubbed]") }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if REVEAL.load(Ordering::Relaxed) { self.0.fmt(f) } else { f.write_str("[scrubbed]") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensitive_values_do_not_print() {
        assert_eq!(
            format!("{} {:?}", Sensitive("bob@demo.alt"), Sensitive(7)),
            "[scrubbed] [scrubbed]"
        );
    }
}
