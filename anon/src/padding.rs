//! Padmé (Nikitin et al., "Reducing metadata leakage from encrypted files", PETS 2019, section 4), and
//! length-prefixed padding to any size.
//!
//! Padmé keeps only the highest bits of a length, as many as its exponent has bits: at most 12 % more bytes,
//! and only O(log log L) bits of the length show.

use thiserror::Error;

/// Bytes of the length in front of padded content.
pub const PREFIX: usize = 4;

/// Padded bytes do not hold what they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("badly padded")]
pub struct PaddingError;

/// The padded length of `length` bytes.
#[must_use]
pub const fn padme(length: usize) -> usize {
    let Some(exponent) = length.checked_ilog2() else { return 0 };
    let Some(log) = exponent.checked_ilog2() else { return length };
    length.next_multiple_of(1 << exponent.saturating_sub(log + 1))
}

/// Prefixes `content` with its length (4 bytes, little-endian) and fills with zeros up to `size` bytes.
///
/// # Errors
/// [`PaddingError`] if it does not fit.
pub fn pad(content: &[u8], size: usize) -> Result<Vec<u8>, PaddingError> {
    let length = u32::try_from(content.len()).map_err(|_| PaddingError)?;
    if size < PREFIX || content.len() > size - PREFIX {
        return Err(PaddingError);
    }
    let mut padded = Vec::with_capacity(size);
    padded.extend(length.to_le_bytes());
    padded.extend(content);
    padded.resize(size, 0);
    Ok(padded)
}

/// The content of what [`pad`] made.
///
/// # Errors
/// [`PaddingError`] if the length is out of range or the filling is not zero.
pub(crate) fn unpad(padded: &[u8]) -> Result<&[u8], PaddingError> {
    let (prefix, rest) = padded.split_first_chunk::<PREFIX>().ok_or(PaddingError)?;
    let length = usize::try_from(u32::from_le_bytes(*prefix)).map_err(|_| PaddingError)?;
    let (content, filling) = rest.split_at_checked(length).ok_or(PaddingError)?;
    if filling.iter().all(|b| *b == 0) { Ok(content) } else { Err(PaddingError) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_just_fits_is_padded() {
        assert_eq!(pad(b"", PREFIX), Ok(vec![0; PREFIX]));
        assert_eq!(pad(b"ab", PREFIX + 2), Ok(b"\x02\0\0\0ab".to_vec()));
        for (content, size) in [(&b""[..], 0), (b"", PREFIX - 1), (b"ab", PREFIX + 1)] {
            assert_eq!(pad(content, size), Err(PaddingError), "{size}");
        }
    }

    #[test]
    fn padme_agrees_with_the_papers_definition() {
        // E = ⌊log2 L⌋, S = ⌊log2 E⌋ + 1, the last E − S bits are zero; computed by hand.
        for (length, padded) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 3),
            (8, 8),
            (9, 10),
            (100, 104),
            (1_000, 1_024),
            (10_000, 10_240),
            (307_200, 311_296),
            (1_032_192, 1_032_192),
            (1_032_193, 1_048_576),
        ] {
            assert_eq!(padme(length), padded, "{length}");
        }
    }

    proptest! {
        #[test]
        fn padme_adds_at_most_twelve_percent(length in 1_usize..1 << 40) {
            let padded = padme(length);
            prop_assert!(padded >= length);
            prop_assert!((padded - length) * 100 <= length * 12);
        }

        #[test]
        fn pad_then_unpad(content: Vec<u8>, more in 0_usize..100) {
            let padded = pad(&content, content.len() + PREFIX + more).unwrap();
            prop_assert_eq!(unpad(&padded), Ok(&content[..]));
        }
    }

    #[test]
    fn bad_padding_is_refused() {
        assert_eq!(pad(&[0; 5], 8), Err(PaddingError));
        assert_eq!(unpad(&[1, 0, 0]), Err(PaddingError));
        assert_eq!(unpad(&[2, 0, 0, 0, 9]), Err(PaddingError));
        assert_eq!(unpad(&[1, 0, 0, 0, 9, 1]), Err(PaddingError));
        assert_eq!(unpad(&[255, 255, 255, 255, 9, 1]), Err(PaddingError));
    }
}
