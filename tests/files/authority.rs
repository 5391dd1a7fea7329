//! An authority's files.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{
    Damage, FullDisk, Row, cheapen, copy,
    table::{Cell, table},
    tree,
};
use crate::support::{User, text};

const NODE: &str = "1111111111111111111111111111111111111111111111111111111111111111";

struct Place {
    directory: TempDir,
    user: User,
}

impl Place {
    /// An authority that has signed once and revoked once, and a request for it.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let profile = directory.path().join("home");
        let user = User { profile, address: String::new(), scheme: None, host: Vec::new() };
        let place = Self { directory, user };
        let pristine = place.path("pristine");
        place.run(&["ca", "init", "demo.alt", "--dir", &pristine]).await;
        cheapen(&place.directory.path().join("pristine/vault"));
        let (network, request) = (format!("{pristine}/network.toml"), place.path("request"));
        let address = ["--address", "bob@demo.alt", "--request", &request];
        place.run(&[&["init", "--network", &network][..], &address].concat()).await;
        place.run(&["ca", "revoke", "--dir", &pristine, "--node", NODE]).await;
        let text = fs::read_to_string(&network).unwrap();
        // A bootstrap node that somebody put in by hand, so that there is a port to change.
        let peer = net::peer_id(&anon::id::NodeId([7; 32])).unwrap();
        let line = format!("bootstrap = ['/ip4/127.0.0.1/tcp/1/p2p/{peer}']");
        fs::write(&network, text.replace("bootstrap = []", &line)).unwrap();
        let another = NODE.replace('1', "4");
        place.run(&["ca", "revoke", "--dir", &pristine, "--node", &another]).await;
        place
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    async fn run(&self, args: &[&str]) {
        let output = self.user.run(args.iter().copied()).await;
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    }
}

/// The authority's files are met as the table says, by the command that needs them.
#[tokio::test(flavor = "multi_thread")]
async fn each_damage_of_an_authoritys_file_is_met_as_the_table_says() {
    let place = Place::new().await;
    let rows = table("## An authority's directory");
    for (row, damage) in rows.iter().flat_map(|row| Damage::ALL.map(|damage| (row, damage))) {
        if damage == Damage::DiskFull {
            continue;
        }
        let dir = place.directory.path().join("copy");
        copy(&place.directory.path().join("pristine"), &dir);
        damage.apply(&dir, &row.file);
        let before = tree(&dir);
        let (request, out, dir_text) =
            (place.path("request"), place.path("out"), place.path("copy"));
        let args = ["ca", "sign", &request, "--dir", &dir_text, "--out", &out, "--yes"];
        let output = place.user.run(args).await;
        let told = text(&output.stderr);
        let context = format!("{} {damage:?}: {told}", row.file);
        let cell = row.cell(damage);
        cell.check(row, &output, &context);
        if let Cell::Stops(_) = cell {
            assert_eq!(tree(&dir), before, "{context}");
            assert!(told.contains(remedy(damage, row)), "{context}");
            assert!(!PathBuf::from(&out).exists(), "{context}");
            // Nor does founding it anew replace anything.
            let args = ["ca", "init", "demo.alt", "--dir", &dir_text];
            let founded = place.user.run(args).await.status.code();
            assert!(matches!(founded, Some(73 | 74)), "{founded:?}, {context}");
            let after: Vec<_> =
                tree(&dir).into_iter().filter(|(name, _)| !name.ends_with(".begin")).collect();
            let before: Vec<_> =
                before.into_iter().filter(|(name, _)| !name.ends_with(".begin")).collect();
            assert_eq!(after, before, "{context}");
        }
        let _ = fs::remove_file(&out);
        fs::remove_dir_all(&dir).unwrap();
    }
}

fn remedy(damage: Damage, row: &Row) -> &'static str {
    match (damage, row.file.as_str()) {
        (_, "network.toml") => "is made anew as `ca init` or `ca revoke` wrote it",
        (Damage::Unreadable, _) => "belong to you",
        (Damage::AnotherVersion, _) => "use the version of cutout that wrote it",
        _ => "restore that file from your backup",
    }
}

/// A network file that is older than the last revocation forgets nothing, and no list has the number of another.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_network_file_forgets_no_revocation() {
    let place = Place::new().await;
    let (pristine, path) = (place.path("pristine"), place.path("pristine/network.toml"));
    let old = fs::read_to_string(&path).unwrap();
    let other = NODE.replace('1', "2");
    place.run(&["ca", "revoke", "--dir", &pristine, "--node", &other]).await;
    fs::write(&path, old).unwrap();
    let third = NODE.replace('1', "3");
    place.run(&["ca", "revoke", "--dir", &pristine, "--node", &third]).await;
    let file = net::NetworkFile::read(&PathBuf::from(path)).unwrap();
    assert_eq!(file.network().unwrap().revoked.nodes.len(), 4);
    assert_eq!(file.revocation_list().unwrap().unwrap().number(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_on_a_full_disk_says_so() {
    let place = Place::new().await;
    let Some(disk) = FullDisk::mount() else { return };
    let dir = disk.path().join("authority");
    copy(&place.directory.path().join("pristine"), &dir);
    disk.fill();
    let (dir_text, new) = (dir.to_str().unwrap(), disk.path().join("new"));
    let (request, out) = (place.path("request"), place.path("out"));
    let fifth = NODE.replace('1', "5");
    for row in table("## An authority's directory") {
        let args: &[&str] = match row.file.as_str() {
            "vault/issued" => &["ca", "sign", &request, "--dir", dir_text, "--out", &out, "--yes"],
            "network.toml" | "vault/network" => {
                &["ca", "revoke", "--dir", dir_text, "--node", &fifth]
            }
            _ => &["ca", "init", "new.alt", "--dir", new.to_str().unwrap()],
        };
        let before = tree(&dir);
        let output = place.user.run(args.iter().copied()).await;
        let told = text(&output.stderr);
        let context = format!("{} on a full disk: {told}", row.file);
        row.cell(Damage::DiskFull).check(&row.unnamed(), &output, &context);
        assert!(
            told.contains("No space left on device") && told.contains("make room"),
            "{context}"
        );
        assert_eq!(tree(&dir), before, "{context}");
        assert!(!PathBuf::from(&out).exists(), "{context}");
    }
}
