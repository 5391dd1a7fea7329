//! Keepers in the network file: who they are, from when on, and what is said of their number.

use node::Identity;

use super::Authority;
use crate::support::text;

/// The address of a node that runs nowhere.
fn keeper(seed: u8) -> String {
    let node = Identity::from_seed(&[seed; 32]).unwrap().node();
    format!("/ip4/192.0.2.{seed}/tcp/4001/p2p/{}", net::peer_id(&node).unwrap())
}

impl Authority {
    /// Changes the keepers: the exit code, and what was said.
    async fn keeper(&self, what: &str, seed: u8, more: &[&str]) -> (Option<i32>, String) {
        let (dir, keeper) = (self.path("authority"), keeper(seed));
        let args = ["ca", "keeper", what, &keeper, "--dir", &dir];
        let output = self.user.run(args.into_iter().chain(more.iter().copied())).await;
        (output.status.code(), text(&output.stderr))
    }

    /// From which epochs on there are how many keepers, and the file's serial number.
    fn keepers(&self) -> (Vec<(u64, usize)>, u64) {
        let file = self.network();
        let sets = file.keepers.iter().map(|set| (set.from_epoch, set.nodes.len())).collect();
        (sets, file.serial)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_way_in_is_the_one_keeper_and_others_are_added_two_epochs_ahead() {
    let first = keeper(1);
    let authority = Authority::found("demo.alt", &["--bootstrap", &first]).await;
    assert_eq!(authority.network().keepers[0].nodes, [first]);
    assert_eq!(authority.keepers(), (vec![(0, 1)], 0));
    assert_eq!(authority.network().round_milliseconds, None, "a day has room for minutes");

    let (code, said) = authority.keeper("add", 2, &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 keepers, of which 0 may fail or lie; 2 must sign a view."), "{said}");
    assert!(said.contains("2 or 3 keepers are no better than 1"), "{said}");
    let coming = authority.network().network().unwrap().epoch(net::now()).0 + 2;
    assert_eq!(authority.keepers(), (vec![(0, 1), (coming, 2)], 1));
    for seed in [3, 4] {
        let (code, said) = authority.keeper("add", seed, &[]).await;
        assert_eq!(code, Some(0), "{said}");
    }
    let (sets, serial) = authority.keepers();
    assert_eq!((sets, serial), (vec![(0, 1), (coming, 4)], 3), "it has not begun");

    let (code, said) = authority.keeper("remove", 4, &["--from-epoch", "5"]).await;
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("the keepers of epoch 5 are settled"), "{said}");
    let (code, said) = authority.keeper("add", 4, &[]).await;
    assert!(code == Some(64) && said.contains("is a keeper already"), "{said}");
    let (code, said) = authority.keeper("remove", 9, &[]).await;
    assert!(code == Some(64) && said.contains("is no keeper"), "{said}");
    let later = (coming + 5).to_string();
    let (code, said) = authority.keeper("remove", 4, &["--from-epoch", &later]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("From epoch {later}: 3 keepers")), "{said}");
    assert_eq!(authority.keepers(), (vec![(0, 1), (coming, 4), (coming + 5, 3)], 4));

    authority.revoke("--node", &"ab".repeat(32)).await;
    assert_eq!(authority.keepers().1, 5, "a file that revokes more is a later one");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_keepers_are_named_at_once_and_short_epochs_get_short_rounds() {
    let named: Vec<String> = (1..=4).map(keeper).collect();
    let mut args = vec!["--epoch", "10"];
    args.extend(named.iter().flat_map(|keeper| ["--keeper", keeper]));
    let authority = Authority::found("demo.alt", &args).await;
    let file = authority.network();
    assert_eq!(file.keepers[0].nodes, named);
    let charter = file.network().unwrap().charter.unwrap();
    assert_eq!(charter.last_set().unwrap().1.threshold(), 3);
    assert!(file.round_milliseconds.is_some());
    assert!(file.bootstrap.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_keepers_gets_its_first_when_it_likes_and_none_is_left_without() {
    let authority = Authority::found("demo.alt", &["--epoch", "60"]).await;
    assert_eq!(authority.keepers(), (vec![], 0));
    authority.revoke("--node", &"ab".repeat(32)).await;
    assert_eq!(authority.keepers(), (vec![], 0), "older programs read it");
    let (code, said) = authority.keeper("add", 1, &["--from-epoch", "7"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(authority.keepers(), (vec![(7, 1)], 1));
    let (code, said) = authority.keeper("remove", 1, &[]).await;
    assert!(code == Some(64) && said.contains("has at least one keeper"), "{said}");
}
