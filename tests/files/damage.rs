//! What can happen to a file.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use ua::vault::Vault;

use super::passphrase;

/// What happened to a file, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Deleted,
    Truncated,
    BitFlipped,
    AnotherVersion,
    Unreadable,
    DiskFull,
}

impl Damage {
    pub const ALL: [Self; 6] = [
        Self::Deleted,
        Self::Truncated,
        Self::BitFlipped,
        Self::AnotherVersion,
        Self::Unreadable,
        Self::DiskFull,
    ];

    /// Does it to a file (`vault/reply-*`: to the first of that kind) in a directory.
    pub fn apply(self, directory: &Path, file: &str) {
        let path = find(directory, file);
        if file.ends_with('/') {
            return self.apply_to_directory(&path);
        }
        let whole = fs::read(&path).unwrap();
        match self {
            Self::Deleted => fs::remove_file(&path).unwrap(),
            Self::Truncated => fs::write(&path, &whole[..whole.len() / 2]).unwrap(),
            Self::BitFlipped if file == "network.toml" => flip_port(&path),
            Self::BitFlipped => {
                let mut flipped = whole;
                let middle = flipped.len() / 2;
                flipped[middle] ^= 1;
                fs::write(&path, flipped).unwrap();
            }
            Self::AnotherVersion if file == "vault/vault" => {
                let mut other = whole;
                other[8] = 2;
                let body = other.len() - 32;
                let checksum = Sha256::digest(&other[..body]);
                other[body..].copy_from_slice(&checksum);
                fs::write(&path, other).unwrap();
            }
            Self::AnotherVersion if file.starts_with("vault/") => {
                let vault = Vault::open(&directory.join("vault"), &passphrase()).unwrap();
                let name = path.file_name().unwrap().to_str().unwrap();
                vault.write(name, b"\xff of another form").unwrap();
            }
            Self::AnotherVersion => {
                fs::write(&path, [b"colour = 'blue'\n", whole.as_slice()].concat()).unwrap();
            }
            Self::Unreadable => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
            Self::DiskFull => panic!("a disk is full, not a file"),
        }
    }

    fn apply_to_directory(self, path: &Path) {
        fs::remove_dir_all(path).unwrap();
        match self {
            Self::Deleted => {}
            Self::Unreadable => fs::write(path, "a file").unwrap(),
            // Those of its files are rows of their own; in a Maildir they are what somebody wrote.
            _ => {
                fs::create_dir_all(path.join("new")).unwrap();
                fs::write(path.join("new/1.x"), "Subject: half a ma").unwrap();
            }
        }
    }
}

/// The first file of this pattern.
fn find(directory: &Path, file: &str) -> PathBuf {
    let Some((before, after)) = file.split_once('*') else {
        return directory.join(file.trim_end_matches('/'));
    };
    let (folder, before) = before.rsplit_once('/').unwrap();
    let mut names: Vec<String> = fs::read_dir(directory.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(before) && name.ends_with(after))
        .collect();
    names.sort();
    directory.join(folder).join(&names[0])
}

/// The ids of the mails in an outbox.
pub fn ids(profile: &Path) -> Vec<String> {
    let names = fs::read_dir(profile.join("vault")).unwrap();
    let id = |name: String| Some(name.strip_prefix("outbox-")?.strip_suffix(".state")?.to_owned());
    names.filter_map(|entry| id(entry.unwrap().file_name().into_string().unwrap())).collect()
}

/// Flips a bit of a port in a network file, in place.
pub fn flip_port(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let place = text.find("/tcp/").unwrap() + 5;
    let mut bytes = text.into_bytes();
    bytes[place] ^= 2;
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(&bytes).unwrap();
}

/// Copies a directory and all in it, modes as well.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let at = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &at);
        } else {
            fs::copy(entry.path(), at).unwrap();
        }
    }
}

/// All files below a directory, with their contents, sorted.
pub fn tree(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(place) = waiting.pop() {
        for entry in fs::read_dir(&place).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                let name = entry.path().display().to_string();
                found.push((name, fs::read(entry.path()).unwrap()));
            }
        }
    }
    // Locks are made by whoever looks.
    found.retain(|(name, _)| !name.ends_with(".lock"));
    found.sort();
    found
}

/// A file system of 2 MiB, unmounted when dropped.
pub struct FullDisk(TempDir);

impl FullDisk {
    /// `None`, which is said, where this user may mount nothing.
    pub fn mount() -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(at.path()).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        println!("skipped: mounting a tmpfs needs root");
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let mut ballast = fs::File::create(self.path().join("ballast")).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
