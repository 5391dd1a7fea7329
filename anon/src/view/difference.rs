//! What changed from one view to the next, as bytes: 32 bytes for each node that stays, little more than the descriptor for each
//! that joins or changes, one byte for up to 64 that leave.
//!
//! ```text
//! front (kind 2), then operations, whose first byte says which:
//!   0x00–0x7F  stay:   the next node stays where it is; these 32 bytes are its new channel key, last byte first
//!   0x80       join:   a descriptor follows
//!   0xC0–0xFF  leave:  the next 1 to 64 nodes are left out
//! ```
//! The front is `stream`'s; it costs one hash for each chunk, an eighth of a byte a node. A channel key's highest bit is
//! never set, so that an operation needs no byte of its own where a node stays. A changed node leaves and joins. Nodes after the
//! last operation have left. The operations make the new view's chunks in order; each is checked when it is complete.

use std::borrow::Borrow;

use super::{
    descriptor::Descriptor,
    error::ViewError,
    list::{NodeList, OpenChunk},
    quorum::{KeeperSet, SignedView},
    signed::View,
    stream::{self, Front, Kind, Pending, Steps},
};
use crate::id::NetworkId;

const JOIN: u8 = 0x80;
const LEAVE: u8 = 0xC0;
/// The first operation byte that is no channel key's.
const NO_KEY: u8 = 0x80;
/// The most nodes that one operation leaves out.
const MOST_LEAVE: u32 = 64;
/// Where the channel key stands in a descriptor.
const KEY_AT: usize = 32;
const KEY_END: usize = 64;

/// One step from a view to the next.
enum Operation<'a> {
    Stay(&'a [u8; 32]),
    Join(&'a [u8]),
    Leave(u32),
}

impl Operation<'_> {
    fn encode_into(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Stay(key) => bytes.extend(key.iter().rev()),
            Self::Join(descriptor) => {
                bytes.push(JOIN);
                bytes.extend_from_slice(descriptor);
            }
            Self::Leave(count) => {
                let more = u8::try_from(count.saturating_sub(1)).unwrap_or(u8::MAX);
                bytes.push(LEAVE.saturating_add(more));
            }
        }
    }
}

impl View {
    /// The difference from `base` to this view, piece by piece: the front, then one piece for each chunk of this view.
    ///
    /// # Errors
    /// [`ViewError::OtherBase`] if `base` is not the view before this one.
    pub fn difference_from<'a>(&'a self, base: &'a Self) -> Result<Difference<'a>, ViewError> {
        follows(self.signed(), base)?;
        let front = stream::front(Kind::Difference, self.signed(), &[self.nodes().hashes()]);
        let (base, nodes) = (base.nodes(), self.nodes());
        Ok(Difference { front: Some(front), base, nodes, chunk: 0, done: 0 })
    }
}

/// The pieces of a difference, made one at a time.
#[derive(Debug)]
pub struct Difference<'a> {
    front: Option<Vec<u8>>,
    base: &'a NodeList,
    nodes: &'a NodeList,
    /// Chunks of the new view, and nodes of the base, that are done.
    chunk: usize,
    done: u32,
}

impl Iterator for Difference<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(front) = self.front.take() {
            return Some(front);
        }
        let mut piece = Vec::new();
        for entry in self.nodes.chunk(self.chunk)?.entries() {
            self.done = append(self.base, self.done, entry, &mut piece);
        }
        self.chunk += 1;
        Some(piece)
    }
}

/// Appends the operations that make the new view's next entry, when the base's nodes before `at` are done; what is done then.
fn append(base: &NodeList, at: u32, entry: &[u8], bytes: &mut Vec<u8>) -> u32 {
    let is_below =
        |rank: u32| base.entry(rank).is_some_and(|old| old.get(..KEY_AT) < entry.get(..KEY_AT));
    let mut next = at;
    while is_below(next) {
        next += 1;
    }
    let old = base.entry(next).filter(|old| old.get(..KEY_AT) == entry.get(..KEY_AT));
    let stays = old.is_some_and(|old| old.get(KEY_END..) == entry.get(KEY_END..));
    let done = if old.is_some() { next + 1 } else { next };
    let mut leaving = if stays { next } else { done } - at;
    while leaving > 0 {
        let now = leaving.min(MOST_LEAVE);
        Operation::Leave(now).encode_into(bytes);
        leaving -= now;
    }
    match entry.get(KEY_AT..KEY_END).and_then(<[u8]>::first_chunk) {
        Some(key) if stays => Operation::Stay(key).encode_into(bytes),
        _ => Operation::Join(entry).encode_into(bytes),
    }
    done
}

