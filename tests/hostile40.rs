//! Forty node processes, a tenth and then a fifth of them hostile in every way that `audit` knows, and two hundred
//! mails under the guarded scheme: each is delivered or reported, none twice, and what was done to the senders
//! speaks against those who did it.
//!
//! What a hostile node says is signed, or sealed by it as anonymizer: that is held against it alone. Silence is not
//! signed: it is held against a path, that is, against nobody in particular. A receipt is checked by the
//! anonymizer before it is brought, so that a bad one speaks against whoever brings it; a replica that forges is,
//! to the sender, a replica that gave none.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anon::{id::NodeId, receipt::Receipt, verification::Statement, wire};
use futures::{StreamExt as _, future::join_all, stream};
use testbed::{
    hostile::behaviour::{Act, Hostile},
    process::COMMAND,
    record::{self, What},
};
use ua::{
    event::Event,
    evidence::{Evidence, Violation},
    guard::Guards,
    session::SchemeChoice,
};

use crate::{
    agents::{Agent, rosters_are_full},
    support::{Network, message},
};

const NODES: usize = 40;
const EPOCH: u64 = 5;
const SENDERS: usize = 10;
const RECIPIENTS: usize = 5;
/// Mails of one run.
const MAILS: usize = 100;
/// Mails under way at once: some wait for somebody's silence to end.
const AT_ONCE: usize = 24;
/// How long a sender waits before stopping and trying again: one silence.
const TIMEOUT: Duration = Duration::from_secs(40);
/// How often a mail is taken from the outbox.
const ATTEMPTS: usize = 3;
const GUARDED: SchemeChoice = SchemeChoice::Guarded { middle: 1 };

/// What the hostile nodes do: the first four are hostile in the first run, all in the second.
const BEHAVIOURS: [&str; 8] = [
    "lying-go-between,lying-list",
    "dropping",
    "forging",
    "dropping-go-between",
    "lying-go-between",
    "lying-list",
    "dropping",
    "lying-go-between,lying-list,forging",
];

/// Where the hostile ones are: never among the first, by which everybody enters.
fn place(number: usize) -> usize {
    3 + number * 4
}

struct Stage {
    network: Network,
    senders: Vec<Agent>,
    recipients: Vec<Agent>,
    /// How far each record has been read.
    read: BTreeMap<NodeId, u64>,
    sent: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl Stage {
    async fn set() -> Self {
        let network = Network::start_with(NODES, |options| {
            options.network.epoch_seconds = EPOCH;
            let list = options.directory.join("hostile");
            for (number, behaviour) in BEHAVIOURS.iter().enumerate() {
                let index = place(number);
                let record = options.node_directory(index).join("record.jsonl");
                let arguments = [
                    COMMAND.into(),
                    "--behaviour".into(),
                    behaviour.into(),
                    "--record".into(),
                    record.into_os_string(),
                    "--hostile".into(),
                    list.clone().into_os_string(),
                ];
                options.dressed.insert(index, arguments.into());
            }
        })
        .await;
        rosters_are_full(&network.cluster).await;
        let silent: Vec<NodeId> = (0..BEHAVIOURS.len())
            .filter(|n| BEHAVIOURS[*n].contains("dropping-go-between"))
            .map(|n| network.cluster.nodes()[place(n)].id)
            .collect();
        let agent = |name: String| {
            Agent::new(&network.cluster.network_file(), network.directory.path().join(name))
        };
        let mut senders = Vec::new();
        for number in 0.. {
            let sender = agent(format!("sender{number}"));
            drop(sender.scheme(GUARDED).await);
            // A guard that forwards nothing costs its users minutes a mail, which says nothing of the rest.
            let guards = Guards::read(sender.vault()).unwrap();
            if guards.all().iter().all(|guard| !silent.contains(&guard.node)) {
                senders.push(sender);
            }
            if senders.len() == SENDERS {
                break;
            }
        }
        let recipients: Vec<Agent> =
            (0..RECIPIENTS).map(|n| agent(format!("recipient{n}"))).collect();
        join_all(recipients.iter().map(Agent::publish)).await;
        Self { network, senders, recipients, read: BTreeMap::new(), sent: BTreeMap::new() }
    }

    /// Makes the first `count` of the hostile ones so.
    fn hostile(&self, count: usize) -> BTreeMap<NodeId, &'static str> {
        let nodes = self.network.cluster.nodes();
        let hostile: BTreeMap<_, _> =
            (0..count).map(|n| (nodes[place(n)].id, BEHAVIOURS[n])).collect();
        let ids: Vec<NodeId> = hostile.keys().copied().collect();
        let list = self.network.cluster.network_file().with_file_name("hostile");
        std::fs::write(list, Hostile::text(&ids)).unwrap();
        hostile
    }

