//! Delivery to a Maildir and reading from it, so that any mail program can show the mail.
//!
//! ```text
//! root/tmp/<name>         being written
//! root/new/<name>         delivered, not seen by any mail program
//! root/cur/<name>:2,<F>   taken over by a mail program; F are flags, S means read
//!
//! <name> = <unix seconds>.R<16 hex digits, random>.cutout
//! ```
//!
//! Ours and not the `maildir` crate because that one writes the host name into every file name and
//! flushes nothing: here a name says nothing about the machine, and a mail that `deliver` returned
//! for survives a power cut. The convention is <https://cr.yp.to/proto/maildir.html>.
//!
//! Invariants:
//! - A mail is in `new` or `cur` whole or not at all, byte for byte as it was given.
//! - Only regular files are mails: links and folders in the Maildir are ignored.

mod entry;
mod error;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use net::durable::sync_folder;

pub use entry::Entry;
pub use error::MaildirError;

use entry::{describe, ignore_vanished, unique_name};

/// Most bytes of one mail, on the way in and out.
pub(crate) const MAX_MAIL_BYTES: usize = 64 * 1024 * 1024;
/// Age after which a file in `tmp` counts as abandoned (the convention's 36 hours).
pub(crate) const ABANDONED_AFTER: Duration = Duration::from_secs(36 * 60 * 60);

/// A Maildir with its three folders.
#[derive(Clone, derive_more::Debug)]
#[debug("Maildir([scrubbed])")]
pub struct Maildir {
    root: PathBuf,
}

impl Maildir {
    /// Opens the Maildir in `root`, creates what is missing of it (mode 700), and removes files
    /// in `tmp` that nobody has written to for a day and a half.
    ///
    /// # Errors
    /// [`MaildirError::Io`].
    pub fn open(root: &Path) -> Result<Self, MaildirError> {
        let maildir = Self { root: root.to_owned() };
        maildir.create_missing().map_err(MaildirError::io("create the Maildir"))?;
        maildir.sweep_tmp().map_err(MaildirError::io("clean the Maildir's tmp folder"))?;
        Ok(maildir)
    }

    /// Opens a Maildir that is there, with all three folders; makes nothing.
    ///
    /// # Errors
    /// [`MaildirError::Io`] if it is none.
    pub fn existing(root: &Path) -> Result<Self, MaildirError> {
        let maildir = Self { root: root.to_owned() };
        for folder in ["tmp", "new", "cur"] {
            let found = fs::metadata(maildir.folder(folder));
            let found = found.map_err(MaildirError::io("find the Maildir's folders"))?;
            if !found.is_dir() {
                let source = io::Error::from(io::ErrorKind::NotADirectory);
                return Err(MaildirError::Io { action: "find the Maildir's folders", source });
            }
        }
        Ok(maildir)
    }

    /// Delivers `mail` to `new`, byte for byte, and returns where it lies. Durable on return.
    ///
    /// # Errors
    /// [`MaildirError::TooLarge`], [`MaildirError::Io`], [`MaildirError::Randomness`]. Nothing is
    /// delivered then, except that after a failure of the very last flush the mail lies in `new`
    /// and might not survive a crash.
    pub fn deliver(&self, mail: &[u8]) -> Result<PathBuf, MaildirError> {
        if mail.len() > MAX_MAIL_BYTES {
            return Err(MaildirError::TooLarge { limit: MAX_MAIL_BYTES });
        }
        let name = unique_name()?;
        let written = self.folder("tmp").join(&name);
        let delivered = self.folder("new").join(&name);
        let outcome = write_durably(&written, mail).and_then(|()| fs::rename(&written, &delivered));
        if let Err(e) = outcome {
            // Best effort: what remains is swept 36 hours later.
            let _ = fs::remove_file(&written);
            return Err(MaildirError::Io { action: "deliver a mail", source: e });
        }
        sync_folder(&delivered).map_err(MaildirError::io("deliver a mail"))?;
        Ok(delivered)
    }

    /// Lists the mails in `new` and `cur`, oldest first, those of one second by name.
    ///
    /// # Errors
    /// [`MaildirError::Io`].
    pub fn list(&self) -> Result<Vec<Entry>, MaildirError> {
        let mut entries = BTreeMap::new();
        // `new` first: a mail that moves to `cur` meanwhile is met twice and kept once; the other
        // order could miss it.
        for folder in ["new", "cur"] {
            let failed = || MaildirError::io("list the Maildir");
            for found in fs::read_dir(self.folder(folder)).map_err(failed())? {
                if let Some(entry) = describe(&found.map_err(failed())?).map_err(failed())? {
                    entries.insert((entry.delivered, entry.id.clone()), entry);
                }
            }
        }
        Ok(entries.into_values().collect())
    }

