//! The checks: the audit's own by name, and for any check, a file of tests too, where its code lies and what runs it.

/// The word for a limit that nothing can show.
pub(crate) const STATED: &str = "stated";

/// A family of checks: where its code lies, and what runs it.
const FAMILIES: [(&str, &str, &str); 9] = [
    ("live", "audit/src/live.rs", "cutout audit run"),
    ("acting", "audit/src/live/acting.rs", "cutout audit run"),
    ("canary", "audit/src", "cutout audit run"),
    ("game", "audit/src", "cutout audit run"),
    ("simulation", "audit/src/sim.rs", "cutout audit sim"),
    ("property", "audit/src/property.rs", "cutout audit run"),
    ("mutants", "audit/src/mutant.rs", "cutout audit run"),
    ("symbolic", "audit/src/symbolic.rs", "cutout audit run"),
    ("host", "audit/src/host.rs", "cutout audit host"),
];

/// The audit's own checks, as `claims.toml` and the outcomes name them.
pub const CHECKS: &[&str] = &[
    "live.views-paper",
    "live.views-guarded",
    "live.coalitions-paper",
    "live.coalitions-guarded",
    "live.ends-paper",
    "live.ends-guarded",
    "live.liars",
    "live.leaked-keys",
    "live.steps-apart",
    "live.arrival",
    "acting.certificates",
    "acting.cells",
    "acting.subnets",
    "acting.coalitions",
    "acting.answers",
    "canary.memory",
    "canary.disk",
    "canary.logs",
    "canary.wire",
    "game.single-roles",
    "game.presence",
    "game.ends",
    "simulation.table",
    "simulation.closed-forms",
    "simulation.guarded",
    "simulation.acting",
    "simulation.grinding",
    "simulation.lookups",
    "property.directions",
    "property.forward-secrecy",
    "property.replay",
    "property.transcript",
    "property.integrity",
    "property.counting",
    "property.bitwise-unlinkability",
    "property.sizes",
    "property.first-message",
    "property.recipient-blind",
    "property.headers",
    "property.receipts",
    "property.strict-signatures",
    "property.ownership",
    "property.acknowledge",
    "property.receipt-after-commit",
    "property.never-empty",
    "property.witness",
    "property.replica-lists",
    "property.weak-agreement",
    "property.grinding",
    "property.two-sources",
    "property.bad-bytes",
    "property.logs",
    "mutants.survivors",
    "symbolic.handshake",
    "symbolic.extend",
    "symbolic.first-message",
    "symbolic.variants",
    "host.files",
    "host.keys",
    "host.logs",
    "host.exposure",
    "host.clock",
    "host.tor",
    "host.build",
];

/// Where a check's code lies, and what runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// A file or folder, from the repository's root.
    pub code: String,
    /// What to type there.
    pub run: String,
}

/// The place of a check: one of [`checks`], or a file of tests by its path. `None` if it is neither in form.
#[must_use]
pub(crate) fn place(check: &str) -> Option<Place> {
    if let Some(path) = check.strip_suffix(".rs") {
        return Some(Place { code: check.to_owned(), run: tests(path)? });
    }
    let (family, _) = check.split_once('.')?;
    let (_, code, run) = FAMILIES.into_iter().find(|(name, ..)| *name == family)?;
    Some(Place { code: code.to_owned(), run: run.to_owned() })
}

/// What runs a file of tests, by its path without `.rs`.
fn tests(path: &str) -> Option<String> {
    let modules = |path: &str| path.replace('/', "::");
    if let Some(scenario) = path.strip_prefix("tests/") {
        let name = modules(scenario);
        return Some(format!("cargo test -p cutout --test scenarios -- {name}"));
    }
    let (package, inside) = path.split_once('/')?;
    if let Some(module) = inside.strip_prefix("src/") {
        return Some(format!("cargo test -p {package} --lib -- {}", modules(module)));
    }
    // A test binary names its modules without the folder that they lie in.
    Some(match inside.strip_prefix("tests/")?.split_once('/') {
        Some((binary, module)) => {
            format!("cargo test -p {package} --test {binary} -- {}", modules(module))
        }
        None => format!("cargo test -p {package} --test {}", inside.strip_prefix("tests/")?),
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn every_check_has_a_family_whose_code_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut families = BTreeSet::new();
        for check in CHECKS {
            let place = place(check).unwrap_or_else(|| panic!("{check} has no family"));
            assert!(root.join(&place.code).exists(), "{check}: there is no {}", place.code);
            families.insert(check.split_once('.').unwrap().0);
        }
        assert_eq!(families.len(), FAMILIES.len(), "a family without checks");
        assert_eq!(CHECKS.iter().collect::<BTreeSet<_>>().len(), CHECKS.len());
    }

    #[test]
    fn a_file_of_tests_is_run_by_its_package_and_module() {
        let run = |path: &str| place(path).unwrap().run;
        assert_eq!(
            run("tests/hostile/lists.rs"),
            "cargo test -p cutout --test scenarios -- hostile::lists"
        );
        assert_eq!(run("anon/tests/receipts.rs"), "cargo test -p anon --test receipts");
        assert_eq!(
            run("anon/tests/channels/onion.rs"),
            "cargo test -p anon --test channels -- onion"
        );
        assert_eq!(run("node/src/store/inbox.rs"), "cargo test -p node --lib -- store::inbox");
        assert_eq!(place("stated"), None);
    }
}