    /// What was done since the last time.
    fn acts(&mut self) -> BTreeMap<Act, usize> {
        let mut acts = BTreeMap::new();
        for number in 0..BEHAVIOURS.len() {
            let node = &self.network.cluster.nodes()[place(number)];
            let from = self.read.entry(node.id).or_default();
            let (records, end) = record::read(&node.directory.join("record.jsonl"), *from).unwrap();
            *from = end;
            for act in records.iter().filter(|r| r.what == What::Lied).filter_map(Act::of) {
                *acts.entry(act).or_default() += 1;
            }
        }
        acts
    }
}

/// One mail of a run.
struct Letter {
    from: usize,
    to: usize,
    id: String,
    bytes: Vec<u8>,
    attempts: usize,
    delivered: bool,
}

/// What one run came to.
struct Run {
    letters: Vec<Letter>,
    acts: BTreeMap<Act, usize>,
    evidence: Vec<Evidence>,
}

async fn attempt(stage: &Stage, letter: &mut Letter) {
    let sender = &stage.senders[letter.from];
    let attempt = async { sender.deliver(&letter.id, sender.scheme(GUARDED).await).await };
    let outcome = tokio::time::timeout(TIMEOUT, attempt).await;
    letter.attempts += 1;
    sender.agent.remember();
    // Whoever has no more patience stops the program; the mail is in the outbox as it was.
    let Ok(outcome) = outcome else {
        assert!(sender.outbox().ids().unwrap().contains(&letter.id));
        return;
    };
    assert!(outcome.unknown.is_empty(), "a recipient who is there is said not to be");
    letter.delivered = outcome.waiting.is_empty();
    let waits = stage.senders[letter.from].outbox().ids().unwrap().contains(&letter.id);
    assert_eq!(waits, !letter.delivered, "a mail is in the outbox while it waits, and not longer");
    if waits {
        assert!(outcome.error.is_some(), "a mail that waits says why");
        assert!(!sender.outbox().state(&letter.id).unwrap().last_error.is_empty());
    }
}

async fn run(stage: &mut Stage, number: usize) -> Run {
    stage.acts();
    let mut letters: Vec<Letter> = (0..MAILS)
        .map(|n| {
            let (from, to) = (n % SENDERS, (n / SENDERS + n) % RECIPIENTS);
            let bytes = message(&format!("run {number} mail {n}"), 1);
            let id = stage.senders[from].prepare(&bytes, stage.recipients[to].address());
            Letter { from, to, id, bytes, attempts: 0, delivered: false }
        })
        .collect();
    for _ in 0..ATTEMPTS {
        let waiting = letters.iter_mut().filter(|letter| !letter.delivered);
        let attempts = stream::iter(waiting).map(|letter| attempt(stage, letter));
        attempts.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }
    let heard = stage.senders.iter().flat_map(|sender| sender.heard.take());
    let evidence = heard.filter_map(|event| match event {
        Event::Evidence(evidence) => Some(evidence),
        _ => None,
    });
    let evidence = evidence.collect();
    Run { letters, acts: stage.acts(), evidence }
}

