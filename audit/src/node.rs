//! A node of the audit, as a process: an honest node dressed in what [`crate::hostile::behaviour`] names, with a recorder
//! at the protocol's edge. It talks as the demo's nodes do and lives until its standard input ends.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use clap::Args;
use node::{Acceptor, NetworkFile, Node, NodeConfig, NodeError, Parts, Service};
use ua::{cluster::serve, record::Recorder, terminal::Failure};

use crate::hostile::{
    behaviour::{Behaviour, Hostile, Ledger},
    liar::Liar,
    marking::Marking,
    note::{self, Notes},
    silence::{Handed, Silence},
    tagging::Tagging,
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

/// Dresses a node, whose directory is `directory`. Where its behaviour is honest, it is.
fn dressed(
    node: Node,
    directory: &Path,
    behaviours: BTreeSet<Behaviour>,
    hostile: &Hostile,
    ledger: &Arc<Ledger>,
) -> Node {
    let handed: Arc<OnceLock<Handed>> = Arc::default();
    let has = |behaviour| behaviours.contains(&behaviour);
    let is_silent = has(Behaviour::DroppingGoBetween);
    let acts = has(Behaviour::Marking) || has(Behaviour::Tagging);
    let taken = Arc::clone(&handed);
    let marking = Marking::new(directory.parent().unwrap_or(directory).to_owned());
    let (liars_list, liars_ledger) = (hostile.clone(), Arc::clone(ledger));
    let node = node.serving(move |standard| {
        let (hostile, ledger) = (liars_list, liars_ledger);
        let roster = Arc::clone(standard.roster());
        let service: Arc<dyn Service> = Arc::new(Liar {
            standard,
            behaviours,
            hostile,
            ledger,
            kept: Default::default(),
            marking,
        });
        let _ = handed.set(Handed { service: Arc::clone(&service), roster });
        service
    });
    if !is_silent && !acts {
        return node;
    }
    let (hostile, ledger) = (hostile.clone(), Arc::clone(ledger));
    node.accepting(move |standard, parts| {
        let same = |parts: &Parts| Parts {
            network: Arc::clone(&parts.network),
            keys: Arc::clone(&parts.keys),
            links: parts.links.clone(),
        };
        let inner: Arc<dyn Acceptor> = if is_silent {
            let (hostile, ledger) = (hostile.clone(), Arc::clone(&ledger));
            let (parts, handed) = (same(&parts), Arc::clone(&taken));
            Arc::new(Silence { standard, parts, handed, hostile, ledger })
        } else {
            standard
        };
        if acts {
            Arc::new(Tagging { standard: inner, parts, handed: taken, hostile, ledger })
        } else {
            inner
        }
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
    let notes = args.record.map(|record| Notes::create(&record.with_file_name(note::FILE)));
    let notes = notes.transpose();
    let notes =
        notes.map_err(|error| Failure::new(73, "the notes cannot be written", error, ""))?;
    let ledger = Arc::new(Ledger::new(recorder.clone(), notes));
    let mut node = Node::new(args.dir.clone(), network, config);
    if let Some(recorder) = &recorder {
        node = node.observed_by(Arc::clone(recorder) as _);
    }
    let behaviours = args.behaviour.into_iter().collect();
    let node = dressed(node, &args.dir, behaviours, &Hostile::listed_in(args.hostile), &ledger);
    serve(node.start().await?).await
}
