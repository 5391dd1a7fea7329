//! The door: TCP, where whoever comes in has little time to say something, and makes room for others until it is known.
//!
//! A socket costs a stranger nothing and says nothing of who it is, so nobody is refused for those that came before:
//! when there are too many strangers, or too many of one address range, one of that range goes, those that have said
//! nothing before those that have, and whoever is here the longest first.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
    tcp,
};
use parking_lot::Mutex;

use super::OPEN_TIMEOUT;
use crate::shares::{Range, RangeShare, Refused};

/// How long a stranger may take to say its first byte; an honest one says it with its first packet.
const FIRST_BYTE: Duration = Duration::from_secs(2);

/// Strangers: connections that are there and not yet known to be anybody's.
#[derive(Debug)]
pub struct Strangers {
    most: usize,
    share: RangeShare,
    /// By when they came.
    all: Mutex<(u64, BTreeMap<u64, Stranger>)>,
    refused: Refused,
}

#[derive(Debug)]
struct Stranger {
    remote: Multiaddr,
    range: Range,
    has_spoken: bool,
    since: Instant,
    socket: Option<std::net::TcpStream>,
}

impl Strangers {
    /// Room for `most`, of which one range gets its share.
    pub const fn new(most: usize, share: RangeShare) -> Self {
        let refused = Refused::new("connections that say nothing");
        Self { most, share, all: Mutex::new((0, BTreeMap::new())), refused }
    }

    /// Lets one more in; another one goes where that is one too many.
    fn enter(self: &Arc<Self>, remote: &Multiaddr, socket: Option<std::net::TcpStream>) -> Entered {
        let range = Range::of(remote);
        let mut guard = self.all.lock();
        let (next, all) = &mut *guard;
        // Whoever takes longer than the transport allows is gone, whether or not anybody told.
        all.retain(|_, stranger| stranger.since.elapsed() < OPEN_TIMEOUT * 2);
        if let Some(going) = self.one_too_many(all, range).and_then(|number| all.remove(&number)) {
            self.refused.tell();
            if let Some(socket) = going.socket {
                let _ = socket.shutdown(std::net::Shutdown::Both);
            }
        }
        let number = *next;
        *next += 1;
        let (remote, since) = (remote.clone(), Instant::now());
        all.insert(number, Stranger { remote, range, has_spoken: false, since, socket });
        Entered { strangers: Arc::clone(self), number, stays: false }
    }

    /// Who goes when one of this range comes.
    fn one_too_many(&self, all: &BTreeMap<u64, Stranger>, range: Range) -> Option<u64> {
        let mut crowds: BTreeMap<Range, usize> = BTreeMap::new();
        for stranger in all.values() {
            *crowds.entry(stranger.range).or_default() += 1;
        }
        let own = crowds.get(&range).copied().unwrap_or(0);
        let crowd = if own >= self.share.of(self.most, range) {
            range
        } else if all.len() >= self.most {
            crowds.into_iter().max_by_key(|(_, count)| *count)?.0
        } else {
            return None;
        };
        let those = all.iter().filter(|(_, stranger)| stranger.range == crowd);
        those.min_by_key(|(number, s)| (s.has_spoken, **number)).map(|(number, _)| *number)
    }

    /// One is no stranger any more: known, or gone.
    pub(super) fn leave(&self, remote: &Multiaddr) {
        let mut guard = self.all.lock();
        guard.1.retain(|_, stranger| stranger.remote != *remote);
    }
}

/// One who has come in; gone when dropped, unless it has spoken.
struct Entered {
    strangers: Arc<Strangers>,
    number: u64,
    stays: bool,
}

impl Entered {
    fn has_spoken(mut self) {
        self.stays = true;
        let mut guard = self.strangers.all.lock();
        if let Some(stranger) = guard.1.get_mut(&self.number) {
            stranger.has_spoken = true;
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.stays {
            let mut guard = self.strangers.all.lock();
            guard.1.remove(&self.number);
        }
    }
}

/// TCP behind a door.
#[derive(derive_more::Debug)]
#[debug("Door(..)")]
pub struct Door {
    tcp: tcp::tokio::Transport,
    strangers: Arc<Strangers>,
}

impl Door {
    /// A door for these strangers.
    pub fn new(strangers: Arc<Strangers>) -> Self {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        Self { tcp, strangers }
    }

    /// For those who listen nowhere.
    pub(super) fn closed() -> Self {
        let share = RangeShare { percent: 100, unknown: 100 };
        Self::new(Arc::new(Strangers::new(1, share)))
    }
}

impl Transport for Door {
    type Output = tcp::tokio::TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Self::Output>>;
    type Dial = <tcp::tokio::Transport as Transport>::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.tcp.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.tcp.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        self.tcp.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = std::task::ready!(Pin::new(&mut self.tcp).poll(cx));
        let remote = match &event {
            TransportEvent::Incoming { send_back_addr, .. } => send_back_addr.clone(),
            _ => Multiaddr::empty(),
        };
        let strangers = Arc::clone(&self.strangers);
        Poll::Ready(event.map_upgrade(|accepted| {
            let entering: BoxFuture<'static, _> = Box::pin(async move {
                let stream = accepted.await?;
                let entered = strangers.enter(&remote, handle(&stream.0));
                let heard = tokio::time::timeout(FIRST_BYTE, stream.0.peek(&mut [0])).await;
                if heard?? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                entered.has_spoken();
                Ok(stream)
            });
            entering
        }))
    }
}

/// Another handle of a socket, by which it can be ended from outside.
fn handle(stream: &tokio::net::TcpStream) -> Option<std::net::TcpStream> {
    use std::os::fd::AsFd as _;
    stream.as_fd().try_clone_to_owned().ok().map(Into::into)
}

/// Makes sure that nobody else listens at this address and can from now on, until the result is dropped. libp2p
/// shares its ports with every other process of the same user, so that two nodes at one address would each get half of
/// what comes, and neither would know.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] if somebody listens there.
pub fn only_listener(address: &Multiaddr) -> io::Result<Option<impl Send>> {
    use rustix::net::{AddressFamily, SocketType, bind, ipproto, listen, socket, sockopt};

    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => std::net::IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(None),
    };
    let Some(Protocol::Tcp(port @ 1..)) = parts.next() else { return Ok(None) };
    let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, Some(ipproto::TCP))?;
    if ip.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &std::net::SocketAddr::new(ip, port))?;
    listen(&socket, 1)?;
    // Only now may libp2p's own socket stand beside this one. Another node's would have had to before.
    sockopt::set_socket_reuseport(&socket, true)?;
    Ok(Some(socket))
}
