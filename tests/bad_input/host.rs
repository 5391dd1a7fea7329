//! What `cutout audit host` says of a user's directory that others can open, and of one that they cannot.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use super::{Says, assert_refused, user_without_nodes};
use crate::support::text;

/// The findings below `profile` of this severity.
fn about(profile: &Path, severity: &str, stdout: &[u8]) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_slice(stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|finding| finding["severity"] == severity);
    let subjects = findings.map(|finding| finding["subject"].as_str().unwrap().to_owned());
    subjects.filter(|subject| subject.starts_with(profile.to_str().unwrap())).collect()
}

#[tokio::test]
async fn a_directory_that_others_can_open_is_found_and_a_closed_one_is_not() {
    let directory = TempDir::new().unwrap();
    let user = user_without_nodes(&directory).await;
    let good = user.run(["audit", "host", "--json"]).await;
    assert_eq!(about(&user.profile, "bad", &good.stdout), Vec::<String>::new());
    assert_eq!(about(&user.profile, "warn", &good.stdout), Vec::<String>::new());
    assert!(!about(&user.profile, "ok", &good.stdout).is_empty());

    std::fs::set_permissions(&user.profile, Permissions::from_mode(0o755)).unwrap();
    let bad = user.run(["audit", "host", "--json"]).await;
    assert_eq!(bad.status.code(), Some(1), "{}", text(&bad.stderr));
    assert_eq!(about(&user.profile, "bad", &bad.stdout), [user.profile.to_str().unwrap()]);
    assert!(text(&bad.stderr).contains("try:"), "{}", text(&bad.stderr));
}

#[tokio::test]
async fn what_was_named_and_is_not_there_is_a_mistake() {
    let directory = TempDir::new().unwrap();
    let user = user_without_nodes(&directory).await;
    let output = user.run(["audit", "host", "--node", "/no/such/node"]).await;
    assert_refused(
        &output,
        &Says {
            code: 66,
            error: "cannot look at /no/such/node",
            cause: "it is not there",
            remedy: "check the path",
        },
    );
}
