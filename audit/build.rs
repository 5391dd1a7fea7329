//! Leaves in the audit what it was built from: commit, whether anything differed from it, profile, compiler. What cannot
//! be found out is `unknown`: a build needs no git.

use std::{path::Path, process::Command};

/// What decides the sources of the program, seen from here.
const SOURCES: [&str; 11] = [
    "../Cargo.toml",
    "../Cargo.lock",
    "../anon",
    "../net",
    "../node",
    "../testbed",
    "../ua",
    "src",
    "symbolic",
    "Cargo.toml",
    "build.rs",
];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    for name in ["HEAD", "index"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = if is_own_repository() { git(&["rev-parse", "HEAD"]) } else { None };
    let tree = commit.as_ref().and_then(|_| git(&["status", "--porcelain"]));
    let tree = tree.map(|changes| if changes.is_empty() { "clean" } else { "changed" });
    let compiler = std::env::var("RUSTC").ok().and_then(|rustc| run(&rustc, &["--version"]));
    let profile = std::env::var("PROFILE").ok();
    for (name, value) in [
        ("CUTOUT_BUILD_COMMIT", commit.as_deref()),
        ("CUTOUT_BUILD_TREE", tree),
        ("CUTOUT_BUILD_PROFILE", profile.as_deref()),
        ("CUTOUT_BUILD_RUSTC", compiler.as_deref()),
    ] {
        println!("cargo::rustc-env={name}={}", value.unwrap_or("unknown"));
    }
}

/// Whether git speaks of this source tree, and not of one that it was unpacked into.
fn is_own_repository() -> bool {
    let canonical = |path: &str| Path::new(path).canonicalize().ok();
    let top = git(&["rev-parse", "--show-toplevel"]);
    top.and_then(|top| canonical(&top)).is_some_and(|top| canonical("..") == Some(top))
}

fn git(arguments: &[&str]) -> Option<String> {
    run("git", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
