//! The files that only a command with a network reads.

use std::fs;

use ua::{account::Account, profile::Profile};

use super::{
    Damage, FullDisk, cheapen, copy_used, passphrase,
    table::{Row, table},
};
use crate::support::{Network, User, message, text};

fn at(user: &User, profile: std::path::PathBuf) -> User {
    User { profile, address: user.address.clone(), scheme: user.scheme, host: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_network_is_needed_for_are_met_as_the_table_says() {
    let network = Network::start(8).await;
    let bob = network.user("bob").await;
    cheapen(&bob.profile.join("vault"));
    // Something to lose: a mail that was delivered, a certificate, and an address for answers.
    bob.send(["--to", &bob.address], &message("first", 1)).await;
    assert_eq!(bob.fetch().await["delivered"].as_array().unwrap().len(), 1);
    let profile = Profile::open(&bob.profile, &passphrase()).unwrap();
    let params = profile.network().network().unwrap();
    let reply = Account::self_certifying(&params, net::now());
    reply.write_named(profile.vault(), &Account::reply_name()).unwrap();
    profile.vault().write("parts", &[0]).unwrap();
    drop(profile);
    let rows = table("## A user's directory");
    let of = |file: &str| rows.iter().find(|row| row.file == file).unwrap();
    for (row, damage) in super::WITH_NETWORK.map(of).into_iter().flat_map(|row| {
        Damage::ALL.into_iter().filter(|d| *d != Damage::DiskFull).map(move |damage| (row, damage))
    }) {
        let place = network.directory.path().join("copy");
        copy_used(&bob.profile, &place);
        damage.apply(&place, &row.file);
        let user = at(&bob, place.clone());
        let output = match row.file.as_str() {
            "vault/certificates" => {
                user.run_with_input(["send", "--to", &bob.address, "-s", "next"], b"a text").await
            }
            "vault/answers" => {
                let to = ["send", "--reply-to", "new", "--to", &bob.address, "-s", "next"];
                user.run_with_input(to, b"a text").await
            }
            "vault/origin-*" => user.run(["list"]).await,
            _ => user.run(["fetch"]).await,
        };
        let told = text(&output.stderr);
        let context = format!("{} {damage:?}: {told}", row.file);
        row.cell(damage).check(row, &output, &context);
        fs::remove_dir_all(&place).unwrap();
    }
    full_disk(&bob, &rows).await;
}

/// What a fetch says of a disk that is full: of the profile's, and of the Maildir's.
async fn full_disk(bob: &User, rows: &[Row]) {
    let Some(disk) = FullDisk::mount() else { return };
    bob.send(["--to", &bob.address], &message("waiting", 1)).await;
    let profile = disk.path().join("home");
    copy_used(&bob.profile, &profile);
    disk.fill();
    let maildir = disk.path().join("maildir");
    for folder in ["new", "cur", "tmp"] {
        fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    let user = at(bob, profile);
    for (file, output) in [
        ("vault/seen-*", user.run(["fetch"]).await),
        ("mail/", bob.run(["fetch", "--maildir", maildir.to_str().unwrap()]).await),
    ] {
        let row = rows.iter().find(|row| row.file == file).unwrap();
        let context = format!("{file} on a full disk: {}", text(&output.stderr));
        row.cell(Damage::DiskFull).check(&row.unnamed(), &output, &context);
        assert!(
            context.contains("No space left on device") && context.contains("make room"),
            "{context}"
        );
    }
    // Nothing was acknowledged that was not delivered.
    let arrived = bob.fetch().await["delivered"].as_array().unwrap().len();
    assert!(arrived >= 1, "the mail still waits in the network");
}
