//! One connection over the slow link: two directions, each a reader, a queue and a writer.
//!
//! ```text
//! from ── read ──► (due, bytes) ── queue ──► wait until due ── write ──► to
//!                  permits: one a queued byte, given back after the write
//! ```

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};

use super::Shared;

/// Most bytes on their way in one direction of one connection: 16 MiB, which is 1.3 Gbit/s at
/// a delay of 100 ms.
pub const MAX_QUEUED_BYTES: u32 = 16 * 1024 * 1024;
/// Most bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Queue space that a chunk takes at least, so that single bytes cannot fill the memory with
/// bookkeeping.
const LEAST_CHARGE: u32 = 256;

/// What travels.
enum Event {
    Bytes { bytes: Box<[u8]>, _queued: OwnedSemaphorePermit },
    HalfClose,
    Reset(io::Error),
}

/// One direction of a connection.
struct Direction<'a> {
    shared: &'a Shared,
    counter: &'a AtomicU64,
    /// When the sender could first have sent, were the link real.
    opens: Instant,
}

/// Forwards both directions until both are closed or one side has reset the connection.
pub(super) async fn forward(
    client: TcpStream,
    target: SocketAddr,
    shared: &Shared,
) -> io::Result<()> {
    let accepted = Instant::now();
    let delay = shared.delay();
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let outbound =
        Direction { shared, counter: &shared.to_target, opens: accepted + delay.saturating_mul(2) };
    let inbound =
        Direction { shared, counter: &shared.to_client, opens: accepted + delay.saturating_mul(3) };
    tokio::try_join!(outbound.run(from_client, to_server), inbound.run(from_server, to_client))?;
    Ok(())
}

impl Direction<'_> {
    /// Runs the direction until its writer is through; an error ends the other direction too.
    async fn run(&self, from: OwnedReadHalf, to: OwnedWriteHalf) -> io::Result<()> {
        let (queue, queued) = mpsc::unbounded_channel();
        let reading = async {
            self.read(from, queue).await;
            // The reader is through first; what it queued has still to be written.
            pending::<()>().await;
        };
        tokio::select! {
            outcome = self.write(queued, to) => outcome,
            () = reading => Ok(()),
        }
    }

    /// Reads until the sender closes or resets.
    async fn read(&self, mut from: OwnedReadHalf, queue: mpsc::UnboundedSender<(Instant, Event)>) {
        let space = Arc::new(Semaphore::new(usize::try_from(MAX_QUEUED_BYTES).unwrap_or(0)));
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let outcome = from.read(&mut buffer).await;
            let due = Instant::now().max(self.opens) + self.shared.delay();
            let event = match outcome {
                Ok(0) => Event::HalfClose,
                Err(e) => Event::Reset(e),
                Ok(count) => {
                    let bytes: Box<[u8]> = buffer.get(..count).unwrap_or_default().into();
                    let space = Arc::clone(&space);
                    let Ok(_queued) = space.acquire_many_owned(charge(count)).await else {
                        return;
                    };
                    Event::Bytes { bytes, _queued }
                }
            };
            let last = !matches!(event, Event::Bytes { .. });
            if queue.send((due, event)).is_err() || last {
                return;
            }
        }
    }

    /// Writes each chunk when it is due. A reset is an error; a receiver that takes no more only
    /// ends this direction, since what it has sent itself may still be on its way.
    async fn write(
        &self,
        mut queued: mpsc::UnboundedReceiver<(Instant, Event)>,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        while let Some((due, event)) = queued.recv().await {
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            match event {
                Event::Bytes { bytes, .. } => {
                    let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    self.counter.fetch_add(count, Ordering::SeqCst);
                    if to.write_all(&bytes).await.is_err() {
                        return Ok(());
                    }
                }
                Event::HalfClose => break,
                Event::Reset(e) => {
                    // No FIN, and a RST when the socket is dropped.
                    to.as_ref().set_zero_linger()?;
                    to.forget();
                    return Err(e);
                }
            }
        }
        // Dropping the half sends the FIN.
        Ok(())
    }
}

/// The queue space that a chunk of `count` bytes takes.
fn charge(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(LEAST_CHARGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_charged_for_its_bookkeeping_and_always_fits() {
        let bookkeeping = size_of::<(Instant, Event)>() + size_of::<usize>() * 4;
        assert!(usize::try_from(charge(1)).unwrap() > bookkeeping);
        assert_eq!(usize::try_from(charge(READ_BYTES)).unwrap(), READ_BYTES);
        assert!(charge(READ_BYTES) <= MAX_QUEUED_BYTES);
    }
}
