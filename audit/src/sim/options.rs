//! What is simulated, and how long.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use super::paper::Model;

/// Which scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scheme {
    /// Section 4 of the paper.
    #[value(help = None)]
    Paper,
    /// The default.
    #[value(help = None)]
    Guarded,
}

/// What a node's identifier costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Identifiers {
    /// Nothing: who knows a key mints a node next to it.
    #[value(help = None)]
    Free,
    /// Admission by the network, or work.
    #[value(help = None)]
    Costly,
}

/// Options of a simulation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Options {
    /// Nodes of the network.
    pub nodes: usize,
    /// Hostile shares, 0 to 1.
    pub shares: Vec<f64>,
    /// The most mails a sender sends.
    pub mails: usize,
    /// Channels sampled for each estimate; a mail has five. Where lookups are simulated, as many channels.
    pub draws: usize,
    /// Replicas; by default 20 in the paper's model, as in the published table, and 8 else, as in a cluster.
    pub k: Option<usize>,
    /// Nodes that a lookup asks at once; by default 3 in the paper's model, and 10 as built.
    pub alpha: Option<usize>,
    /// Middle go-betweens, 0 to 3.
    pub hops: usize,
    /// Guards that take turns, 1 to 3; one more is the spare.
    pub guards: usize,
    /// One scheme only.
    pub scheme: Option<Scheme>,
    /// How the paper's scheme is read.
    pub model: Model,
    /// What identifiers cost.
    pub identifiers: Identifiers,
    /// Whether the hostile operator says that its nodes are one family.
    pub declared: bool,
    /// Mails of others in the time in which nobody can tell which is which. 1,000: a network of 10,000 nodes, each
    /// the home of 10 users who send 10 mails a day, sends about 700 in a minute.
    pub crowd: u32,
    /// What everything random follows from.
    pub seed: u64,
    /// Threads; the result does not depend on them.
    pub threads: usize,
}

impl Options {
    /// A network of 10,000 nodes, and enough trials to tell wrong from right in seconds.
    #[must_use]
    pub(crate) fn quick() -> Self {
        Self {
            nodes: 10_000,
            shares: vec![0.01, 0.02, 0.05, 0.1, 0.2],
            mails: 100,
            draws: 8_000,
            k: None,
            alpha: None,
            hops: 1,
            guards: 1,
            scheme: None,
            model: Model::Letter,
            identifiers: Identifiers::Costly,
            declared: false,
            crowd: 1_000,
            seed: 1,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The same with enough trials for the report's figures.
    #[must_use]
    pub(crate) fn full() -> Self {
        Self { draws: 100_000, mails: 1_000, ..Self::quick() }
    }

    /// Replicas where the published table is made anew.
    pub(super) fn paper_k(&self) -> usize {
        self.k.unwrap_or(match self.model {
            Model::Letter => 20,
            Model::Built => CLUSTER_K,
        })
    }

    /// Replicas of a cluster as it is set up.
    pub(super) fn cluster_k(&self) -> usize {
        self.k.unwrap_or(CLUSTER_K)
    }

    pub(super) fn simulates(&self, scheme: Scheme) -> bool {
        self.scheme.is_none_or(|only| only == scheme)
    }
}

/// Replicas of a network file that does not say (`net::NetworkFile`).
pub(super) const CLUSTER_K: usize = 8;
