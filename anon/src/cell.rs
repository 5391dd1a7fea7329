//! Cells: everything that travels on a channel is 4,096 bytes long.
//!
//! ```text
//! create cell    Create (1,307 bytes) ‖ zeros          created cell   Created (64 bytes) ‖ zeros
//! every other    secretbox(direction's key, counter, 4,080 bytes)      then a layer for each go-between
//! messages       length (4 bytes, little-endian) ‖ message ‖ zeros, cut into pieces of 4,080 bytes
//! ```
//! Nonces count cells and are never sent: a cell that is lost, repeated, swapped, reflected, taken from
//! another channel or changed does not open, and the channel ends. A go-between cannot tell one from another.

use thiserror::Error;

use crate::{
    create::{Create, CreateError, Created},
    keys::DerivedKey,
    request::MAX_MESSAGE,
    secretbox,
};

/// A cell's length, bytes.
pub const CELL: usize = 4096;
/// What a cell carries of a message, bytes.
pub const PAYLOAD: usize = CELL - secretbox::TAG;
const LENGTH: usize = 4;

/// A cell, as it travels.
#[derive(Clone, PartialEq, Eq)]
pub struct Cell(Box<[u8; CELL]>);

crate::hex::debug_as_name!(Cell);

/// A cell was not the next one of its channel, or what it carries is not a message. The channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a cell is not the next one of its channel")]
pub struct CellError;

impl Cell {
    /// A cell from exactly [`CELL`] bytes.
    #[must_use]
    pub fn from_bytes(bytes: Box<[u8; CELL]>) -> Self {
        Self(bytes)
    }

    /// The cell's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; CELL] {
        &self.0
    }

    fn with_front(front: &[u8]) -> Self {
        let mut cell = Box::new([0; CELL]);
        for (to, from) in cell.iter_mut().zip(front) {
            *to = *from;
        }
        Self(cell)
    }

    /// The first cell of a channel, forward.
    #[must_use]
    pub fn create(create: &Create) -> Self {
        Self::with_front(&create.to_bytes())
    }

    /// The first cell of a channel, backward.
    #[must_use]
    pub fn created(created: &Created) -> Self {
        Self::with_front(&created.to_bytes())
    }

    /// Reads the first cell, forward.
    ///
    /// # Errors
    /// [`CreateError`], also if it is padded with anything but zeros.
    pub fn to_create(&self) -> Result<Create, CreateError> {
        Create::from_padded(&self.0[..])
    }

    /// Reads the first cell, backward.
    ///
    /// # Errors
    /// [`CellError`] if it is padded with anything but zeros.
    pub fn to_created(&self) -> Result<Created, CellError> {
        Created::from_padded(&self.0[..]).ok_or(CellError)
    }
}

/// Cuts messages into cells and seals them, in one direction.
#[derive(Debug)]
pub(crate) struct Sealer {
    key: DerivedKey,
    counter: u64,
}

impl Sealer {
    pub(crate) const fn new(key: DerivedKey) -> Self {
        Self { key, counter: 0 }
    }

    /// The cells of one message of at most [`MAX_MESSAGE`] bytes.
    ///
    /// # Errors
    /// [`CellError`] if it is longer.
    pub(crate) fn seal(&mut self, message: &[u8]) -> Result<Vec<Cell>, CellError> {
        if message.len() > MAX_MESSAGE {
            return Err(CellError);
        }
        let length = u32::try_from(message.len()).map_err(|_| CellError)?;
        let mut cells = Vec::with_capacity((LENGTH + message.len()).div_ceil(PAYLOAD));
        let (first, rest) = message.split_at(message.len().min(PAYLOAD - LENGTH));
        cells.push(self.seal_cell(&[&length.to_le_bytes()[..], first].concat()));
        cells.extend(rest.chunks(PAYLOAD).map(|piece| self.seal_cell(piece)));
        Ok(cells)
    }

    fn seal_cell(&mut self, piece: &[u8]) -> Cell {
        let mut cell = Box::new([0; CELL]);
        for (to, from) in cell.iter_mut().skip(secretbox::TAG).zip(piece) {
            *to = *from;
        }
        secretbox::seal_in_place(
            &self.key.0,
            &secretbox::counter_nonce(self.counter),
            &mut cell[..],
        );
        self.counter += 1;
        Cell(cell)
    }
}

/// Opens cells and joins them to messages, in one direction.
#[derive(Debug)]
pub(crate) struct Opener {
    key: DerivedKey,
    counter: u64,
    message: Vec<u8>,
    missing: usize,
    ended: bool,
}

