//! The vault: everything that the user agent keeps on disk, sealed under a passphrase.
//!
//! ```text
//! dir/           mode 700
//!   vault        argon2id cost and salt, the sealed master key     (vault/header.rs)
//!   <name>       a sealed file: [a-z0-9._-]{1,80}, no leading dot  (vault/seal.rs)
//!   .present     held shared by every process that works here      (vault/disk.rs)
//!   .lock        held while one change is written, never while anybody waits for the network or a person
//!   .alone-*     held for as long as something takes that one process does at a time
//!   .tmp-*       a write under way, or what a crash left of one
//! ```
//!
//! What a thief of the disk learns: the names, sizes and times of the files, never a byte of their
//! contents. What someone who can write to it can do: delete files and put back older versions of
//! a file under its own name; nothing else opens.
//!
//! Invariants:
//! - No plaintext and no unsealed key is written to the disk, temporary files included.
//! - A file opens only under the name that it was written under.
//! - After a crash a name shows its old contents or its new ones.
//! - The master key never changes: someone who has an old `vault` file *and* the passphrase of
//!   that time opens later files too. After such a loss make a new vault.

mod begin;
mod cost;
mod disk;
mod error;
mod header;
mod notice;
mod seal;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use header::{Header, MAX_HEADER_BYTES};
use notice::Notices;
use seal::{MasterKey, OVERHEAD_BYTES};
use zeroize::Zeroizing;

pub use begin::Begun;
pub(crate) use begin::{Contents, contents};
pub use cost::{KdfCost, Passphrase};
pub use disk::{replace as replace_file, set_aside};
pub use error::{VaultError, disk_remedy};

/// Most bytes that one sealed file may hold.
pub(crate) const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;
/// Most characters in the name of a sealed file.
pub(crate) const MAX_NAME_CHARS: usize = 80;

/// How long one process waits while others write their changes, which take milliseconds each.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// How long somebody may hold a file who only looks whether it is held.
const A_LOOK: Duration = Duration::from_millis(200);

/// The file with the sealed master key; no sealed file may have its name.
const VAULT_FILE: &str = "vault";

/// An open vault: the directory and its unsealed master key.
#[derive(derive_more::Debug)]
#[debug("Vault([scrubbed])")]
pub struct Vault {
    dir: PathBuf,
    master: MasterKey,
    notices: Notices,
}

