//! A node of the testbed, as a process: an honest node dressed in what [`crate::hostile::behaviour`] names, with a recorder
//! at the protocol's edge. It lives until its standard input ends.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anon::network::Network;
use clap::Args;
use net::NetworkFile;
use node::{Identity, Node, NodeConfig, NodeError, Running, Service};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    hostile::{
        behaviour::{Behaviour, Hostile, Ledger},
        channels::{Channels, Handed},
        keeper::{self, LyingKeeper, Means},
        liar::Liar,
        marking::Marking,
        note,
    },
    record::{JsonLines, Recorder},
};

/// The command that makes the program one of these. No `--help` names it.
pub const COMMAND: &str = "testbed-node";

/// Arguments of the testbed's nodes.
#[derive(Debug, Args)]
pub struct NodeArgs {
    #[arg(long)]
    network: PathBuf,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    listen: String,
    #[arg(long)]
    advertise: Vec<String>,
    /// Work as a keeper
    #[arg(long)]
    keeper: bool,
    /// What it does that honest nodes do not
    #[arg(long, value_delimiter = ',')]
    behaviour: Vec<Behaviour>,
    /// Where to write down what it receives, and what it does
    #[arg(long)]
    record: Option<PathBuf>,
    /// The list of nodes that are hostile now
    #[arg(long)]
    hostile: Option<PathBuf>,
}

/// Why such a node does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The node itself fails.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// What it is to write down cannot be written.
    #[error("the record cannot be written")]
    Record(#[source] std::io::Error),
    /// Whoever started it does not listen.
    #[error("standard output is gone")]
    Output(#[source] std::io::Error),
}

/// Dresses a node, whose directory is `directory`. Where its behaviour is honest, it is.
fn dressed(
    node: Node,
    directory: &Path,
    behaviours: BTreeSet<Behaviour>,
    hostile: &Hostile,
    ledger: &Arc<Ledger>,
    keeper: Option<Means>,
) -> Node {
    let handed: Arc<OnceLock<Handed>> = Arc::default();
    let has = |behaviour| behaviours.contains(&behaviour);
    let drops = has(Behaviour::DroppingGoBetween);
    let reads = has(Behaviour::Marking) || has(Behaviour::Tagging);
    let operators = directory.parent().unwrap_or(directory).to_owned();
    let marking = Marking::new(operators, hostile.clone(), Arc::clone(ledger));
    let (taken, its_list, its_ledger) = (Arc::clone(&handed), hostile.clone(), Arc::clone(ledger));
    let exchanging = keeper.clone();
    let node = match exchanging {
        Some(means) => node.exchanging(move |standard| Arc::new(LyingKeeper { standard, means })),
        None => node,
    };
    let node = node.serving(move |standard| {
        let roster = Arc::clone(standard.roster());
        let (hostile, ledger, kept) = (its_list, its_ledger, Default::default());
        let service: Arc<dyn Service> =
            Arc::new(Liar { standard, behaviours, hostile, ledger, kept, marking, keeper });
        let _ = handed.set(Handed { service: Arc::clone(&service), roster });
        service
    });
    if !drops && !reads {
        return node;
    }
    let (handed, hostile, ledger) = (taken, hostile.clone(), Arc::clone(ledger));
    node.accepting(move |standard, parts| {
        Arc::new(Channels { standard, parts, handed, reads, drops, hostile, ledger })
    })
}

/// What a node lies with as a keeper, if it does.
fn lies_as_keeper(
    directory: &Path,
    network: &Network,
    behaviours: &BTreeSet<Behaviour>,
    hostile: &Hostile,
) -> Result<Option<Means>, NodeError> {
    let does = keeper::WAYS.iter().any(|way| behaviours.contains(way));
    let Some(charter) = network.charter.clone().filter(|_| does) else { return Ok(None) };
    let Some(identity) = Identity::read(directory)? else { return Ok(None) };
    Ok(Some(Means {
        network: Arc::new(network.clone()),
        charter,
        secret: Arc::new(identity.keeper_secret()),
        behaviours: behaviours.clone(),
        hostile: hostile.clone(),
    }))
}

/// Runs one of these nodes until its standard input ends.
///
/// # Errors
/// [`ProcessError`].
pub async fn run(args: NodeArgs) -> Result<(), ProcessError> {
    let network = NetworkFile::read(&args.network).map_err(NodeError::from)?;
    let parameters = network.network().map_err(NodeError::from)?;
    let file = NodeConfig::read_or_default(&args.dir.join("node.toml")).map_err(NodeError::from)?;
    let (listen, advertise, keeper) = (vec![args.listen], args.advertise, args.keeper);
    let config = NodeConfig { listen, advertise, keeper, ..file };
    let recorder = args.record.as_deref().map(Recorder::create).transpose();
    let recorder = recorder.map_err(ProcessError::Record)?.map(Arc::new);
    let notes = args.record.map(|record| JsonLines::create(&record.with_file_name(note::FILE)));
    let notes = notes.transpose().map_err(ProcessError::Record)?;
    let ledger = Arc::new(Ledger::new(recorder.clone(), notes));
    let mut node = Node::new(args.dir.clone(), network, config);
    if let Some(recorder) = &recorder {
        node = node.observed_by(Arc::clone(recorder) as _);
    }
    let behaviours: BTreeSet<Behaviour> = args.behaviour.into_iter().collect();
    let hostile = Hostile::listed_in(args.hostile);
    let keeper = lies_as_keeper(&args.dir, &parameters, &behaviours, &hostile)?;
    let node = dressed(node, &args.dir, behaviours, &hostile, &ledger, keeper);
    serve(node.start().await?).await.map_err(ProcessError::Output)
}

/// The other end of a [`crate::cluster::Cluster`]: a node that says when it listens and has entered the network, tells its
/// counters for each line of standard input, and lives until that ends.
///
/// # Errors
/// An error if standard output is gone.
async fn serve(running: Running) -> std::io::Result<()> {
    for address in running.addresses() {
        let line = serde_json::json!({ "event": "listening", "address": address.to_string() });
        say(&line.to_string())?;
    }
    running.joined().await;
    say(r#"{"event":"joined"}"#)?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(_)) = lines.next_line().await {
        let dht = running.service().dht();
        let counters = serde_json::json!({
            "event": "counters",
            "kademlia_requests": dht.kademlia_requests(),
            "lookups": dht.lookups(),
        });
        say(&counters.to_string())?;
    }
    running.shutdown().await;
    Ok(())
}

/// Tells whoever started this process one thing.
fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
