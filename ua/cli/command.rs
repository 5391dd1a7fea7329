//! The commands, one file each, and what they share.

pub mod ca;
pub mod doctor;
pub mod fetch;
pub mod init;
pub mod interruption;
pub mod keeper;
mod letters;
pub mod list;
pub mod node;
pub mod outbox;
pub mod read;
pub mod reply;
pub mod scheme;
pub mod send;
pub mod status;

use std::{
    io::{ErrorKind, IsTerminal as _},
    path::{Path, PathBuf},
};

use clap::Args;
use ua::{
    profile::Profile,
    vault::{Passphrase, VaultError, disk_remedy, replace_file},
};

use crate::{
    handover, place, settings,
    terminal::{Failure, tell},
};

/// The longest file that a command reads whole, bytes: a mail and some.
const MAX_FILE: u64 = 64 << 20;

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Where this user's keys and mail are kept [default: the platform's data directory]
    #[arg(long, global = true, env = "CUTOUT_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Read the passphrase from this file's first line instead of asking (or set CUTOUT_PASSPHRASE)
    #[arg(long, global = true, env = "CUTOUT_PASSPHRASE_FILE", value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Tell each step on stderr; twice: log what happens inside, addresses scrubbed
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Let the log show addresses and identities, and what the libraries log: only for debugging a network of one's own
    #[arg(long, global = true, hide = true)]
    pub log_sensitive: bool,
}

impl Global {
    /// The user's directory.
    ///
    /// # Errors
    /// [`Failure`] if none is named and the platform has none.
    pub fn directory(&self) -> Result<PathBuf, Failure> {
        match &self.home {
            Some(directory) => Ok(directory.clone()),
            None => Ok(Profile::default_directory()?),
        }
    }

    /// The user's profile, unlocked.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn open_profile(&self) -> Result<Profile, Failure> {
        // Nobody types a passphrase for a profile that is not there.
        Profile::check(&self.directory()?)?;
        self.unlock(&self.passphrase("Passphrase: ")?)
    }

    /// As [`Self::open_profile`], with a passphrase that is at hand.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn unlock(&self, passphrase: &Passphrase) -> Result<Profile, Failure> {
        let profile = Profile::open(&self.directory()?, passphrase)?;
        profile.vault().on_notice(|text| tell(format!("warning: {text}")));
        settings::check(&profile)?;
        place::check(&profile)?;
        Ok(profile)
    }

    /// The passphrase: from the file, from the environment, or from the person.
    ///
    /// # Errors
    /// [`Failure`] if there is none to be had.
    pub fn passphrase(&self, prompt: &str) -> Result<Passphrase, Failure> {
        let text = match self.given()? {
            Some(text) => text,
            None if std::io::stdin().is_terminal() => ask(prompt)?,
            None => {
                let remedy = "set CUTOUT_PASSPHRASE or --passphrase-file, or run in a terminal";
                let cause = "standard input is no terminal";
                return Err(Failure::new(77, "no passphrase", cause, remedy));
            }
        };
        Ok(Passphrase::new(text)?)
    }

    /// The passphrase for a command that can do without: the one that was given, or, with `may_ask`, one that the person at
    /// the terminal likes to type.
    ///
    /// # Errors
    /// [`Failure`] if the one that was given cannot be read.
    pub(crate) fn passphrase_for_signers(
        &self,
        may_ask: bool,
    ) -> Result<Option<Passphrase>, Failure> {
        if let Some(text) = self.given()? {
            return Ok(Some(Passphrase::new(text)?));
        }
        if !may_ask || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Ok(None);
        }
        // Whoever types nothing does without.
        let typed = ask("Passphrase, to tell who signed (Enter: without): ").unwrap_or_default();
        Ok(Passphrase::new(typed).ok())
    }

    /// The passphrase from the file that was named, or from the environment.
    fn given(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.passphrase_file else {
            return Ok(handover::passphrase().map(|text| text.as_str().to_owned()));
        };
        let text = read_file(path)?;
        Ok(Some(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()))
    }

    /// A new passphrase, typed twice where a person types it.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn new_passphrase(&self) -> Result<Passphrase, Failure> {
        let given = self.passphrase_file.is_some() || handover::passphrase().is_some();
        if given || !std::io::stdin().is_terminal() {
            return self.passphrase("");
        }
        let (first, second) = (ask("New passphrase: ")?, ask("Again: ")?);
        if first != second {
            return Err(Failure::new(77, "the passphrases differ", "", "type the same one twice"));
        }
        Passphrase::new(first).map_err(|error: VaultError| error.into())
    }
}

/// Asks the person at the terminal for a passphrase.
fn ask(prompt: &str) -> Result<String, Failure> {
    rpassword::prompt_password(prompt)
        .map_err(|error| Failure::new(77, "the passphrase cannot be read", error, ""))
}

/// Reads a whole file.
///
/// # Errors
/// [`Failure`] with 66 if it cannot be read.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error: std::io::Error| {
        Failure::new(66, &format!("cannot read {}", path.display()), error, "check the path")
    };
    let length = std::fs::metadata(path).map_err(fail)?.len();
    if length > MAX_FILE {
        return Err(Failure::new(65, &format!("{} is too long", path.display()), "", ""));
    }
    std::fs::read(path).map_err(fail)
}

/// Writes a whole file, for its owner alone: it is there in full or not at all.
///
/// # Errors
/// [`Failure`] with 74 if the disk is full, with 73 if it cannot be written for another reason.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    // A pipe or a terminal is written to, and not replaced.
    let is_other = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let written =
        if is_other { std::fs::write(path, content) } else { replace_file(path, content) };
    written.map_err(|error| {
        let what = format!("cannot write {}", path.display());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Failure::new(74, &what, &error, disk_remedy(&error))
            }
            _ => Failure::new(73, &what, error, "check the path"),
        }
    })
}
