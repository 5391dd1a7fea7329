//! What is said on a stream: a byte for the carrier, then frames (length, 4 bytes big-endian, and content) or
//! cells of [`CELL`] bytes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anon::{
    cell::{CELL, Cell},
    request::{MAX_MESSAGE, Request, Response},
    wire,
};
use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    io::{BufReader, BufWriter, ReadHalf, WriteHalf},
};

use super::{Carrier, LinkError};
use crate::{
    observer::Edge,
    peer::Peer,
    shares::{Held, Shares},
};

/// How many bytes a reader asks the stream for at once, at most.
const READ_BUFFER: usize = 16 * CELL;
/// How many bytes a writer hands to the stream at once: what yamux puts into one frame at most.
const WRITE_BUFFER: usize = 4 * CELL;
/// What a request may have before it counts against the budget, bytes: a lookup, a deletion, a notification.
const FREE_BYTES: usize = 8 * 1024;
/// How much of the budget a request takes at a time, KiB.
const HELD_AT_ONCE: usize = 64;
/// What a reader makes room for before anything has come, bytes.
const FIRST_PIECE: usize = 1_024;
/// How long a peer may take between two pieces of a frame, reading or writing.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to send all of a request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a peer may take to read all of an answer: at 17 KiB a second even the longest is there by then.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How many streams this process has had.
static STREAMS: AtomicU64 = AtomicU64::new(0);

/// One stream to a peer.
#[derive(Debug)]
pub struct Link {
    peer: Peer,
    number: u64,
    // Buffers only where there is something to put into them: a stream costs nobody a thing but its peer.
    reader: ReadHalf<libp2p::Stream>,
    writer: BufWriter<WriteHalf<libp2p::Stream>>,
    held: Option<Held>,
    pace: u32,
}

impl Link {
    fn new(peer: Peer, stream: libp2p::Stream, held: Option<Held>, pace: u32) -> Self {
        let (reader, writer) = stream.split();
        let writer = BufWriter::with_capacity(WRITE_BUFFER, writer);
        let number = STREAMS.fetch_add(1, Ordering::Relaxed);
        Self { peer, number, reader, writer, held, pace }
    }

    pub(super) async fn initiate(
        peer: Peer,
        stream: libp2p::Stream,
        carrier: Carrier,
        pace: u32,
    ) -> Result<Self, LinkError> {
        let mut link = Self::new(peer, stream, None, pace);
        let byte = match carrier {
            Carrier::Request => 0,
            Carrier::Channel => 1,
        };
        // It leaves with the first frame or cell.
        link.writer.write_all(&[byte]).await?;
        Ok(link)
    }

