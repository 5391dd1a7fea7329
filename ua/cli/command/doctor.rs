//! `cutout doctor`: why the network is not reached, as far as it can be told from here: a firewall, a wrong clock, no
//! connection, or a network that is dead.
//!
//! Where Tor is wanted nothing is tried without it.

mod clock;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anon::{
    network::Network,
    request::{Request, Response},
    time::Time,
};
use clap::Args;
use futures::future::join_all;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use net::{Carrier, Link, Links, NetworkFile, Transport, now};
use tokio::net::TcpStream;
use ua::profile::{Profile, ProfileError};

use super::interruption::Interruption;
use crate::{
    command::Global,
    terminal::{Failure, Progress, finding},
    transport::{TransportArgs, transport},
};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a node may take to answer, over TCP.
const ANSWER: Duration = Duration::from_secs(5);
/// The step in which the time is looked for at which a certificate would be valid, seconds, and for how many years.
const STEP: i64 = 6 * 3_600;
const YEARS: i64 = 5;
/// Nodes that are tried.
const NODES: usize = 16;

/// Arguments of `cutout doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout doctor                          what a user's own commands would meet\n  cutout doctor --network demo.toml      before there is a user\n  cutout doctor --tor                    the same over Tor, and nothing without it\n\nExit codes: 0 all is well, 69 the network is not reached or this machine's clock is wrong, 78 a file is not as it should be."
)]
pub struct DoctorArgs {
    /// The network file [default: the user's own]
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
    #[command(flatten)]
    transport: TransportArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What became of one attempt to reach a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// It answers, and its certificate is valid now.
    Well,
    /// It answers, and its certificate says that it is another time: seconds by which this clock is behind (or ahead).
    OtherTime(i64),
    /// Something answers there that is not this node.
    Stranger,
    /// There is a machine, and nothing listens on it.
    Refused,
    /// Nothing comes back.
    Timeout,
    /// This machine knows no way there.
    NoWay,
    /// It is an onion service, and there is no Tor.
    OnionOnly,
}

struct Doctor<'a> {
    json: bool,
    progress: &'a Progress,
}

impl Doctor<'_> {
    fn find(&self, what: &str, is_good: bool, detail: &str) -> Result<(), Failure> {
        self.progress.hide();
        let said = finding(what, is_good, detail, self.json);
        self.progress.show();
        said
    }
}

/// Runs `cutout doctor`.
///
/// # Errors
/// [`Failure`]: 69 if the network is not reached, with the likeliest reason; 78 if a file is not as it should be.
pub async fn run(global: &Global, args: &DoctorArgs) -> Result<(), Failure> {
    let directory = global.directory()?;
    let path = args.network.clone().unwrap_or_else(|| directory.join("network.toml"));
    let interruption = Interruption::take_hold("run `cutout doctor` again")?;
    let progress = Arc::new(Progress::start("looking", global.verbose > 0));
    let ended = interruption.unless(examine(args, &directory, &path, &progress)).await;
    progress.finish();
    ended.and_then(|ended| ended)
}