impl Opener {
    pub(crate) const fn new(key: DerivedKey) -> Self {
        Self { key, counter: 0, message: Vec::new(), missing: 0, ended: false }
    }

    /// Takes the next cell; the message, if that was its last one. Empty messages are padding.
    ///
    /// # Errors
    /// [`CellError`] if it is not the next cell, or claims a message beyond [`MAX_MESSAGE`]; from then on,
    /// whatever comes.
    pub(crate) fn open(&mut self, cell: Cell) -> Result<Option<Vec<u8>>, CellError> {
        let opened = if self.ended { Err(CellError) } else { self.open_next(cell) };
        self.ended = opened.is_err();
        opened
    }

    fn open_next(&mut self, mut cell: Cell) -> Result<Option<Vec<u8>>, CellError> {
        let nonce = secretbox::counter_nonce(self.counter);
        secretbox::open_in_place(&self.key.0, &nonce, &mut cell.0[..]).map_err(|_| CellError)?;
        self.counter += 1;
        let (_, mut piece) = cell.0.split_first_chunk::<{ secretbox::TAG }>().ok_or(CellError)?;
        if self.missing == 0 {
            let (length, rest) = piece.split_first_chunk::<LENGTH>().ok_or(CellError)?;
            self.missing = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| CellError)?;
            if self.missing > MAX_MESSAGE {
                return Err(CellError);
            }
            piece = rest;
        }
        let (content, filling) = piece.split_at(piece.len().min(self.missing));
        if filling.iter().any(|b| *b != 0) {
            return Err(CellError);
        }
        self.message.extend(content);
        self.missing -= content.len();
        let complete = self.missing == 0 && !self.message.is_empty();
        Ok(complete.then(|| std::mem::take(&mut self.message)))
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub(crate) const fn is_amid_message(&self) -> bool {
        self.missing > 0
    }
}

/// One go-between's layer, in one direction.
#[derive(Debug)]
pub struct Layer {
    key: DerivedKey,
    counter: u64,
}

impl Layer {
    pub(crate) const fn new(key: DerivedKey) -> Self {
        Self { key, counter: 0 }
    }

    /// Adds the layer to the next cell, or strips it: the same operation.
    pub fn apply(&mut self, cell: &mut Cell) {
        let nonce = secretbox::counter_nonce(self.counter);
        secretbox::apply_stream(&self.key.0, &nonce, &mut cell.0[..]);
        self.counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Sealer, Opener) {
        (Sealer::new(DerivedKey([1; 32])), Opener::new(DerivedKey([1; 32])))
    }

    /// What an opener says to cells with these contents, sealed by somebody who holds the key.
    fn opened(pieces: &[&[u8]]) -> Result<Option<Vec<u8>>, CellError> {
        let (mut sealer, mut opener) = pair();
        let mut last = Ok(None);
        for piece in pieces {
            last = opener.open(sealer.seal_cell(piece));
        }
        last
    }

    fn claim(length: usize) -> [u8; LENGTH] {
        u32::try_from(length).unwrap().to_le_bytes()
    }

    #[test]
    fn a_message_is_as_long_as_it_says() {
        assert_eq!(opened(&[&[2, 0, 0, 0, 7, 8]]), Ok(Some(vec![7, 8])));
        assert_eq!(opened(&[&[2, 0, 0, 0, 7, 8, 9]]), Err(CellError));
        let longer = claim(PAYLOAD - LENGTH + 1);
        assert_eq!(opened(&[&longer]), Ok(None));
        let message = [vec![0; PAYLOAD - LENGTH], vec![5]].concat();
        assert_eq!(opened(&[&longer, &[5]]), Ok(Some(message)));
        assert_eq!(opened(&[&longer, &[5, 6]]), Err(CellError));
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_at_its_first_cell() {
        assert_eq!(opened(&[&claim(MAX_MESSAGE)]), Ok(None));
        assert_eq!(opened(&[&claim(MAX_MESSAGE + 1)]), Err(CellError));
        assert_eq!(opened(&[&[255; LENGTH]]), Err(CellError));
    }

    #[test]
    fn empty_messages_are_padding() {
        assert_eq!(opened(&[&claim(0), &claim(0)]), Ok(None));
        assert_eq!(opened(&[&claim(0), &[1, 0, 0, 0, 7]]), Ok(Some(vec![7])));
        assert_eq!(opened(&[&[0, 0, 0, 0, 1]]), Err(CellError));
    }
}
