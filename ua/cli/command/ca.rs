//! `cutout ca`: a network's certificate authority, offline. Files in, files out.
//!
//! ```text
//! DIR/vault/        the authority's key, whom it signed for, and the network file as it was last written: all sealed
//! DIR/network.toml  the network file, to be given to all members; `revoke` writes it anew
//! ```
//! What becomes of each where it is lost or damaged: docs/files.md.

mod authority;
pub mod keeper;

use std::path::{Path, PathBuf};

use anon::{
    certificate::{CertificateError, SigningRequest, Subject, UnverifiedAddressCertificate},
    id::NodeId,
    keys::{AuthoritySecret, SigningSecret as _},
    network::{Epoch, Revoked},
    time::Validity,
    wire,
};
use clap::{Args, Subcommand};
use net::{InvitationError, NetworkFile, network_file::Keepers, now};
use ua::{
    profile::ProfileError,
    vault::{KdfCost, Vault, VaultError, disk_remedy, set_aside},
};

use self::authority::{Authority, Issued};
use super::{read_file, write_file};
use crate::{
    command::Global,
    terminal::{Failure, say, tell},
};

/// Name of the sealed file with the authority's key.
const KEY: &str = "authority";
/// The longest request, bytes.
const MAX_REQUEST: usize = 1024;
/// Name of the sealed file that says which keys were certified for which address.
const ISSUED: &str = "issued";
/// Name of the sealed file with the network file as it was last written.
const NETWORK: &str = "network";
const DAY: u64 = 86_400;

/// The `ca` commands.
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Found a network: make its authority's key and its network file
    #[command(
        after_help = "Example:\n  cutout ca init demo.alt --dir authority --bootstrap /ip4/192.0.2.1/tcp/4001/p2p/12D3…"
    )]
    Init(InitArgs),
    /// Sign a request: for an address (from `cutout init`) or a node (from `cutout node request`)
    #[command(
        after_help = "Examples:\n  cutout ca sign bob.request --dir authority --out bob.certificate\n  cutout ca sign node7.request --dir authority --out admission --days 30\n  cutout ca sign bob2.request --dir authority --out bob2.certificate --replace"
    )]
    Sign(SignArgs),
    /// Print one line that holds what a new member needs; `cutout init` takes it
    #[command(
        after_help = "Example:\n  cutout ca invite --dir authority\n\nWhoever is given the line types: cutout init LINE"
    )]
    Invite(InviteArgs),
    /// Take back what was signed; give the new network file to all members
    #[command(
        after_help = "Examples:\n  cutout ca revoke --dir authority --node 3b6a…\n  cutout ca revoke --dir authority --certificate bob.certificate"
    )]
    Revoke(RevokeArgs),
    /// Say which nodes are the network's keepers: they make the list of nodes that all members use
    #[command(
        subcommand,
        after_help = "Examples:\n  cutout ca keeper add /ip4/192.0.2.2/tcp/4001/p2p/12D3… --dir authority\n  cutout ca keeper remove /ip4/192.0.2.2/tcp/4001/p2p/12D3… --dir authority\n\nA keeper runs `cutout node run --keeper`. How several operators share the work: docs/operators.md."
    )]
    Keeper(keeper::KeeperCommand),
}

/// Arguments of `cutout ca init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The network's name: a domain that cannot exist in DNS, such as demo.alt
    name: String,
    /// Where the authority lives
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Replicas of each object
    #[arg(long, default_value_t = 8)]
    k: usize,
    /// Nodes need the authority's admission
    #[arg(long)]
    admission_required: bool,
    /// A node to enter by; may be repeated, and edited in the network file later
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<String>,
    /// A node that is a keeper; may be repeated [default: the first --bootstrap]
    #[arg(long, value_name = "MULTIADDR")]
    keeper: Vec<String>,
    /// How long a node must be known before a path goes through it, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(1..))]
    epoch: u64,
    /// The mean delay that senders are advised to leave between a body and its notification, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    delay: u64,
}

/// Arguments of `cutout ca sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The request
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    /// Where the authority lives
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to write the certificate or admission
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long it holds
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3_650))]
    days: u64,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
    /// Sign although the address was certified for another key, which its owner lost, and revoke that one: the network
    /// file is written anew, for all members
    #[arg(long)]
    replace: bool,
}

