//! What `list`, `read` and `reply` share: the mails of a Maildir, what their headers say, and what is known of their
//! senders.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use anon::certificate::Address;
use mail_parser::{Address as Written, HeaderValue};
use ua::{
    fields::fields,
    maildir::{Entry, Maildir},
    origin::{Origin, Origins, signers},
    profile::{Profile, ProfileError},
    vault::{Passphrase, Vault},
};

use crate::{
    command::Global,
    printable,
    terminal::{Failure, tell},
};

/// Lines of one name, such as From, that are shown; a mail should have one.
const MOST_ALIKE: usize = 4;
/// Addresses of one line that are shown.
const MOST_ADDRESSES: usize = 100;

/// The mails of a Maildir, and the vault that knows who signed them, if it could be opened.
pub(super) struct Letters {
    pub(super) maildir: Maildir,
    vault: Option<Vault>,
    warned: Cell<bool>,
}

/// Who signed a mail, as far as can be told.
#[derive(Clone, Debug, derive_more::Display, PartialEq, Eq)]
pub(super) enum Signed {
    /// These; verified when it came.
    #[display("verified")]
    By(Vec<Address>),
    /// It came without a signature.
    #[display("none")]
    Nobody,
    /// It did not come by this user's `fetch`, or so long ago that it is forgotten.
    #[display("unknown")]
    Unknown,
    /// The vault was not opened.
    #[display("not checked")]
    NotChecked,
}

impl Signed {
    /// Who signed, in one line; nothing if nobody is known to have.
    pub(super) fn names(&self) -> Option<String> {
        match self {
            Self::By(addresses) => Some(join(addresses.iter())),
            _ => None,
        }
    }
}

/// The vault of a profile, whose notices are told.
fn unlock(profile: &Path, passphrase: &Passphrase) -> Result<Vault, Failure> {
    let vault = Vault::open(&profile.join("vault"), passphrase)?;
    vault.on_notice(|text| tell(format!("warning: {text}")));
    Ok(vault)
}

impl Letters {
    /// Opens a Maildir, and the vault where it is wanted and the passphrase is at hand. Without a Maildir being named it is
    /// the user's own, and whoever sits at a terminal is asked.
    ///
    /// # Errors
    /// [`Failure`]: 66 if there is no such Maildir, 77 if the passphrase is wrong, 78 if there is no such user.
    pub(super) fn open(
        global: &Global,
        maildir: Option<&PathBuf>,
        wants_signers: bool,
    ) -> Result<Self, Failure> {
        let directory = global.directory();
        let profile = directory.as_ref().ok().filter(|directory| Profile::exists(directory));
        let opened = match (maildir, profile) {
            (Some(path), _) => existing(path)?,
            (None, Some(profile)) => Maildir::open(&Profile::default_maildir(profile))?,
            (None, None) => return Err(ProfileError::NotInitialised(directory?).into()),
        };
        let passphrase = match profile {
            Some(_) if wants_signers => global.passphrase_for_signers(maildir.is_none())?,
            _ => None,
        };
        let unlocked = profile.zip(passphrase);
        let vault =
            unlocked.map(|(profile, passphrase)| unlock(profile, &passphrase)).transpose()?;
        Ok(Self { maildir: opened, vault, warned: Cell::new(false) })
    }

