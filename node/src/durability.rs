//! What a node must not lose is on the disk before it says so: each of its files is watched by strace as it is made.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anon::{
    id::NetworkId,
    keys::{ChannelSecret, IdentitySecret},
    network::Epoch,
    view::keys::ViewKey,
};
use net::{Clock, NetworkFile, RosterKeeper};

use crate::{
    Identity, Limits,
    keeper::Disk,
    store::{Repaired, Store, repair},
    view::keys::KeysOnDisk,
};

const FOLDER: &str = "CUTOUT_TEST_DURABLE";

/// Not a test: what the one below has watched. Makes each file that a node must not lose.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let limits = Limits::default().store();
    drop(Store::create(folder.join("store.redb"), limits).unwrap());
    Identity::create(&folder).unwrap();
    let text = "name = 'test.alt'\nk = 1\nbootstrap = []\n";
    let network = toml::from_str::<NetworkFile>(text).unwrap().network().unwrap();
    let file = folder.join("roster.bin");
    RosterKeeper::open(Arc::new(network), Some(file), Clock::default()).save().unwrap();
    // A keeper's promise, and the channel key of a view.
    Disk::new(&folder).promises().unwrap();
    let (identity, network) = (IdentitySecret::from_seed(&[1; 32]), NetworkId([1; 32]));
    let key = || Some(ViewKey { secret: ChannelSecret::from_seed(&[2; 32]), statement: vec![3] });
    KeysOnDisk::open(&folder, &identity, &network).statement(Epoch(5), key).unwrap();
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
        writeln!(std::io::stderr(), "skipped: there is no strace that runs").unwrap();
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
        &["fsync(|node/keeper.new>", "rename(|node/keeper.record", "fsync(|node>"],
        &["fsync(|node/view-keys.new>", "rename(|node/view-keys.sealed", "fsync(|node>"],
        &["sync(|node/other.repaired>", "link|node/aside", "rename(|node/other\"", "fsync(|node>"],
    ] {
        let mut lines = calls.lines();
        for step in steps {
            let (call, what) = step.split_once('|').unwrap();
            let done = lines.any(|line| line.contains(call) && line.contains(what));
            assert!(done, "{step} is missing of {steps:?}:\n{calls}");
        }
    }
}
