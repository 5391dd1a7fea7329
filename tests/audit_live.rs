//! The live run, and the mutants that only a network shows: what the page publishes is what is found, and each mutant is
//! caught for what is wrong with it.

use audit::{
    claims::Claims,
    live::{Options, Stage, mutants, outcomes, run},
    outcome::Verdict,
};

use crate::support::{alone, program};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_found_and_no_mutant_of_the_network_survives() {
    let _alone = alone().await;
    let (options, claims) = (Options::quick(), Claims::read().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::set_with(options.size, program(), directory, |_| {}).await.unwrap();
    let mutants = mutants(&stage, &claims, |_| {}).await.unwrap();
    for mutant in &mutants {
        println!("{}: {:?}: {}", mutant.name, mutant.caught_by, mutant.seen);
        assert!(!mutant.survived(), "{mutant:?}");
    }
    let caught = |name: &str, check: &str| {
        let mutant = mutants.iter().find(|mutant| mutant.name == name).unwrap();
        assert!(mutant.caught_by.iter().any(|by| by == check), "{mutant:?}");
    };
    caught("witness-asked-directly", "live.views-guarded");
    caught("certificate-fetched-directly", "live.coalitions-guarded");
    caught("no-middle", "live.coalitions-guarded");
    caught("one-nonce-for-both-steps", "live.steps-apart");
    caught("one-far-end-for-both-steps", "live.steps-apart");

    let findings = run(&stage, &options, |_| {}).await.unwrap();
    println!("{:#?}", findings.acting);
    let outcomes = claims.judged(outcomes(&findings, &claims));
    let of = |check: &str| outcomes.iter().find(|outcome| outcome.check == check).unwrap().verdict;
    // What hostile nodes achieve in this version is seen, and known.
    assert_eq!(of("acting.certificates"), Verdict::Known);
    assert_eq!(of("acting.cells"), Verdict::Known);
    for outcome in outcomes {
        let expected = matches!(outcome.verdict, Verdict::Holds | Verdict::Known);
        assert!(expected, "{outcome:?}");
    }
}
