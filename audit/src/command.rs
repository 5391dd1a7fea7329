//! `cutout-lab`: what there is to type.

pub(crate) mod claims;
pub(crate) mod evidence;
pub(crate) mod explain;
pub(crate) mod host;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod sim;
pub(crate) mod vectors;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use cutout::{cli, command::Global, terminal::Failure};
use testbed::process::{self, NodeArgs, ProcessError};

use crate::demo::{self, DemoArgs};

/// Shows anonymous mail at work, and checks what is promised of it.
#[derive(Debug, Parser)]
#[command(
    name = "cutout",
    bin_name = "cutout",
    version,
    propagate_version = true,
    after_help = "Examples:\n  cutout demo                  see one anonymous mail cross a network\n  cutout audit run --quick     check every promise, in about a minute"
)]
pub(crate) struct Lab {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one anonymous mail crossing a network of real node processes on this machine
    Demo(DemoArgs),
    /// Check the promises of THREATMODEL.md by running them on this machine
    #[command(subcommand)]
    Audit(AuditCommand),
    /// A node that records or is hostile, as a process
    #[command(hide = true, name = process::COMMAND)]
    Node(NodeArgs),
}

/// The audit's commands.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
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
    /// Check offline what a keeper has kept as proof against others
    Evidence(evidence::EvidenceArgs),
    /// List all claims and limits of THREATMODEL.md, each with its checks
    Claims(claims::ClaimsArgs),
    /// Say what one claim or limit means, and how to check it oneself
    Explain(explain::ExplainArgs),
}

/// The commands and what they say of themselves, for whoever checks or prints it.
#[must_use]
pub fn command() -> clap::Command {
    Lab::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    cli::begin(|lab: &Lab| &lab.global, run)
}

async fn run(lab: Lab) -> Result<(), Failure> {
    let audit = match lab.command {
        Command::Demo(args) => return demo::run(&args).await,
        Command::Node(args) => return process::run(args).await.map_err(broken_node),
        Command::Audit(audit) => audit,
    };
    match audit {
        AuditCommand::Run(args) => run::run(&args).await,
        AuditCommand::Sim(args) => sim::run(&args),
        AuditCommand::Schema(args) => schema::run(&args),
        AuditCommand::Vectors(args) => vectors::run(&args),
        AuditCommand::Evidence(args) => evidence::run(&args),
        AuditCommand::Host(args) => host::run(&lab.global, &args),
        AuditCommand::Claims(args) => claims::run(&args),
        AuditCommand::Explain(args) => explain::run(&args),
    }
}

/// What is said, into its log, of a node of the testbed that does not run.
fn broken_node(error: ProcessError) -> Failure {
    match error {
        ProcessError::Node(error) => error.into(),
        error => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Failure::new(73, &error.to_string(), cause.unwrap_or_default(), "")
        }
    }
}
