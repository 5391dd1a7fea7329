//! What this program was built from: the commit and the compiler, as the build left them, and the list of packages that
//! `cargo auditable` puts into a program, held against the lock file.

use std::{collections::BTreeSet, path::Path};

use auditable_info::{Error, Limits};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use testbed::programs;

use super::{Area, Finding, Severity};

const LOCK: &str = include_str!("../../../Cargo.lock");
const COMMIT: &str = env!("CUTOUT_BUILD_COMMIT");
const TREE: &str = env!("CUTOUT_BUILD_TREE");
const PROFILE: &str = env!("CUTOUT_BUILD_PROFILE");
const COMPILER: &str = env!("CUTOUT_BUILD_RUSTC");

/// A package by name and version.
type Package = (String, String);

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Named>,
}

/// A package as lock files and `cargo auditable` name it.
#[derive(Deserialize)]
struct Named {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Embedded {
    packages: Vec<Named>,
}

/// The commit that this program was built from, and whether anything differed from it.
#[must_use]
pub(crate) fn built_from() -> String {
    match TREE {
        "clean" => COMMIT.to_owned(),
        "changed" => format!("{COMMIT}, with changes to it"),
        _ => "not known".to_owned(),
    }
}

/// Looks at this program, which is built together with `cutout`, and at what `cutout` is made of.
pub(super) fn look() -> Vec<Finding> {
    let mut findings = vec![commit(COMMIT, TREE)];
    let seen = format!(
        "cutout {}, {PROFILE}, {COMPILER}, Cargo.lock {}",
        env!("CARGO_PKG_VERSION"),
        lock_digest()
    );
    findings.push(if PROFILE == "release" {
        of(Severity::Ok, seen)
    } else {
        let seen =
            format!("{seen}: a build for development, slow and with checks that others lack");
        of(Severity::Note, seen).or_try("cargo install --locked --path .")
    });
    // What runs for months is the other program.
    let cutout = std::env::current_exe().map(|lab| programs::cutout(&lab));
    findings.push(match cutout {
        Ok(cutout) if cutout.is_file() => packages(&cutout),
        _ => of(Severity::Note, "there is no `cutout` beside `cutout-lab`")
            .or_try("install both into one directory"),
    });
    findings
}

fn of(severity: Severity, seen: impl Into<String>) -> Finding {
    Finding::new(Area::Build, severity, "program", seen)
}

/// SHA-256 of the lock file that this was built with, its first 16 digits.
fn lock_digest() -> String {
    let digest = HEXLOWER.encode(&Sha256::digest(LOCK.as_bytes()));
    digest.chars().take(16).collect()
}

fn commit(commit: &str, tree: &str) -> Finding {
    match tree {
        "clean" => of(Severity::Ok, format!("built from commit {commit}")),
        "changed" => of(Severity::Note, format!("built from commit {commit} with changes to it"))
            .or_try("build from a commit that others can look at"),
        _ => of(Severity::Note, "the commit that it was built from is not known")
            .or_try("build it in a clone of the repository"),
    }
}

/// Holds the packages in a program's file against the lock file.
fn packages(program: &Path) -> Finding {
    match auditable_info::json_from_file(program, Limits::default()) {
        Ok(json) => compare(&json, LOCK),
        Err(Error::NoAuditData) => of(
            Severity::Note,
            "not built with `cargo auditable`: it does not say which packages are in it",
        )
        .or_try("cargo install cargo-auditable && cargo auditable install --locked --path ."),
        Err(error) => {
            of(Severity::Warn, format!("the list of packages in it cannot be read: {error}"))
                .or_try("build it again")
        }
    }
}

fn compare(json: &str, lock: &str) -> Finding {
    let pair = |named: Named| -> Package { (named.name, named.version) };
    let embedded = serde_json::from_str::<Embedded>(json).map_err(|error| error.to_string());
    let locked = toml::from_str::<LockFile>(lock).map_err(|error| error.to_string());
    let (embedded, locked) = match (embedded, locked) {
        (Ok(embedded), Ok(locked)) => (embedded, locked),
        (Err(error), _) | (_, Err(error)) => {
            return of(Severity::Warn, format!("its packages cannot be compared: {error}"));
        }
    };
    let locked: BTreeSet<Package> = locked.package.into_iter().map(pair).collect();
    let embedded: BTreeSet<Package> = embedded.packages.into_iter().map(pair).collect();
    let strange: Vec<String> =
        embedded.difference(&locked).map(|(name, version)| format!("{name} {version}")).collect();
    if strange.is_empty() {
        return of(
            Severity::Ok,
            format!("its {} packages are those of Cargo.lock", embedded.len()),
        );
    }
    let seen = format!("holds packages that Cargo.lock does not name: {}", strange.join(", "));
    of(Severity::Bad, seen).or_try("build it again with --locked, from sources that you trust")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[package]]\nname = 'a'\nversion = '1.0.0'\n";

    #[test]
    fn a_package_that_is_not_in_the_lock_file_is_found() {
        let embedded =
            |version| format!(r#"{{"packages":[{{"name":"a","version":"{version}"}}]}}"#);
        assert_eq!(compare(&embedded("1.0.0"), ONE).severity, Severity::Ok);
        assert_eq!(compare(&embedded("1.0.1"), ONE).severity, Severity::Bad);
        assert_eq!(compare("nothing", ONE).severity, Severity::Warn);
        assert!(toml::from_str::<LockFile>(LOCK).unwrap().package.len() > 100);
    }

    #[test]
    fn a_build_without_git_says_so() {
        assert_eq!(commit("unknown", "unknown").severity, Severity::Note);
        assert_eq!(commit("abc", "changed").severity, Severity::Note);
        assert_eq!(commit("abc", "clean").severity, Severity::Ok);
    }
}