impl Vault {
    /// Makes a vault in `dir`, which is created (mode 700) if missing, and opens it.
    ///
    /// # Errors
    /// [`VaultError::AlreadyExists`], also if another process is faster, and if the directory holds any
    /// file that a lost `vault` file would have opened; [`VaultError::Io`], [`VaultError::OutOfMemory`],
    /// [`VaultError::Randomness`].
    pub fn create(dir: &Path, passphrase: &Passphrase, cost: KdfCost) -> Result<Self, VaultError> {
        if contents(dir)? != Contents::Nothing {
            return Err(VaultError::AlreadyExists);
        }
        disk::prepare_dir(dir).map_err(VaultError::io("create", "vault"))?;
        let master = MasterKey::generate()?;
        let bytes = Header::seal(&master, passphrase, cost)?.encode();
        match disk::create_new(dir, VAULT_FILE, &bytes) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(VaultError::AlreadyExists),
            outcome => outcome.map_err(VaultError::io("write", "vault/vault")),
        }?;
        Ok(Self { dir: dir.to_owned(), master, notices: Notices::default() })
    }

    /// Opens the vault in `dir`; takes as long as its [`KdfCost`] says.
    ///
    /// # Errors
    /// [`VaultError::NoVault`]; [`VaultError::WrongPassphrase`]; [`VaultError::Corrupt`] if no
    /// passphrase would open it; [`VaultError::UnsupportedVersion`];
    /// [`VaultError::CostOutOfBounds`] for a cost that no honest vault has.
    pub fn open(dir: &Path, passphrase: &Passphrase) -> Result<Self, VaultError> {
        let bytes =
            disk::read_capped(&dir.join(VAULT_FILE), MAX_HEADER_BYTES).map_err(|e| {
                match e.kind() {
                    io::ErrorKind::NotFound => VaultError::NoVault,
                    io::ErrorKind::FileTooLarge => VaultError::Corrupt,
                    _ => VaultError::io("read", "vault/vault")(e),
                }
            })?;
        let opened = disk::tighten(dir).map_err(VaultError::io("make private", "vault"))?;
        let master = Header::decode(&bytes)?.open(passphrase)?;
        let vault = Self { dir: dir.to_owned(), master, notices: Notices::default() };
        if opened {
            vault.notice(
                "other users of this machine could read the directory vault, and may have copied the \
                 sealed files; it is private now",
            );
        }
        Ok(vault)
    }

    /// Has `listener` told, in a sentence for people each time and no sentence twice, what is made anew here
    /// because it was lost, and what could not be kept. What was said before is told at once.
    pub fn on_notice(&self, listener: impl Fn(&str) + Send + Sync + 'static) {
        self.notices.listen(Box::new(listener));
    }

    /// Says something to whoever listens.
    pub fn notice(&self, text: impl Into<String>) {
        self.notices.say(text.into());
    }

    /// Seals the master key under another passphrase, in one step. The sealed files stay as they
    /// are; a copy of the old `vault` file still opens under the old passphrase.
    ///
    /// # Errors
    /// [`VaultError::Io`], [`VaultError::OutOfMemory`], [`VaultError::Randomness`]; the old
    /// passphrase then still holds.
    pub fn change_passphrase(&self, new: &Passphrase, cost: KdfCost) -> Result<(), VaultError> {
        let bytes = Header::seal(&self.master, new, cost)?.encode();
        disk::replace(&self.dir.join(VAULT_FILE), &bytes)
            .map_err(VaultError::io("write", "vault/vault"))
    }

    /// Writes a sealed file of up to 64 MiB, replacing the one of that name.
    /// Durable when it returns.
    ///
    /// # Errors
    /// [`VaultError::InvalidName`], [`VaultError::TooLarge`], [`VaultError::Io`],
    /// [`VaultError::Randomness`]; the old contents then remain.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), VaultError> {
        check_name(name)?;
        let sealed = self.master.file_key(name)?.seal(contents)?;
        disk::replace(&self.dir.join(name), &sealed).map_err(file_error("write", name))
    }

    /// Reads and opens a sealed file.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Damaged`] if it was changed, is longer than any that
    /// was written, or belongs to another name; [`VaultError::UnsupportedVersion`],
    /// [`VaultError::InvalidName`], [`VaultError::Io`].
    pub fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        check_name(name)?;
        let limit = MAX_FILE_BYTES.saturating_add(OVERHEAD_BYTES);
        let sealed =
            disk::read_capped(&self.dir.join(name), limit).map_err(file_error("read", name))?;
        self.master.file_key(name)?.open(&sealed)
    }

    /// Removes a sealed file, for good also after a crash. (What the disk keeps of it is sealed.)
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::InvalidName`], [`VaultError::Io`].
    pub fn remove(&self, name: &str) -> Result<(), VaultError> {
        check_name(name)?;
        disk::remove(&self.dir, name).map_err(file_error("remove", name))
    }

    /// As [`Self::remove`], where a file that is gone already is as good.
    ///
    /// # Errors
    /// [`VaultError::InvalidName`], [`VaultError::Io`].
    pub(crate) fn forget(&self, name: &str) -> Result<(), VaultError> {
        match self.remove(name) {
            Err(VaultError::NotFound) => Ok(()),
            removed => removed,
        }
    }

    /// Lists the names of the sealed files that begin with `prefix`, in byte order; whatever else has
    /// such a name is listed too, so that it is noticed and not taken for a file that is gone.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, VaultError> {
        let failed = || VaultError::io("list", "vault");
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with(prefix) && check_name(&name).is_ok() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Says that this process works here, until the guard is dropped; several may. Whoever comes first sweeps away the
    /// temporary files of writers that crashed.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub(crate) fn enter(&self) -> Result<VaultLock, VaultError> {
        let held = disk::be_present(&self.dir).map_err(VaultError::io("lock", "vault/.present"))?;
        Ok(VaultLock { _file: held })
    }

    /// Takes the directory for one change that reads, thinks and writes, until the guard is dropped. Another process's
    /// change is waited for, 20 seconds at most: so whoever holds it waits for nothing meanwhile, and takes it once.
    ///
    /// # Errors
    /// [`VaultError::InUse`] if it is not given up in time; [`VaultError::Io`].
    pub fn lock(&self) -> Result<VaultLock, VaultError> {
        self.lock_within(TIMEOUT)
    }

    fn lock_within(&self, timeout: Duration) -> Result<VaultLock, VaultError> {
        let file = disk::lock_file(&self.dir, ".lock");
        let held = file.and_then(|file| disk::lock_within(file, timeout));
        held.map(|file| VaultLock { _file: file }).map_err(lock_error)
    }

    /// Takes what one process does at a time, for however long; `None` if another does it now.
    ///
    /// # Errors
    /// [`VaultError::InvalidName`], [`VaultError::Io`].
    pub fn alone(&self, what: &str) -> Result<Option<VaultLock>, VaultError> {
        check_name(what)?;
        try_lock(disk::lock_file(&self.dir, &format!(".alone-{what}")), Duration::ZERO)
    }

    /// Takes a sealed file that is written once and not replaced, for however long; `None` if another process has it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::InvalidName`], [`VaultError::Io`].
    pub(crate) fn claim(&self, name: &str) -> Result<Option<VaultLock>, VaultError> {
        check_name(name)?;
        try_lock(File::open(self.dir.join(name)), A_LOOK)
    }
}

