//! What a command's links go over: TCP, or, where `--tor` or the user's configuration says so, Tor and nothing else.
//!
//! ```toml
//! # config.toml in the user's directory
//! tor = "required"      # every command that reaches out does so over Tor, or fails
//! ```
//! A `[tor]` section has the same as `mode = "required"`, and arti's own settings: bridges, pluggable transports, another
//! Tor network.
//!
//! **Invariant:** where Tor is wanted, [`Transport::Tor`] or a failure is what comes of it. There is no third way.

use std::{path::Path, sync::Arc};

use clap::Args;
use net::{Clock, Transport};
use serde::Deserialize;
use ua::{
    agent::Agent,
    profile::Profile,
    vault::{disk_remedy, replace_file},
};

use crate::terminal::{Failure, Progress};

/// The name of the configuration file in a user's directory.
pub(crate) const CONFIG: &str = "config.toml";
/// The directory of Tor's own files beside it.
#[cfg(feature = "tor")]
const STATE: &str = "tor";

/// The option of every command that reaches out.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct TransportArgs {
    /// Go over Tor, and not at all if that cannot be [default: what config.toml says; without one, no]
    #[arg(long)]
    pub tor: bool,
}

/// A user's configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Tor.
    #[cfg(feature = "tor")]
    pub tor: tor::TorConfig,
    /// Tor, which this program was built without.
    #[cfg(not(feature = "tor"))]
    tor: Option<toml::Value>,
    /// Whether it says anything of Tor, be it that there is to be none.
    #[serde(skip)]
    speaks_of_tor: bool,
}

impl AgentConfig {
    /// Reads the configuration of the user in `directory`; without a file, the defaults.
    ///
    /// # Errors
    /// [`Failure`] with 78 if the file is not as it should be.
    pub fn read(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(CONFIG);
        let bad = |cause: String| {
            Failure::new(78, &format!("{} cannot be used", path.display()), cause, "mend the file")
        };
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            read => read.map_err(|error| bad(error.to_string()))?,
        };
        let mut config: Self = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        config.speaks_of_tor = table.contains_key("tor");
        #[cfg(feature = "tor")]
        config.tor.check().map_err(|error| bad(error.to_string()))?;
        Ok(config)
    }

    /// Whether it says anything of Tor, be it that there is to be none.
    #[must_use]
    pub const fn speaks_of_tor(&self) -> bool {
        self.speaks_of_tor
    }

    /// Whether it says that everything goes over Tor.
    #[must_use]
    pub fn requires_tor(&self) -> bool {
        #[cfg(feature = "tor")]
        return self.tor.mode == tor::Mode::Required;
        #[cfg(not(feature = "tor"))]
        return !matches!(self.tor.as_ref().map(toml::Value::as_str), None | Some(Some("off")));
    }
}

/// Sees to it that the user of `directory` goes over Tor from now on: by the configuration that is there, or by a new one.
///
/// # Errors
/// [`Failure`]: 78 if there is a configuration that says otherwise, 74 if none can be written.
pub(crate) fn require_tor(directory: &Path) -> Result<(), Failure> {
    let path = directory.join(CONFIG);
    if AgentConfig::read(directory)?.requires_tor() {
        return Ok(());
    }
    if path.exists() {
        let what = format!("{} does not ask for Tor", path.display());
        return Err(Failure::new(78, &what, "", "put tor = \"required\" into it"));
    }
    // Whole or not at all: half a file would be no requirement.
    replace_file(&path, b"tor = \"required\"\n").map_err(|error| {
        Failure::new(74, &format!("cannot write {}", path.display()), &error, disk_remedy(&error))
    })
}

/// What the links of the user in `directory` go over. `progress` is told how far Tor is.
///
/// # Errors
/// [`Failure`]: 69 if Tor is wanted and cannot be reached, 78 if the configuration is not as it should be.
pub async fn transport(
    directory: &Path,
    args: TransportArgs,
    progress: &Progress,
) -> Result<Transport, Failure> {
    let config = AgentConfig::read(directory)?;
    if !args.tor && !config.requires_tor() {
        return Ok(Transport::Tcp);
    }
    over_tor(&config, directory, progress).await
}

/// The agent of the user in this profile, over what its links are to go over. `progress` is told what happens.
///
/// # Errors
/// As [`transport`], or if the network file cannot be used.
pub async fn agent(
    profile: &Arc<Profile>,
    args: TransportArgs,
    progress: &Arc<Progress>,
) -> Result<Agent, Failure> {
    let transport = transport(profile.directory(), args, progress).await?;
    let context = profile.context(Clock::default(), Arc::clone(progress) as _, transport)?;
    Ok(Agent::new(Arc::clone(profile), context)?)
}

#[cfg(not(feature = "tor"))]
impl From<net::TransportLost> for Failure {
    fn from(lost: net::TransportLost) -> Self {
        match lost {}
    }
}

#[cfg(not(feature = "tor"))]
#[expect(clippy::unused_async, reason = "with Tor it waits for it")]
async fn over_tor(_: &AgentConfig, _: &Path, _: &Progress) -> Result<Transport, Failure> {
    let remedy =
        "use a program built with the feature `tor`, which is there unless it was switched off";
    Err(Failure::new(69, "there is no Tor here", "this program was built without it", remedy))
}

#[cfg(feature = "tor")]
async fn over_tor(
    config: &AgentConfig,
    directory: &Path,
    progress: &Progress,
) -> Result<Transport, Failure> {
    /// One client a process: its circuits and its state directory are shared by all that the command does.
    static TOR: tokio::sync::OnceCell<tor::Tor> = tokio::sync::OnceCell::const_new();
    let start = || start(&config.tor, directory, progress);
    let tor = TOR.get_or_try_init(start).await?;
    progress.step("over Tor: looking for nodes");
    Ok(Transport::Tor(tor.clone()))
}

/// Starts Tor with its files in a user's or a node's directory.
///
/// # Errors
/// [`Failure`], 69 if it cannot be reached.
#[cfg(feature = "tor")]
pub(crate) async fn start(
    config: &tor::TorConfig,
    directory: &Path,
    progress: &Progress,
) -> Result<tor::Tor, Failure> {
    let step = |step: &tor::Step| {
        progress.step(&format!("Tor: {} %, {}", step.percent, step.waiting_for));
    };
    progress.step("Tor: starting");
    Ok(tor::Tor::start(config, &directory.join(STATE), step).await?)
}

#[cfg(feature = "tor")]
impl From<tor::TorError> for Failure {
    fn from(error: tor::TorError) -> Self {
        use tor::{Blockage, TorError};
        let (code, remedy) = match &error {
            TorError::Unreachable(Blockage::Offline) => {
                (69, "check this machine's connection. Nothing went around Tor")
            }
            TorError::Unreachable(Blockage::Clock) => {
                (69, "set this machine's clock, date and time zone. Nothing went around Tor")
            }
            TorError::Unreachable(_) => (
                69,
                "if Tor is blocked here, put bridges into [tor.bridges] of the configuration. \
                 Nothing went around Tor",
            ),
            TorError::Config(_) => (78, "mend the [tor] section"),
            TorError::Files(_) => (
                73,
                "check the directory `tor` beside the configuration: it must belong to you alone, and so must all above it",
            ),
            _ => (69, "run `cutout doctor`. Nothing went around Tor"),
        };
        Self::new(code, "the network was not reached", &error, remedy)
    }
}
