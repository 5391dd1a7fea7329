//! A node that writes down what it is told: an honest node with an observer at the protocol's edge. Only the
//! demo starts one.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use node::{NetworkFile, Node, NodeConfig, NodeError};

use crate::{cluster::serve, record::Recorder, terminal::Failure};

/// Arguments of the demo's nodes.
#[derive(Debug, Args)]
pub struct DemoNodeArgs {
    #[arg(long)]
    network: PathBuf,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    listen: String,
    #[arg(long)]
    advertise: Vec<String>,
    #[arg(long)]
    record: PathBuf,
}

/// Runs a node of the demo until its standard input ends, that is, until the demo does.
///
/// # Errors
/// [`Failure`].
pub async fn run_node(args: DemoNodeArgs) -> Result<(), Failure> {
    let network = NetworkFile::read(&args.network).map_err(NodeError::from)?;
    let config = NodeConfig {
        listen: vec![args.listen],
        advertise: args.advertise,
        ..NodeConfig::default()
    };
    let recorder = Recorder::create(&args.record)
        .map_err(|error| Failure::new(73, "the record cannot be written", error, ""))?;
    let running =
        Node::new(args.dir, network, config).observed_by(Arc::new(recorder)).start().await?;
    serve(running).await
}