/// Arguments of `cutout ca invite`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// Where the authority lives
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Arguments of `cutout ca revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Where the authority lives
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A node's identity, 64 hexadecimal digits; may be repeated
    #[arg(long, value_name = "ID", required_unless_present = "certificate")]
    node: Vec<String>,
    /// An address certificate file; may be repeated
    #[arg(long, value_name = "FILE")]
    certificate: Vec<PathBuf>,
}

/// Runs a `ca` command.
///
/// # Errors
/// [`Failure`].
pub fn run(global: &Global, command: CaCommand) -> Result<(), Failure> {
    match command {
        CaCommand::Init(args) => init(global, args),
        CaCommand::Sign(args) => sign(global, &args),
        CaCommand::Invite(args) => invite(&args),
        CaCommand::Revoke(args) => revoke(global, &args),
        CaCommand::Keeper(command) => keeper::run(global, command),
    }
}

fn network_path(dir: &Path) -> PathBuf {
    dir.join("network.toml")
}

fn invite(args: &InviteArgs) -> Result<(), Failure> {
    let path = network_path(&args.dir);
    let text = String::from_utf8_lossy(&read_file(&path)?).into_owned();
    let line = NetworkFile::parse(&text).map_err(ProfileError::from)?.invitation();
    say(line.map_err(|error| {
        let what = format!("no invitation can be made from {}", path.display());
        let remedy = match error {
            InvitationError::NoBootstrap => {
                "put the address of a node into its list `bootstrap`: `cutout node run` prints it"
            }
            _ => "give new members the file itself: cutout init --network FILE",
        };
        Failure::new(78, &what, error, remedy)
    })?)
}

fn init(global: &Global, args: InitArgs) -> Result<(), Failure> {
    let secret = AuthoritySecret::generate(&mut rand::rng());
    let keepers = keepers(&args);
    let file = NetworkFile {
        name: args.name,
        authority: Some(NetworkFile::write_key(&secret.verify_key())),
        admission_required: args.admission_required,
        k: args.k,
        epoch_seconds: args.epoch,
        delay_seconds: args.delay,
        bootstrap: args.bootstrap,
        round_milliseconds: keeper::round_that_fits(args.epoch).filter(|_| !keepers.is_empty()),
        keepers,
        ..NetworkFile::default()
    };
    let text = to_text(&file)?;
    NetworkFile::parse(&text).map_err(|error| {
        let remedy = "choose another name, or other options: `cutout ca init --help`";
        Failure::new(78, "there can be no such network", error, remedy)
    })?;
    let path = network_path(&args.dir);
    let (vault, _begun) =
        match Vault::begin(&args.dir, &global.new_passphrase()?, KdfCost::default()) {
            Err(VaultError::AlreadyExists) => return Err(exists(&args.dir)),
            begun => begun?,
        };
    if path.exists() {
        // Its revocations may be nowhere else.
        set_aside(&path, "before").map_err(|error| {
            let what = format!("cannot move {}", path.display());
            Failure::new(74, &what, &error, disk_remedy(&error))
        })?;
    }
    let _lock = vault.lock()?;
    // Whom it signed for comes last: where that is missing, an authority is incomplete.
    write_file(&path, text.as_bytes())?;
    let seed = zeroize::Zeroizing::new(secret.expose_seed());
    vault.write(KEY, &seed[..])?;
    vault.write(NETWORK, text.as_bytes())?;
    vault.write(ISSUED, &wire::encode(&Issued::new()))?;
    if may_be_real(&file.name) {
        tell(format!(
            "warning: {} may be a real domain, now or later: addresses of this network would look like others' e-mail\n\
             addresses. Names that end in .alt are never real (RFC 9476).",
            file.name
        ));
    }
    if file.keepers.is_empty() {
        tell("Nobody makes a list of this network's nodes; `cutout ca keeper add` names a keeper.");
    }
    keeper::report(&file, Epoch(0))?;
    say(path.display().to_string())
}

/// The first set of keepers: those that are named, or else the first node to enter by.
fn keepers(args: &InitArgs) -> Vec<Keepers> {
    let mut nodes = args.keeper.clone();
    if nodes.is_empty()
        && let Some(first) = args.bootstrap.first()
    {
        tell(format!("The one keeper is {first}: start it with `cutout node run --keeper`."));
        nodes.push(first.clone());
    }
    if nodes.is_empty() { Vec::new() } else { vec![Keepers { from_epoch: 0, nodes }] }
}

/// Why no authority is founded where a vault holds anything.
fn exists(dir: &Path) -> Failure {
    let what = "there already is an authority here";
    let is_missing = |name: &&str| !dir.join("vault").join(name).exists();
    match ["vault", KEY, ISSUED].into_iter().find(is_missing) {
        Some(missing) => {
            let error = VaultError::Missing(missing.to_owned());
            Failure::new(error.exit_code(), what, &error, error.remedy())
        }
        None => Failure::new(73, what, dir.display(), "use it as it is, or name another --dir"),
    }
}

/// Whether a network's name could be a domain in DNS: all but those that end in what is reserved for other uses
/// (RFC 2606, 6761, 6762, 8375, 9476; ICANN for `internal`).
fn may_be_real(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let reserved = ["alt", "test", "example", "invalid", "localhost", "local", "internal", "onion"];
    !reserved.contains(&last) && !name.ends_with(".home.arpa")
}

pub(super) fn to_text(file: &NetworkFile) -> Result<String, Failure> {
    toml::to_string(file)
        .map_err(|error| Failure::new(70, "the network file cannot be written", error, ""))
}

fn sign(global: &Global, args: &SignArgs) -> Result<(), Failure> {
    let request: SigningRequest =
        wire::decode(&read_file(&args.request)?, MAX_REQUEST).map_err(|error| {
            let remedy = "ask the applicant for the file again";
            Failure::new(65, "this is no signing request", error, remedy)
        })?;
    let authority = Authority::open(global, &args.dir)?;
    let (secret, network) = (&authority.secret, &authority.network);
    let subject = request.verify(network).map_err(|error| {
        let remedy = "have the applicant make a new one";
        Failure::new(65, "this request cannot be signed", error, remedy)
    })?;
    let whom = match subject {
        Subject::Address { address, .. } => format!("the address {address}"),
        Subject::Node(node) => format!("the node {}", data_encoding::HEXLOWER.encode(&node.0)),
    };
    let replaced = authority.replaced(subject, args.replace)?;
    let and = replaced.map_or("", |_| ", and revoke the key that it has now");
    if !args.yes && !confirm(&format!("Sign for {whom}, {} days{and}? [y/N] ", args.days))? {
        return Err(Failure::new(64, "not signed", "the question was not answered with yes", ""));
    }
    let validity = Validity::starting(now(), args.days.saturating_mul(DAY));
    let certificate = subject.certify(secret, &network.id, validity).map(|c| wire::encode(&c));
    let admission = || subject.admit(secret, &network.id, validity).map(|a| wire::encode(&a));
    let Some(bytes) = certificate.or_else(admission) else {
        return Err(Failure::new(70, "nothing to sign", "", ""));
    };
    let list = authority.record(subject, args.replace)?;
    write_file(&args.out, &bytes)?;
    tell(format!("Signed for {whom}."));
    if let Some(number) = list {
        tell(format!(
            "The key that it had before is revoked: revocation list {number} is in {}. Give that file to all members.\n\
             Whoever holds the old key can read and delete what is sent to this address until its nodes were started \
             again with that file.",
            network_path(&args.dir).display()
        ));
    }
    say(args.out.display().to_string())
}

fn confirm(question: &str) -> Result<bool, Failure> {
    use std::io::{BufRead as _, IsTerminal as _, Write as _};
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(64, "nobody to ask", question, "give --yes"));
    }
    let _ = write!(anstream::stderr(), "{question}");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::new(66, "standard input cannot be read", error, ""))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn revoke(global: &Global, args: &RevokeArgs) -> Result<(), Failure> {
    let authority = Authority::open(global, &args.dir)?;
    let mut taken_back = Revoked::default();
    for text in &args.node {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let node = bytes.and_then(|bytes| bytes.try_into().ok()).map(NodeId).ok_or_else(|| {
            let what = format!("{text} is no node identity");
            Failure::new(64, &what, "", "give its 64 hexadecimal digits")
        })?;
        taken_back.nodes.insert(node);
    }
    for path in &args.certificate {
        let fail = |error: CertificateError| {
            let what = format!("{} is no certificate of this network", path.display());
            Failure::new(65, &what, error, "")
        };
        let certificate = UnverifiedAddressCertificate::decode(&read_file(path)?).map_err(fail)?;
        let certificate = certificate.verify(&authority.network, now()).map_err(fail)?;
        taken_back.addresses.insert(certificate.claims().verify_key);
    }
    let writing = authority.vault.lock()?;
    match authority.revoke(&writing, taken_back)? {
        Some(number) => {
            tell(format!(
                "Revocation list {number} is in the network file; give it to all members."
            ));
        }
        None => tell("All of that was taken back before; the network file stays as it is."),
    }
    say(network_path(&args.dir).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_real_are_told_from_those_that_cannot() {
        for real in ["example.com", "mail.ch", "demo", "alt.com", "myalt", "home.arpa"] {
            assert!(may_be_real(real), "{real}");
        }
        for safe in ["demo.alt", "a.b.alt", "x.test", "y.example", "z.invalid", "n.home.arpa"] {
            assert!(!may_be_real(safe), "{safe}");
        }
    }
}
