//! `cutout node`: run a node, check one, ask for its admission.

mod failure;
mod signals;
pub mod status;
pub mod store;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anon::{
    certificate::SigningRequest,
    request::{Request, Response},
    wire,
};
use clap::{Args, Subcommand};
use net::{Carrier, Links, NetworkFile, Transport, now};
use node::{Identity, Node, NodeConfig, NodeError, Onion};

use super::write_file;

#[cfg(feature = "tor")]
use crate::terminal::Progress;
use crate::terminal::{Failure, finding, say, tell};

/// How long a node finds nobody before it says so.
const ALONE: Duration = Duration::from_secs(30);

/// The `node` commands.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Run a node: storage, go-between, witness, anonymizer and verifier for the others
    #[command(
        after_help = "Examples:\n  cutout node run --network demo.toml --dir node1 --listen /ip4/0.0.0.0/tcp/4001 \\\n      --advertise /ip4/192.0.2.1/tcp/4001\n  cutout node run --network demo.toml --dir node2 --listen /ip4/127.0.0.1/tcp/0 --json\n  cutout node run --network demo.toml --dir node3 --onion-only      over Tor alone; nothing is bound\n\nPrints where it listens, as a network file's bootstrap list wants it. Limits: node.toml in --dir."
    )]
    Run(RunArgs),
    /// Say whether a node runs and whether its onion service can be reached
    #[command(after_help = "Example:\n  cutout node status --dir node1")]
    Status(status::StatusArgs),
    /// Check a node's directory, configuration, admission and way into the network
    #[command(after_help = "Example:\n  cutout node check --network demo.toml --dir node1")]
    Check(CheckArgs),
    /// Write a request for the authority's admission; put what it signs into --dir as `admission`
    #[command(
        after_help = "Example:\n  cutout node request --network demo.toml --dir node1 --out node1.request"
    )]
    Request(RequestArgs),
    /// Check or repair the store of a node that does not run
    #[command(subcommand)]
    Store(store::StoreCommand),
}

/// Arguments of `cutout node run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The network file
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// The node's directory, made if it is missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen; may be repeated [default: node.toml, or /ip4/0.0.0.0/tcp/4001]
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// What others should dial, where that differs
    #[arg(long, value_name = "MULTIADDR")]
    advertise: Vec<String>,
    /// Who operates it; the guarded scheme puts no two nodes of one family on one path
    #[arg(long, value_name = "NAME")]
    family: Option<String>,
    /// Offer an onion service, too, and put it into the node's certificate
    #[arg(long)]
    onion: bool,
    /// Offer an onion service alone: no public socket is bound, and others are dialled over Tor as well
    #[arg(long, conflicts_with_all = ["listen", "advertise", "onion"])]
    onion_only: bool,
    /// Make, with the network's other keepers, the list of its nodes; the network file must name this node as a keeper
    #[arg(long)]
    keeper: bool,
    /// Report in JSON lines on stdout
    #[arg(long)]
    json: bool,
}

/// Arguments of `cutout node check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The network file
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// The node's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// One JSON object a finding
    #[arg(long)]
    json: bool,
}

/// Arguments of `cutout node request`.
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// The network file
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// The node's directory, made if it is missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to write the request
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs a `node` command.
///
/// # Errors
/// [`Failure`].
pub async fn run(command: NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::Run(args) => serve(args).await,
        NodeCommand::Status(args) => status::run(&args),
        NodeCommand::Check(args) => check(&args).await,
        NodeCommand::Request(args) => request(&args),
        NodeCommand::Store(command) => store::run(command),
    }
}

/// The node that these arguments describe.
///
/// # Errors
/// [`Failure`].
fn configured(args: &RunArgs) -> Result<Node, Failure> {
    let network = NetworkFile::read(&args.network).map_err(NodeError::from)?;
    let mut config =
        NodeConfig::read_or_default(&args.dir.join("node.toml")).map_err(NodeError::from)?;
    if !args.listen.is_empty() {
        config.listen.clone_from(&args.listen);
    }
    if args.onion {
        config.onion = Onion::Beside;
    }
    if args.onion_only {
        (config.onion, config.listen, config.advertise) = (Onion::Only, Vec::new(), Vec::new());
    }
    if config.listen.is_empty() && config.onion != Onion::Only {
        config.listen.push("/ip4/0.0.0.0/tcp/4001".to_owned());
    }
    if !args.advertise.is_empty() {
        config.advertise.clone_from(&args.advertise);
    }
    if let Some(family) = &args.family {
        config.family.clone_from(family);
    }
    config.keeper |= args.keeper;
    Ok(Node::new(args.dir.clone(), network, config))
}

