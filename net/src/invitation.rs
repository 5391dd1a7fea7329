//! An invitation: what a network file says, in one line that can be read aloud, pasted and typed after a command.
//!
//! ```text
//! cutout:demo.alt,authority=3b6a…,k=8,epoch=86400,delay=30,bootstrap=/ip4/…/p2p/…,bootstrap=…,sum=9c41d0aa
//! ```
//! No character of it means anything to a shell. The sum is the first four bytes of the SHA-256 of all that stands before
//! `,sum=`: a line that lost its end is noticed. It is no proof of where an invitation comes from; nor is a network file.

use anon::{keeper::charter::MAX_SETS, network::MAX_K};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{NetworkFile, NetworkFileError, network_file::Keepers};

/// What every invitation begins with.
const SCHEME: &str = "cutout:";
/// The longest one, bytes: a command line takes it, and so does a mail.
pub const MAX_INVITATION: usize = 16 << 10;
/// The most nodes to enter by that an invitation names.
const MAX_BOOTSTRAP: usize = 64;

/// What an invitation may say several times.
const REPEATED: [&str; 3] = ["bootstrap", "keepers", "keeper"];

/// Why a line is no invitation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// It does not begin as one.
    #[error("an invitation begins with {SCHEME}")]
    NotOne,
    /// It is too long, or would be.
    #[error("an invitation has at most {MAX_INVITATION} bytes and {MAX_BOOTSTRAP} bootstrap nodes")]
    TooLong,
    /// Its end is missing, or a character is another one.
    #[error("the invitation is damaged: its checksum is wrong")]
    Damaged,
    /// It says something that this program does not know, twice, or not as it should be said.
    #[error("the invitation says something that this program does not understand: {0}")]
    Unknown(String),
    /// Nobody could enter by it.
    #[error("it names no bootstrap node")]
    NoBootstrap,
    /// What it says is no network.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
}

impl NetworkFile {
    /// The invitation that says what this file says.
    ///
    /// # Errors
    /// [`InvitationError::NoBootstrap`]; [`InvitationError::TooLong`] where the revocations do not fit.
    pub fn invitation(&self) -> Result<String, InvitationError> {
        if self.bootstrap.is_empty() {
            return Err(InvitationError::NoBootstrap);
        }
        let mut line = format!("{SCHEME}{}", self.name);
        let mut add = |name: &str, value: &str| line.push_str(&format!(",{name}={value}"));
        if let Some(authority) = &self.authority {
            add("authority", authority);
        }
        if self.admission_required {
            add("admission", "required");
        }
        add("k", &self.k.to_string());
        if let Some(quorum) = self.quorum {
            add("quorum", &quorum.to_string());
        }
        add("epoch", &self.epoch_seconds.to_string());
        add("delay", &self.delay_seconds.to_string());
        if let Some(revocations) = &self.revocations {
            add("revocations", revocations);
        }
        self.add_keepers(&mut add);
        for address in &self.bootstrap {
            add("bootstrap", address);
        }
        let sum = sum(&line);
        line.push_str(&format!(",sum={sum}"));
        if line.len() > MAX_INVITATION || self.bootstrap.len() > MAX_BOOTSTRAP {
            return Err(InvitationError::TooLong);
        }
        Ok(line)
    }

    /// What else a network with keepers has to say. The keepers of a set follow the epoch from which on they are.
    fn add_keepers(&self, add: &mut impl FnMut(&str, &str)) {
        if self.serial > 0 {
            add("serial", &self.serial.to_string());
        }
        if let Some(round) = self.round_milliseconds {
            add("round", &round.to_string());
        }
        if self.places_capped == Some(false) {
            add("places", "uncapped");
        }
        for set in &self.keepers {
            add("keepers", &set.from_epoch.to_string());
            set.nodes.iter().for_each(|node| add("keeper", node));
        }
    }

    /// The network file that an invitation stands for. White space in it, from a line that was broken on its way, does not
    /// count.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn from_invitation(line: &str) -> Result<Self, InvitationError> {
        if line.len() > 2 * MAX_INVITATION {
            return Err(InvitationError::TooLong);
        }
        let line: String = line.chars().filter(|char| !char.is_whitespace()).collect();
        let content = line.strip_prefix(SCHEME).ok_or(InvitationError::NotOne)?;
        if line.len() > MAX_INVITATION {
            return Err(InvitationError::TooLong);
        }
        let summed = line.rsplit_once(",sum=").filter(|(before, told)| sum(before) == *told);
        summed.ok_or(InvitationError::Damaged)?;
        let mut words = content.split(',');
        let name = words.next().unwrap_or_default().to_owned();
        let mut file = Self { name, ..Self::default() };
        let mut said = Vec::new();
        for word in words {
            let unknown = || InvitationError::Unknown(word.to_owned());
            let (name, value) = word.split_once('=').ok_or_else(unknown)?;
            if !REPEATED.contains(&name) && said.contains(&name) {
                return Err(unknown());
            }
            said.push(name);
            file.hear(name, value).ok_or_else(unknown)?;
        }
        let is_whole = ["k", "epoch", "delay"].iter().all(|name| said.contains(name));
        if !is_whole {
            return Err(InvitationError::Unknown(format!("no k (1 to {MAX_K}), epoch or delay")));
        }
        if file.bootstrap.is_empty() {
            return Err(InvitationError::NoBootstrap);
        }
        file.network()?;
        file.bootstrap_peers()?;
        file.keeper_addresses()?;
        Ok(file)
    }

    /// Takes in one word of an invitation; `None` if it is none, or does not say what it should.
    fn hear(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "authority" => self.authority = Some(value.to_owned()),
            "admission" if value == "required" => self.admission_required = true,
            "k" => self.k = value.parse().ok()?,
            "quorum" => self.quorum = Some(value.parse().ok()?),
            "epoch" => self.epoch_seconds = value.parse().ok()?,
            "delay" => self.delay_seconds = value.parse().ok()?,
            "revocations" => self.revocations = Some(value.to_owned()),
            "bootstrap" if self.bootstrap.len() < MAX_BOOTSTRAP => {
                self.bootstrap.push(value.to_owned());
            }
            "serial" => self.serial = value.parse().ok()?,
            "round" => self.round_milliseconds = Some(value.parse().ok()?),
            "places" if value == "uncapped" => self.places_capped = Some(false),
            "keepers" if self.keepers.len() < MAX_SETS => {
                let from_epoch = value.parse().ok()?;
                self.keepers.push(Keepers { from_epoch, nodes: Vec::new() });
            }
            "keeper" => {
                let set = self.keepers.last_mut()?;
                set.nodes.push(value.to_owned());
            }
            "sum" => {}
            _ => return None,
        }
        Some(())
    }
}

