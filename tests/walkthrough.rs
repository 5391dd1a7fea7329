//! The section of docs/operators.md on a network of one's own, command by command as it stands there: with one node, with
//! three, and with sixteen of which one is the bootstrap node. What else a sender relies on is shown on the sixteen that
//! stand then.

mod outbox;
mod shell;
mod silence;

use std::{path::Path, time::Duration};

use anon::certificate::Address;
use tempfile::TempDir;

use self::shell::{Shell, blocks};
use crate::support::{User, alone, text};

/// Where the walk takes place.
struct Walk {
    shell: Shell,
    directory: TempDir,
}

/// The page's blocks in their order, by what they do.
struct Blocks {
    authority: String,
    first_node: String,
    bootstrap: String,
    more_nodes: String,
    direct: String,
    users: Vec<String>,
    sending: String,
    reading: String,
}

/// The blocks of a page's section.
fn blocks_of(page: &str, heading: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    blocks(&std::fs::read_to_string(path).unwrap(), heading)
}

impl Blocks {
    fn read() -> Self {
        let found = blocks_of("docs/operators.md", "## A network of your own");
        let [authority, first_node, bootstrap, more_nodes, direct, own, chosen, sending, reading] =
            <[String; 9]>::try_from(found).expect("the page has nine blocks to walk through");
        let users = vec![own, chosen];
        Self { authority, first_node, bootstrap, more_nodes, direct, users, sending, reading }
    }
}

impl Walk {
    /// A user of the walk, for commands that are not the page's.
    fn user(&self, name: &str, address: &str) -> User {
        let profile = self.directory.path().join(name);
        User { profile, address: address.to_owned(), scheme: None, host: Vec::new() }
    }

    /// A new user, whose certificate is published unless `how` says otherwise.
    async fn new_user(&self, name: &str, how: &[&str]) -> User {
        let mut user = self.user(name, "");
        let network = self.directory.path().join("authority/network.toml");
        let init = ["init", "--network", network.to_str().unwrap()];
        let output = user.run(init.into_iter().chain(how.iter().copied())).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        user.address = text(&output.stdout).trim().to_owned();
        user
    }

    /// Nodes with these numbers start by the page's own line, and meet.
    async fn add_nodes(&mut self, block: &str, first: usize, last: usize) {
        let (start, wait) = block.split_once('\n').unwrap();
        assert!(start.contains("$(seq 2 16)") && wait == "sleep 30", "{block}");
        let start = start.replace("$(seq 2 16)", &format!("$(seq {first} {last})"));
        self.shell.run(&start).await;
        // The page's wait is for mail; to be counted takes one epoch.
        if last == 16 {
            self.shell.run(wait).await
        } else {
            self.shell.run("sleep 15").await
        };
    }

    /// With so few nodes nothing is sent anonymously, the sender is told how many are missing, and the mail is kept; the
    /// page's way of trying them works. `me` is the name of a user who is new.
    async fn is_too_small(&mut self, blocks: &Blocks, nodes: usize, me: &str) {
        let direct = blocks.direct.replace("--home me", &format!("--home {me}"));
        let said = self.shell.run(&direct).await;
        assert!(said.contains("Delivered to"), "{said}");
        assert!(said.contains("1 new mail."), "{said}");
        let user = self.user(me, "");
        assert!(text(&user.mails()[0]).contains("to myself"));

        let address = said.lines().find_map(|l| l.strip_prefix("Delivered to "));
        let address = address.unwrap().trim_end_matches('.');
        let sent = user.run_with_input(["send", "--to", address, "-s", "x"], b"anonymous\n").await;
        let told = text(&sent.stderr);
        println!("{nodes} nodes: {told}");
        assert_eq!(sent.status.code(), Some(75), "{told}");
        let missing = format!("{} are missing", 8 - nodes);
        assert!(told.contains(&missing) && told.contains("an anonymous mail needs 8"), "{told}");
        let has = format!("this network has {nodes} node");
        assert!(told.contains(&has), "{told}");
        assert!(
            !told.contains("--direct") && !told.contains("paper"),
            "no advice to give oneself away"
        );
        assert_eq!(user.outbox().await.len(), 1, "it is kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_followed_to_the_letter_with_one_node_three_and_sixteen() {
    let _alone = alone().await;
    let blocks = Blocks::read();
    let directory = tempfile::tempdir().unwrap();
    let mut walk = Walk { shell: Shell::start(directory.path()).await, directory };
    for block in [&blocks.authority, &blocks.first_node, &blocks.bootstrap] {
        walk.shell.run(block).await;
    }
    walk.is_too_small(&blocks, 1, "me1").await;
    walk.add_nodes(&blocks.more_nodes, 2, 3).await;
    walk.is_too_small(&blocks, 3, "me3").await;
    walk.add_nodes(&blocks.more_nodes, 4, 16).await;
    let network = std::fs::read_to_string(walk.directory.path().join("authority/network.toml"));
    assert_eq!(network.unwrap().matches("/p2p/").count(), 1, "one way in");

    walk.shell.run(&blocks.direct).await;
    for block in blocks.users.iter().chain([&blocks.sending]) {
        let said = walk.shell.run(block).await;
        assert!(!said.contains("error:") && !said.contains("not published"), "{said}");
    }
    let read = walk.shell.run(&blocks.reading).await;
    assert!(read.contains("2 new mails."), "{read}");
    let bob = walk.user("bob", "bob@demo.alt");
    let mails: Vec<String> = bob.mails().iter().map(|mail| text(mail)).collect();
    assert!(mails.iter().any(|mail| mail.contains("at noon")), "{mails:?}");
    assert!(mails.iter().any(|mail| mail.ends_with("\n\nas it stands\n")), "{mails:?}");

    outbox::commands_work_beside_a_send_that_waits(&walk).await;
    outbox::what_is_killed_is_kept_or_delivered_once(&walk).await;
    outbox::an_unknown_recipient_waits_until_the_certificate_is_published(&walk).await;
    outbox::one_real_recipient_among_63_unknown_ones_gets_the_mail_at_once(&walk).await;
    outbox::a_mail_written_offline_is_tried_as_often_as_its_owner_likes(&walk).await;
    silence::a_dead_replica_of_three_keeps_no_mail_waiting(&mut walk).await;
    silence::stopped_bootstrap_nodes_keep_nobody_out(&mut walk).await;
}

/// The address of a user with a certificate of the authority's.
fn bob() -> Address {
    Address::parse("bob@demo.alt").unwrap()
}

/// How long it takes until a node that says nothing is silent in all rosters of this walk: an epoch and a half, and one
/// epoch more until everybody has compared.
const UNTIL_SILENT: Duration = Duration::from_secs(28);
