//! Who may depend on whom: each crate links only what it may, and no file of a crate depends, by way of others, on itself.
//!
//! ```text
//! cutout (commands) ──► ua ──► net ──► anon ──► crypto crates only
//!         node ─────────────► net        testbed ──► ua, node        audit ──► testbed
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// Servers, plots and hostile nodes: nothing that runs for months links them unless it is one.
const LABORATORY: [&str; 6] = ["audit", "testbed", "plotters", "minijinja", "statrs", "schemars"];
const STORES: [&str; 3] = ["node", "redb", "libp2p-kad"];
const TERMINAL: [&str; 5] = ["clap", "indicatif", "anstream", "comfy-table", "rpassword"];
const IO: [&str; 6] = ["tokio", "libp2p", "arti-client", "redb", "net", "rand"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The names of all packages that a package links, its own first.
fn links(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "tree",
        "--locked",
        "--offline",
        "-e",
        "normal",
        "--prefix",
        "none",
        "-f",
        "{p}",
    ]);
    let output = command.args(["-p", package]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn each_crate_links_only_what_it_may() {
    let refused: [(&str, &[&[&str]], &str); 5] = [
        ("anon", &[&IO, &LABORATORY], "sha2"),
        ("net", &[&STORES, &TERMINAL, &LABORATORY], "libp2p"),
        ("ua", &[&STORES, &TERMINAL, &LABORATORY, &["cutout"]], "net"),
        ("node", &[&TERMINAL, &LABORATORY, &["ua", "cutout"]], "redb"),
        ("cutout", &[&LABORATORY], "node"),
    ];
    for (package, refused, linked) in refused {
        let all = links(package);
        assert!(all.contains(linked), "{package} does not link {linked}: this is no tree of ours");
        for name in refused.iter().copied().flatten() {
            assert!(!all.contains(*name), "{package} links {name}");
        }
    }
    assert!(links("testbed").contains("node") && !links("testbed").contains("audit"));
    assert!(links("audit").contains("testbed"));
}

/// The modules at the top of a crate, and which others each names.
fn modules(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            let inner = path.strip_prefix(folder).unwrap();
            let is_test = inner.iter().any(|part| part == "tests" || part == "tests.rs");
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_test {
                let top = inner.iter().next().unwrap().to_string_lossy();
                let top = top.trim_end_matches(".rs").to_owned();
                let is_at_top = inner.iter().count() == 1;
                let text = std::fs::read_to_string(&path).unwrap();
                found.entry(top).or_default().extend(named(&text, is_at_top));
            }
        }
    }
    for crate_file in ["lib", "main"] {
        found.remove(crate_file);
    }
    let all: BTreeSet<String> = found.keys().cloned().collect();
    for (module, named) in &mut found {
        named.retain(|name| name != module && all.contains(name));
    }
    found
}

/// The modules that a file's code names by `crate::…`, and, in a file at the top, by `super::…`.
fn named(text: &str, is_at_top: bool) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut found = BTreeSet::new();
    let prefixes = if is_at_top { &["crate::", "super::"][..] } else { &["crate::"] };
    for prefix in prefixes {
        for rest in code.split(prefix).skip(1) {
            found.extend(if rest.starts_with('{') { first_words(rest) } else { vec![word(rest)] });
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first word of each entry of the list in braces that a text begins with.
fn first_words(text: &str) -> Vec<String> {
    let (mut found, mut depth, mut begins) = (Vec::new(), 0_usize, false);
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && (char == '{' || char == ',') {
            begins = true;
        } else if begins && !char.is_whitespace() {
            found.push(word(text.get(at..).unwrap_or_default()));
            begins = false;
        }
    }
    found
}

/// A way from a module to itself.
fn circle(modules: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    for start in modules.keys() {
        let (mut seen, mut ways) = (BTreeSet::new(), vec![vec![start]]);
        while let Some(way) = ways.pop() {
            for next in &modules[*way.last().unwrap()] {
                let longer = [&way[..], &[next]].concat();
                if next == start {
                    return Some(longer.into_iter().cloned().collect());
                }
                if seen.insert(next) {
                    ways.push(longer);
                }
            }
        }
    }
    None
}

#[test]
fn no_circle_between_files() {
    let mut links = 0;
    let crates =
        ["anon/src", "net/src", "net/tor/src", "node/src", "ua/src", "testbed/src", "audit/src"];
    for folder in crates {
        let modules = modules(&root().join(folder));
        links += modules.values().map(BTreeSet::len).sum::<usize>();
        if let Some(circle) = circle(&modules) {
            panic!("in {folder}: {}", circle.join(" → "));
        }
    }
    assert!(links > 150, "only {links} links between files");
}

#[test]
fn a_circle_is_seen() {
    let text =
        "use crate::{\n    b::C,\n    d::{E, F},\n};\n/// [`crate::g`]\nfn f(x: crate::h::I) {}\n";
    let names =
        |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(named(text, false), names(&["b", "d", "h"]));
    let mut modules =
        BTreeMap::from([("a".to_owned(), names(&["b"])), ("b".to_owned(), names(&["c"]))]);
    modules.insert("c".to_owned(), names(&[]));
    assert_eq!(circle(&modules), None);
    modules.insert("c".to_owned(), names(&["a"]));
    assert!(circle(&modules).is_some());
}