/// Every mail that was delivered is read once, and besides them only such as wait for a receipt more.
async fn read_all(stage: &mut Stage, letters: &[Letter]) {
    join_all(stage.recipients.iter().map(Agent::fetch)).await;
    for (to, recipient) in stage.recipients.iter().enumerate() {
        let all = stage.sent.entry(to).or_default();
        let waiting: BTreeSet<&Vec<u8>> =
            letters.iter().filter(|l| l.to == to && !l.delivered).map(|l| &l.bytes).collect();
        let delivered = letters.iter().filter(|l| l.to == to && l.delivered);
        all.extend(delivered.map(|l| l.bytes.clone()));
        let read = recipient.mails();
        all.extend(read.iter().filter(|bytes| waiting.contains(bytes)).cloned());
        all.sort();
        assert!(read == *all, "recipient {to} has read {} of {} mails", read.len(), all.len());
    }
}

fn has(hostile: &BTreeMap<NodeId, &'static str>, node: &NodeId, behaviour: &str) -> bool {
    hostile.get(node).is_some_and(|all| all.split(',').any(|one| one == behaviour))
}

fn told(acts: &BTreeMap<Act, usize>, kinds: &[Act]) -> usize {
    kinds.iter().filter_map(|kind| acts.get(kind)).sum()
}

/// How often each kind of thing was found, and done.
type Account = BTreeMap<&'static str, (usize, usize)>;

fn judge(
    run: &Run,
    hostile: &BTreeMap<NodeId, &'static str>,
    network: &anon::network::Network,
) -> Account {
    let mut counts: BTreeMap<Violation, usize> = BTreeMap::new();
    for item in &run.evidence {
        *counts.entry(item.violation).or_default() += 1;
        let behaves = |behaviour| {
            let told = format!("{:?} is held against {}", item.violation, item.node.short());
            assert!(has(hostile, &item.node, behaviour), "{told}, which is not {behaviour}");
        };
        match item.violation {
            Violation::FalseClosest | Violation::FalseList => {
                behaves(if item.violation == Violation::FalseClosest {
                    "lying-go-between"
                } else {
                    "lying-list"
                });
                let said: Statement = wire::decode(&item.proof, 1 << 12).unwrap();
                let epoch = said.claims.epoch;
                said.verify(&network.id, item.node, said.claims.key, epoch).unwrap();
            }
            Violation::BadReceipt => {
                behaves("forging");
                if !item.proof.is_empty() {
                    let signed: Receipt = wire::decode(&item.proof, 1 << 12).unwrap();
                    assert_eq!(signed.claims.node, item.node);
                }
            }
            Violation::Dropped => behaves("dropping"),
            // Honest nodes may differ by one that is next in line; theirs is the signature all the same.
            Violation::OtherClosest => {
                let said: Statement = wire::decode(&item.proof, 1 << 12).unwrap();
                said.verify(&network.id, item.node, said.claims.key, said.claims.epoch).unwrap();
            }
            Violation::OnBrokenPath => {}
        }
    }
    // A path is three nodes. None of them is reported, but whoever breaks paths is on each of those.
    let broken = run.evidence.iter().filter(|e| e.violation == Violation::OnBrokenPath);
    let breaks = |e: &&Evidence| {
        ["dropping-go-between", "dropping"].iter().any(|one| has(hostile, &e.node, one))
    };
    let (named_there, breakers) = (broken.clone().count(), broken.filter(breaks).count());
    let paths = named_there / 3;
    assert!(breakers >= paths * 9 / 10, "{breakers} breakers on {paths} broken paths");
    println!("  acts {:?}\n  evidence {counts:?}", run.acts);
    let found = |violation| counts.get(&violation).copied().unwrap_or(0);
    let names_accomplice = |e: &&Evidence| {
        has(hostile, &e.node, "lying-go-between")
            && matches!(e.violation, Violation::FalseClosest | Violation::OtherClosest)
            && named(e).iter().all(|node| hostile.contains_key(node))
    };
    let accomplices: Vec<&Evidence> = run.evidence.iter().filter(names_accomplice).collect();
    let reported = accomplices.iter().filter(|e| e.violation == Violation::FalseClosest).count();
    let all = [
        // An accomplice that is next in line is what churn looks like, and passes; it is not used for that.
        ("accomplices", accomplices.len(), told(&run.acts, &[Act::NamedAccomplice])),
        (
            "strangers",
            found(Violation::FalseClosest) - reported,
            told(&run.acts, &[Act::NamedStranger]),
        ),
        ("lists", found(Violation::FalseList), told(&run.acts, &[Act::ListedOthers])),
        (
            "drops",
            found(Violation::Dropped),
            told(&run.acts, &[Act::RefusedProxied, Act::ClaimedSilence]),
        ),
        (
            "broken paths",
            paths,
            told(&run.acts, &[Act::ClosedChannel, Act::StoppedForwarding, Act::StayedSilent]),
        ),
    ];
    let proven = run.evidence.iter().filter(|e| e.violation == Violation::BadReceipt);
    let (proven, brought): (Vec<_>, Vec<_>) = proven.partition(|e| !e.proof.is_empty());
    let forged = told(&run.acts, &FORGED);
    println!("  found of those told: {all:?}");
    println!("  brief receipts {}, brought ones {} of {forged} times", proven.len(), brought.len());
    assert!(proven.len() <= told(&run.acts, &[Act::SignedBriefReceipt]));
    let mut account = Account::from([
        ("brief receipts", (proven.len(), told(&run.acts, &[Act::SignedBriefReceipt]))),
        ("brought receipts", (brought.len(), forged)),
    ]);
    for (what, found, told) in all {
        assert!(found <= told, "{what}: {found} found and only {told} told");
        account.insert(what, (found, told));
    }
    account
}

