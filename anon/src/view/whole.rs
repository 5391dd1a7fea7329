//! A whole view as bytes, the same on disk and on the wire, with or without the nodes' signatures.
//!
//! ```text
//! front (kind 0, or 1 with signatures), then for each chunk:  descriptors | [signature 64 × entries]
//! ```
//! The front is `stream`'s. A descriptor says by its kind how long it is, and a chunk has 256 of them but for the last,
//! so nothing states a length that could lie.

use super::{
    descriptor::Descriptor,
    error::ViewError,
    list::{NodeList, OpenChunk, SignatureList},
    quorum::{KeeperSet, SignedView},
    signed::View,
    stream::{self, Front, Kind, Pending, Steps},
};
use crate::{id::NetworkId, keys::Signature};

/// Bytes of a node's signature.
const SIGNATURE: usize = 64;

impl View {
    /// The whole view, piece by piece: the front, then one piece for each chunk. With the nodes' signatures if they are kept.
    pub fn whole(&self) -> impl Iterator<Item = Vec<u8>> {
        self.pieces(self.signatures())
    }

    /// As [`Self::whole`], without the nodes' signatures in any case.
    pub fn whole_without_signatures(&self) -> impl Iterator<Item = Vec<u8>> {
        self.pieces(None)
    }

    fn pieces<'a>(
        &'a self,
        signatures: Option<&'a SignatureList>,
    ) -> impl Iterator<Item = Vec<u8>> + 'a {
        let (kind, hashes) = match signatures {
            Some(list) => (Kind::WithSignatures, vec![self.nodes().hashes(), list.hashes()]),
            None => (Kind::Whole, vec![self.nodes().hashes()]),
        };
        let front = stream::front(kind, self.signed(), &hashes);
        let mut signatures = signatures.map(SignatureList::chunks);
        let chunks = self.nodes().chunks().map(move |descriptors| {
            let signatures = signatures.as_mut().and_then(Iterator::next).unwrap_or(&[]);
            let mut piece = Vec::with_capacity(descriptors.len() + SIGNATURE * signatures.len());
            piece.extend_from_slice(descriptors);
            piece.extend(signatures.iter().flat_map(|signature| signature.0));
            piece
        });
        std::iter::once(front).chain(chunks)
    }
}

/// Reads a whole view while it comes.
#[derive(Debug)]
pub struct WholeDecoder {
    pending: Pending,
    reader: Reader,
}

#[derive(Debug)]
struct Reader {
    front: Front,
    nodes: NodeList,
    signatures: SignatureList,
    /// Chunks whose descriptors, and whose signatures, are in.
    chunks: usize,
    signed_chunks: usize,
    /// Descriptors of the next chunk, and how many bytes of them.
    open: OpenChunk,
}

impl WholeDecoder {
    /// Reads a view of `network` that a quorum of `keepers` must have signed.
    #[must_use]
    pub fn new(network: NetworkId, keepers: KeeperSet) -> Self {
        let front = Front::new(network, keepers, &[Kind::Whole, Kind::WithSignatures]);
        let (nodes, signatures) = (NodeList::default(), SignatureList::default());
        let open = OpenChunk::default();
        let reader = Reader { front, nodes, signatures, chunks: 0, signed_chunks: 0, open };
        Self { pending: Pending::default(), reader }
    }

    /// Takes in more of the stream, in pieces of any size.
    ///
    /// # Errors
    /// [`ViewError`]; afterwards always the same one.
    pub fn feed(&mut self, more: &[u8]) -> Result<(), ViewError> {
        self.pending.feed(more, &mut self.reader)
    }

    /// The header, as soon as a quorum is verified: long before the nodes are there.
    #[must_use]
    pub const fn signed(&self) -> Option<&SignedView> {
        self.reader.front.signed()
    }

    /// How many nodes are verified and kept.
    #[must_use]
    pub const fn verified(&self) -> u32 {
        self.reader.nodes.len()
    }

    /// The view.
    ///
    /// # Errors
    /// [`ViewError::EndsEarly`] if the stream is not complete, or the error that it had.
    pub fn finish(self) -> Result<View, ViewError> {
        self.pending.finish()?;
        let Reader { front, nodes, signatures, .. } = self.reader;
        let with_signatures = front.has_signatures();
        let signed = front.into_signed()?;
        let count = signed.header().count;
        let has_all = |list: &SignatureList| u32::try_from(list.len()) == Ok(count);
        if nodes.len() != count || (with_signatures && !has_all(&signatures)) {
            return Err(ViewError::EndsEarly);
        }
        Ok(View::of_checked_parts(signed, nodes, with_signatures.then_some(signatures)))
    }