    /// Opens a Maildir, the user's own unless one is named, and the vault with this passphrase.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn unlocked(
        global: &Global,
        maildir: Option<&PathBuf>,
        passphrase: &Passphrase,
    ) -> Result<Self, Failure> {
        let directory = global.directory()?;
        if !Profile::exists(&directory) {
            return Err(ProfileError::NotInitialised(directory).into());
        }
        let letters = Self::open(global, maildir, false)?;
        Ok(Self { vault: Some(unlock(&directory, passphrase)?), ..letters })
    }

    /// Whether it can be told who signed.
    pub(super) const fn knows_signers(&self) -> bool {
        self.vault.is_some()
    }

    /// The mail of this number in the list, and its bytes.
    ///
    /// # Errors
    /// [`Failure`]: 64 if there is none.
    pub(super) fn numbered(&self, number: usize) -> Result<(Entry, Vec<u8>), Failure> {
        let entries = self.maildir.list()?;
        let entry = number.checked_sub(1).and_then(|index| entries.get(index));
        let Some(entry) = entry else {
            let what = format!("there is no mail {number}");
            let cause = format!("the list has {}", entries.len());
            return Err(Failure::new(64, &what, cause, "see `cutout list`"));
        };
        let bytes = self.maildir.read(entry)?;
        Ok((entry.clone(), bytes))
    }

    /// Where a mail comes from, as far as is known; `None` if that cannot be looked up.
    pub(super) fn origins(&self, mail: &[u8]) -> Option<Vec<Origin>> {
        match Origins::new(self.vault.as_ref()?).of(mail) {
            Ok(origins) => Some(origins),
            Err(error) => {
                if !self.warned.replace(true) {
                    tell(format!("warning: who signed some mails cannot be told: {error}"));
                }
                None
            }
        }
    }

    /// Who signed a mail.
    pub(super) fn signed(&self, mail: &[u8]) -> Signed {
        let Some(origins) = self.origins(mail) else { return Signed::NotChecked };
        match (signers(&origins), origins.is_empty()) {
            (_, true) => Signed::Unknown,
            (by, false) if by.is_empty() => Signed::Nobody,
            (by, false) => Signed::By(by.into_iter().cloned().collect()),
        }
    }
}

fn existing(path: &Path) -> Result<Maildir, Failure> {
    Maildir::existing(path).map_err(|error| {
        let what = format!("there is no Maildir at {}", path.display());
        Failure::new(66, &what, error, "check the path; a Maildir has the folders cur, new and tmp")
    })
}

/// What the header fields of this name say, decoded; a mail may have several, whatever the rules.
pub(super) fn written(mail: &[u8], name: &str) -> Vec<String> {
    let text = |value: &HeaderValue<'_>| match value {
        HeaderValue::Address(addresses) => Some(of_addresses(addresses)),
        HeaderValue::Text(text) => Some(text.clone().into_owned()),
        HeaderValue::TextList(texts) => Some(texts.join(" ")),
        _ => None,
    };
    let found = fields(mail).filter(|field| field.is(name));
    found.filter_map(|field| field.parsed(text).flatten()).take(MOST_ALIKE).collect()
}

/// All that a mail's From fields say, in one line for a list; `None` if it has none.
pub(super) fn from(mail: &[u8]) -> Option<String> {
    let all = written(mail, "From");
    let all: Vec<String> = all.into_iter().filter(|from| !from.is_empty()).collect();
    (!all.is_empty()).then(|| all.join(" / "))
}

/// All that a mail's Subject fields say, in one line.
pub(super) fn subject(mail: &[u8]) -> String {
    written(mail, "Subject").join(" / ")
}

/// Addresses as their sender wrote them, groups with their names.
fn of_addresses(addresses: &Written<'_>) -> String {
    match addresses {
        Written::List(list) => join(list.iter().map(one)),
        Written::Group(groups) => {
            let groups = groups.iter().map(|group| {
                let members = join(group.addresses.iter().map(one));
                match &group.name {
                    Some(name) => format!("{}: {members};", printable::line(name)),
                    None => members,
                }
            });
            join(groups.filter(|group| !group.is_empty()))
        }
    }
}

fn one(address: &mail_parser::Addr<'_>) -> String {
    let shown = address.address.as_deref().map(printable::address);
    // A name with signs of the address list's own could look like another address in it.
    let quoted = |name: &str| {
        let name = printable::line(name);
        let is_plain = !name.contains([',', ';', ':', '<', '>', '@', '"']);
        if is_plain { name } else { format!("\"{}\"", name.replace('"', "'")) }
    };
    match (address.name.as_deref().map(quoted), shown) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (Some(name), None) => name,
        (None, address) => address.unwrap_or_default(),
    }
}

fn join(items: impl Iterator<Item = impl ToString>) -> String {
    let mut items = items.map(|item| item.to_string());
    let shown: Vec<String> = items.by_ref().take(MOST_ADDRESSES).collect();
    let more = items.count();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    shown.join(", ") + &more
}
