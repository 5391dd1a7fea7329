//! The command line: what there is to type, and where it goes.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use net::Sensitive;
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    command::{self, Global},
    handover,
    lab::{self, LabArgs},
    terminal::Failure,
};

/// Anonymous peer-to-peer e-mail: nodes of different operators carry it, and the recipient learns who wrote only if the
/// mail is signed.
#[derive(Debug, Parser)]
#[command(
    name = "cutout",
    version,
    propagate_version = true,
    after_help = "Examples:\n  cutout demo                                      see one anonymous mail cross a network\n  cutout init --network demo.toml                  become a user of a network\n  cutout send --to ADDR -s Hello < letter.txt      send anonymously\n  cutout fetch && cutout list                      get and list your mail\n\nExit codes: 0 done, 64 usage, 65 not a message, 66 not readable, 67 no such recipient, 69 no node reachable, 73 disk,\n74 damaged files, 75 kept in the outbox, 76 certificates or lists disagree, 77 passphrase, 78 configuration, 130 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one anonymous mail crossing a network of real node processes on this machine
    #[command(disable_help_flag = true)]
    Demo(LabArgs),
    /// Keep a network's certificate authority (offline: files in, files out)
    #[command(
        subcommand,
        after_help = "Examples:\n  cutout ca init demo.alt --dir authority\n  cutout ca sign bob.request --dir authority --out bob.certificate\n  cutout ca revoke --dir authority --certificate bob.certificate"
    )]
    Ca(command::ca::CaCommand),
    /// Become a user of a network: make keys, an address and its certificate
    Init(command::init::InitArgs),
    /// Run or check a node
    #[command(
        subcommand,
        after_help = "Examples:\n  cutout node run --network demo.toml --dir node1 --listen /ip4/0.0.0.0/tcp/4001\n  cutout node check --network demo.toml --dir node1"
    )]
    Node(command::node::NodeCommand),
    /// Look after a node that is a keeper
    #[command(subcommand, after_help = "Example:\n  cutout keeper status --dir node1")]
    Keeper(command::keeper::KeeperCommand),
    /// Send a mail, anonymously unless told otherwise
    Send(command::send::SendArgs),
    /// Fetch new mail into a Maildir
    Fetch(command::fetch::FetchArgs),
    /// List the mail in the Maildir
    List(command::list::ListArgs),
    /// Show one mail of the list
    Read(command::read::ReadArgs),
    /// Answer one mail of the list, anonymously as `send` does
    Reply(command::reply::ReplyArgs),
    /// Try again to deliver what waits, or list it
    Outbox(command::outbox::OutboxArgs),
    /// Show what this user's agent knows: roster, guards, outbox, evidence against nodes
    Status(command::status::StatusArgs),
    /// Find out why the network is not reached: a firewall, a wrong clock, no connection, or a dead network
    Doctor(command::doctor::DoctorArgs),
    /// Check the promises of THREATMODEL.md by running them on this machine
    #[command(disable_help_flag = true)]
    Audit(LabArgs),
}

/// The commands and what they say of themselves, for whoever checks or prints it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    // Before the passphrase leaves the environment: the other program takes it out of its own.
    if lab::is_wanted() {
        return to_exit_code(async { lab::begin() });
    }
    begin(|cli: &Cli| &cli.global, run)
}

/// Runs a program: what is typed is understood, logged as `global` says, and done by `run`.
pub fn begin<C: Parser, W: Future<Output = Result<(), Failure>>>(
    global: impl FnOnce(&C) -> &Global,
    run: impl FnOnce(C) -> W,
) -> ExitCode {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    handover::begin();
    let typed = match C::try_parse() {
        Ok(typed) => typed,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    start_log(global(&typed));
    to_exit_code(run(typed))
}

/// Runs a program's work to its end, and says what failed.
#[must_use]
pub fn to_exit_code(work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(Failure::new(71, "the program cannot start", error, "")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Demo(_) | Command::Audit(_) => lab::begin(),
        Command::Ca(ca) => command::ca::run(global, ca),
        Command::Init(args) => command::init::run(global, args).await,
        Command::Node(node) => command::node::run(node).await,
        Command::Keeper(keeper) => command::keeper::run(&keeper),
        Command::Send(args) => command::send::run(global, args).await,
        Command::Fetch(args) => command::fetch::run(global, args).await,
        Command::List(args) => command::list::list(global, &args),
        Command::Read(args) => command::read::read(global, &args),
        Command::Reply(args) => command::reply::run(global, args).await,
        Command::Status(args) => command::status::run(global, &args),
        Command::Doctor(args) => command::doctor::run(global, &args).await,
        Command::Outbox(args) => command::outbox::run(global, args).await,
    }
}

fn start_log(global: &Global) {
    use std::io::IsTerminal as _;
    if global.log_sensitive {
        Sensitive::reveal_all();
    }
    let level = match global.verbose {
        // One line a view, for a node that makes it or gets it.
        0 | 1 => "warn,node::keeper=info,node::view=info",
        2 => "warn,net=debug,node=debug,cutout=debug,ua=debug,anon=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("CUTOUT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let reveals = global.log_sensitive;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .with(filter_fn(move |line| reveals || is_own(line.target())))
        .try_init();
}

/// Whether a line is by a crate of this project. The libraries' own lines name peers and their addresses, whatever we do.
fn is_own(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or_default();
    ["anon", "audit", "cutout", "net", "node", "testbed", "ua"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_lines_are_logged_unasked() {
        assert!(is_own("node::server") && is_own("ua"));
        assert!(!is_own("libp2p_swarm") && !is_own("libp2p_swarm::node") && !is_own("nodes"));
    }
}