/// The first four bytes of the SHA-256, as hexadecimal digits.
fn sum(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    HEXLOWER.encode(digest.first_chunk::<4>().unwrap_or(&[0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWGzBXWNvHpLtvkfM8T5vUhwVAbTC6Ff2rBbYg1hyGCYnD";

    fn file() -> NetworkFile {
        let bootstrap =
            [1, 2].map(|host| format!("/ip4/192.0.2.{host}/tcp/4001/p2p/{PEER}")).to_vec();
        let text = "name = 'demo.alt'\nk = 3\nepoch_seconds = 5\ndelay_seconds = 2";
        NetworkFile { bootstrap, quorum: Some(2), ..NetworkFile::parse(text).unwrap() }
    }

    #[test]
    fn an_invitation_says_all_that_the_file_says_in_one_line_that_a_shell_leaves_alone() {
        let file = file();
        let line = file.invitation().unwrap();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ":,=./+-_".contains(c);
        assert!(line.chars().all(is_plain), "{line}");
        let read = NetworkFile::from_invitation(&line).unwrap();
        assert_eq!(toml::to_string(&read).unwrap(), toml::to_string(&file).unwrap());
        let (start, end) = line.split_at(40);
        let broken = format!("  {start}\r\n {end}\n");
        assert!(NetworkFile::from_invitation(&broken).is_ok(), "a line that a mail program broke");
    }

    #[test]
    fn an_invitation_names_the_keepers_of_each_set() {
        let [one, two] = [1, 2].map(|host| format!("/ip4/192.0.2.{host}/tcp/4001/p2p/{PEER}"));
        let set = |from_epoch, node| Keepers { from_epoch, nodes: vec![node] };
        let file = NetworkFile {
            serial: 9,
            round_milliseconds: Some(300),
            places_capped: Some(false),
            keepers: vec![set(0, one), set(5, two)],
            ..file()
        };
        let read = NetworkFile::from_invitation(&file.invitation().unwrap()).unwrap();
        assert_eq!(toml::to_string(&read).unwrap(), toml::to_string(&file).unwrap());
    }

    #[test]
    fn whatever_is_cut_off_or_changed_is_noticed() {
        let line = file().invitation().unwrap();
        for end in 0..line.len() {
            let (cut, _) = line.split_at(end);
            assert!(NetworkFile::from_invitation(cut).is_err(), "{cut}");
        }
        for at in 0..line.len() {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(NetworkFile::from_invitation(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn what_is_unknown_twice_or_no_network_is_refused() {
        let whole = "cutout:demo.alt,k=3,epoch=5,delay=2";
        let bootstrap = format!("bootstrap=/ip4/192.0.2.1/tcp/4001/p2p/{PEER}");
        let with = |more: &str| {
            let line = format!("{whole},{bootstrap}{more}");
            NetworkFile::from_invitation(&format!("{line},sum={}", sum(&line)))
        };
        assert!(with("").is_ok());
        assert!(matches!(with(",colour=red"), Err(InvitationError::Unknown(_))));
        assert!(matches!(with(",k=4"), Err(InvitationError::Unknown(_))));
        assert!(matches!(with(",quorum=1"), Err(InvitationError::Network(_))));
        assert!(matches!(with(",admission=perhaps"), Err(InvitationError::Unknown(_))));
        assert!(matches!(
            with(&format!(",{bootstrap}").repeat(64)),
            Err(InvitationError::Unknown(_))
        ));
        assert!(matches!(with(&",x=y".repeat(9_000)), Err(InvitationError::TooLong)));
        let nobody = format!("{whole},sum={}", sum(whole));
        let read = NetworkFile::from_invitation(&nobody);
        assert!(matches!(read, Err(InvitationError::NoBootstrap)));
        assert!(matches!(NetworkFile::from_invitation("demo.toml"), Err(InvitationError::NotOne)));
    }

    #[test]
    fn a_file_by_which_nobody_could_enter_makes_none() {
        let nobody = NetworkFile { bootstrap: Vec::new(), ..file() };
        assert!(matches!(nobody.invitation(), Err(InvitationError::NoBootstrap)));
        let long = NetworkFile { revocations: Some("A".repeat(MAX_INVITATION)), ..file() };
        assert!(matches!(long.invitation(), Err(InvitationError::TooLong)));
    }
}
