//! THREATMODEL.md, its twin and the checks say the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    checks::{CHECKS, STATED},
    live::LABELS,
};

/// Ids of limits that have ended; none is used again.
const ENDED: [&str; 3] = ["L-03", "L-07", "L-12"];
const SCHEMES: [&str; 2] = ["guarded", "paper"];
/// Under which names coalitions are published.
const LISTS: [&str; 4] = ["guarded", "paper", WITH_KEYS, ACTING];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(root().join("THREATMODEL.md")).unwrap()
}

fn twin() -> Claims {
    Claims::read().unwrap_or_else(|error| panic!("claims.toml: {error}"))
}

/// What stands under a heading, up to the next of its level.
fn section(page: &str, heading: &str) -> String {
    let (_, text) = page.split_once(&format!("\n{heading}\n")).expect(heading);
    text.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The cells of each row of the tables in a text, without heads.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_head = |n: usize| lines.get(n + 1).is_some_and(|next| next.starts_with("|---"));
    let is_row = |(n, line): &(usize, &&str)| {
        line.starts_with("| ") && !line.starts_with("|---") && !is_head(*n)
    };
    let cells = |line: &str| {
        let inside = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')).expect(line);
        inside.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    lines.iter().enumerate().filter(is_row).map(|(_, line)| cells(line)).collect()
}

fn list(cell: &str) -> BTreeSet<String> {
    cell.split(", ").filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// All ids in a text.
fn ids(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| is_id(word)).collect()
}

fn is_id(word: &str) -> bool {
    let digits = word.strip_prefix("C-").or_else(|| word.strip_prefix("L-"));
    digits.is_some_and(|digits| digits.len() == 2 && digits.chars().all(|c| c.is_ascii_digit()))
}

fn all(claims: &Claims) -> impl Iterator<Item = &Statement> {
    claims.claims.iter().chain(&claims.limits)
}

#[test]
fn ids_are_in_order_and_only_those_that_ended_are_missing() {
    let claims = twin();
    for (letter, statements) in [("C", &claims.claims), ("L", &claims.limits)] {
        let there: Vec<&str> = statements.iter().map(|statement| statement.id.as_str()).collect();
        let last = there.last().and_then(|id| id.split_once('-')).unwrap().1;
        let last: u32 = last.parse().unwrap();
        let expected = (1..=last).map(|number| format!("{letter}-{number:02}"));
        let expected: Vec<String> = expected.filter(|id| !ENDED.contains(&id.as_str())).collect();
        assert_eq!(there, expected);
    }
}

#[test]
fn every_claim_and_limit_stands_on_the_page_as_in_the_twin() {
    let (page, claims) = (page(), twin());
    let of = |heading: &str| rows(&section(&page, heading));
    let text = |s: &Statement| [s.id.clone(), s.line.clone(), s.checks.join(", ")].to_vec();
    let expected: Vec<Vec<String>> = claims.claims.iter().map(text).collect();
    same(&of("## Claims"), &expected);
    let with_end = |s: &Statement| [text(s), vec![s.bound.clone()]].concat();
    let expected: Vec<Vec<String>> = claims.limits.iter().map(with_end).collect();
    same(&of("## Limits"), &expected);
}

/// Row by row: what differs is shown alone.
fn same(page: &[Vec<String>], twin: &[Vec<String>]) {
    for (page, twin) in page.iter().zip(twin) {
        assert_eq!(page, twin, "THREATMODEL.md says left, claims.toml says right");
    }
    assert_eq!(page.len(), twin.len());
}

#[test]
fn every_claim_and_limit_is_told_under_an_adversary_and_every_bullet_names_some() {
    let (page, claims) = (page(), twin());
    let text = section(&page, "## Adversaries");
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for bullet in text.split("\n- ").skip(1) {
        let bullet = bullet.split("\n\n").next().unwrap();
        let last = bullet.trim_end().strip_suffix(')').and_then(|bullet| bullet.rsplit_once('('));
        let (_, last) = last.unwrap_or_else(|| panic!("it ends without ids: {bullet}"));
        let named = ids(last);
        assert_eq!(last.split_whitespace().count(), named.len(), "{bullet}");
        assert!(bullet.starts_with("**can"), "{bullet}");
        told.extend(named);
    }
    let by_others = ids(&section(&page, "## The paper's scheme")).join(" ");
    let missing = all(&claims).map(|s| s.id.as_str());
    let missing: Vec<&str> =
        missing.filter(|id| !told.contains(id) && !by_others.contains(id)).collect();
    assert_eq!(missing, [""; 0], "told under no adversary");
}

#[test]
fn every_id_that_is_named_anywhere_exists() {
    let claims = twin();
    let known: BTreeSet<&str> = all(&claims).map(|s| s.id.as_str()).chain(ENDED).collect();
    let mut files = 0;
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_text = ["md", "rs", "toml", "vp"]
                .iter()
                .any(|end| path.extension().is_some_and(|e| e == *end));
            if path.is_dir() && !path.is_symlink() && name != "target" && name != ".git" {
                folders.push(path);
            } else if is_text
                && path.is_file()
                && let Ok(text) = fs::read_to_string(&path)
            {
                for id in ids(&text) {
                    assert!(known.contains(id), "{} names {id}", path.display());
                }
                files += 1;
            }
        }
    }
    assert!(files > 100, "only {files} files");
}

