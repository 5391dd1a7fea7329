//! A network's invitation: one line from its authority, with which a new member joins.

use net::NetworkFile;

use super::Authority;
use crate::support::{User, text};

const BOOTSTRAP: &str =
    "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWGzBXWNvHpLtvkfM8T5vUhwVAbTC6Ff2rBbYg1hyGCYnD";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_given_the_line_joins_with_it_and_a_cut_line_is_refused() {
    let options = ["--bootstrap", BOOTSTRAP, "--k", "3", "--epoch", "5", "--delay", "2"];
    let authority = Authority::found("demo.alt", &options).await;
    let dir = authority.path("authority");
    authority.revoke("--node", &"3b".repeat(32)).await;
    let output = authority.user.run(["ca", "invite", "--dir", &dir]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let line = printed.trim_end();
    assert!(!line.contains('\n') && line.starts_with("cutout:demo.alt,"), "{line}");

    let join = async |name: &str, line: &str| {
        let profile = authority.file(name);
        let user = User { profile, address: String::new(), scheme: None, host: Vec::new() };
        let output = user.run(["init", line, "--offline"]).await;
        (output.status.code(), user, text(&output.stderr))
    };
    let (code, bob, told) = join("bob", line).await;
    assert_eq!(code, Some(0), "{told}");
    let theirs = std::fs::read_to_string(authority.network_path()).unwrap();
    let his = std::fs::read_to_string(bob.profile.join("network.toml")).unwrap();
    let same = |text: &str| toml::to_string(&NetworkFile::parse(text).unwrap()).unwrap();
    assert_eq!(same(&his), same(&theirs), "he is in the network that its authority means");

    let (cut, longer) = (line.split(",sum=").next().unwrap(), format!("{line}0"));
    for wrong in [cut, "demo.toml", &longer] {
        let (code, nobody, told) = join("nobody", wrong).await;
        assert_eq!(code, Some(65), "{told}");
        assert!(told.contains("this is not an invitation") && told.contains("try:"), "{told}");
        assert!(!nobody.profile.exists(), "nothing is left of a profile that was never made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_nobody_could_enter_invites_nobody() {
    let authority = Authority::found("demo.alt", &[]).await;
    let dir = authority.path("authority");
    let output = authority.user.run(["ca", "invite", "--dir", &dir]).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
    let told = text(&output.stderr);
    assert!(told.contains("names no bootstrap node") && told.contains("`bootstrap`"), "{told}");
}