/// Forgeries by anonymizers.
const FORGED: [Act; 4] =
    [Act::ForgedDigest, Act::ForgedSignature, Act::OwnReceipts, Act::ReplayedReceipts];

/// Whom a signed statement names.
fn named(evidence: &Evidence) -> Vec<NodeId> {
    wire::decode::<Statement>(&evidence.proof, 1 << 12).unwrap().claims.closest
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_is_delivered_or_reported_and_every_lie_speaks_against_the_liar() {
    let start = Instant::now();
    let mut stage = Stage::set().await;
    println!("{NODES} nodes are up after {:?}", start.elapsed());
    let mut account = Account::new();
    let params = stage.senders[0].network().clone();
    for (number, count) in [NODES / 10, NODES / 5].into_iter().enumerate() {
        let hostile = stage.hostile(count);
        let begun = Instant::now();
        let run = run(&mut stage, number).await;
        let first = run.letters.iter().filter(|l| l.delivered && l.attempts == 1).count();
        let delivered = run.letters.iter().filter(|l| l.delivered).count();
        let took = begun.elapsed();
        println!(
            "{count} of {NODES} hostile: {first} of {MAILS} mails delivered at once, {delivered} in \
             {ATTEMPTS} attempts, {} wait; {took:?}",
            MAILS - delivered
        );
        for (what, (found, told)) in judge(&run, &hostile, &params) {
            let sum = account.entry(what).or_default();
            *sum = (sum.0 + found, sum.1 + told);
        }
        read_all(&mut stage, &run.letters).await;
        assert!(delivered * 100 >= MAILS * if number == 0 { 95 } else { 90 });
    }
    for (what, (found, told)) in account {
        assert!(found > 0 && told > 0, "{what}: {told} told, {found} found");
        // A lie that comes when its path has broken elsewhere is heard by nobody.
        if ["accomplices", "strangers", "lists"].contains(&what) {
            assert!(found * 10 >= told * 6, "{what}: {told} told, {found} found");
        }
    }
    println!("done after {:?}", start.elapsed());
}
