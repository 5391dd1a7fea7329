//! `cutout audit`: what there is to type.

pub mod claims;
pub mod explain;
pub mod host;
pub mod run;
pub mod schema;
pub mod sim;
pub mod vectors;

use clap::Subcommand;
use ua::{cli::More, command::Global, terminal::Failure};

use crate::node::{self, AuditNodeArgs};

/// What the audit adds to the program's command line.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check the promises of THREATMODEL.md by running them on this machine
    #[command(subcommand)]
    Audit(AuditCommand),
    /// A node of the audit, as a process
    #[command(hide = true)]
    AuditNode(AuditNodeArgs),
}

/// The audit's commands.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Run every check and say whether all promises hold
    Run(run::RunArgs),
    /// Simulate selection at scale: how often a hostile share of the nodes links a sender to a recipient
    Sim(sim::SimArgs),
    /// Check the node and the agent that are installed on this machine
    Host(host::HostArgs),
    /// Print the form of the report's data, as JSON Schema
    Schema(schema::SchemaArgs),
    /// Compute the known answers of the cryptography and the protocol again, and compare
    Vectors(vectors::VectorsArgs),
    /// List all claims and limits of THREATMODEL.md, each with its checks
    Claims(claims::ClaimsArgs),
    /// Say what one claim or limit means, and how to check it oneself
    Explain(explain::ExplainArgs),
}

impl More for Audit {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Audit(AuditCommand::Run(args)) => run::run(&args).await,
            Self::Audit(AuditCommand::Sim(args)) => sim::run(&args),
            Self::Audit(AuditCommand::Schema(args)) => schema::run(&args),
            Self::Audit(AuditCommand::Vectors(args)) => vectors::run(&args),
            Self::Audit(AuditCommand::Host(args)) => host::run(global, &args),
            Self::Audit(AuditCommand::Claims(args)) => claims::run(&args),
            Self::Audit(AuditCommand::Explain(args)) => explain::run(&args),
            Self::AuditNode(args) => node::run(args).await,
        }
    }
}
