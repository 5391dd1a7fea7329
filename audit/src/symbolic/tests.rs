//! What holds of the models and of the judgment on them, with Verifpal and without.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::*;
use crate::outcome::Verdict;

/// The queries of a model's own block.
fn queries(model: &Model) -> Vec<&'static str> {
    let (_, block) = model.source.split_once("queries[").unwrap();
    let (block, _) = block.split_once(']').unwrap();
    block.trim().lines().map(str::trim).collect()
}

#[test]
fn every_model_says_what_must_be_found() {
    for model in MODELS {
        let expected = model.expectations();
        let named: Vec<&str> = expected.iter().map(|expectation| expectation.query).collect();
        assert_eq!(named, queries(model), "{}", model.name);
        let must_fall = expected.iter().any(|expectation| !expectation.passes);
        let is_good = ["symbolic.handshake", "symbolic.extend"].contains(&model.check);
        assert_ne!(must_fall, is_good, "{}", model.name);
        assert!(model.source.contains("\n// Where in the code: "), "{}", model.name);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("symbolic");
    let files: BTreeSet<String> = fs::read_dir(root)
        .unwrap()
        .filter_map(|entry| {
            Some(entry.unwrap().file_name().to_str()?.strip_suffix(".vp")?.to_owned())
        })
        .collect();
    assert_eq!(files, MODELS.iter().map(|model| model.name.to_owned()).collect());
}

fn answer(queries: &[(&str, bool)], exhausted: bool) -> String {
    let queries: Vec<_> = queries
        .iter()
        .map(|(query, resolved)| {
            serde_json::json!({
                "query": query, "resolved": resolved, "conclusion": "",
                "envelope": { "exhausted": exhausted, "truncations": [] },
            })
        })
        .collect();
    let model = serde_json::json!({ "ok": true, "analysis": { "queries": queries } });
    serde_json::json!({ "version": "0", "models": [model] }).to_string()
}

#[test]
fn only_what_is_exactly_as_it_must_be_holds() {
    let model = Model {
        name: "invented",
        check: "symbolic.variants",
        source: "// expect: pass one\n// expect: fail two\n",
    };
    let judged = |text: &str| {
        let verified = serde_json::from_str(text)
            .map(|report| Verified { report, took: Duration::ZERO })
            .map_err(|error| error.to_string());
        judge(&model, verified).0
    };
    assert!(judged(&answer(&[("one", false), ("two", true)], true)).holds);
    for bad in [
        answer(&[("one", true), ("two", true)], true),
        answer(&[("one", false), ("two", false)], true),
        answer(&[("one", false), ("two", true)], false),
        answer(&[("one", false)], true),
        answer(&[("two", true)], true),
        answer(&[("one", false), ("two", true), ("three", true)], true),
        answer(&[("one", false), ("one", false)], true),
        answer(&[], true),
        String::new(),
        "{}".to_owned(),
        r#"{"version":"0","models":[]}"#.to_owned(),
        r#"{"version":"0","models":[{"ok":false,"error":"no"}]}"#.to_owned(),
    ] {
        let finding = judged(&bad);
        assert!(!finding.holds && !finding.problems.is_empty(), "{bad}");
    }
}

#[test]
fn without_the_tool_nothing_holds_and_a_broken_one_falls() {
    let verdicts = |findings: &Findings| -> BTreeSet<Verdict> {
        outcomes(findings).into_iter().map(|outcome| outcome.verdict).collect()
    };
    let missing = run_with(None, Extent::Quick, |_| {});
    assert_eq!(verdicts(&missing), BTreeSet::from([Verdict::NotRun]));
    assert!(outcomes(&missing).iter().all(|outcome| outcome.seen.ends_with(INSTALL)));
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("verifpal");
    for script in ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho all queries pass\n"] {
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let broken = run_with(Some(&Tool { program: program.clone() }), Extent::Quick, |_| {});
        assert_eq!(verdicts(&broken), BTreeSet::from([Verdict::Fell]), "{script}");
    }
}

#[test]
fn a_tool_that_does_not_end_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("verifpal");
    fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let model = MODELS.first().unwrap();
    let verified = Tool { program }.verify(model, 1, Duration::from_millis(50));
    assert!(verified.unwrap_err().contains("did not end"));
}

/// Runs the models if Verifpal is here. CI sets `CUTOUT_REQUIRE_VERIFPAL=1`, and then it must be.
#[test]
fn the_models_are_as_they_must_be() {
    let Some(tool) = Tool::find() else {
        let is_required = std::env::var("CUTOUT_REQUIRE_VERIFPAL").is_ok_and(|value| value == "1");
        assert!(!is_required, "there is no verifpal here; try: {INSTALL}");
        return;
    };
    for outcome in outcomes(&run_with(Some(&tool), Extent::Full, |_| {})) {
        assert_eq!(outcome.verdict, Verdict::Holds, "{}: {:#?}", outcome.seen, outcome.details);
    }
}