/// Applies a difference while it comes.
#[derive(Debug)]
pub struct DifferenceDecoder<B> {
    pending: Pending,
    reader: Reader<B>,
}

#[derive(Debug)]
struct Reader<B> {
    base: B,
    front: Front,
    /// The base's next node that no operation spoke of.
    next: u32,
    nodes: NodeList,
    chunks: usize,
    open: OpenChunk,
}

impl<B: Borrow<View>> DifferenceDecoder<B> {
    /// Reads the difference from `base` to the next view, which a quorum of `keepers` must have signed.
    #[must_use]
    pub fn new(base: B, keepers: KeeperSet) -> Self {
        let network: NetworkId = base.borrow().header().network;
        let front = Front::new(network, keepers, &[Kind::Difference]);
        let (nodes, open) = (NodeList::default(), OpenChunk::default());
        let reader = Reader { base, front, next: 0, nodes, chunks: 0, open };
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

    /// The new view, without its nodes' signatures.
    ///
    /// # Errors
    /// [`ViewError::EndsEarly`] if the stream is not complete, or the error that it had.
    pub fn finish(self) -> Result<View, ViewError> {
        self.pending.finish()?;
        let Reader { front, nodes, base, .. } = self.reader;
        let signed = front.into_signed()?;
        follows(&signed, base.borrow())?;
        if nodes.len() != signed.header().count {
            return Err(ViewError::EndsEarly);
        }
        Ok(View::of_checked_parts(signed, nodes, None))
    }
}

/// Checks that a view names the base as the one before it.
fn follows(signed: &SignedView, base: &View) -> Result<(), ViewError> {
    if signed.header().before == Some(base.id()) { Ok(()) } else { Err(ViewError::OtherBase) }
}

impl<B: Borrow<View>> Reader<B> {
    /// The next operation and its length, if all of it is there.
    fn read(bytes: &[u8]) -> Result<Option<(Operation<'_>, usize)>, ViewError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        if first < NO_KEY {
            let key = bytes.first_chunk();
            return Ok(key.map(|key| (Operation::Stay(key), key.len())));
        }
        if first >= LEAVE {
            return Ok(Some((Operation::Leave(u32::from(first - LEAVE) + 1), 1)));
        }
        if first != JOIN {
            return Err(ViewError::BadOperation(first));
        }
        let length = Descriptor::measure(rest)?;
        let entry = length.and_then(|length| rest.get(..length));
        Ok(entry.map(|entry| (Operation::Join(entry), entry.len() + 1)))
    }

    fn apply(&mut self, operation: &Operation<'_>, first: u8) -> Result<(), ViewError> {
        let base = self.base.borrow().nodes();
        match operation {
            Operation::Leave(count) => {
                self.next = self.next.saturating_add(*count);
                if self.next > base.len() {
                    return Err(ViewError::BadOperation(first));
                }
                return Ok(());
            }
            Operation::Join(entry) => self.open.push(&[entry])?,
            Operation::Stay(reversed) => {
                let old = base.entry(self.next).ok_or(ViewError::BadOperation(first))?;
                let mut key = **reversed;
                key.reverse();
                let (Some(node), Some(rest)) = (old.get(..KEY_AT), old.get(KEY_END..)) else {
                    return Err(ViewError::BadOperation(first));
                };
                self.open.push(&[node, &key, rest])?;
                self.next += 1;
            }
        }
        if self.open.len() == self.front.entries(self.chunks) {
            let expected = self.front.descriptors(self.chunks);
            self.nodes.close(&mut self.open, Some(expected.ok_or(ViewError::TooManyNodes)?))?;
            self.chunks += 1;
        }
        Ok(())
    }
}

impl<B: Borrow<View>> Steps for Reader<B> {
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, ViewError> {
        if !self.front.is_complete() {
            let used = self.front.step(bytes)?;
            if let Some(signed) = self.front.signed() {
                follows(signed, self.base.borrow())?;
            }
            return Ok(used);
        }
        if self.front.entries(self.chunks) == 0 {
            return Err(ViewError::TrailingBytes);
        }
        let Some((operation, length)) = Self::read(bytes)? else { return Ok(None) };
        self.apply(&operation, bytes.first().copied().unwrap_or_default())?;
        Ok(Some(length))
    }
}
