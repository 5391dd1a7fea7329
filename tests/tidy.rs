//! House rules that no compiler holds.

use std::path::{Path, PathBuf};

/// Lines of a file before its tests: what one reads in a sitting, and some.
const MOST_LINES: usize = 450;

#[test]
fn no_file_is_far_over_the_norm() {
    for (path, text) in sources() {
        let before_tests = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        let lines = text.lines().count();
        // A file that declares its tests' module at the top has them in another file.
        let counted = if text.contains("#[cfg(test)]\nmod tests;") { lines } else { before_tests };
        assert!(counted <= MOST_LINES, "{} has {counted} lines before its tests", path.display());
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not begin with `//! `", path.display());
    }
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [["XX", "X"], ["TO", "DO"], ["FIX", "ME"]].map(|halves| halves.concat());
    for (path, text) in texts() {
        for mark in &marks {
            assert!(!has_word(&text, mark), "{} has a {mark}", path.display());
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|found| found == word)
}

#[test]
fn the_protocol_depends_on_no_runtime_transport_or_disk() {
    let manifest = std::fs::read_to_string(root().join("anon/Cargo.toml")).unwrap();
    let named = |word: &str| manifest.lines().any(|line| has_word(line, word));
    assert!(named("dependencies") && named("dalek"), "this is no manifest of ours");
    for refused in ["tokio", "libp2p", "arti", "redb"] {
        assert!(!named(refused), "anon/Cargo.toml names {refused}");
    }
}

#[test]
fn nothing_tells_where_it_was_made() {
    let names = [["farm", "studio"].join("-"), [".", "library"].concat()];
    for (path, text) in texts() {
        for name in &names {
            assert!(!text.contains(name), "{} mentions {name}", path.display());
        }
    }
}

/// What costs anonymity is an option that one looks up, never a remedy: it stands where options are explained, and nowhere
/// else.
#[test]
fn no_advice_costs_anonymity() {
    let explained = [
        "ua/cli/command/scheme.rs",
        "audit/src/demo.rs",
        "ua/cli/command/send.rs",
        "ua/cli/command/fetch.rs",
    ];
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("ua")) {
        let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
        let code = code
            .filter(|line| !line.trim_start().starts_with("//") && !line.contains("after_help"));
        for line in code {
            for option in ["--scheme paper", "--direct", "--hops 0", "--delay 0"] {
                let is_explained = explained.iter().any(|file| path == Path::new(file));
                assert!(
                    !line.contains(option) || is_explained && !line.contains("try"),
                    "{}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn readme_counts_the_demos_nodes_as_the_demo_does() {
    let command = audit::command::command();
    let demo = command.find_subcommand("demo").unwrap();
    let nodes = demo.get_arguments().find(|argument| argument.get_id() == "nodes").unwrap();
    let default = nodes.get_default_values()[0].to_str().unwrap().to_owned();
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("a network of {default} node processes")), "{default}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file, where it is and what it says.
fn sources() -> Vec<(PathBuf, String)> {
    let is_source = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    let found: Vec<_> = texts().into_iter().filter(|(path, _)| is_source(path)).collect();
    assert!(found.len() > 100, "only {} files", found.len());
    found
}

/// Every file that is text, but for what git and cargo put there.
fn texts() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            if name == ".git" || name == "target" || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found
}
