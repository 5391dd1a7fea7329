//! Files that are there whole or not at all, and that nobody else reads.
//!
//! A write goes to a temporary file in the same directory, is flushed to the disk, takes its name
//! by one rename, and the directory is flushed: after a crash a name shows the old bytes or the
//! new ones. Files have mode 600, the directory 700.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

/// Prefix of temporary files. A valid name has no leading dot, so none collides.
const TEMPORARY_PREFIX: &str = ".tmp-";
/// The most files or directories of one name that are set aside for one reason.
const MAX_ASIDE: usize = 99;
/// The file that whoever works in a directory holds shared, and whoever is alone there for a moment exclusively.
const PRESENCE_FILE: &str = ".present";
/// How long [`lock_within`] waits between two looks at a lock that another holds.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Creates `dir` (and its parents) if missing and takes it from group and others.
pub(super) fn prepare_dir(dir: &Path) -> io::Result<()> {
    if !dir.try_exists()? {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        sync_dir(directory_of(dir))?;
    }
    tighten(dir).map(|_| ())
}

/// Sets mode 700 on a directory that group or others can enter, and on files below it that they could
/// read mode 600; true if there was anything to set.
pub(super) fn tighten(dir: &Path) -> io::Result<bool> {
    let is_open = |metadata: &fs::Metadata| metadata.permissions().mode() & 0o077 != 0;
    let mut changed = is_open(&fs::metadata(dir)?);
    if changed {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Another command may replace a file meanwhile, by one that is private.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() && is_open(&metadata) {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o600))?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Writes a file, replacing what was there in one step.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = directory_of(path);
    temporary(dir, bytes)?.persist(path)?;
    sync_dir(dir)
}

/// Moves a file or directory out of the way, to a name beside it that nothing has: `name.<why>-<n>`.
/// Where it went.
pub fn set_aside(path: &Path, why: &str) -> io::Result<PathBuf> {
    for number in 1..=MAX_ASIDE {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{why}-{number}"));
        let aside = path.with_file_name(name);
        if fs::symlink_metadata(&aside).is_err() {
            fs::rename(path, &aside)?;
            sync_dir(directory_of(path))?;
            return Ok(aside);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes `dir/name`; `AlreadyExists` if it is there, also when another process was faster.
pub(super) fn create_new(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    temporary(dir, bytes)?.persist_noclobber(dir.join(name))?;
    sync_dir(dir)
}

/// Reads a whole file, or `FileTooLarge` beyond `limit` bytes.
pub(super) fn read_capped(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let file = File::open(path)?;
    if file.metadata()?.len() > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    // The file may grow between the two calls; `take` holds all the same.
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes `dir/name`, for good also after a crash.
pub(super) fn remove(dir: &Path, name: &str) -> io::Result<()> {
    fs::remove_file(dir.join(name))?;
    sync_dir(dir)
}

/// Says that this process works in `dir`, until the file is dropped. Where no other does, the temporary files that a
/// crash left behind are swept away first: what another process is writing at this moment is never touched.
pub(super) fn be_present(dir: &Path) -> io::Result<File> {
    let presence = lock_file(dir, PRESENCE_FILE)?;
    match presence.try_lock() {
        Ok(()) => sweep(dir)?,
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    presence.lock_shared()?;
    Ok(presence)
}

fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Opens a file of `dir` that is there to be locked.
pub(super) fn lock_file(dir: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(name))
}

/// Locks a file for this process alone until it is dropped; `WouldBlock` if another has it for longer than `timeout`.
pub(super) fn lock_within(file: File, timeout: Duration) -> io::Result<File> {
    let deadline = Instant::now() + timeout;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(LOOK_AGAIN);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A flushed temporary file of mode 600 in `dir`; removed again if it is not persisted.
fn temporary(dir: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_directory_and_its_files_are_private() {
        let root = tempfile::tempdir().unwrap();
        let made = root.path().join("a/b");
        prepare_dir(&made).unwrap();
        assert_eq!((mode(&made), mode(&root.path().join("a"))), (0o700, 0o700));
        let found = root.path().join("c");
        fs::create_dir(&found).unwrap();
        fs::set_permissions(&found, Permissions::from_mode(0o755)).unwrap();
        prepare_dir(&found).unwrap();
        assert_eq!(mode(&found), 0o700);
        replace(&found.join("file"), b"x").unwrap();
        drop(be_present(&found).unwrap());
        assert_eq!((mode(&found.join("file")), mode(&found.join(PRESENCE_FILE))), (0o600, 0o600));
    }

    #[test]
    fn a_write_takes_effect_by_rename() {
        let root = tempfile::tempdir().unwrap();
        replace(&root.path().join("file"), b"old").unwrap();
        // A second link to the old bytes: writing in place would change it too.
        let witness = root.path().join("witness");
        fs::hard_link(root.path().join("file"), &witness).unwrap();
        replace(&root.path().join("file"), b"new").unwrap();
        assert_eq!(fs::read(root.path().join("file")).unwrap(), b"new");
        assert_eq!(fs::read(witness).unwrap(), b"old");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_set_aside_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("vault");
        for number in 1..=2 {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), [number]).unwrap();
            let aside = set_aside(&path, "unfinished").unwrap();
            assert_eq!(aside, root.path().join(format!("vault.unfinished-{number}")));
        }
        assert_eq!(fs::read(root.path().join("vault.unfinished-1/file")).unwrap(), [1]);
    }

    #[test]
    fn create_new_never_replaces() {
        let root = tempfile::tempdir().unwrap();
        create_new(root.path(), "file", b"first").unwrap();
        let refused = create_new(root.path(), "file", b"second").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(root.path().join("file")).unwrap(), b"first");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let root = tempfile::tempdir().unwrap();
        replace(&root.path().join("file"), b"12345").unwrap();
        let path = root.path().join("file");
        assert_eq!(read_capped(&path, 5).unwrap(), b"12345");
        assert_eq!(read_capped(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_a_crash_left_is_swept_by_whoever_is_alone() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join(".tmp-left");
        fs::write(&left, b"half").unwrap();
        fs::write(root.path().join("kept"), b"whole").unwrap();
        let first = be_present(root.path()).unwrap();
        assert!(!left.exists() && root.path().join("kept").exists());
        // Another process is at work: this may be what it is writing.
        fs::write(&left, b"half").unwrap();
        let second = be_present(root.path()).unwrap();
        assert!(left.exists());
        drop((first, second));
        let _third = be_present(root.path()).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn a_lock_excludes_until_it_is_dropped_and_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let take = |timeout| lock_within(lock_file(root.path(), ".lock").unwrap(), timeout);
        let held = take(Duration::ZERO).unwrap();
        assert_eq!(take(Duration::ZERO).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| take(Duration::from_secs(30)).is_ok());
            std::thread::sleep(LOOK_AGAIN * 3);
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }
}