/// Locks a file unless somebody else has it for longer than that.
fn try_lock(file: io::Result<File>, timeout: Duration) -> Result<Option<VaultLock>, VaultError> {
    let locked = file.and_then(|file| disk::lock_within(file, timeout));
    match locked.map(|file| VaultLock { _file: file }).map_err(lock_error) {
        Ok(lock) => Ok(Some(lock)),
        Err(VaultError::InUse) => Ok(None),
        Err(error) => Err(error),
    }
}

fn lock_error(error: io::Error) -> VaultError {
    match error.kind() {
        io::ErrorKind::WouldBlock => VaultError::InUse,
        io::ErrorKind::NotFound => VaultError::NotFound,
        _ => VaultError::io("lock", "a file in vault")(error),
    }
}

/// A part in a vault's directory, or the exclusive use of something there; dropping it, or the end of the process,
/// gives it up.
#[derive(Debug)]
#[must_use = "the lock is given up when the guard is dropped"]
pub struct VaultLock {
    _file: File,
}

/// Accepts `[a-z0-9._-]{1,80}` without a leading dot, except the name of the vault file.
fn check_name(name: &str) -> Result<(), VaultError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let valid = (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('.')
        && name != VAULT_FILE;
    valid.then_some(()).ok_or(VaultError::InvalidName)
}

