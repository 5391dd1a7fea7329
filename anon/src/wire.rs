//! The wire codec: bincode's variable-length format, and the only module that names bincode.
//!
//! Decoding takes a whole frame that its reader has capped. It refuses trailing bytes and every encoding
//! but the one [`encode`] would make (decode, encode again, compare), so what was signed is what is read.
//! Allocation stays within a small multiple of the frame: a length that the frame cannot hold is an error.
//! Depth is bounded too: what could hold another of its kind is read by `innermost`.

use std::cell::Cell;

use bincode::Options;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};
use thiserror::Error;

/// Why bytes from outside are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// More bytes than the reader accepts for this kind of message.
    #[error("longer than the limit of {limit} bytes")]
    TooLong {
        /// The limit, bytes.
        limit: usize,
    },
    /// Truncated, out of range, or not of this type.
    #[error("malformed")]
    Malformed,
    /// Bytes follow the message, or it is encoded in a way that nobody encodes it.
    #[error("not canonically encoded")]
    NotCanonical,
}

fn options() -> impl Options {
    bincode::DefaultOptions::new().reject_trailing_bytes()
}

/// Encodes a message.
///
/// # Panics
/// Never: the types of this crate have no failing `Serialize`, and memory is the only sink.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "our own types, written to memory, have no way to fail")]
    options().serialize(value).expect("a type of this crate encodes")
}

/// Decodes a message of at most `limit` bytes.
///
/// # Errors
/// [`WireError`] if it is too long, malformed or not canonical.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLong { limit });
    }
    let length = u64::try_from(bytes.len()).map_err(|_| WireError::Malformed)?;
    let value: T =
        options().with_limit(length).deserialize(bytes).map_err(|_| WireError::Malformed)?;
    if encode(&value) == bytes { Ok(value) } else { Err(WireError::NotCanonical) }
}

/// Reads a field that could hold another of its kind, and refuses one inside another: bincode knows no
/// depth, so that a frame of nested proxied requests would run through the stack and end the process.
///
/// # Errors
/// The deserializer's, also if this field is inside another one that is read so.
pub(crate) fn innermost<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    if INSIDE.replace(true) {
        return Err(D::Error::custom("nested"));
    }
    let _leave = Leave;
    T::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        number: u64,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        texts: Vec<String>,
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes(number: u64, bytes: Vec<u8>, texts: Vec<String>) {
            let sample = Sample { number, bytes, texts };
            let encoded = encode(&sample);
            prop_assert_eq!(decode::<Sample>(&encoded, encoded.len()), Ok(sample));
        }

        #[test]
        fn junk_never_panics_and_never_decodes_to_something_else(junk: Vec<u8>) {
            if let Ok(sample) = decode::<Sample>(&junk, junk.len()) {
                prop_assert_eq!(encode(&sample), junk);
            }
        }
    }

    #[test]
    fn truncated_extended_and_long_frames_are_refused() {
        let good = encode(&Sample { number: 300, bytes: vec![1; 40], texts: vec!["a".into()] });
        for cut in 0..good.len() {
            assert_eq!(decode::<Sample>(&good[..cut], 1_000), Err(WireError::Malformed), "{cut}");
        }
        let mut long = good.clone();
        long.push(0);
        assert!(decode::<Sample>(&long, 1_000).is_err());
        assert_eq!(
            decode::<Sample>(&good, good.len() - 1),
            Err(WireError::TooLong { limit: good.len() - 1 })
        );
    }

    #[test]
    fn claimed_lengths_do_not_allocate() {
        // number = 0, then a byte string whose length prefix claims 2^64-1, 4 GiB and limit + 1 bytes.
        for claim in [u64::MAX, 1 << 32, 1_001] {
            let mut frame = vec![0, 253];
            frame.extend(claim.to_le_bytes());
            frame.extend([0; 8]);
            assert_eq!(decode::<Sample>(&frame, 1_000), Err(WireError::Malformed));
        }
    }

    #[test]
    fn numbers_that_could_be_shorter_are_refused() {
        // 5 as a two-byte number: prefix 251, then little-endian 5.
        assert_eq!(decode::<u64>(&[251, 5, 0], 10), Err(WireError::NotCanonical));
        assert_eq!(decode::<u64>(&[5], 10), Ok(5));
    }
}