    /// Reads a mail, wherever a mail program has moved it since it was listed.
    ///
    /// # Errors
    /// [`MaildirError::NotFound`], [`MaildirError::TooLarge`], [`MaildirError::Io`].
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>, MaildirError> {
        let failed = || MaildirError::io_on_mail("read a mail");
        let file = File::open(self.locate(entry)?.path).map_err(failed())?;
        let limit = u64::try_from(MAX_MAIL_BYTES).unwrap_or(u64::MAX);
        let mut mail = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut mail).map_err(failed())?;
        if mail.len() > MAX_MAIL_BYTES {
            return Err(MaildirError::TooLarge { limit: MAX_MAIL_BYTES });
        }
        Ok(mail)
    }

    /// Marks a mail as read: moves it to `cur` with the flag `S`, keeping other flags. A mail
    /// that is read already stays as it is.
    ///
    /// # Errors
    /// [`MaildirError::NotFound`], [`MaildirError::Io`].
    pub fn mark_read(&self, entry: &Entry) -> Result<(), MaildirError> {
        let now = self.locate(entry)?;
        if !now.unread {
            return Ok(());
        }
        let cur = self.folder("cur");
        let read = cur.join(now.read_name());
        fs::rename(&now.path, &read).map_err(MaildirError::io_on_mail("mark a mail as read"))?;
        sync_folder(&read).map_err(MaildirError::io("mark a mail as read"))
    }

    /// The entry as it is now: itself, or under the name that a mail program has given it since.
    fn locate(&self, entry: &Entry) -> Result<Entry, MaildirError> {
        if entry.path.exists() {
            return Ok(entry.clone());
        }
        let moved = self.list()?.into_iter().find(|candidate| candidate.id == entry.id);
        moved.ok_or(MaildirError::NotFound)
    }

    fn create_missing(&self) -> io::Result<()> {
        let found = self.root.try_exists()?;
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        for folder in ["tmp", "new", "cur"] {
            private.create(self.folder(folder))?;
        }
        sync_folder(&self.folder("cur"))?;
        if found { Ok(()) } else { sync_folder(&self.root) }
    }

    fn sweep_tmp(&self) -> io::Result<()> {
        for found in fs::read_dir(self.folder("tmp"))? {
            let found = found?;
            let outcome = found.metadata().and_then(|metadata| {
                // A time in the future gives an error here, and is not old.
                let age = metadata.modified()?.elapsed().unwrap_or_default();
                if metadata.is_file() && age > ABANDONED_AFTER {
                    fs::remove_file(found.path())?;
                }
                Ok(())
            });
            ignore_vanished(outcome)?;
        }
        Ok(())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::SystemTime;

    use tempfile::TempDir;

    use super::entry::unix_seconds;
    use super::*;

    fn maildir() -> (TempDir, Maildir) {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::open(&dir.path().join("mail")).unwrap();
        (dir, maildir)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_mail_arrives_byte_for_byte_and_private() {
        let (_dir, maildir) = maildir();
        let mail = b"Subject: x\n\r\nbare\rreturns\n.\r\n\0\xff";
        let path = maildir.deliver(mail).unwrap();
        assert_eq!(fs::read(&path).unwrap(), mail);
        assert_eq!(path.parent().unwrap(), maildir.folder("new"));
        assert_eq!(mode(&path), 0o600);
        for folder in ["", "tmp", "new", "cur"] {
            assert_eq!(mode(&maildir.folder(folder)), 0o700);
        }
        assert_eq!(fs::read_dir(maildir.folder("tmp")).unwrap().count(), 0);
        let entries = maildir.list().unwrap();
        assert_eq!(entries.len(), 1);
        assert!(entries[0].unread);
        assert_eq!(entries[0].size, mail.len() as u64);
        assert_eq!(maildir.read(&entries[0]).unwrap(), mail);
    }

    #[test]
    fn a_name_is_a_time_and_a_random_number_and_nothing_else() {
        let (_dir, maildir) = maildir();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let path = maildir.deliver(b"x").unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let parts: Vec<&str> = name.split('.').collect();
            let seconds: u64 = parts[0].parse().unwrap();
            assert!(unix_seconds(SystemTime::now()).abs_diff(seconds) < 60);
            let hex = parts[1].strip_prefix('R').unwrap();
            assert!(hex.len() == 16 && hex.chars().all(|c| c.is_ascii_hexdigit()));
            assert_eq!(parts[2..], ["cutout"]);
            assert!(seen.insert(name));
        }
        assert_eq!(maildir.list().unwrap().len(), 50);
    }

    #[test]
    fn the_list_is_oldest_first_and_holds_mails_only() {
        let (dir, maildir) = maildir();
        for name in ["new/300.b", "new/300.a", "cur/20.x:2,S", "cur/100.y:2,F", "new/.hidden"] {
            fs::write(maildir.folder(name), b"m").unwrap();
        }
        fs::create_dir(maildir.folder("new/1.folder")).unwrap();
        let outside = dir.path().join("secret");
        fs::write(&outside, b"not a mail").unwrap();
        symlink(&outside, maildir.folder("new/1.link")).unwrap();
        // A mail program was caught between linking to `cur` and unlinking from `new`.
        fs::write(maildir.folder("cur/300.a:2,RS"), b"m").unwrap();
        let listed: Vec<(OsString, bool, u64)> = (maildir.list().unwrap().into_iter())
            .map(|entry| (entry.id, entry.unread, entry.delivered))
            .collect();
        let expected = [
            ("20.x", false, 20),
            ("100.y", true, 100),
            ("300.a", false, 300),
            ("300.b", true, 300),
        ];
        assert_eq!(listed, expected.map(|(id, unread, at)| (id.into(), unread, at)));
    }

    #[test]
    fn a_foreign_name_is_dated_by_its_file() {
        let (_dir, maildir) = maildir();
        fs::write(maildir.folder("new/foreign"), b"m").unwrap();
        let delivered = maildir.list().unwrap()[0].delivered;
        assert!(unix_seconds(SystemTime::now()).abs_diff(delivered) < 60);
    }

    #[test]
    fn marking_keeps_flags_and_an_old_entry_stays_good() {
        let (_dir, maildir) = maildir();
        fs::write(maildir.folder("cur/1.x:2,FT"), b"old").unwrap();
        maildir.deliver(b"new").unwrap();
        let before = maildir.list().unwrap();
        for entry in &before {
            maildir.mark_read(entry).unwrap();
            // The entry's own path is gone now.
            maildir.mark_read(entry).unwrap();
        }
        assert!(maildir.folder("cur/1.x:2,FST").exists());
        let mut marked = before[1].id.clone();
        marked.push(":2,S");
        assert!(maildir.folder("cur").join(marked).exists());
        assert_eq!(maildir.read(&before[0]).unwrap(), b"old");
        assert_eq!(maildir.read(&before[1]).unwrap(), b"new");
        let after = maildir.list().unwrap();
        assert!(after.iter().all(|entry| !entry.unread));
        assert_eq!(after.len(), 2);
    }

    #[test]
    fn a_name_need_not_be_text() {
        let (_dir, maildir) = maildir();
        let place = |name: &[u8]| maildir.folder("cur").join(OsStr::from_bytes(name));
        fs::write(place(b"1.\xff:2,F"), b"m").unwrap();
        fs::write(place(b"1.\xfe:2,"), b"n").unwrap();
        for entry in maildir.list().unwrap() {
            maildir.mark_read(&entry).unwrap();
        }
        assert!(place(b"1.\xff:2,FS").exists() && place(b"1.\xfe:2,S").exists());
    }

    #[test]
    fn a_deleted_mail_is_not_found() {
        let (_dir, maildir) = maildir();
        let path = maildir.deliver(b"x").unwrap();
        let entry = maildir.list().unwrap().remove(0);
        fs::remove_file(path).unwrap();
        assert!(matches!(maildir.read(&entry), Err(MaildirError::NotFound)));
        assert!(matches!(maildir.mark_read(&entry), Err(MaildirError::NotFound)));
    }

    #[test]
    fn sizes_are_capped_both_ways() {
        let (_dir, maildir) = maildir();
        let refused = maildir.deliver(&vec![0; MAX_MAIL_BYTES + 1]);
        assert!(matches!(refused, Err(MaildirError::TooLarge { limit: MAX_MAIL_BYTES })));
        assert!(maildir.list().unwrap().is_empty());
        let claimed = File::create(maildir.folder("new/1.big")).unwrap();
        claimed.set_len(1 << 40).unwrap();
        let entry = maildir.list().unwrap().remove(0);
        assert!(matches!(maildir.read(&entry), Err(MaildirError::TooLarge { .. })));
    }

    #[test]
    fn a_failed_delivery_leaves_nothing() {
        let (_dir, maildir) = maildir();
        fs::remove_dir(maildir.folder("new")).unwrap();
        assert!(matches!(maildir.deliver(b"x"), Err(MaildirError::Io { .. })));
        assert_eq!(fs::read_dir(maildir.folder("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn opening_sweeps_what_is_older_than_36_hours() {
        let (_dir, maildir) = maildir();
        let age = |name: &str, hours: u64| {
            let file = File::create(maildir.folder(name)).unwrap();
            let then = SystemTime::now().checked_sub(Duration::from_secs(hours * 3600)).unwrap();
            file.set_modified(then).unwrap();
        };
        age("tmp/abandoned", 37);
        age("tmp/young", 35);
        age("new/1.old", 1000);
        Maildir::open(&maildir.root).unwrap();
        assert!(!maildir.folder("tmp/abandoned").exists());
        assert!(maildir.folder("tmp/young").exists());
        assert!(maildir.folder("new/1.old").exists());
    }
}
