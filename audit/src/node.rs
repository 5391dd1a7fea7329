//! A node of the audit, as a process: an honest node dressed in what [`crate::hostile::behaviour`] names, with a recorder
//! at the protocol's edge. It talks as the demo's nodes do and lives until its standard input ends.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use clap::Args;
use node::{NetworkFile, Node, NodeConfig, NodeError, Service};
use ua::{cluster::serve, record::Recorder, terminal::Failure};

use crate::hostile::{
    behaviour::{Behaviour, Hostile, Ledger},
    liar::Liar,
    silence::{Handed, Silence},
};

/// The command that makes the program one of these. No `--help` names it.
pub const COMMAND: &str = "audit-node";

/// Arguments of the audit's nodes.
#[derive(Debug, Args)]
pub struct AuditNodeArgs {
    #[arg(long)]
    network: PathBuf,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    listen: String,
    #[arg(long)]
    advertise: Vec<String>,
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

/// Dresses a node. Where its behaviour is honest, it is.
#[must_use]
pub fn dressed(
    node: Node,
    behaviours: BTreeSet<Behaviour>,
    hostile: &Hostile,
    recorder: Option<Arc<Recorder>>,
) -> Node {
    let ledger = Arc::new(Ledger::new(recorder));
    let handed: Arc<OnceLock<Handed>> = Arc::default();
    let (is_silent, taken) =
        (behaviours.contains(&Behaviour::DroppingGoBetween), Arc::clone(&handed));
    let (liars_list, liars_ledger) = (hostile.clone(), Arc::clone(&ledger));
    let node = node.serving(move |standard| {
        let (hostile, ledger) = (liars_list, liars_ledger);
        let roster = Arc::clone(standard.roster());
        let service: Arc<dyn Service> =
            Arc::new(Liar { standard, behaviours, hostile, ledger, kept: Default::default() });
        let _ = handed.set(Handed { service: Arc::clone(&service), roster });
        service
    });
    if !is_silent {
        return node;
    }
    let hostile = hostile.clone();
    node.accepting(move |standard, parts| {
        Arc::new(Silence { standard, parts, handed: taken, hostile, ledger })
    })
}

/// Runs one of these nodes until its standard input ends.
///
/// # Errors
/// [`Failure`].
pub async fn run(args: AuditNodeArgs) -> Result<(), Failure> {
    let network = NetworkFile::read(&args.network).map_err(NodeError::from)?;
    let file = NodeConfig::read_or_default(&args.dir.join("node.toml")).map_err(NodeError::from)?;
    let config = NodeConfig { listen: vec![args.listen], advertise: args.advertise, ..file };
    let recorder = args.record.as_deref().map(Recorder::create).transpose();
    let recorder = recorder
        .map_err(|error| Failure::new(73, "the record cannot be written", error, ""))?
        .map(Arc::new);
    let mut node = Node::new(args.dir, network, config);
    if let Some(recorder) = &recorder {
        node = node.observed_by(Arc::clone(recorder) as _);
    }
    let behaviours = args.behaviour.into_iter().collect();
    let node = dressed(node, behaviours, &Hostile::listed_in(args.hostile), recorder);
    serve(node.start().await?).await
}
