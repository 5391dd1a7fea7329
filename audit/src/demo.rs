//! `cutout demo`: one anonymous mail crosses a network of real processes by each scheme, and each role's view is
//! drawn from what its processes really received.

mod kept;
mod report;
mod view;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use cutout::{
    command::{interruption::Interruption, read_file, scheme::SchemeName},
    terminal::{Failure, Progress, describe, tell},
};
use net::now;
use parking_lot::Mutex;
use report::{Costs, Report, Run};
use testbed::{
    cluster::{Cluster, ClusterError, ClusterOptions, cpu_of},
    person::Person,
};
use ua::{
    compose::Message,
    event::{Event, Listener},
    send::Outcome,
    session::SchemeChoice,
};
use view::Secrets;

/// One way on each link while the mail crosses, so that round trips can be counted.
const DELAY: Duration = Duration::from_millis(50);
/// An epoch of the demo's network, seconds: so short that nobody has to wait for a day, and so the rosters' upkeep,
/// four rounds an epoch, shows in the demo's costs.
const EPOCH_SECONDS: u64 = 5;
/// Links are quiet when less than this passes in one step, bytes; so many steps are waited at most.
const QUIET_BYTES: u64 = 4_096;
const SETTLE_STEPS: usize = 20;
/// What Alice writes unless she is given a file.
const LETTER: &str = "Meet me where we met in spring. Burn this.\n";

/// Arguments of `cutout demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout demo                         both schemes, side by side\n  cutout demo --scheme guarded --hops 2\n  cutout demo --nodes 30 --mail letter.eml\n  cutout demo --keep                  a network that stays, and two users to try it with\n  cutout demo --stop                  stop it again\n  cutout demo --json | jq '.runs[].roles'"
)]
pub(crate) struct DemoArgs {
    /// How many nodes the network has
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(6..=200))]
    nodes: u16,
    /// The mail to send (RFC 5322), instead of a letter of the demo's own
    #[arg(long, value_name = "FILE.eml")]
    mail: Option<PathBuf>,
    /// Show one scheme only [default: both]
    #[arg(long, value_enum)]
    scheme: Option<SchemeName>,
    /// Go-betweens between the guard and the anonymizer, in the guarded scheme
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=3))]
    hops: u8,
    /// Start a network that stays, with two users, and print what to type next
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = kept::DIRECTORY, conflicts_with_all = ["mail", "scheme", "hops"])]
    keep: Option<PathBuf>,
    /// Stop a network that was kept, and remove its directory
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = kept::DIRECTORY, conflicts_with = "keep")]
    stop: Option<PathBuf>,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

impl DemoArgs {
    fn schemes(&self) -> Vec<SchemeName> {
        self.scheme.map_or_else(|| vec![SchemeName::Paper, SchemeName::Guarded], |one| vec![one])
    }

    fn choice(&self, scheme: SchemeName) -> SchemeChoice {
        match scheme {
            SchemeName::Paper => SchemeChoice::Paper,
            SchemeName::Guarded => SchemeChoice::Guarded { middle: usize::from(self.hops) },
        }
    }
}

/// What is said of a network that does not come up.
pub(crate) fn failed(error: ClusterError) -> Failure {
    let remedy = "close other programs, or use fewer --nodes";
    Failure::new(71, "the demo's network does not come up", error, remedy)
}

/// Tells each event as it happens, and keeps them all.
struct Stage {
    events: Mutex<Vec<Event>>,
    silent: bool,
}

impl Listener for Stage {
    fn on(&self, event: &Event) {
        if !self.silent
            && let Some(text) = describe(event)
        {
            tell(format!("    {text}"));
        }
        self.events.lock().push(event.clone());
    }
}

/// Somebody of the demo, and what happens to them.
fn person(directory: &Path, network: &str, silent: bool) -> Result<(Person, Arc<Stage>), Failure> {
    let stage = Arc::new(Stage { events: Mutex::default(), silent });
    Ok((Person::new(network, directory, Arc::clone(&stage) as _)?, stage))
}

/// Runs `cutout demo`.
///
/// # Errors
/// [`Failure`] if anything does not work as promised.
pub(crate) async fn run(args: &DemoArgs) -> Result<(), Failure> {
    if let Some(directory) = &args.stop {
        return kept::stop(directory).await;
    }
    if let Some(directory) = &args.keep {
        return kept::keep(args, directory).await;
    }
    // Interrupted, it cleans up all the same: the nodes and their directory go when this returns.
    Interruption::take_hold("run it again: nothing of it is kept")?.unless(show(args)).await?
}

