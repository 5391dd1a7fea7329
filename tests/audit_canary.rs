//! What the audit looks for in processes, files, logs and packets, and how its games are told apart: on networks of
//! processes.

use audit::{
    canary::{self, Mutant},
    game,
    live::{Size, Stage},
    outcome::{Outcome, Verdict},
};

use crate::support::{alone, program};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for as many rounds as ROUNDS says: minutes to hours"]
async fn the_game_at_length() {
    let _alone = alone().await;
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let size = Size { nodes: 24, replicas: Some(3), epoch_seconds: 3, senders: 4, recipients: 0 };
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::set_with(size, program(), directory, |_| {}).await.unwrap();
    let options = game::Options {
        rounds,
        seconds: 7_200,
        unpadded: 40.min(rounds),
        at_once: rounds / 10 + 12,
        paper: rounds / 20 + 12,
        seed: 1,
    };
    let started = std::time::Instant::now();
    let say = |text: &str| {
        if text.ends_with('0') || !text.contains("round") {
            println!("{:.0} s: {text}", started.elapsed().as_secs_f64());
        }
    };
    let findings = game::run(&stage, &options, say).await.unwrap();
    println!("{:?} in {:.0} s", findings.rounds, started.elapsed().as_secs_f64());
    for outcome in game::outcomes(&findings) {
        println!("{:?} {}: {}", outcome.verdict, outcome.check, outcome.seen);
        outcome.details.iter().for_each(|line| println!("    {line}"));
    }
}

async fn scan(mutant: Option<Mutant>) -> Vec<Outcome> {
    let options = canary::Options { program: Some(program()), mutant, ..canary::Options::quick() };
    let started = std::time::Instant::now();
    let findings = canary::run(&options, |_| {}).await.unwrap();
    println!("{mutant:?}: {:.1} s", started.elapsed().as_secs_f64());
    let outcomes = canary::outcomes(&findings);
    for outcome in &outcomes {
        println!("{:?} {}: {}", outcome.verdict, outcome.check, outcome.seen);
        outcome.details.iter().for_each(|line| println!("    {line}"));
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn canaries_are_where_they_are_known_to_be_and_the_scan_sees_where_not() {
    let _alone = alone().await;
    let fell = |outcomes: &[Outcome], verdict| -> Vec<String> {
        let all = outcomes.iter().filter(|outcome| outcome.verdict == verdict);
        all.map(|outcome| outcome.check.clone()).collect()
    };
    let honest = scan(None).await;
    assert!(fell(&honest, Verdict::Fell).is_empty());
    let talkative = fell(&scan(Some(Mutant::LogsNames)).await, Verdict::Fell);
    assert_eq!(talkative, ["canary.logs"]);
    let recording = fell(&scan(Some(Mutant::Records)).await, Verdict::Fell);
    assert_eq!(recording, ["canary.disk"]);
}
