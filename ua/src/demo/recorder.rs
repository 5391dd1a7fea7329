//! A node that writes down what it is told: an honest node with an observer at the protocol's edge. Only the
//! demo starts one.

use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anon::{
    certificate::NodeId,
    request::{Request, Response},
    wire,
};
use clap::Args;
use data_encoding::{BASE64, HEXLOWER};
use node::{NetworkFile, Node, NodeConfig, NodeError, Observer, Peer, Via};
use serde::{Deserialize, Serialize};

use crate::{cluster::serve, terminal::Failure};

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

/// One thing that a node was told, as a line of its record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// What kind of thing.
    pub(super) what: What,
    /// The other end: its libp2p identity.
    pub(super) peer: String,
    /// The request, encoded as it came, base 64; for `Extended` the next node, hexadecimal; for `Answered` the
    /// request and the answer.
    pub(super) content: String,
}

/// Kinds of things a node is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    /// A request over a link of its own.
    Direct,
    /// A request through a channel.
    Channel,
    /// A channel was opened.
    Opened,
    /// A channel was extended to another node.
    Extended,
    /// A cell passed, towards the far end.
    Forward,
    /// A cell passed, towards the sender.
    Backward,
    /// An answer came back from an errand.
    Answered,
}

struct Recorder(Mutex<File>);

impl Recorder {
    fn write(&self, what: What, peer: &Peer, content: String) {
        self.write_line(what, peer.id.to_string(), content);
    }

    fn write_line(&self, what: What, peer: String, content: String) {
        let record = Record { what, peer, content };
        if let Ok(mut line) = serde_json::to_vec(&record) {
            line.push(b'\n');
            let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        }
    }
}

fn encode(message: &impl Serialize) -> String {
    BASE64.encode(&wire::encode(message))
}

impl Observer for Recorder {
    fn received(&self, peer: &Peer, via: Via, request: &Request) {
        let what = match via {
            Via::Direct => What::Direct,
            Via::Channel => What::Channel,
        };
        self.write(what, peer, encode(request));
    }

    fn channel_opened(&self, peer: &Peer) {
        self.write(What::Opened, peer, String::new());
    }

    fn extended(&self, peer: &Peer, next: &NodeId) {
        self.write(What::Extended, peer, HEXLOWER.encode(&next.0));
    }

    fn forwarded(&self, peer: &Peer, forward: bool) {
        let what = if forward { What::Forward } else { What::Backward };
        self.write(what, peer, String::new());
    }

    fn answered(&self, _: &NodeId, request: &Request, response: &Response) {
        // Told by nobody in particular: the line has no peer, and the request before the answer.
        let content = format!("{} {}", encode(request), encode(response));
        self.write_line(What::Answered, String::new(), content);
    }
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
    let file = File::create(&args.record)
        .map_err(|error| Failure::new(73, "the record cannot be written", error, ""))?;
    let recorder = Arc::new(Recorder(Mutex::new(file)));
    let running = Node::new(args.dir, network, config).observed_by(recorder).start().await?;
    serve(running).await
}
