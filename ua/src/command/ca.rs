//! `cutout ca`: a network's certificate authority, offline. Files in, files out.
//!
//! ```text
//! DIR/vault/        the authority's key, sealed under a passphrase
//! DIR/network.toml  the network file, to be given to all members; `revoke` writes it anew
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anon::{
    certificate::{NodeId, SigningRequest, Subject, UnverifiedAddressCertificate},
    keys::{AuthoritySecret, SigningSecret as _, VerifyKey},
    network::{Network, Revoked, UnverifiedRevocationList},
    time::Validity,
    wire,
};
use clap::{Args, Subcommand};
use node::{NetworkFile, now};
use serde::{Deserialize, Serialize};

use super::{read_file, write_file};
use crate::{
    command::Global,
    home::HomeError,
    terminal::{Failure, say, tell},
    vault::{KdfCost, Vault, VaultError},
};

/// Name of the sealed file with the authority's key.
const KEY: &str = "authority";
/// The longest request, bytes.
const MAX_REQUEST: usize = 1024;
/// Name of the sealed file that says which keys were certified for which address.
const ISSUED: &str = "issued";
/// Its greatest length, bytes.
const MAX_ISSUED: usize = 32 << 20;
/// Name of the sealed file that says what was taken back.
const TAKEN_BACK: &str = "revoked";
/// Its greatest length, bytes.
const MAX_TAKEN_BACK: usize = 1 << 20;
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
        after_help = "Examples:\n  cutout ca sign bob.request --dir authority --out bob.certificate\n  cutout ca sign node7.request --dir authority --out admission --days 30"
    )]
    Sign(SignArgs),
    /// Take back what was signed; give the new network file to all members
    #[command(
        after_help = "Examples:\n  cutout ca revoke --dir authority --node 3b6a…\n  cutout ca revoke --dir authority --certificate bob.certificate"
    )]
    Revoke(RevokeArgs),
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
    #[arg(long, default_value_t = 365)]
    days: u64,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
    /// Sign although the address was certified for another key: its owner lost the first one
    #[arg(long)]
    replace: bool,
}

/// Arguments of `cutout ca revoke`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true, id = "what")]
pub struct RevokeArgs {
    /// Where the authority lives
    #[arg(long, value_name = "DIR", required = true)]
    dir: PathBuf,
    /// A node's identity, 64 hexadecimal digits; may be repeated
    #[arg(long, value_name = "ID", group = "what")]
    node: Vec<String>,
    /// An address certificate file; may be repeated
    #[arg(long, value_name = "FILE", group = "what")]
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
        CaCommand::Revoke(args) => revoke(global, &args),
    }
}

fn network_path(dir: &Path) -> PathBuf {
    dir.join("network.toml")
}

fn init(global: &Global, args: InitArgs) -> Result<(), Failure> {
    let secret = AuthoritySecret::generate(&mut rand::rng());
    let file = NetworkFile {
        name: args.name,
        authority: Some(NetworkFile::write_key(&secret.verify_key())),
        admission_required: args.admission_required,
        k: args.k,
        quorum: None,
        epoch_seconds: args.epoch,
        delay_seconds: args.delay,
        bootstrap: args.bootstrap,
        revocations: None,
    };
    let text = to_text(&file)?;
    NetworkFile::parse(&text).map_err(HomeError::from)?;
    let vault =
        Vault::create(&args.dir.join("vault"), &global.new_passphrase()?, KdfCost::default())?;
    let _lock = vault.lock()?;
    let seed = zeroize::Zeroizing::new(secret.expose_seed());
    vault.write(KEY, &seed[..])?;
    write_file(&network_path(&args.dir), text.as_bytes())?;
    say(network_path(&args.dir).display().to_string())
}

fn to_text(file: &NetworkFile) -> Result<String, Failure> {
    toml::to_string(file)
        .map_err(|error| Failure::new(70, "the network file cannot be written", error, ""))
}

fn open(global: &Global, dir: &Path) -> Result<(Authority, NetworkFile, Network), Failure> {
    let file = NetworkFile::read(&network_path(dir)).map_err(HomeError::from)?;
    let network = file.network().map_err(HomeError::from)?;
    let vault =
        Vault::open(&dir.join("vault"), &global.passphrase("The authority's passphrase: ")?)?;
    let damaged =
        || Failure::new(74, "the authority's key is damaged", "", "restore it from a copy");
    let seed: [u8; 32] = vault.read(KEY)?.as_slice().try_into().map_err(|_| damaged())?;
    let secret = AuthoritySecret::from_seed(&seed);
    if network.authority != Some(secret.verify_key()) {
        return Err(Failure::new(
            78,
            "the network file names another authority",
            "",
            "use its own",
        ));
    }
    Ok((Authority { secret, vault }, file, network))
}

/// The authority's key, and its memory.
struct Authority {
    secret: AuthoritySecret,
    vault: Vault,
}