async fn examine(
    args: &DoctorArgs,
    directory: &std::path::Path,
    path: &std::path::Path,
    progress: &Arc<Progress>,
) -> Result<(), Failure> {
    let doctor = Doctor { json: args.json, progress };
    let user = if Profile::exists(directory) { "is here" } else { "none yet: `cutout init`" };
    doctor.find("user", true, user)?;
    let file = NetworkFile::read(path).map_err(ProfileError::from).map_err(Failure::from);
    let file = match file {
        Ok(file) => file,
        Err(failure) => {
            doctor.find("network file", false, &failure.cause)?;
            return Err(failure.of("there is no network to look at"));
        }
    };
    doctor.find("network file", true, &file.name)?;
    let transport = match transport(directory, args.transport, progress).await {
        Ok(transport) => transport,
        Err(failure) => {
            doctor.find("Tor", false, &failure.cause)?;
            return Err(failure);
        }
    };
    let tor = if transport.is_tor() { "works: everything goes over it" } else { "not wanted" };
    doctor.find("Tor", true, tor)?;
    progress.step("trying the network's nodes");
    let nodes = file.bootstrap_peers().map_err(ProfileError::from)?;
    let tries = nodes.iter().take(NODES).map(|(peer, at)| reach(&file, *peer, at, &transport));
    let (reached, offsets): (Vec<Reached>, Vec<Option<i64>>) =
        join_all(tries).await.into_iter().unzip();
    let well = reached.iter().filter(|r| **r == Reached::Well).count();
    let detail = format!("{well} of {} bootstrap nodes answer as they should", reached.len());
    doctor.find("nodes", well > 0, &detail)?;
    let told = nodes.iter().map(|(_, at)| at.clone()).zip(offsets);
    let told: Vec<_> = told.filter_map(|(at, offset)| Some((at, offset?))).collect();
    let clock = clock::judge(&told);
    doctor.find("clock", clock.is_good(), &clock.words())?;
    if !clock.is_good() {
        return Err(Failure::new(69, "this machine's clock may be wrong", clock.words(), CLOCK));
    }
    match verdict(&reached, transport.is_tor()) {
        None => Ok(()),
        Some((cause, remedy)) => Err(Failure::new(69, "the network is not reached", cause, remedy)),
    }
}

/// What becomes of an attempt to reach a node, and by how many seconds this clock is behind its.
async fn reach(
    file: &NetworkFile,
    peer: PeerId,
    at: &Multiaddr,
    transport: &Transport,
) -> (Reached, Option<i64>) {
    if let Some(hindered) = hindered(at, transport).await {
        return (hindered, None);
    }
    // Over Tor nobody tells why a stream did not come about.
    let failed = if transport.is_tor() { Reached::Timeout } else { Reached::Stranger };
    let Ok(network) = file.network() else { return (failed, None) };
    let Ok(links) = Links::disposable_over(&network.name, transport) else { return (failed, None) };
    let open = async || links.open_at(peer, vec![at.clone()], Carrier::Request).await;
    let Ok(link) = open().await else { return (failed, None) };
    let answered = asked(link, &network).await;
    let offset = match open().await {
        Ok(link) => clock::offset(link).await,
        Err(_) => None,
    };
    (answered, offset)
}

/// What keeps a TCP connection from coming about; over Tor that shows later.
async fn hindered(at: &Multiaddr, transport: &Transport) -> Option<Reached> {
    if !transport.is_tor() {
        let Some(address) = socket(at) else { return Some(Reached::OnionOnly) };
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                use std::io::ErrorKind;
                return Some(match error.kind() {
                    ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Reached::Refused,
                    ErrorKind::TimedOut => Reached::Timeout,
                    _ => Reached::NoWay,
                });
            }
            Err(_) => return Some(Reached::Timeout),
        }
    }
    None
}

/// What a node answers when it is asked for its certificate.
async fn asked(link: Link, network: &Network) -> Reached {
    match link.request(&Request::Certificate, ANSWER).await {
        Ok(Response::Certificate(certificate)) => {
            let current = now();
            let Err(_) = certificate.clone().verify(network, current) else {
                return Reached::Well;
            };
            // Whether it would be valid at some other time is what a wrong clock looks like.
            match off_by(current, |time| certificate.clone().verify(network, time).is_ok()) {
                Some(seconds) => Reached::OtherTime(seconds),
                None => Reached::Stranger,
            }
        }
        _ => Reached::Stranger,
    }
}

/// How far from `current` the nearest time is at which `is_valid`, seconds: looked for in steps that no certificate falls
/// between, up to years.
fn off_by(current: Time, is_valid: impl Fn(Time) -> bool) -> Option<i64> {
    let offsets = (1..=YEARS * 365 * 86_400 / STEP).flat_map(|n| [n * STEP, -n * STEP]);
    let mut offsets = [300, -300].into_iter().chain(offsets);
    offsets.find(|offset| is_valid(Time(current.0.saturating_add_signed(*offset))))
}

fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// What to do about a clock. A node may lie about the time, and whoever sets a clock back takes old certificates for new
/// ones: so nobody is told to set it by what nodes say.
const CLOCK: &str = "compare date, time and time zone with a clock that you trust; if yours is right, those nodes are wrong";