/// Makes the adaptor for errors on a sealed file.
fn file_error(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> VaultError {
    move |e| match e.kind() {
        io::ErrorKind::NotFound => VaultError::NotFound,
        io::ErrorKind::FileTooLarge => VaultError::Damaged(name.to_owned()),
        _ => VaultError::io(action, &format!("vault/{name}"))(e),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned()).unwrap()
    }

    fn cheap() -> KdfCost {
        KdfCost::new(8, 1).unwrap()
    }

    fn vault() -> (TempDir, Vault) {
        let root = tempfile::tempdir().unwrap();
        let vault = Vault::create(root.path(), &passphrase("right"), cheap()).unwrap();
        (root, vault)
    }

    #[test]
    fn what_is_written_is_read_after_reopening() {
        let (root, vault) = vault();
        vault.write("identity", b"secret key").unwrap();
        vault.write("identity", b"another secret key").unwrap();
        let on_disk = fs::read(root.path().join("identity")).unwrap();
        assert!(!on_disk.windows(6).any(|window| window == b"secret"));
        let reopened = Vault::open(root.path(), &passphrase("right")).unwrap();
        assert_eq!(reopened.read("identity").unwrap().as_slice(), b"another secret key");
    }

    /// Made by the reference argon2 (argon2-cffi), libsodium (PyNaCl) and Python's hmac: the
    /// formulas of `vault/header.rs` and `vault/seal.rs`, computed by nobody's code of ours.
    #[test]
    fn a_vault_made_by_other_implementations_opens() {
        let root = tempfile::tempdir().unwrap();
        let plant = |name: &str, hex: &str| {
            let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
            fs::write(root.path().join(name), bytes).unwrap();
        };
        plant(
            VAULT_FILE,
            "6375747661756c74010000010000000002736f6d6573616c74736f6d6573616c74\
             0909090909090909090909090909090909090909090909098eb43a8b1c824eda64\
             0f0dd28c4dc3d69601d29797b491ee38ea0b146444b753980a3ee4da849614ae33\
             68bc55eca8da61a11638182156f175b1e09fc4fba09d1d77d1bfaad36014596388\
             2ec627fed2",
        );
        plant(
            "identity",
            "0109090909090909090909090909090909090909090909090989dc9310c07beee9\
             f098550d020292c41dccb71afd3fb348",
        );
        let vault = Vault::open(root.path(), &passphrase("password")).unwrap();
        assert_eq!(vault.read("identity").unwrap().as_slice(), b"contents");
    }

    #[test]
    fn the_failures_of_opening_are_told_apart() {
        let (root, _) = vault();
        let open = |text: &str| Vault::open(root.path(), &passphrase(text));
        assert!(matches!(open("wrong"), Err(VaultError::WrongPassphrase)));
        let path = root.path().join(VAULT_FILE);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[1..]).unwrap();
        assert!(matches!(open("right"), Err(VaultError::Corrupt)));
        fs::write(&path, [bytes, vec![0]].concat()).unwrap();
        assert!(matches!(open("right"), Err(VaultError::Corrupt)));
        // A sparse file: read whole, it would not fit into the memory.
        File::create(&path).unwrap().set_len(1 << 42).unwrap();
        assert!(matches!(open("right"), Err(VaultError::Corrupt)));
        fs::remove_file(&path).unwrap();
        assert!(matches!(open("right"), Err(VaultError::NoVault)));
    }

    #[test]
    fn a_vault_is_never_made_over_another() {
        let (root, vault) = vault();
        vault.write("identity", b"kept").unwrap();
        let refused = Vault::create(root.path(), &passphrase("other"), cheap());
        assert!(matches!(refused, Err(VaultError::AlreadyExists)));
        assert!(Vault::open(root.path(), &passphrase("right")).unwrap().read("identity").is_ok());
        // Nor over what a lost key would open.
        fs::rename(root.path().join(VAULT_FILE), root.path().join(".backup")).unwrap();
        let refused = Vault::create(root.path(), &passphrase("other"), cheap());
        assert!(matches!(refused, Err(VaultError::AlreadyExists)));
        fs::rename(root.path().join(".backup"), root.path().join(VAULT_FILE)).unwrap();
    }

    #[test]
    fn a_changed_passphrase_replaces_the_old_one() {
        let (root, vault) = vault();
        vault.write("identity", b"kept").unwrap();
        vault.change_passphrase(&passphrase("new"), cheap()).unwrap();
        let refused = Vault::open(root.path(), &passphrase("right"));
        assert!(matches!(refused, Err(VaultError::WrongPassphrase)));
        let reopened = Vault::open(root.path(), &passphrase("new")).unwrap();
        assert_eq!(reopened.read("identity").unwrap().as_slice(), b"kept");
    }

    #[test]
    fn a_file_opens_under_its_own_name_and_vault_only() {
        let (root, vault) = vault();
        vault.write("alice", b"a").unwrap();
        fs::copy(root.path().join("alice"), root.path().join("bob")).unwrap();
        assert!(matches!(vault.read("bob"), Err(VaultError::Damaged(_))));
        let (elsewhere, other) = self::vault();
        fs::copy(root.path().join("alice"), elsewhere.path().join("alice")).unwrap();
        assert!(matches!(other.read("alice"), Err(VaultError::Damaged(_))));
    }

    #[test]
    fn names_stay_in_the_directory_and_off_the_vault_file() {
        let (root, vault) = vault();
        let long = "a".repeat(MAX_NAME_CHARS + 1);
        for name in ["", ".", "..", ".lock", "../x", "a/b", "A", "ä", "a b", "a\0", "vault", &long]
        {
            assert!(matches!(vault.write(name, b""), Err(VaultError::InvalidName)), "{name:?}");
            assert!(matches!(vault.read(name), Err(VaultError::InvalidName)), "{name:?}");
            assert!(matches!(vault.remove(name), Err(VaultError::InvalidName)), "{name:?}");
        }
        vault.write(&"a".repeat(MAX_NAME_CHARS), b"").unwrap();
        vault.write("a-b_c.9", b"").unwrap();
        assert!(Vault::open(root.path(), &passphrase("right")).is_ok());
    }

    #[test]
    fn sizes_are_capped_both_ways() {
        let (root, vault) = vault();
        vault.write("big", b"old").unwrap();
        let refused = vault.write("big", &vec![0; MAX_FILE_BYTES + 1]);
        assert!(matches!(refused, Err(VaultError::TooLarge { limit: MAX_FILE_BYTES })));
        assert_eq!(vault.read("big").unwrap().as_slice(), b"old");
        // A sparse file: nothing is written, only claimed.
        let file = File::create(root.path().join("big")).unwrap();
        file.set_len(1 << 40).unwrap();
        assert!(matches!(vault.read("big"), Err(VaultError::Damaged(_))));
    }

    #[test]
    fn removal_and_listing() {
        let (root, vault) = vault();
        for name in ["peer.b", "peer.a", "outbox"] {
            vault.write(name, b"").unwrap();
        }
        let _lock = vault.lock().unwrap();
        fs::write(root.path().join("Foreign"), b"").unwrap();
        fs::create_dir(root.path().join("folder")).unwrap();
        assert_eq!(vault.list("").unwrap(), ["folder", "outbox", "peer.a", "peer.b"]);
        assert_eq!(vault.list("peer.").unwrap(), ["peer.a", "peer.b"]);
        vault.remove("peer.a").unwrap();
        assert!(matches!(vault.remove("peer.a"), Err(VaultError::NotFound)));
        assert!(matches!(vault.read("peer.a"), Err(VaultError::NotFound)));
        assert_eq!(vault.list("peer.").unwrap(), ["peer.b"]);
    }

    #[test]
    fn two_may_work_here_and_one_at_a_time_writes_a_change() {
        let (root, vault) = vault();
        let second = Vault::open(root.path(), &passphrase("right")).unwrap();
        let _both = (vault.enter().unwrap(), second.enter().unwrap());
        let held = vault.lock().unwrap();
        assert!(matches!(second.lock_within(Duration::ZERO), Err(VaultError::InUse)));
        drop(held);
        assert!(second.lock().is_ok());
        let reading = vault.alone("fetch").unwrap();
        assert!(reading.is_some() && second.alone("fetch").unwrap().is_none());
        assert!(second.alone("other").unwrap().is_some(), "something else");
        vault.write("mail", b"").unwrap();
        let claimed = vault.claim("mail").unwrap();
        assert!(claimed.is_some() && second.claim("mail").unwrap().is_none());
        drop(claimed);
        assert!(second.claim("mail").unwrap().is_some());
        assert!(matches!(second.claim("none"), Err(VaultError::NotFound)));
        assert_eq!(vault.list("").unwrap(), ["mail"]);
    }

    #[test]
    fn an_opened_directory_is_made_private_and_said_and_printed_never() {
        let (root, vault) = vault();
        vault.write("identity", b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = root.path().join("identity");
        for (path, open, private) in [(root.path(), 0o755, 0o700), (&file, 0o644, 0o600)] {
            fs::set_permissions(path, fs::Permissions::from_mode(open)).unwrap();
            let vault = Vault::open(root.path(), &passphrase("right")).unwrap();
            assert_eq!(mode(path), private);
            let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            let ear = std::sync::Arc::clone(&said);
            vault.on_notice(move |text| ear.lock().unwrap().push(text.to_owned()));
            assert!(said.lock().unwrap()[0].contains("other users of this machine"));
            assert_eq!(format!("{vault:?}"), "Vault([scrubbed])");
        }
    }
}
