//! Files that are there, whole, after a power cut: written beside, synced, and given their name.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

/// Puts `bytes` in the place of the file at `path`, or makes it. Readable by this user alone. A crash
/// leaves the old or the new one.
///
/// # Errors
/// The disk's; the old file is as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let written = write(&new, bytes).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What is half written takes space that may be what is missing.
        let _ = fs::remove_file(&new);
    }
    written.and_then(|()| sync_folder(path))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in the folder of `path` durable.
///
/// # Errors
/// The disk's.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, process::Command, sync::Arc};

    use super::*;
    use crate::{
        identity::Identity,
        network_file::NetworkFile,
        roster::RosterKeeper,
        store::{Repaired, Store, repair},
    };

    const FOLDER: &str = "CUTOUT_TEST_DURABLE";

    /// Not a test: what the one below has watched. Makes each file that a node must not lose.
    #[test]
    fn child() {
        let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
        let limits = crate::Limits::default().store();
        drop(Store::create(folder.join("store.redb"), limits).unwrap());
        Identity::create(&folder).unwrap();
        let text = "name = 'test.alt'\nk = 1\nbootstrap = []\n";
        let network = toml::from_str::<NetworkFile>(text).unwrap().network().unwrap();
        let file = folder.join("roster.bin");
        RosterKeeper::open(Arc::new(network), Some(file)).save().unwrap();
        let damaged = folder.join("other");
        fs::write(&damaged, "no store").unwrap();
        let repaired = repair(&damaged, &folder.join("aside"), 0).unwrap();
        assert!(matches!(repaired, Repaired::Salvaged { .. }));
    }

    /// The calls by which a node made its files, one a line; `None` where there is no strace. CI sets
    /// `CUTOUT_REQUIRE_STRACE=1`, and then there must be.
    fn watched(folder: &Path) -> Option<String> {
        let (name, log) = (module_path!().split_once("::").unwrap().1, folder.join("calls"));
        let made = folder.join("made");
        fs::create_dir(&made).unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-s", "0", "-e"]);
        strace.arg("trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat");
        strace.arg("-o").arg(&log).arg(std::env::current_exe().unwrap());
        strace.args([&format!("{name}::child"), "--exact", "--test-threads=1"]);
        let output = strace.env(FOLDER, &made).output();
        let ran = output.is_ok_and(|output| output.status.success());
        let is_required = std::env::var("CUTOUT_REQUIRE_STRACE").is_ok_and(|value| value == "1");
        assert!(ran || !is_required, "strace does not run");
        if !ran {
            writeln!(io::stderr(), "skipped: there is no strace that runs").unwrap();
            return None;
        }
        let calls = fs::read_to_string(log).unwrap();
        Some(calls.replace(&made.display().to_string(), "node"))
    }

    #[test]
    fn every_file_and_its_name_are_synced() {
        let folder = tempfile::tempdir().unwrap();
        let Some(calls) = watched(folder.path()) else { return };
        for steps in [
            &["fdatasync(|node/store.redb>", "fsync(|node>"][..],
            &["fsync(|node/identity.key>", "fsync(|node>"],
            &["fsync(|node/roster.new>", "rename(|node/roster.bin", "fsync(|node>"],
            &[
                "sync(|node/other.repaired>",
                "link|node/aside",
                "rename(|node/other\"",
                "fsync(|node>",
            ],
        ] {
            let mut lines = calls.lines();
            for step in steps {
                let (call, what) = step.split_once('|').unwrap();
                let done = lines.any(|line| line.contains(call) && line.contains(what));
                assert!(done, "{step} is missing of {steps:?}:\n{calls}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        replace(&file, b"old").unwrap();
        replace(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("by a folder")).unwrap();
        assert!(replace(&taken, b"new").is_err());
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file", "taken"]);
    }
}