/// That nodes which answer live at another time, if there are such: the nearest one, since a clock is off for all alike.
fn other_time(reached: &[Reached]) -> Option<String> {
    let offset = |reached: &Reached| match reached {
        Reached::OtherTime(seconds) => Some(*seconds),
        _ => None,
    };
    let nodes = reached.iter().filter_map(offset).count();
    let least = reached.iter().filter_map(offset).min_by_key(|seconds| seconds.abs())?;
    Some(format!(
        "{nodes} of {} nodes answer, and live at another time: by theirs this machine's clock is at least {}",
        reached.len(),
        clock::size(least)
    ))
}

/// The likeliest reason, and what to do; `None` if enough nodes answer.
fn verdict(reached: &[Reached], is_tor: bool) -> Option<(String, &'static str)> {
    let count = |wanted: Reached| reached.iter().filter(|r| **r == wanted).count();
    if count(Reached::Well) > 0 {
        return None;
    }
    if reached.is_empty() {
        let remedy = "ask whoever runs the network for a file with bootstrap nodes";
        return Some(("the network file names no node".to_owned(), remedy));
    }
    if let Some(cause) = other_time(reached) {
        return Some((cause, CLOCK));
    }
    if is_tor {
        let cause = "Tor works, and no node answers over it: the network is dead, or not to be reached over Tor";
        return Some((cause.to_owned(), "ask whoever runs the network; try again in an hour"));
    }
    let most =
        [Reached::NoWay, Reached::Timeout, Reached::Refused, Reached::Stranger, Reached::OnionOnly]
            .into_iter()
            .max_by_key(|kind| count(*kind))?;
    let (cause, remedy) = match most {
        Reached::NoWay => {
            ("this machine has no way to any node: it is offline", "connect it, and try again")
        }
        Reached::Timeout => (
            "nothing comes back from any node: a firewall drops it, or all those machines are gone",
            "try another connection, or --tor; if it is the same there, the network is dead",
        ),
        Reached::Refused => (
            "the machines are there, and no node runs on them: the network is dead, or has moved",
            "ask whoever runs the network for a newer file",
        ),
        Reached::OnionOnly => (
            "the network's nodes are reached over Tor only",
            "use --tor, or set tor = \"required\" in config.toml",
        ),
        _ => (
            "something answers in the place of the nodes: a firewall, a captive portal, or other programs",
            "try another connection, or --tor",
        ),
    };
    Some((cause.to_owned(), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_from_the_others() {
        let told = |reached: &[Reached], tor| verdict(reached, tor).map(|(cause, _)| cause);
        assert_eq!(told(&[Reached::Timeout, Reached::Well], false), None);
        for (reached, part) in [
            (vec![Reached::NoWay; 3], "offline"),
            (vec![Reached::Timeout; 3], "a firewall drops it"),
            (vec![Reached::Refused; 3], "the network is dead"),
            (vec![Reached::Stranger; 3], "captive portal"),
            (vec![Reached::OnionOnly; 3], "over Tor only"),
            (vec![Reached::Refused, Reached::OtherTime(7_200)], "at least 2 hours behind"),
            (vec![Reached::OtherTime(-90_000)], "at least 25 hours ahead"),
            (vec![], "names no node"),
        ] {
            assert!(told(&reached, false).unwrap().contains(part), "{reached:?}");
        }
        assert!(told(&[Reached::Timeout], true).unwrap().contains("Tor works"));
    }

    #[test]
    fn a_clock_is_off_by_about_what_it_is_off_by() {
        let valid = |from: u64, until: u64| move |time: Time| (from..until).contains(&time.0);
        let current = Time(1_000_000);
        let ahead = off_by(current, valid(900_000, 950_000)).unwrap();
        assert!((-100_000..=-50_000).contains(&ahead), "{ahead}");
        let behind = off_by(current, valid(1_500_000, 1_530_000)).unwrap();
        assert!((500_000..530_000).contains(&behind), "{behind}");
        assert_eq!(off_by(current, |_| false), None);
    }
}