    /// What it holds that is not verified yet, bytes.
    #[cfg(test)]
    pub(super) fn unverified(&self) -> usize {
        self.pending.held() + self.reader.open.bytes()
    }
}

impl Reader {
    /// Takes the next descriptor, and closes its chunk with the last one.
    fn read_descriptor(
        &mut self,
        bytes: &[u8],
        entries: usize,
    ) -> Result<Option<usize>, ViewError> {
        let Some(length) = Descriptor::measure(bytes)? else { return Ok(None) };
        let Some(entry) = bytes.get(..length) else { return Ok(None) };
        self.open.push(&[entry])?;
        if self.open.len() == entries {
            let expected = self.front.descriptors(self.chunks);
            self.nodes.close(&mut self.open, Some(expected.ok_or(ViewError::TooManyNodes)?))?;
            self.chunks += 1;
        }
        Ok(Some(length))
    }

    /// Takes the signatures of a chunk whose descriptors are in.
    fn read_signatures(
        &mut self,
        bytes: &[u8],
        entries: usize,
    ) -> Result<Option<usize>, ViewError> {
        let length = entries * SIGNATURE;
        let Some(bytes) = bytes.get(..length) else { return Ok(None) };
        let expected = self.front.signatures(self.signed_chunks).ok_or(ViewError::TooManyNodes)?;
        let (signatures, _) = bytes.as_chunks();
        let chunk = signatures.iter().map(|signature| Signature(*signature)).collect();
        self.signatures.push(chunk, expected)?;
        self.signed_chunks += 1;
        Ok(Some(length))
    }
}

impl Steps for Reader {
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, ViewError> {
        if !self.front.is_complete() {
            return self.front.step(bytes);
        }
        if self.front.has_signatures() && self.signed_chunks < self.chunks {
            return self.read_signatures(bytes, self.front.entries(self.signed_chunks));
        }
        match self.front.entries(self.chunks) {
            0 => Err(ViewError::TrailingBytes),
            entries => self.read_descriptor(bytes, entries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        testing::views::{Keepers, NETWORK, header, placeholders},
        view::{descriptor::MAX_DESCRIPTOR, header::MAX_VIEW_NODES, tree::CHUNK},
    };

    /// A chunk, its signatures, and a piece of the stream.
    const MOST: usize = CHUNK * (MAX_DESCRIPTOR + SIGNATURE) + (8 << 10);

    #[test]
    fn what_is_not_verified_is_a_chunk_at_most_however_it_comes() {
        let keepers = Keepers::new(1);
        let nodes = keepers.view_of(1, None, 0..2_000).nodes().clone();
        let view = keepers.view(1, None, nodes, Some(placeholders(2_000)));
        let bytes: Vec<u8> = view.whole().flatten().collect();
        for piece in [100, bytes.len()] {
            let mut decoder = WholeDecoder::new(NETWORK, keepers.set.clone());
            for piece in bytes.chunks(piece) {
                decoder.feed(piece).unwrap();
                assert!(decoder.unverified() <= MOST, "{}", decoder.unverified());
            }
            assert_eq!(decoder.unverified(), 0);
        }
    }

    #[test]
    fn a_view_can_be_told_without_the_nodes_signatures_though_they_are_kept() {
        let keepers = Keepers::new(1);
        let view = keepers.view_of(1, None, 0..300);
        let bare: Vec<u8> = view.whole().flatten().collect();
        let signed = keepers.view(1, None, view.nodes().clone(), Some(placeholders(300)));
        let told: Vec<u8> = signed.whole_without_signatures().flatten().collect();
        assert!(bare.len() < signed.whole().flatten().count());
        let mut decoder = WholeDecoder::new(NETWORK, keepers.set);
        decoder.feed(&told).unwrap();
        assert_eq!(decoder.finish().unwrap(), signed.without_signatures());
    }

    #[test]
    fn a_count_that_lies_allocates_nothing() {
        let keepers = Keepers::new(1);
        let mut header = header(1, None);
        header.count = MAX_VIEW_NODES;
        let front = [vec![1, 1], keepers.sign(&header, &[0]).encode(), vec![7; 32 * 5]].concat();
        let mut decoder = WholeDecoder::new(NETWORK, keepers.set);
        decoder.feed(&front).unwrap();
        assert_eq!((decoder.unverified(), decoder.verified()), (0, 0));
        assert!(decoder.reader.front.held() <= 8, "{}", decoder.reader.front.held());
    }
}