#[test]
fn every_check_is_the_audits_own_or_a_file_of_tests() {
    let claims = twin();
    for statement in all(&claims) {
        let id = &statement.id;
        assert!(!statement.checks.is_empty(), "{id} has no check");
        let different: BTreeSet<&String> = statement.checks.iter().collect();
        assert_eq!(different.len(), statement.checks.len(), "{id} has a check twice");
        for check in &statement.checks {
            if check == STATED {
                assert!(id.starts_with('L') && different.len() == 1, "{id} is only stated");
            } else if check.ends_with(".rs") {
                assert!(has_tests(&root().join(check)), "{id}: {check} has no tests");
            } else {
                assert!(CHECKS.contains(&check.as_str()), "{id}: there is no check {check}");
            }
        }
    }
}

/// Whether there are tests in a file, or in its folder of modules.
fn has_tests(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let is_test = |line: &str| {
        let line = line.trim_start();
        line.starts_with("#[test]") || line.starts_with("#[tokio::test")
    };
    let below = || {
        let entries = fs::read_dir(path.with_extension("")).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .into_iter()
            .any(|path| path.extension().is_some_and(|e| e == "rs") && has_tests(&path))
    };
    text.lines().any(is_test) || (!text.is_empty() && below())
}

#[test]
fn every_check_of_the_audit_speaks_for_a_claim_or_a_limit() {
    let claims = twin();
    let bound: BTreeSet<&str> = all(&claims).flat_map(|s| &s.checks).map(String::as_str).collect();
    let idle: Vec<&&str> = CHECKS.iter().filter(|check| !bound.contains(**check)).collect();
    assert_eq!(idle, [&""; 0], "nothing rests on them");
}

#[test]
fn every_check_that_is_known_to_fail_is_told_by_its_limit_and_by_no_claim() {
    let claims = twin();
    assert!(!claims.known.is_empty());
    let marked: BTreeSet<&str> = claims.known.iter().map(|known| known.check.as_str()).collect();
    assert_eq!(marked.len(), claims.known.len(), "a check is marked twice");
    for known in &claims.known {
        let limit = claims.statement(&known.limit).expect(&known.limit);
        assert!(claims.limits.contains(limit), "{} is no limit", known.limit);
        assert!(
            limit.checks.contains(&known.check),
            "{} does not name {}",
            known.limit,
            known.check
        );
    }
    let resting = claims
        .claims
        .iter()
        .filter(|claim| claim.checks.iter().any(|check| marked.contains(check.as_str())));
    let resting: Vec<&String> = resting.map(|claim| &claim.id).collect();
    assert_eq!(resting, [""; 0], "claims that rest on what is known to fail");
}

/// What a role is called where the channel does not matter.
fn functions() -> BTreeSet<String> {
    let ends = ["Z1", "W1", "Z2", "W2", "Z3", "R1", "R2"];
    let of_channel = ["entrance", "X", "M", "Y"].map(str::to_owned);
    let keys = ["keyX", "keyY", "keyZ", "body", "inbox", "certificate"];
    let paths = keys.map(|key| format!("path {key}"));
    let alone = ["member", "Bob's member", "X", "body nodes", "inbox nodes", "certificate nodes"];
    let mut names: Vec<String> = alone.iter().chain(&ends).map(|name| (*name).to_owned()).collect();
    for end in ends {
        names.extend(of_channel.iter().chain(&paths).map(|name| format!("{name}({end})")));
    }
    names.into_iter().map(|name| Role::try_from(name).unwrap().function()).collect()
}