    /// Reads what an inbound stream carries.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn accept(
        peer: Peer,
        stream: libp2p::Stream,
        held: Held,
    ) -> Result<(Self, Carrier), LinkError> {
        let mut link = Self::new(peer, stream, Some(held), 1);
        let mut byte = [0];
        timely(link.reader.read_exact(&mut byte)).await?;
        match byte {
            [0] => Ok((link, Carrier::Request)),
            [1] => Ok((link, Carrier::Channel)),
            _ => Err(LinkError::Wire(wire::WireError::Malformed)),
        }
    }

    /// The other end.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// This end of it.
    #[must_use]
    pub const fn edge(&self) -> Edge<'_> {
        Edge { peer: &self.peer, stream: self.number }
    }

    /// Sends one request and awaits its answer, at most `timeout`, which is longer over Tor. The link is used up.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn request(
        self,
        request: &Request,
        timeout: Duration,
    ) -> Result<Response, LinkError> {
        self.request_within(request, timeout, MAX_MESSAGE).await
    }

    /// As [`Self::request`]; an answer of more than `most` bytes, encoded, is not read.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::FrameTooLong`] for such an answer.
    pub(crate) async fn request_within(
        mut self,
        request: &Request,
        timeout: Duration,
        most: usize,
    ) -> Result<Response, LinkError> {
        let timeout = timeout * self.pace;
        let exchange = async {
            write_frame(&mut self.writer, &wire::encode(request)).await?;
            let length = self.read_length(most).await?;
            let frame = self.read_content(length, |_| Ok(())).await?;
            Ok(Response::decode(&frame)?)
        };
        tokio::time::timeout(timeout, exchange).await.map_err(|_| LinkError::TimedOut)?
    }

    /// Reads the one request of an inbound link, of at most `limit` bytes. Bytes that have arrived, beyond the
    /// first few, count against the peer's share of the `budget`, in KiB; bytes that are only claimed do not.
    ///
    /// # Errors
    /// [`LinkError`], [`LinkError::Busy`] if that share is used up.
    pub async fn read_request(
        &mut self,
        limit: usize,
        budget: &Shares,
    ) -> Result<(Request, Vec<Held>), LinkError> {
        let caller = self.peer.caller();
        let mut held = Vec::new();
        let read = async {
            let length = timely_result(self.read_length(limit)).await?;
            let count = |so_far: usize| {
                if so_far > FREE_BYTES && so_far.div_ceil(1024) > held.len() * HELD_AT_ONCE {
                    held.push(budget.take(caller, HELD_AT_ONCE).ok_or(LinkError::Busy)?);
                }
                Ok(())
            };
            let frame = self.read_content(length, count).await?;
            Request::decode(&frame).map_err(LinkError::from)
        };
        let read = tokio::time::timeout(REQUEST_TIMEOUT, read).await;
        Ok((read.map_err(|_| LinkError::TimedOut)??, held))
    }

    /// Answers the one request of an inbound link.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::TimedOut`] if the peer takes nothing for ten seconds, or not all in a minute.
    pub async fn respond(self, frame: &[u8]) -> Result<(), LinkError> {
        let Self { mut writer, held, .. } = self;
        let write = async {
            write_frame(&mut writer, frame).await?;
            timely(writer.close()).await
        };
        let written = tokio::time::timeout(ANSWER_TIMEOUT, write).await;
        drop(held);
        written.map_err(|_| LinkError::TimedOut)?
    }

    async fn read_length(&mut self, limit: usize) -> Result<usize, LinkError> {
        let mut length = [0; 4];
        self.reader.read_exact(&mut length).await?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > limit { Err(LinkError::FrameTooLong) } else { Ok(length) }
    }

    /// Reads a frame's content; memory grows with what arrives, not with what is claimed. `count` is told how much
    /// that is, and may refuse it.
    async fn read_content(
        &mut self,
        length: usize,
        mut count: impl FnMut(usize) -> Result<(), LinkError>,
    ) -> Result<Vec<u8>, LinkError> {
        let mut frame = Vec::new();
        let mut filled = 0;
        while filled < length {
            let room = filled.clamp(FIRST_PIECE, READ_BUFFER).min(length - filled);
            frame.resize(filled + room, 0);
            let piece = frame.get_mut(filled..).unwrap_or_default();
            let read = timely(self.reader.read(piece)).await?;
            if read == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            filled += read;
            count(filled)?;
        }
        Ok(frame)
    }

    /// Splits the link into its two directions, for the cells of a channel.
    #[must_use]
    pub fn into_cells(self) -> (CellReader, CellWriter) {
        let reader = BufReader::with_capacity(READ_BUFFER, self.reader);
        (CellReader { reader, _held: self.held }, CellWriter { writer: self.writer })
    }
}

async fn write_frame(
    writer: &mut BufWriter<WriteHalf<libp2p::Stream>>,
    frame: &[u8],
) -> Result<(), LinkError> {
    let length = u32::try_from(frame.len()).map_err(|_| LinkError::FrameTooLong)?;
    timely(writer.write_all(&length.to_be_bytes())).await?;
    for piece in frame.chunks(WRITE_BUFFER) {
        timely(writer.write_all(piece)).await?;
    }
    timely(writer.flush()).await
}

async fn timely_result<T>(io: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    tokio::time::timeout(PIECE_TIMEOUT, io).await.map_err(|_| LinkError::TimedOut)?
}

async fn timely<T>(io: impl Future<Output = std::io::Result<T>>) -> Result<T, LinkError> {
    Ok(tokio::time::timeout(PIECE_TIMEOUT, io).await.map_err(|_| LinkError::TimedOut)??)
}

/// Receives a channel's cells.
#[derive(Debug)]
pub struct CellReader {
    reader: BufReader<ReadHalf<libp2p::Stream>>,
    _held: Option<Held>,
}

impl CellReader {
    /// The next cell, however long it takes.
    ///
    /// # Errors
    /// [`LinkError::Io`] when the stream ends.
    pub async fn read(&mut self) -> Result<Cell, LinkError> {
        let mut cell = Box::new([0; CELL]);
        self.reader.read_exact(&mut cell[..]).await?;
        Ok(Cell::from_bytes(cell))
    }

    /// Whether another whole cell is here already.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.reader.buffer().len() >= CELL
    }
}

/// Sends a channel's cells.
#[derive(Debug)]
pub struct CellWriter {
    writer: BufWriter<WriteHalf<libp2p::Stream>>,
}

impl CellWriter {
    /// Sends cells, and sees them off.
    ///
    /// # Errors
    /// [`LinkError`]; the peer may take at most ten seconds for each.
    pub async fn write(&mut self, cells: &[Cell]) -> Result<(), LinkError> {
        for cell in cells {
            self.feed(cell).await?;
        }
        self.flush().await
    }

    /// Sends a cell that need not leave yet.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn feed(&mut self, cell: &Cell) -> Result<(), LinkError> {
        timely(self.writer.write_all(cell.as_bytes())).await
    }

    /// Sees everything off.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        timely(self.writer.flush()).await
    }

    /// Ends this direction.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn close(&mut self) -> Result<(), LinkError> {
        timely(self.writer.close()).await
    }
}
