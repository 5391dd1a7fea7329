//! `docs/files.md` says of every file what becomes of it where it is lost or damaged: each cell of its tables, tried over
//! the built program.
//!
//! What cannot be had without a network is tried in `files/network.rs`.

mod authority;
mod damage;
mod network;
mod place;
mod table;

use std::{fs, path::Path};

use damage::{Damage, FullDisk, copy, tree};
use table::{Cell, Row, table};
use tempfile::TempDir;
use ua::{
    profile::Profile,
    vault::{KdfCost, Passphrase, Vault},
};

use crate::support::{User, message, text};

/// The files that only a command with a network reads, or writes on a full disk.
const WITH_NETWORK: [&str; 7] = [
    "vault/reply-*",
    "vault/certificates",
    "vault/answers",
    "vault/seen-*",
    "vault/reading",
    "vault/parts",
    "vault/origin-*",
];

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse".to_owned()).unwrap()
}

/// A user with two waiting mails and something in every file, whose vault opens quickly.
struct Fixture {
    directory: TempDir,
    user: User,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut user = crate::bad_input::user_without_nodes(&directory).await;
        user.scheme = Some("paper");
        cheapen(&user.profile.join("vault"));
        for subject in ["one", "two"] {
            let mail = message(subject, 1);
            let sent = user.run_with_input(["send", "--to", &user.address], &mail).await;
            assert_eq!(sent.status.code(), Some(69));
        }
        let profile = Profile::open(&user.profile, &passphrase()).unwrap();
        for (name, empty) in [("roster", &[0; 5][..]), ("evidence", &[0]), ("certificates", &[0])] {
            profile.vault().write(name, empty).unwrap();
        }
        drop(profile);
        fs::create_dir_all(user.profile.join("mail")).unwrap();
        Self { directory, user }
    }

    /// The same user with a copy of all files.
    fn copy(&self, to: &Path) -> User {
        copy_used(&self.user.profile, to);
        self.at(to)
    }

    fn at(&self, profile: &Path) -> User {
        let address = self.user.address.clone();
        User { profile: profile.to_owned(), address, scheme: Some("paper"), host: Vec::new() }
    }
}

/// Copies a profile to where it was used before, so that nothing is said of that.
fn copy_used(from: &Path, to: &Path) {
    copy(from, to);
    cutout::place::check(&Profile::open(to, &passphrase()).unwrap()).unwrap();
}

/// Lets a vault open in no time.
fn cheapen(vault: &Path) {
    let vault = Vault::open(vault, &passphrase()).unwrap();
    vault.change_passphrase(&passphrase(), KdfCost::new(8, 1).unwrap()).unwrap();
}

/// The command that reads a file.
fn reader(file: &str) -> &'static [&'static str] {
    match file {
        "vault/outbox-*.state" => &["outbox", "--list"],
        "vault/outbox-*.mail" => &["outbox"],
        "mail/" => &["list"],
        _ => &["status"],
    }
}

