//! What the user types, and how much work a guess at it costs.

use zeroize::ZeroizeOnDrop;

use super::VaultError;

/// Least memory of argon2id with one lane, in KiB (RFC 9106, section 3.1: 8 blocks per lane).
pub(crate) const MIN_MEMORY_KIB: u32 = 8;
/// Most memory accepted, in KiB: 1 GiB. A vault file that claims more is refused unread.
pub(crate) const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Fewest passes over the memory.
pub(crate) const MIN_PASSES: u32 = 1;
/// Most passes over the memory accepted.
pub(crate) const MAX_PASSES: u32 = 16;

/// The passphrase that the vault is sealed under. Zeroized on drop, printed never.
///
/// There is no least length: an empty one is refused, the rest is the user's decision.
#[derive(ZeroizeOnDrop, derive_more::Debug)]
#[debug("Passphrase([scrubbed])")]
pub struct Passphrase(String);

impl Passphrase {
    /// Takes ownership of what the user typed, byte for byte (no trimming, no normalisation).
    ///
    /// # Errors
    /// [`VaultError::EmptyPassphrase`].
    pub fn new(typed: String) -> Result<Self, VaultError> {
        if typed.is_empty() {
            return Err(VaultError::EmptyPassphrase);
        }
        Ok(Self(typed))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The price of one guess at the passphrase: argon2id (RFC 9106) with one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u32,
}

impl KdfCost {
    /// Checks a cost: `memory_kib` KiB of memory, gone over `passes` times.
    ///
    /// # Errors
    /// [`VaultError::CostOutOfBounds`] outside 8 KiB to 1 GiB and 1 to 16 passes.
    pub fn new(memory_kib: u32, passes: u32) -> Result<Self, VaultError> {
        let memory_fits = (MIN_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&memory_kib);
        let passes_fit = (MIN_PASSES..=MAX_PASSES).contains(&passes);
        if memory_fits && passes_fit {
            Ok(Self { memory_kib, passes })
        } else {
            Err(VaultError::CostOutOfBounds { memory_kib, passes })
        }
    }

    /// Memory, in KiB.
    #[must_use]
    pub(crate) fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub(crate) fn passes(self) -> u32 {
        self.passes
    }
}

impl Default for KdfCost {
    /// 64 MiB and 3 passes: the second choice of RFC 9106, section 4, except that it has one lane
    /// and not four. Our argon2 computes lanes one after the other, so more lanes would cost us
    /// the same time and let an attacker run them in parallel.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_wiped_prints_nothing_and_is_not_empty() {
        fn wiped<T: ZeroizeOnDrop>(_: &T) {}
        let passphrase = Passphrase::new("correct horse".to_owned()).unwrap();
        wiped(&passphrase);
        assert_eq!(format!("{passphrase:?}"), "Passphrase([scrubbed])");
        assert!(matches!(Passphrase::new(String::new()), Err(VaultError::EmptyPassphrase)));
    }

    #[test]
    fn a_cost_is_bounded_on_all_four_sides() {
        assert!(KdfCost::new(MIN_MEMORY_KIB, MIN_PASSES).is_ok());
        assert!(KdfCost::new(MAX_MEMORY_KIB, MAX_PASSES).is_ok());
        for (memory_kib, passes) in [
            (MIN_MEMORY_KIB - 1, MIN_PASSES),
            (MAX_MEMORY_KIB + 1, MIN_PASSES),
            (MIN_MEMORY_KIB, MIN_PASSES - 1),
            (MIN_MEMORY_KIB, MAX_PASSES + 1),
        ] {
            let refused = KdfCost::new(memory_kib, passes);
            assert!(matches!(refused, Err(VaultError::CostOutOfBounds { .. })));
        }
    }

    #[test]
    fn the_default_is_the_documented_one_and_within_bounds() {
        let cost = KdfCost::default();
        assert_eq!((cost.memory_kib(), cost.passes()), (65_536, 3));
        assert_eq!(KdfCost::new(cost.memory_kib(), cost.passes()).unwrap(), cost);
    }
}
