//! What an authority is told that goes wrong, and what it is warned of. None of it needs a network.

use super::Authority;
use crate::support::{User, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_key_is_refused_and_nothing_is_not_taken_back() {
    let authority = Authority::found("demo.alt", &[]).await;
    for name in ["first", "second"] {
        authority.applicant(name, "bob@demo.alt", &authority.network_path()).await;
    }
    assert_eq!(authority.sign("first.request", "first.certificate").await.0, Some(0));
    let (code, told) = authority.sign("second.request", "second.certificate").await;
    assert_eq!(code, Some(65), "{told}");
    assert!(told.contains("bob@demo.alt was certified for another key"), "{told}");

    let dir = authority.path("authority");
    let before = std::fs::read(authority.network_path()).unwrap();
    let output = authority.user.run(["ca", "revoke", "--dir", &dir]).await;
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(authority.network_path()).unwrap(), before);
    let node = "3b".repeat(32);
    authority.revoke("--node", &node).await;
    let once = std::fs::read(authority.network_path()).unwrap();
    assert_ne!(once, before);
    let again = ["ca", "revoke", "--dir", &dir, "--node", &node];
    let output = authority.user.run(again).await;
    assert!(text(&output.stderr).contains("taken back before"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(authority.network_path()).unwrap(), once);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_could_be_a_real_domain_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let user = User {
        profile: directory.path().join("nobody"),
        address: String::new(),
        scheme: None,
        host: Vec::new(),
    };
    for (name, is_warned) in [("mail.example.com", true), ("demo.alt", false)] {
        let dir = directory.path().join(name);
        let output = user.run(["ca", "init", name, "--dir", dir.to_str().unwrap()]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        let told = text(&output.stderr);
        assert_eq!(told.contains("may be a real domain"), is_warned, "{told}");
    }
}
