//! `cutout init`: a user's keys, address and certificate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anon::{
    certificate::{Address, UnverifiedAddressCertificate},
    wire,
};
use clap::Args;
use net::{NetworkFile, now};
use ua::{
    account::Account,
    guard::Guards,
    profile::{Profile, ProfileError},
    vault::KdfCost,
};

use super::{ca::to_text, interruption::Interruption, read_file, scheme::SchemeArgs, write_file};
use crate::{
    command::Global,
    place, settings,
    terminal::{Failure, Progress, say, tell},
    transport::{TransportArgs, agent, require_tor},
};

/// Arguments of `cutout init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cutout init cutout:demo.alt,k=8,…                    with the line that you were given\n  cutout init --network demo.toml                      an address that certifies itself\n  cutout init --network demo.toml --address bob@demo.alt --request bob.request\n  cutout init --certificate bob.certificate            once the authority has signed\n  cutout init --network demo.toml --tor                over Tor, now and in every later command"
)]
pub struct InitArgs {
    /// The invitation, one line from whoever runs the network
    #[arg(value_name = "INVITATION", required_unless_present_any = ["network", "certificate"])]
    invitation: Option<String>,
    /// The network file, from whoever runs the network
    #[arg(long, value_name = "FILE", conflicts_with = "invitation")]
    network: Option<PathBuf>,
    /// An address of your choice, for which the network's authority must sign
    #[arg(long, value_name = "ADDR", requires = "request")]
    address: Option<String>,
    /// Where to write the request for the authority
    #[arg(long, value_name = "FILE", requires = "address")]
    request: Option<PathBuf>,
    /// Install the certificate that the authority made
    #[arg(long, value_name = "FILE", conflicts_with_all = ["invitation", "network", "address"])]
    certificate: Option<PathBuf>,
    /// Do not publish the certificate now; `cutout fetch` will
    #[arg(long)]
    offline: bool,
    /// Publish it directly: the nodes that keep it see this machine's address
    #[arg(long, conflicts_with = "offline")]
    direct: bool,
    #[command(flatten)]
    scheme: SchemeArgs,
}

/// What an interrupted publishing leaves, and how to go on.
const UNPUBLISHED: &str = "your address is made, but its certificate is not published yet";
const ADVICE: &str = "run `cutout fetch` later: it publishes the certificate";

/// Runs `cutout init`.
///
/// # Errors
/// [`Failure`].
pub async fn run(global: &Global, args: InitArgs) -> Result<(), Failure> {
    let (profile, account) = match &args.certificate {
        Some(path) => install(global, path, args.scheme.transport)?,
        None => create(global, &args)?,
    };
    say(account.address().to_string())?;
    let network = profile.network().network().map_err(ProfileError::from)?;
    let Ok(certificate) = account.certificate(&network, now()) else {
        tell("Hand the request to the network's authority, then: cutout init --certificate FILE");
        return Ok(());
    };
    if args.offline {
        return Ok(());
    }
    let progress = Arc::new(Progress::start("publishing your certificate", global.verbose > 0));
    let interruption = Interruption::take_hold(ADVICE)?;
    let profile = Arc::new(profile);
    let made = interruption.unless(agent(&profile, args.scheme.transport, &progress)).await;
    let agent = made.and_then(|made| made).map_err(|failure| {
        progress.finish();
        failure.of(UNPUBLISHED)
    })?;
    let choices = args.scheme.choices(args.direct, profile.network());
    let publishing = async {
        // Guarded, nobody learns whose address it is.
        let scheme = match choices.asks_bootstrap_nodes() {
            true => None,
            false => Some(agent.scheme(choices.scheme).await?),
        };
        Ok::<_, Failure>(agent.publish(&certificate, scheme).await?)
    };
    let published = interruption.unless(publishing).await.and_then(|done| done);
    if choices.asks_bootstrap_nodes() && published.is_ok() {
        // It is published: whoever ends this here misses nothing.
        let _ = interruption.unless(agent.keep_ready(&choices)).await;
    }
    progress.finish();
    match published {
        Ok(_) => {
            agent.remember();
            tell("Your certificate is published: others can write to you now.");
        }
        Err(failure) if agent.context().transport.is_tor() || interruption.check().is_err() => {
            return Err(Failure { remedy: ADVICE.to_owned(), ..failure.of(UNPUBLISHED) });
        }
        Err(failure) => {
            let cause = failure.cause;
            tell(format!(
                "Your certificate is not published yet ({cause}); `cutout fetch` will do it."
            ));
        }
    }
    Ok(())
}

/// The network that one is to join: the text for its file, and what it says.
fn joined(args: &InitArgs) -> Result<(String, NetworkFile), Failure> {
    if let Some(line) = &args.invitation {
        let file = NetworkFile::from_invitation(line).map_err(|error| {
            let remedy =
                "paste the whole line, as you were given it; a network file goes after --network";
            Failure::new(65, "this is not an invitation", error, remedy)
        })?;
        return Ok((to_text(&file)?, file));
    }
    let Some(path) = &args.network else {
        return Err(Failure::new(64, "no network", "", "give an invitation or --network FILE"));
    };
    let text = String::from_utf8_lossy(&read_file(path)?).into_owned();
    let file = NetworkFile::parse(&text).map_err(ProfileError::from)?;
    Ok((text, file))
}

fn create(global: &Global, args: &InitArgs) -> Result<(Profile, Account), Failure> {
    let directory = global.directory()?;
    let (text, file) = joined(args)?;
    let parameters = file.network().map_err(ProfileError::from)?;
    let account = match &args.address {
        None => Account::self_certifying(&parameters, now()),
        Some(text) => {
            let address = Address::parse(text).map_err(|error| {
                Failure::new(64, "this is no address", error, "give one such as bob@demo.alt")
            })?;
            if address.domain() != parameters.name || address.is_self_certifying() {
                let cause = format!("addresses of this network end in @{}", parameters.name);
                return Err(Failure::new(64, "this address cannot be had here", cause, ""));
            }
            Account::uncertified(address)
        }
    };
    let passphrase = global.new_passphrase()?;
    let profile = Profile::create(&directory, &text, &passphrase, KdfCost::default())?;
    profile.vault().on_notice(|text| tell(format!("warning: {text}")));
    // The account is what makes a user: there is none without what it asks for.
    if args.scheme.transport.tor {
        require_tor(&directory)?;
    }
    if let Some(path) = &args.request {
        write_file(path, &wire::encode(&account.signing_request(&parameters)))?;
    }
    profile.write_account(&account)?;
    // From here on these are missed if they go.
    Guards::default().write(profile.vault())?;
    settings::begin(&profile)?;
    place::begin(&profile)?;
    Ok((profile, account))
}

fn install(
    global: &Global,
    path: &Path,
    transport: TransportArgs,
) -> Result<(Profile, Account), Failure> {
    let bytes = read_file(path)?;
    let profile = global.open_profile()?;
    let network = profile.network().network().map_err(ProfileError::from)?;
    let certificate = UnverifiedAddressCertificate::decode(&bytes).map_err(|error| {
        let remedy = "ask the authority for the file again";
        Failure::new(65, "this is no address certificate", error, remedy)
    })?;
    if transport.tor {
        require_tor(profile.directory())?;
    }
    // As one change: a fetch that renews its certificate meanwhile must not write over this one.
    let writing = profile.vault().lock()?;
    let mut account = Account::read(profile.vault())?;
    account.certify(certificate, &network, now())?;
    profile.write_account(&account)?;
    drop(writing);
    Ok((profile, account))
}
