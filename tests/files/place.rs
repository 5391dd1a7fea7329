//! A profile that was copied says so once, to whoever uses the copy.

use std::{fs, path::Path, process::Command};

use super::Fixture;
use crate::support::{User, text};

/// What is said of a copy.
const SAID: &str =
    "warning: this profile was copied, moved to another machine or restored from a backup";

/// Lists the outbox: what is printed, and what is told.
async fn list(user: &User) -> (String, String) {
    let output = user.run(["outbox", "--list", "--json"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// Copies as a person does who makes a backup.
fn copy_all(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_profile_is_said_once_and_a_moved_profile_is_not() {
    let fixture = Fixture::new().await;
    let original = &fixture.user;
    let printed = list(original).await;
    assert!(printed.0.lines().count() == 2 && printed.1.is_empty(), "{printed:?}");
    let (place, moved) = (fixture.directory.path().join("x"), fixture.directory.path().join("y"));
    copy_all(&original.profile, &place);
    let copy = fixture.at(&place);
    let (out, told) = list(&copy).await;
    assert_eq!(told.matches(SAID).count(), 1, "{told}");
    assert!(told.contains("each mail reaches only one of them"), "{told}");
    assert!(told.contains("run `cutout fetch --restored` once"), "{told}");
    assert!(!told.contains("error:"), "{told}");
    assert_eq!(out, printed.0, "what is printed is the same");
    assert_eq!(list(&copy).await, printed, "it is said once");
    assert_eq!(list(original).await, printed, "the original is where it was");
    fs::rename(&place, &moved).unwrap();
    assert_eq!(list(&fixture.at(&moved)).await, printed, "a moved profile is no copy");
    // The backup of a profile that was used meanwhile, put back where the profile was.
    copy_all(&original.profile, &place);
    fs::rename(&original.profile, fixture.directory.path().join("z")).unwrap();
    fs::rename(&place, &original.profile).unwrap();
    assert!(list(original).await.1.contains(SAID));
    assert_eq!(list(original).await, printed);
}

/// Answering opens the profile as any other command does: it tells of a copy, and loses no Tor with `config.toml`.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_looks_at_the_profile_as_other_commands_do() {
    let fixture = Fixture::new().await;
    let place = fixture.directory.path().join("x");
    copy_all(&fixture.user.profile, &place);
    let user = fixture.at(&place);
    fs::create_dir_all(place.join("mail/new")).unwrap();
    let mail = format!("Subject: x\r\nReply-To: {}\r\n\r\ntext\r\n", user.address);
    fs::write(place.join("mail/new/1.x"), mail).unwrap();
    fs::write(place.join("config.toml"), "tor = \"required\"\n").unwrap();
    let told = text(&user.run(["status"]).await.stderr);
    assert!(told.contains(SAID), "{told}");
    fs::remove_file(place.join("config.toml")).unwrap();
    let output = user.run_with_input(["reply", "1"], b"yes").await;
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("config.toml asked for Tor the last time"), "{told}");
}
