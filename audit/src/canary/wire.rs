//! What passes on loopback, as a packet socket shows it: the bytes of each TCP connection from or to some ports, put
//! together by sequence number. Only payloads: that addresses stand in the headers of packets is a matter of course.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    num::NonZeroU32,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketType, recv, socket, sockopt};

/// Every protocol, of Linux's `if_ether.h`.
const ETH_P_ALL: u16 = 3;
/// Bytes that the kernel keeps for us.
const KERNEL_BUFFER: usize = 64 << 20;
/// The longest packet.
const PACKET: usize = 1 << 17;
/// How long to wait for a packet before looking whether it is over.
const TURN: Duration = Duration::from_millis(100);

/// One direction of a connection: both addresses and ports, as they stand in the packet.
type Flow = [u8; 12];

/// What passed one way.
#[derive(Debug, Default)]
struct Stream {
    next: Option<u32>,
    bytes: Vec<u8>,
    gaps: usize,
}

/// A capture that is under way.
#[derive(Debug)]
pub(super) struct Capture {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<Flow, Stream>>,
}

impl Capture {
    /// Begins to listen for what goes from or to these ports.
    pub(super) fn start(ports: BTreeSet<u16>) -> io::Result<Self> {
        let all = NonZeroU32::new(ETH_P_ALL.to_be().into()).map(Protocol::from_raw);
        let socket = socket(AddressFamily::PACKET, SocketType::DGRAM, all)?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, KERNEL_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, KERNEL_BUFFER)?;
        }
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(TURN))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || listen(&socket, &ports, &over));
        Ok(Self { is_over, thread })
    }

    /// Ends it: what passed on each connection, one way each, and how many pieces are missing.
    pub(super) fn end(self) -> (Vec<Vec<u8>>, usize) {
        self.is_over.store(true, Ordering::Relaxed);
        let streams = self.thread.join().unwrap_or_default();
        let gaps = streams.values().map(|stream| stream.gaps).sum();
        (streams.into_values().map(|stream| stream.bytes).collect(), gaps)
    }
}

fn listen(socket: &OwnedFd, ports: &BTreeSet<u16>, is_over: &AtomicBool) -> BTreeMap<Flow, Stream> {
    let mut streams: BTreeMap<Flow, Stream> = BTreeMap::new();
    let mut buffer = vec![0; PACKET];
    let mut until: Option<Instant> = None;
    // Others may talk on for ever: what was sent before the end is there by then.
    while until.is_none_or(|until| Instant::now() < until) {
        if until.is_none() && is_over.load(Ordering::Relaxed) {
            until = Some(Instant::now() + TURN * 3);
        }
        // Where nothing comes for a while it is an error, and looked at again.
        if let Ok((length, _)) = recv(socket, &mut buffer[..], RecvFlags::empty())
            && let Some((flow, sequence, payload)) =
                segment(buffer.get(..length).unwrap_or_default(), ports)
        {
            streams.entry(flow).or_default().take(sequence, payload);
        }
    }
    streams
}

/// The flow, the sequence number and the payload of a TCP packet over IPv4 with one of these ports.
fn segment<'a>(packet: &'a [u8], ports: &BTreeSet<u16>) -> Option<(Flow, u32, &'a [u8])> {
    let first = packet.first()?;
    let (version, words) = (first >> 4, usize::from(first & 15));
    if version != 4 || packet.get(9) != Some(&6) {
        return None;
    }
    let length: [u8; 2] = packet.get(2..4)?.try_into().ok()?;
    let packet = packet.get(..usize::from(u16::from_be_bytes(length))).unwrap_or(packet);
    let (addresses, tcp) = (packet.get(12..20)?, packet.get(words * 4..)?);
    let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
    if !ports.contains(&port(0)?) && !ports.contains(&port(2)?) {
        return None;
    }
    let sequence = u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?);
    let payload = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?;
    let flow = [addresses, tcp.get(..4)?].concat().try_into().ok()?;
    (!payload.is_empty()).then_some((flow, sequence, payload))
}

impl Stream {
    /// Takes a piece; loopback shows each twice, and sends some again.
    fn take(&mut self, sequence: u32, payload: &[u8]) {
        let next = *self.next.get_or_insert(sequence);
        let old = next.wrapping_sub(sequence);
        // Half the numbers are behind, half ahead.
        let (fresh, missed) = match usize::try_from(old) {
            Ok(old) if old <= 1 << 31 => (payload.get(old..), false),
            _ => (Some(payload), true),
        };
        let Some(fresh) = fresh.filter(|fresh| !fresh.is_empty()) else { return };
        self.gaps += usize::from(missed);
        self.bytes.extend_from_slice(fresh);
        let length = u32::try_from(payload.len()).unwrap_or(0);
        self.next = Some(sequence.wrapping_add(length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_together_once_each() {
        let mut stream = Stream::default();
        let begin = u32::MAX - 2;
        for (at, piece) in [(0, &b"abcd"[..]), (0, b"abcd"), (4, b"ef"), (2, b"cdefgh"), (8, b"i")]
        {
            stream.take(begin.wrapping_add(at), piece);
        }
        assert_eq!((stream.bytes.as_slice(), stream.gaps), (&b"abcdefghi"[..], 0));
        stream.take(begin.wrapping_add(20), b"later");
        assert_eq!((stream.bytes.as_slice(), stream.gaps), (&b"abcdefghilater"[..], 1));
    }

    #[test]
    fn only_the_payload_of_the_asked_ports_is_taken() {
        let mut packet = vec![0x45, 0, 0, 44, 0, 0, 0, 0, 64, 6, 0, 0];
        packet.extend([127, 0, 0, 1, 127, 0, 0, 2, 0x12, 0x34, 0, 80, 0, 0, 0, 7]);
        packet.extend([0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(b"data and padding");
        let (_, sequence, payload) = segment(&packet, &[80].into()).unwrap();
        assert_eq!((sequence, payload), (7, &b"data"[..]));
        assert!(segment(&packet, &[81].into()).is_none());
        assert!(
            segment(&packet[..30], &[80].into()).is_none() && segment(&[], &[80].into()).is_none()
        );
    }
}