impl Authority {
    /// Remembers which key an address was certified for; a second key would divert its mail. As one change: nobody
    /// else's is lost, and nobody waits for a person meanwhile.
    fn record(&self, address: &str, key: VerifyKey, replace: bool) -> Result<(), Failure> {
        let _writing = self.vault.lock()?;
        let mut issued: BTreeMap<String, VerifyKey> = match self.vault.read(ISSUED) {
            Ok(bytes) => wire::decode(&bytes, MAX_ISSUED).map_err(|error| {
                Failure::new(
                    74,
                    "the authority's record is damaged",
                    error,
                    "restore it from a copy",
                )
            })?,
            Err(VaultError::NotFound) => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        if issued.get(address).is_some_and(|known| *known != key) && !replace {
            let what = format!("{address} was certified for another key");
            let remedy =
                "if its owner has lost that key, sign with --replace, and revoke the first";
            return Err(Failure::new(77, &what, "a second key would divert its mail", remedy));
        }
        issued.insert(address.to_owned(), key);
        Ok(self.vault.write(ISSUED, &wire::encode(&issued))?)
    }
}

/// What the authority has taken back, as it remembers it itself.
#[derive(Debug, Default, Serialize, Deserialize)]
struct TakenBack {
    /// The number of the last list.
    number: u64,
    nodes: BTreeSet<NodeId>,
    addresses: BTreeSet<VerifyKey>,
}

impl TakenBack {
    fn add(&mut self, number: u64, revoked: &Revoked) {
        self.number = self.number.max(number);
        self.nodes.extend(&revoked.nodes);
        self.addresses.extend(&revoked.addresses);
    }
}

impl Authority {
    /// Takes something back, and puts the list of all that ever was into the network file: the list's number. The
    /// authority's own memory counts and not the file alone, which anybody can put back to an older one; as one change, so
    /// that of two lists none lacks what the other has.
    fn take_back(&self, dir: &Path, more: Revoked) -> Result<u64, Failure> {
        let _writing = self.vault.lock()?;
        let mut file = NetworkFile::read(&network_path(dir)).map_err(HomeError::from)?;
        let network = file.network().map_err(HomeError::from)?;
        let in_file = file.revocation_list().map_err(HomeError::from)?.map_or(0, |l| l.number());
        let mut all: TakenBack = match self.vault.read(TAKEN_BACK) {
            Ok(bytes) => wire::decode(&bytes, MAX_TAKEN_BACK).map_err(|error| {
                let what = "the authority's memory of what it took back is damaged";
                Failure::new(74, what, error, "restore it from a copy")
            })?,
            Err(VaultError::NotFound) => TakenBack::default(),
            Err(error) => return Err(error.into()),
        };
        if in_file < all.number {
            tell(format!(
                "warning: the network file had list {in_file}, older than the authority's last one, {}; the new list has all of it.",
                all.number
            ));
        }
        all.add(in_file, &network.revoked);
        all.add(0, &more);
        all.number = all.number.saturating_add(1);
        let revoked = Revoked { nodes: all.nodes.clone(), addresses: all.addresses.clone() };
        let list =
            UnverifiedRevocationList::issue(&self.secret, &network.id, all.number, now(), &revoked);
        file.set_revocations(&list);
        let text = to_text(&file)?;
        NetworkFile::parse(&text).map_err(HomeError::from)?;
        // First what cannot be put back unnoticed.
        self.vault.write(TAKEN_BACK, &wire::encode(&all))?;
        write_file(&network_path(dir), text.as_bytes())?;
        Ok(all.number)
    }
}

fn sign(global: &Global, args: &SignArgs) -> Result<(), Failure> {
    let request: SigningRequest =
        wire::decode(&read_file(&args.request)?, MAX_REQUEST).map_err(|error| {
            Failure::new(
                65,
                "this is no signing request",
                error,
                "ask the applicant for the file again",
            )
        })?;
    let (authority, _, network) = open(global, &args.dir)?;
    let secret = &authority.secret;
    let subject = request.verify(&network).map_err(|error| {
        Failure::new(
            65,
            "this request cannot be signed",
            error,
            "have the applicant make a new one",
        )
    })?;
    let whom = match subject {
        Subject::Address { address, .. } => format!("the address {address}"),
        Subject::Node(node) => format!("the node {}", data_encoding::HEXLOWER.encode(&node.0)),
    };
    if !args.yes && !confirm(&format!("Sign for {whom}, {} days? [y/N] ", args.days))? {
        return Err(Failure::new(77, "not signed", "", ""));
    }
    let validity = Validity::starting(now(), args.days.saturating_mul(DAY));
    let certificate = subject.certify(secret, &network.id, validity).map(|c| wire::encode(&c));
    let admission = || subject.admit(secret, &network.id, validity).map(|a| wire::encode(&a));
    let Some(bytes) = certificate.or_else(admission) else {
        return Err(Failure::new(70, "nothing to sign", "", ""));
    };
    if let Subject::Address { address, verify_key, .. } = subject {
        authority.record(&address.to_string(), *verify_key, args.replace)?;
    }
    write_file(&args.out, &bytes)?;
    tell(format!("Signed for {whom}."));
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
    let (authority, _, network) = open(global, &args.dir)?;
    let mut revoked = Revoked::default();
    for text in &args.node {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let node = bytes.and_then(|bytes| bytes.try_into().ok()).map(NodeId).ok_or_else(|| {
            Failure::new(
                64,
                &format!("{text} is no node identity"),
                "",
                "give its 64 hexadecimal digits",
            )
        })?;
        revoked.nodes.insert(node);
    }
    for path in &args.certificate {
        let fail = |error: anon::certificate::CertificateError| {
            let what = format!("{} is no certificate of this network", path.display());
            Failure::new(65, &what, error, "")
        };
        let certificate = UnverifiedAddressCertificate::decode(&read_file(path)?).map_err(fail)?;
        let certificate = certificate.verify(&network, now()).map_err(fail)?;
        revoked.addresses.insert(certificate.claims().verify_key);
    }
    let number = authority.take_back(&args.dir, revoked)?;
    tell(format!("Revocation list {number} is in the network file; give it to all members."));
    say(network_path(&args.dir).display().to_string())
}