/// What the remedy of a refusal must speak of.
fn remedy(damage: Damage, file: &str) -> &'static str {
    match (damage, file) {
        (_, "config.toml") if damage == Damage::Deleted => {
            "put tor = \"required\" into config.toml again"
        }
        (_, "config.toml") => "mend the file",
        (_, "network.toml") => "whoever runs the network has it",
        (Damage::Deleted, "vault/") => "restore the directory vault from your backup",
        (_, "mail/") => "check the directory and its permissions",
        (Damage::Unreadable, _) => "belong to you",
        (Damage::AnotherVersion, _) => "use the version of cutout that wrote it",
        _ => "restore that file from your backup",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_damage_of_a_users_file_is_met_as_the_table_says() {
    let fixture = Fixture::new().await;
    let rows = table("## A user's directory");
    assert!(rows.len() > 12, "the table is there");
    for row in rows.iter().filter(|row| !WITH_NETWORK.contains(&row.file.as_str())) {
        for damage in Damage::ALL.into_iter().filter(|damage| *damage != Damage::DiskFull) {
            try_cell(&fixture, row, damage).await;
        }
    }
}

async fn try_cell(fixture: &Fixture, row: &Row, damage: Damage) {
    let cell = row.cell(damage);
    if cell == Cell::Never {
        return;
    }
    let place = fixture.directory.path().join("copy");
    let user = fixture.copy(&place);
    if row.file == "config.toml" {
        fs::write(place.join("config.toml"), "tor = \"required\"\n").unwrap();
        assert!(user.run(["status"]).await.status.success());
    }
    damage.apply(&place, &row.file);
    let before = tree(&place);
    let output = user.run(reader(&row.file).iter().copied()).await;
    let told = text(&output.stderr);
    let context = format!("{} {damage:?}: {told}", row.file);
    cell.check(row, &output, &context);
    if let Cell::Stops(_) = cell {
        assert!(told.contains(remedy(damage, &row.file)), "{context}");
        assert_eq!(tree(&place), before, "{context}");
    }
    if let Cell::GoesOn(_) = cell {
        // The other mail is listed, or tried.
        let all = told + &text(&output.stdout);
        let ids = damage::ids(&fixture.user.profile);
        assert!(
            ids.iter().all(|id| all.contains(id.as_str())) || row.file.ends_with(".mail"),
            "{context}"
        );
    }
    fs::remove_dir_all(&place).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_network_in_the_network_file_is_noticed() {
    let fixture = Fixture::new().await;
    let path = fixture.user.profile.join("network.toml");
    let other = fs::read_to_string(&path).unwrap().replace("demo.alt", "demo.blt");
    fs::write(&path, other).unwrap();
    let output = fixture.user.run(["status"]).await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("network demo.blt") && told.contains("demo.alt"), "{told}");
}

/// Nobody is told to do what deletes three waiting mails.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_advice_for_a_lost_account_keeps_the_waiting_mails() {
    let fixture = Fixture::new().await;
    let user = &fixture.user;
    let sent = user.run_with_input(["send", "--to", &user.address], &message("three", 1)).await;
    assert_eq!(sent.status.code(), Some(69));
    let account = user.profile.join("vault/account");
    let backup = fs::read(&account).unwrap();
    let network = fixture.directory.path().join("network.toml");
    let init = ["init", "--offline", "--network", network.to_str().unwrap()];
    for lost in ["vault/account", "vault/vault"] {
        let kept = fs::read(user.profile.join(lost)).unwrap();
        fs::remove_file(user.profile.join(lost)).unwrap();
        let before = tree(&user.profile);
        for command in [&["outbox"][..], &["fetch"], &["status"], &init] {
            let output = user.run(command.iter().copied()).await;
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(74), "{told}");
            assert!(told.contains(&format!("{lost} is missing")), "{told}");
            assert!(told.contains("try:   restore that file from your backup"), "{told}");
        }
        let after: Vec<_> =
            tree(&user.profile).into_iter().filter(|(name, _)| !name.ends_with(".begin")).collect();
        let before: Vec<_> =
            before.into_iter().filter(|(name, _)| !name.ends_with(".begin")).collect();
        assert_eq!(after, before, "nothing was touched");
        // The other half of the advice, for whoever has no backup.
        let elsewhere = fixture.at(&fixture.directory.path().join(lost.replace('/', "-")));
        assert!(elsewhere.run(init).await.status.success());
        fs::write(user.profile.join(lost), kept).unwrap();
    }
    fs::write(&account, backup).unwrap();
    assert_eq!(user.outbox().await.len(), 3);
}

/// An `init` that was killed before there was an account is begun again, and what it left is kept.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_vault_is_moved_aside() {
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("home");
    fs::create_dir_all(&profile).unwrap();
    let cost = KdfCost::new(8, 1).unwrap();
    drop(Vault::create(&profile.join("vault"), &passphrase(), cost).unwrap());
    let first = fs::read(profile.join("vault/vault")).unwrap();
    let user = crate::bad_input::user_without_nodes(&directory).await;
    assert!(!user.address.is_empty());
    assert_eq!(fs::read(profile.join("vault.unfinished-1/vault")).unwrap(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_nothing_half_written_stays() {
    let fixture = Fixture::new().await;
    let Some(disk) = FullDisk::mount() else { return };
    let profile = disk.path().join("home");
    let user = fixture.copy(&profile);
    disk.fill();
    let network = fixture.directory.path().join("network.toml");
    for row in table("## A user's directory") {
        let cell = row.cell(Damage::DiskFull);
        let before = tree(&profile);
        let (user, args): (User, &[&str]) = match row.file.as_str() {
            "network.toml" | "config.toml" | "vault/" | "vault/vault" | "vault/account"
            | "vault/guards" => (
                fixture.at(&disk.path().join("new")),
                &["init", "--offline", "--network", network.to_str().unwrap()],
            ),
            "vault/reply-*" => (
                fixture.at(&profile),
                &["send", "--reply-to", "new", "-s", "x", "--to", &user.address],
            ),
            "vault/outbox-*.state" | "vault/outbox-*.mail" => {
                (fixture.at(&profile), &["send", "-s", "x", "--to", &user.address])
            }
            "vault/settings" => {
                damage::flip_port(&profile.join("network.toml"));
                (fixture.at(&profile), &["status"])
            }
            "vault/nodes" => (fixture.at(&profile), &["outbox"]),
            "vault/place" => {
                fs::remove_file(profile.join("vault/place")).unwrap();
                disk.fill();
                (fixture.at(&profile), &["status"])
            }
            // Nothing reaches these over a full disk without a network: ua's tests of `sealed` have them, and
            // `files/network.rs` those that stop.
            _ => continue,
        };
        let output = user.run_with_input(args.iter().copied(), b"a text").await;
        let told = text(&output.stderr);
        let context = format!("{} on a full disk: {told}", row.file);
        if cell == Cell::Said && row.file == "vault/nodes" {
            assert!(told.contains("warning: cannot write vault/nodes: No space left"), "{context}");
            continue;
        }
        cell.check(&row.unnamed(), &output, &context);
        assert!(
            told.contains("No space left on device") && told.contains("make room"),
            "{context}"
        );
        if let Cell::Stops(_) = cell {
            assert_eq!(tree(&profile), before, "{context}");
            assert!(!disk.path().join("new/vault/account").exists());
        }
    }
}