async fn serve(args: RunArgs) -> Result<(), Failure> {
    signals::outlive_signals();
    let stop = signals::stop_signal();
    let start = async { Ok(with_tor(configured(&args)?, &args.dir).await?.start().await?) };
    let running = start.await.map_err(|failure: Failure| failure.at(&args.dir))?;
    let id = data_encoding::HEXLOWER.encode(&running.id().0);
    for address in running.addresses() {
        if args.json {
            let line = serde_json::json!({ "event": "listening", "address": address.to_string(), "node": id });
            say(line.to_string())?;
        } else {
            say(format!("listening {address}"))?;
        }
    }
    if std::io::stderr().is_terminal() {
        tell(format!("Node {id} serves. Ctrl-C stops it."));
    }
    tokio::select! {
        () = stop => {}
        () = async {
            if tokio::time::timeout(ALONE, running.joined()).await.is_err() {
                tracing::warn!("no node of this network has answered yet; this one goes on trying");
                running.joined().await;
            }
            // Whoever read the output may be gone; the node serves on.
            let _ = say(if args.json { r#"{"event":"joined"}"# } else { "joined" });
            std::future::pending::<()>().await;
        } => {}
    }
    tell("Stopping.");
    running.shutdown().await;
    Ok(())
}

/// Gives a node the Tor that its configuration asks for, and tells how far that is.
///
/// # Errors
/// [`Failure`].
#[cfg(feature = "tor")]
pub(crate) async fn with_tor(node: Node, directory: &Path) -> Result<Node, Failure> {
    let config = node.config();
    if config.onion == Onion::Off {
        return Ok(node);
    }
    config.check().map_err(NodeError::from)?;
    let tor = start_tor(config, directory, true).await;
    let tor = tor.map_err(|failure| failure.of("the node does not start"))?;
    tell("Tor: ready. Publishing the onion service.");
    Ok(node.over(tor))
}

/// As with Tor, which is not there.
///
/// # Errors
/// [`Failure`] if the configuration asks for it.
#[cfg(not(feature = "tor"))]
#[expect(clippy::unused_async, reason = "with Tor it waits for it")]
pub(crate) async fn with_tor(node: Node, _: &Path) -> Result<Node, Failure> {
    node.config().check().map_err(NodeError::from)?;
    Ok(node)
}

fn request(args: &RequestArgs) -> Result<(), Failure> {
    let file = NetworkFile::read(&args.network).map_err(NodeError::from)?;
    let network = file.network().map_err(NodeError::from)?;
    // A node's first start makes identity and store together; so does asking for its admission.
    let identity = match Identity::read(&args.dir).map_err(NodeError::from)? {
        Some(identity) => identity,
        None => {
            let config = NodeConfig::read_or_default(&args.dir.join("node.toml"))
                .map_err(NodeError::from)?;
            Node::new(args.dir.clone(), file, config).initialise()?
        }
    };
    write_file(
        &args.out,
        &wire::encode(&SigningRequest::for_node(&network.id, identity.secret())),
    )?;
    say(args.out.display().to_string())
}

async fn check(args: &CheckArgs) -> Result<(), Failure> {
    let mut findings = Vec::new();
    let mut find = |what, result: Result<String, String>| findings.push((what, result));
    let file = NetworkFile::read(&args.network);
    find(
        "network file",
        file.as_ref().map(|f| format!("{}, k = {}", f.name, f.k)).map_err(ToString::to_string),
    );
    let config = NodeConfig::read_or_default(&args.dir.join("node.toml"));
    find("node.toml", config.as_ref().map(|_| "valid".to_owned()).map_err(ToString::to_string));
    let identity = Identity::read(&args.dir);
    find(
        "identity",
        match &identity {
            Ok(Some(identity)) => Ok(data_encoding::HEXLOWER.encode(&identity.node().0)),
            Ok(None) => Err("none yet: `cutout node run` makes one".to_owned()),
            Err(error) => Err(error.to_string()),
        },
    );
    find("private files", private(&args.dir));
    if let (Ok(file), Ok(config)) = (&file, &config) {
        let node = Node::new(args.dir.clone(), file.clone(), config.clone());
        find(
            "admission",
            node.check_admission()
                .map(|()| "as the network wants it".to_owned())
                .map_err(|e| e.to_string()),
        );
        find(
            "store",
            match node.check_store() {
                Ok(()) => Ok("opens".to_owned()),
                Err(NodeError::Store(node::StoreError::Locked)) => {
                    Ok("in use by a running node".to_owned())
                }
                Err(error) => Err(error.to_string()),
            },
        );
        if !file.keepers.is_empty() {
            find("keeper", keeper(&node));
        }
        find("bootstrap", reach(file, config, &args.dir).await);
    }
    for (what, result) in &findings {
        let (Ok(detail) | Err(detail)) = result;
        finding(what, result.is_ok(), detail, args.json)?;
    }
    match findings.iter().filter(|(_, result)| result.is_err()).count() {
        0 => Ok(()),
        bad => {
            Err(Failure::new(78, &format!("{bad} checks failed"), "", "see the lines marked BAD"))
        }
    }
}

/// Whether the node is a keeper exactly if the network file says so. A node may be told so on its command line alone, which
/// `node check` does not know.
fn keeper(node: &Node) -> Result<String, String> {
    match node.is_keeper().map_err(|error| error.to_string())? {
        (true, true) => Ok("named in the network file".to_owned()),
        (true, false) => Err("the network file does not name this node as a keeper".to_owned()),
        (false, true) => Ok("named in the network file: it must run with --keeper".to_owned()),
        (false, false) => Ok("this node is none".to_owned()),
    }
}

fn private(dir: &Path) -> Result<String, String> {
    for name in ["identity.key", "store.redb"] {
        use std::os::unix::fs::PermissionsExt as _;
        if let Ok(metadata) = std::fs::metadata(dir.join(name))
            && metadata.permissions().mode() & 0o077 != 0
        {
            return Err(format!("{name} is readable by others: chmod 600"));
        }
    }
    Ok("readable by this user only".to_owned())
}

async fn reach(file: &NetworkFile, config: &NodeConfig, dir: &Path) -> Result<String, String> {
    let transport = node_transport(config, dir).await?;
    let network = file.network().map_err(|e| e.to_string())?;
    let peers = file.bootstrap_peers().map_err(|e| e.to_string())?;
    let (mut reached, all) = (0, peers.len());
    for (peer, address) in peers {
        let links = Links::disposable_over(&network.name, &transport).map_err(|e| e.to_string())?;
        let Ok(link) = links.open_at(peer, vec![address], Carrier::Request).await else { continue };
        let answer = link.request(&Request::Certificate, Duration::from_secs(5)).await;
        if let Ok(Response::Certificate(certificate)) = answer {
            certificate
                .verify(&network, now())
                .map_err(|e| format!("a bootstrap node's certificate is {e}"))?;
            reached += 1;
        }
    }
    let text = format!("{reached} of {all} bootstrap nodes answer");
    if all == 0 || reached > 0 { Ok(text) } else { Err(text) }
}

/// What a node's own dials go over; a node with nothing but an onion service has nothing but Tor.
async fn node_transport(config: &NodeConfig, dir: &Path) -> Result<Transport, String> {
    if config.onion != Onion::Only {
        return Ok(Transport::Tcp);
    }
    over_tor(config, dir).await
}

#[cfg(feature = "tor")]
async fn over_tor(config: &NodeConfig, dir: &Path) -> Result<Transport, String> {
    let tor = start_tor(config, dir, false).await;
    tor.map(Transport::Tor).map_err(|failure| failure.cause)
}

/// Starts the Tor of a node, and shows how far that is.
#[cfg(feature = "tor")]
async fn start_tor(
    config: &NodeConfig,
    directory: &Path,
    verbose: bool,
) -> Result<tor::Tor, Failure> {
    let progress = Progress::start("Tor: starting", verbose);
    let started = crate::transport::start(&config.tor, directory, &progress).await;
    progress.finish();
    started
}

#[cfg(not(feature = "tor"))]
#[expect(clippy::unused_async, reason = "with Tor it waits for it")]
async fn over_tor(_: &NodeConfig, _: &Path) -> Result<Transport, String> {
    Err(node::ConfigError::NoTor.to_string())
}
