//! What a person or an operator does wrong, and what the program says: an exit code that a script can tell from
//! others, what does not work (`error:`), why (`cause:`), and what to do (`try:`).

mod files;
mod help;
mod host;
mod interrupted;
mod node_files;
mod nodes;
pub mod outputs;
mod prompt;
mod send;

use std::process::Output;

use tempfile::TempDir;

use crate::support::{User, text};

/// What a refusal must say, line by line; an empty string: no such line.
#[derive(Debug)]
struct Says<'a> {
    code: i32,
    error: &'a str,
    cause: &'a str,
    remedy: &'a str,
}

/// Checks that a command failed in just this way, and printed nothing that looks like a result.
#[track_caller]
fn assert_refused(output: &Output, says: &Says<'_>) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(says.code), "{told}");
    // A cause may show the place in a file on lines of its own.
    let line = |name: &str| {
        let (_, rest) = told.split_once(name)?;
        Some(rest.split("\ntry:").next().unwrap_or(rest))
    };
    for (name, wanted) in [("error:", says.error), ("cause:", says.cause), ("try:", says.remedy)] {
        match line(name) {
            Some(found) if !wanted.is_empty() => {
                assert!(found.contains(wanted), "{name} should say `{wanted}`:\n{told}");
            }
            Some(_) => panic!("{name} is not expected:\n{told}"),
            None => assert!(wanted.is_empty(), "there is no {name}, expected `{wanted}`:\n{told}"),
        }
    }
    assert!(!told.contains("panicked"), "{told}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

/// A user of a network of which no node can be reached: nothing listens at its only address.
pub async fn user_without_nodes(directory: &TempDir) -> User {
    user_of(directory, "/ip4/127.0.0.1/tcp/1").await
}

/// A user of a network that is entered by this address, its certificate not published.
async fn user_of(directory: &TempDir, bootstrap: &str) -> User {
    let peer = net::peer_id(&anon::id::NodeId([7; 32])).unwrap();
    let network = directory.path().join("network.toml");
    let text_of = format!("name = 'demo.alt'\nbootstrap = ['{bootstrap}/p2p/{peer}']\n");
    std::fs::write(&network, text_of).unwrap();
    let mut user = User {
        profile: directory.path().join("home"),
        address: String::new(),
        scheme: None,
        host: Vec::new(),
    };
    let output = user.run(["init", "--offline", "--network", network.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    user.address = text(&output.stdout).trim().to_owned();
    user
}