async fn show(args: &DemoArgs) -> Result<(), Failure> {
    let directory = tempfile::tempdir()
        .map_err(|error| Failure::new(73, "no temporary directory", error, "set TMPDIR"))?;
    let progress = Progress::start(&format!("starting {} nodes", args.nodes), !args.json);
    let recorded = |options: &mut ClusterOptions| {
        (options.proxied, options.recorded) = (true, true);
    };
    let mut cluster = start(args, directory.path().join("network"), &progress, recorded).await?;
    progress.finish();
    let network = String::from_utf8_lossy(&read_file(&cluster.network_file())?).into_owned();
    let (bob, _) = person(&directory.path().join("bob"), &network, true)?;
    bob.publish().await?;
    let message = match &args.mail {
        Some(path) => Message::from_rfc5322(read_file(path)?)?,
        None => {
            let to = [bob.address().clone()];
            Message::from_text(LETTER, "Spring", &to, None, None, now())?
        }
    };
    let progress =
        Progress::start("waiting for the nodes to know each other for an epoch", !args.json);
    tokio::time::sleep(Duration::from_secs(EPOCH_SECONDS * 3)).await;
    progress.finish();

    let talk = |text: &str| {
        if !args.json {
            tell(text);
        }
    };
    let mut runs = Vec::new();
    for scheme in args.schemes() {
        let name = report::name(scheme);
        let (alice, stage) = person(&directory.path().join(&name), &network, args.json)?;
        talk(&format!("\nAlice writes to Bob by the `{name}` scheme:"));
        let (outcome, costs, marks) =
            send(&mut cluster, &alice, &bob, &message, args.choice(scheme)).await?;
        // What a role saw of the send, not of the reading, is what is drawn.
        let roles = view::draw(&cluster, Secrets::of(&stage, &bob, &message), &marks)?;
        talk("\nBob reads:");
        let had = bob.mails()?.len();
        bob.fetch(None).await?;
        let mails = bob.mails()?;
        let delivered = mails.len() == had + 1 && mails.iter().all(|mail| *mail == message.bytes);
        if delivered {
            talk("    the mail is in Bob's Maildir, byte for byte");
        }
        runs.push(Run { scheme, stage, outcome, delivered, costs, roles });
    }
    let delivered = runs.iter().all(|run| run.delivered);
    Report { nodes: cluster.nodes().len(), runs }.print(args.json)?;
    if delivered {
        Ok(())
    } else {
        Err(Failure::new(70, "the mail did not arrive byte for byte", "", "report this"))
    }
}

/// Starts the network.
async fn start(
    args: &DemoArgs,
    network: PathBuf,
    progress: &Progress,
    dress: impl FnOnce(&mut ClusterOptions),
) -> Result<Cluster, Failure> {
    let mut options = ClusterOptions::new(this_program()?, network, usize::from(args.nodes));
    options.network.epoch_seconds = EPOCH_SECONDS;
    dress(&mut options);
    let all = args.nodes;
    let cluster = Cluster::start(options, |n| progress.step(&format!("{n} of {all} nodes are up")));
    cluster.await.map_err(failed)
}

fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(71, "this program cannot find itself", error, ""))
}

/// Waits until the links are quiet, so that what is counted is the mail's and not the network's coming together.
async fn settle(cluster: &Cluster) {
    for _ in 0..SETTLE_STEPS {
        let before = cluster.link_bytes();
        tokio::time::sleep(Duration::from_millis(300)).await;
        if cluster.link_bytes() - before < QUIET_BYTES {
            return;
        }
    }
}

/// Sends the mail over delayed links and counts what it costs.
async fn send(
    cluster: &mut Cluster,
    alice: &Person,
    bob: &Person,
    message: &Message,
    choice: SchemeChoice,
) -> Result<(Outcome, Costs, Vec<u64>), Failure> {
    let scheme = alice.agent.scheme(choice).await?;
    let id = alice.hand_in(&message.bytes, &message.subject, bob.address(), false)?;
    settle(cluster).await;
    let own = std::process::id();
    let looked_up = cluster.lookup_counters().await.map_err(failed)?;
    let before = (cluster.link_bytes(), cluster.cpu(), cpu_of(own));
    let marks = cluster.marks();
    cluster.set_delay(DELAY);
    let start = Instant::now();
    let outcome = alice.deliver(&id, scheme).await?;
    let elapsed = start.elapsed();
    cluster.set_delay(Duration::ZERO);
    let lookups = cluster.lookup_counters().await.map_err(failed)?;
    let after = (cluster.link_bytes(), cluster.cpu(), cpu_of(own));
    let spent = |before: Option<Duration>, after: Option<Duration>| {
        after.zip(before).map(|(after, before)| after.saturating_sub(before))
    };
    let costs = Costs {
        elapsed,
        round_trip: DELAY * 2,
        lookups: lookups.1.saturating_sub(looked_up.1),
        kademlia_requests: lookups.0.saturating_sub(looked_up.0),
        bytes: after.0.saturating_sub(before.0),
        cpu: spent(before.1, after.1).zip(spent(before.2, after.2)).map(|(nodes, own)| nodes + own),
    };
    if let Some(error) = outcome.error {
        return Err(error.into());
    }
    Ok((outcome, costs, marks))
}
