//! docs/node.toml.md says what a node's configuration may hold: all of it, with the defaults that the program has, and an
//! example that the program reads.

use node::NodeConfig;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/node.toml.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows of the page's tables: name and default.
fn rows() -> Vec<(String, String)> {
    let page = page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| {
        let (name, rest) = row.split_once("` | ")?;
        let (default, _) = rest.split_once(" | ")?;
        Some((name.to_owned(), default.to_owned()))
    });
    cells.collect()
}

#[test]
fn the_page_has_each_name_once_with_its_default() {
    let defaults = toml::Table::try_from(NodeConfig::default()).unwrap();
    let limits = defaults["limits"].as_table().unwrap().clone();
    let own = defaults.into_iter().filter(|(name, _)| name != "limits");
    let mut wanted: Vec<(String, String)> =
        own.chain(limits).map(|(name, value)| (name, value.to_string())).collect();
    let mut found = rows();
    wanted.sort();
    found.sort();
    let missing: Vec<_> = wanted.iter().filter(|row| !found.contains(row)).collect();
    let unknown: Vec<_> = found.iter().filter(|row| !wanted.contains(row)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
    assert_eq!(wanted.len(), found.len(), "a name stands there twice");
}

#[test]
fn the_pages_example_is_read() {
    let page = page();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), example).unwrap();
    let config = NodeConfig::read_or_default(file.path()).unwrap();
    assert_eq!(config.limits.store_bytes, 10_000_000_000);
    assert_eq!(config.family, "example operator");
}