#[test]
fn every_role_and_every_label_exists() {
    let (claims, functions) = (twin(), functions());
    let labels: BTreeSet<&str> = LABELS.into_iter().collect();
    let mut seen = BTreeSet::new();
    for view in &claims.views {
        assert!(SCHEMES.contains(&view.scheme.as_str()), "{}", view.scheme);
        assert!(functions.contains(&view.role), "{} is no role", view.role);
        assert!(seen.insert((&view.scheme, &view.role)), "{} has two views", view.role);
        let unknown = view.sees.iter().find(|label| !labels.contains(label.as_str()));
        assert_eq!(unknown, None, "{} learns what there is not", view.role);
    }
    for scheme in SCHEMES {
        let ends = claims.ends(scheme).expect(scheme);
        let views = claims.views(scheme);
        for role in ends.sender.iter().chain(&ends.recipient) {
            assert!(views.contains_key(role.as_str()), "{scheme}: {role} has no view");
        }
        let coalitions = claims.coalitions(scheme).unwrap();
        for role in coalitions.iter().flat_map(|(_, roles)| roles) {
            let function = role.function();
            assert!(views.contains_key(function.as_str()), "{scheme}: {function} has no view");
        }
        for (strength, roles) in &coalitions {
            let is_more = |less: &(Strength, BTreeSet<Role>)| {
                less.0 <= *strength && less.1.len() < roles.len() && less.1.is_subset(roles)
            };
            let less = coalitions.iter().find(|less| is_more(less));
            assert_eq!(less, None, "{roles:?} is not minimal");
        }
    }
    let lines = TEXT.lines().filter(|line| *line == "[[coalition]]").count();
    assert_eq!(claims.coalitions.len(), lines);
}

#[test]
fn the_page_says_what_each_role_learns() {
    let claims = twin();
    let mut page_views: BTreeMap<(&str, String), BTreeSet<String>> = BTreeMap::new();
    for row in rows(&section(&page(), "## What each role learns")) {
        for (scheme, cell) in
            SCHEMES.into_iter().zip(&row[1..]).filter(|(_, cell)| !cell.is_empty())
        {
            for role in row[0].split("; ") {
                page_views.insert((scheme, role.to_owned()), list(cell));
            }
        }
    }
    let mut views = BTreeMap::new();
    for view in &claims.views {
        views.insert((view.scheme.as_str(), view.role.clone()), view.sees.clone());
    }
    assert_eq!(page_views, views, "THREATMODEL.md says left, claims.toml says right");
}

#[test]
fn the_page_names_the_coalitions_and_who_sees_an_end() {
    let claims = twin();
    let mut found: BTreeMap<&str, BTreeSet<(Strength, BTreeSet<Role>)>> = BTreeMap::new();
    for row in rows(&section(&page(), "## Coalitions")) {
        let Some((scheme, how)) = row[0].split_once(", ") else {
            let ends = claims.ends(&row[0]).expect(&row[0]);
            assert_eq!(
                (list(&row[1]), list(&row[2])),
                (ends.sender.clone(), ends.recipient.clone())
            );
            continue;
        };
        let scheme = LISTS.into_iter().find(|known| *known == scheme).expect(scheme);
        let strength = match how {
            "exact" => Strength::Value,
            "probabilistic" => Strength::Node,
            other => panic!("{other} is no way to link"),
        };
        let anonymizers =
            if row[1].is_empty() { BTreeSet::from([String::new()]) } else { list(&row[1]) };
        for coalition in row[2].split_inclusive('}') {
            let members = coalition.trim().trim_matches(['{', '}']);
            for end in &anonymizers {
                let role = |name: String| Role::try_from(name.replace('*', end)).unwrap();
                let roles = list(members).into_iter().map(role).collect();
                found.entry(scheme).or_default().insert((strength, roles));
            }
        }
    }
    for scheme in LISTS {
        let published = claims.coalitions(scheme).unwrap();
        let only = |a: &BTreeSet<_>, b: &BTreeSet<_>| a.difference(b).cloned().collect::<Vec<_>>();
        assert_eq!(only(&found[scheme], &published), [], "{scheme}: only in THREATMODEL.md");
        assert_eq!(only(&published, &found[scheme]), [], "{scheme}: only in claims.toml");
    }
}

/// Falls until `cutout audit sim` has given the numbers at the top of the page.
#[test]
fn no_number_on_the_page_is_pending() {
    let word = ["PEND", "ING"].concat();
    let pending = page().lines().filter(|line| line.contains(&word)).count();
    assert_eq!(pending, 0, "lines of THREATMODEL.md wait for numbers");
}
