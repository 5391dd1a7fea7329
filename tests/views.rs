//! What each process received while mails were sent under the guarded scheme, by role: looked for as bytes in what
//! the processes wrote down. Who had which role is told by the agents, not by the records.
//!
//! Each search is also made where it must find something: over the `paper` scheme, over a direct send, or over
//! two roles that do share a secret.

mod search;

use std::collections::{BTreeMap, BTreeSet};

use anon::{id::NodeId, position::Key, request::Request, selection::SampledKeys};
use search::{Needles, holds, person, raw, values};
use testbed::{
    process::COMMAND,
    record::{self, Record, What},
};
use ua::{
    event::{Event, Path, Purpose},
    session::SchemeChoice,
};

use crate::{
    agents::{Agent, rosters_are_full},
    support::{Network, message},
};

const NODES: usize = 24;
const EPOCH: u64 = 5;
const SENDERS: usize = 12;
const RECIPIENTS: usize = 6;
const MAILS_EACH: usize = 3;
const GUARDED: SchemeChoice = SchemeChoice::Guarded { middle: 1 };

/// The roles of one mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    GoBetween,
    Middle,
    Witness,
    BodyAnonymizer,
    BodyVerifier,
    InboxAnonymizer,
    InboxVerifier,
    CertificateAnonymizer,
    BodyNode,
    InboxNode,
    CertificateNode,
}

use Role::*;

const LAST_HOPS: [Role; 5] =
    [BodyAnonymizer, BodyVerifier, InboxAnonymizer, InboxVerifier, CertificateAnonymizer];

struct Stage {
    network: Network,
    nodes: BTreeSet<NodeId>,
    senders: Vec<Agent>,
    recipients: Vec<Agent>,
}

/// How far each record goes.
type Ends = Vec<u64>;

impl Stage {
    async fn set() -> Self {
        let network = Network::start_with(NODES, |options| {
            options.network.epoch_seconds = EPOCH;
            for index in 0..NODES {
                let record = options.node_directory(index).join("record.jsonl");
                let arguments = [COMMAND.into(), "--record".into(), record.into_os_string()];
                options.dressed.insert(index, arguments.into());
            }
        })
        .await;
        rosters_are_full(&network.cluster).await;
        let agent = |name: String| {
            Agent::new(&network.cluster.network_file(), network.directory.path().join(name))
        };
        let senders = (0..SENDERS).map(|n| agent(format!("sender{n}"))).collect();
        let recipients: Vec<Agent> =
            (0..RECIPIENTS).map(|n| agent(format!("recipient{n}"))).collect();
        for recipient in &recipients {
            recipient.publish().await;
        }
        let nodes = network.cluster.nodes().iter().map(|node| node.id).collect();
        Self { network, nodes, senders, recipients }
    }

    /// The records from there on, and where they end.
    fn read(&self, from: &[u64]) -> (Vec<(NodeId, Record)>, Ends) {
        let (mut all, mut ends) = (Vec::new(), Vec::new());
        for (node, from) in self.network.cluster.nodes().iter().zip(from) {
            let (records, end) = record::read(&node.directory.join("record.jsonl"), *from).unwrap();
            all.extend(records.into_iter().map(|record| (node.id, record)));
            ends.push(end);
        }
        (all, ends)
    }

    fn beginning(&self) -> Ends {
        vec![0; self.nodes.len()]
    }

    /// Sends one mail, alone, and reads what the processes received meanwhile.
    async fn mail(&self, from: usize, to: usize, choice: SchemeChoice, direct: bool) -> Mail<'_> {
        let (alice, bob) = (&self.senders[from], &self.recipients[to]);
        let scheme = alice.scheme(choice).await;
        let bytes = message(&format!("{from} to {to}"), 1);
        let id = if direct {
            alice.prepare_direct(&bytes, bob.address())
        } else {
            alice.prepare(&bytes, bob.address())
        };
        let (key, object) = alice.body(&id);
        let (_, before) = self.read(&self.beginning());
        let outcome = alice.deliver(&id, scheme).await;
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let (lines, _) = self.read(&before);
        let events = alice.heard.take();
        alice.identities.lock().unwrap().extend(events.iter().filter_map(|event| match event {
            Event::Identity(peer) => Some(peer.to_string()),
            _ => None,
        }));
        let identities = alice.identities.lock().unwrap().clone();
        let channels = events.iter().filter_map(|event| match event {
            Event::Channel { purpose, path, keys } => Some((*purpose, path.clone(), *keys)),
            _ => None,
        });
        let channels = channels.collect();
        Mail { from, nodes: &self.nodes, alice, bob, key, object, identities, channels, lines }
    }
}

/// One mail, the truth about it, and what was recorded while it was sent.
struct Mail<'a> {
    from: usize,
    nodes: &'a BTreeSet<NodeId>,
    alice: &'a Agent,
    bob: &'a Agent,
    key: Key,
    object: Vec<u8>,
    identities: BTreeSet<String>,
    channels: Vec<(Purpose, Path, SampledKeys)>,
    lines: Vec<(NodeId, Record)>,
}

impl Mail<'_> {
    /// The values in the lines that a process received in this role.
    fn values(&self, role: Role) -> BTreeMap<Vec<u8>, String> {
        values(&self.lines(role), self.nodes)
    }

    /// The lines that a process received in this role.
    fn lines(&self, role: Role) -> Vec<&(NodeId, Record)> {
        let has_role = |line: &&(NodeId, Record)| self.role(line.0, &line.1) == Some(role);
        let lines: Vec<_> = self.lines.iter().filter(has_role).collect();
        assert!(!lines.is_empty(), "nothing was recorded of {role:?}");
        lines
    }

    fn role(&self, at: NodeId, record: &Record) -> Option<Role> {
        let (inbox, certificate) = (self.bob.address().inbox(), self.bob.address().certificate());
        if self.identities.contains(&record.peer) && record.what != What::Direct {
            return Some(GoBetween);
        }
        if let (What::Extended, Some(next)) = (record.what, record.node()) {
            let here = |path: &Path| path.middle.contains(&at) && path.anonymizer == next;
            return self.channels.iter().any(|(_, path, _)| here(path)).then_some(Middle);
        }
        let request = record.decoded()?;
        if record.what == What::Direct {
            return match request {
                Request::Store(s) if s.key == self.key => Some(BodyNode),
                Request::AppendInbox(a) if a.inbox == inbox => Some(InboxNode),
                Request::Fetch { key } if key == certificate => Some(CertificateNode),
                Request::Lookup { key, .. } => self.witness(at, key),
                _ => None,
            };
        }
        let performed = match &request {
            Request::Perform { request, .. } => request,
            request => request,
        };
        match performed {
            Request::Store(s) if s.key == self.key => Some(BodyAnonymizer),
            Request::AppendInbox(a) if a.inbox == inbox => Some(InboxAnonymizer),
            Request::Fetch { key } if *key == certificate => Some(CertificateAnonymizer),
            Request::Closest { key, .. } if *key == self.key => {
                Some(self.last_hop(at, Purpose::Body, BodyAnonymizer, BodyVerifier))
            }
            Request::Closest { key, .. } if *key == inbox => {
                Some(self.last_hop(at, Purpose::Inbox, InboxAnonymizer, InboxVerifier))
            }
            Request::Closest { key, .. } => {
                let middle = |path: &Path| path.middle.contains(&at);
                let channel = self.channels.iter().find(|(_, _, keys)| keys.anonymizer == *key)?;
                if middle(&channel.1) { Some(Middle) } else { self.witness(at, *key) }
            }
            _ => None,
        }
    }

    fn witness(&self, at: NodeId, asked: Key) -> Option<Role> {
        let confirms = |(_, path, keys): &(Purpose, Path, SampledKeys)| {
            keys.anonymizer == asked && path.witness == at
        };
        self.channels.iter().any(confirms).then_some(Witness)
    }

    fn last_hop(&self, at: NodeId, purpose: Purpose, anonymizer: Role, verifier: Role) -> Role {
        let performs =
            |(p, path, _): &(Purpose, Path, SampledKeys)| *p == purpose && path.anonymizer == at;
        if self.channels.iter().any(performs) { anonymizer } else { verifier }
    }

    /// Everything that would tell who sends.
    fn of_alice(&self) -> Needles {
        let mut needles: Needles = person(self.alice);
        for line in &self.lines {
            if self.identities.contains(&line.1.peer) {
                needles
                    .push(("the sender's address and port", line.1.address.clone().into_bytes()));
            }
        }
        for identity in &self.identities {
            let peer: libp2p::PeerId = identity.parse().unwrap();
            needles.push(("the sender's peer id, as text", identity.clone().into_bytes()));
            let node = NodeId::from_peer_id(&peer.to_bytes()).unwrap();
            needles.push(("the sender's peer id", node.0.to_vec()));
        }
        needles
    }

    fn of_bob(&self) -> Needles {
        person(self.bob)
    }

    /// Everything that would tell which mail.
    fn of_the_mail(&self) -> Needles {
        let middle = self.object.len() / 2;
        vec![
            ("the Message-ID's key", self.key.0.to_vec()),
            ("the sealed body", self.object[..32].to_vec()),
            ("the sealed body", self.object[middle..middle + 32].to_vec()),
            ("the inbox's key", self.bob.address().inbox().0.to_vec()),
        ]
    }

    fn anonymizer_keys(&self) -> Needles {
        self.channels.iter().map(|(_, _, keys)| ("keyZ", keys.anonymizer.0.to_vec())).collect()
    }

    fn message_key(&self) -> Needles {
        vec![("the Message-ID's key", self.key.0.to_vec())]
    }

    /// Which of these a role's lines hold.
    fn found(&self, role: Role, needles: &Needles) -> BTreeSet<&'static str> {
        let lines: Vec<Vec<u8>> = self.lines(role).iter().map(|(_, line)| raw(line)).collect();
        let found = needles.iter().filter(|(_, needle)| lines.iter().any(|l| holds(l, needle)));
        found.map(|(label, _)| *label).collect()
    }

    fn assert_nothing(&self, role: Role, needles: &Needles) {
        let found = self.found(role, needles);
        assert!(found.is_empty(), "{role:?} received {found:?}");
    }
}

/// What the two roles of a mail share that fewer than a quarter of the senders do, with labels.
fn tells_apart(mail: &Mail<'_>, (a, b): (Role, Role), all: &[Senders]) -> BTreeSet<String> {
    let (seen, others) = (mail.values(a), mail.values(b));
    let shared = seen.iter().filter(|(value, _)| others.contains_key(*value));
    let rare = shared.filter(|(value, _)| {
        let senders = all.iter().filter(|sender| sender.contains(*value)).count();
        senders * 4 < all.len()
    });
    rare.map(|(_, label)| label.clone()).collect()
}

/// The values that the anonymizers of one sender's mails received.
type Senders = BTreeSet<Vec<u8>>;

#[tokio::test(flavor = "multi_thread")]
async fn no_role_receives_what_it_must_not_know() {
    let stage = Stage::set().await;
    // Publishing uses one identity towards many nodes: that it shows is what the check below can see.
    let (setting, begin) = stage.read(&stage.beginning());
    assert!(!seen_twice(&stage, &setting).is_empty(), "the monitor of identities is blind");

    let mut mails = Vec::new();
    for number in 0..MAILS_EACH {
        for from in 0..SENDERS {
            let to = (from + number * 5) % RECIPIENTS;
            mails.push(stage.mail(from, to, GUARDED, false).await);
        }
    }
    let (lines, _) = stage.read(&begin);
    println!("{} mails, {} lines recorded", mails.len(), lines.len());
    assert_eq!(seen_twice(&stage, &lines), BTreeSet::new(), "an identity shows at two nodes");
    for mail in &mails {
        nothing_too_much(mail);
        what_the_roles_do_know(mail);
    }
    nothing_links_body_and_notification(&mails);

    let paper = stage.mail(0, 0, SchemeChoice::Paper, false).await;
    assert!(!paper.found(Witness, &paper.of_alice()).is_empty(), "Y knows A in the paper's scheme");
    assert!(!paper.found(GoBetween, &paper.anonymizer_keys()).is_empty(), "and X knows keyZ");
    let direct = stage.mail(0, 0, SchemeChoice::Paper, true).await;
    assert!(!direct.found(BodyNode, &direct.of_bob()).is_empty(), "a direct send names Bob");
}

/// Identities that are no node's and that more than one node has seen.
fn seen_twice(stage: &Stage, lines: &[(NodeId, Record)]) -> BTreeSet<String> {
    let mut seen: BTreeMap<&str, BTreeSet<NodeId>> = BTreeMap::new();
    for (at, line) in lines.iter().filter(|(_, line)| !line.peer.is_empty()) {
        let peer: libp2p::PeerId = line.peer.parse().unwrap();
        let node = NodeId::from_peer_id(&peer.to_bytes());
        if !node.is_some_and(|node| stage.nodes.contains(&node)) {
            seen.entry(&line.peer).or_default().insert(*at);
        }
    }
    assert!(!seen.is_empty());
    seen.into_iter().filter(|(_, at)| at.len() > 1).map(|(peer, _)| peer.to_owned()).collect()
}

fn nothing_too_much(mail: &Mail<'_>) {
    let (alice, bob, the_mail) = (mail.of_alice(), mail.of_bob(), mail.of_the_mail());
    // Whatever its roles: only the guard has seen anything of the sender's, and the spare where the guard is near.
    let guards: BTreeSet<NodeId> = mail.channels.iter().map(|(_, p, _)| p.go_between).collect();
    assert!(guards.len() <= 2, "more than a guard and its spare");
    for (at, line) in mail.lines.iter().filter(|(at, _)| !guards.contains(at)) {
        let bytes = raw(line);
        let found = alice.iter().find(|(_, needle)| holds(&bytes, needle));
        assert!(found.is_none(), "{} is no guard and received {:?}", at.short(), found.unwrap().0);
    }
    for role in LAST_HOPS.into_iter().chain([Middle, Witness]) {
        mail.assert_nothing(role, &alice);
    }
    for role in [GoBetween, Middle, Witness, BodyAnonymizer, BodyVerifier, BodyNode] {
        mail.assert_nothing(role, &bob);
    }
    for role in [GoBetween, Middle, Witness] {
        mail.assert_nothing(role, &the_mail);
    }
    for role in [InboxAnonymizer, InboxVerifier, InboxNode, CertificateAnonymizer, CertificateNode]
    {
        mail.assert_nothing(role, &mail.message_key());
    }
    mail.assert_nothing(GoBetween, &mail.anonymizer_keys());
    // The guard's next hop is M of each channel, and it is told of no other node.
    let next: BTreeSet<NodeId> =
        mail.channels.iter().flat_map(|(_, path, _)| path.middle.iter().copied()).collect();
    let behind = mail.channels.iter().flat_map(|(_, path, _)| [path.anonymizer, path.witness]);
    let strange = behind.filter(|node| !next.contains(node));
    mail.assert_nothing(GoBetween, &strange.map(|node| ("Z or Y", node.0.to_vec())).collect());
    let extended = mail.lines(GoBetween).into_iter().filter_map(|(_, line)| line.node());
    assert!(extended.collect::<BTreeSet<_>>().is_subset(&next));
}

/// The same searches, where they must find something.
fn what_the_roles_do_know(mail: &Mail<'_>) {
    let finds = |role, needles: &Needles| !mail.found(role, needles).is_empty();
    assert!(finds(GoBetween, &mail.of_alice()));
    assert!(finds(Middle, &mail.anonymizer_keys()) && finds(Witness, &mail.anonymizer_keys()));
    for role in [BodyAnonymizer, BodyVerifier, BodyNode] {
        assert!(finds(role, &mail.message_key()), "{role:?}");
    }
    for role in [InboxAnonymizer, InboxVerifier, InboxNode, CertificateAnonymizer] {
        assert!(finds(role, &mail.of_bob()), "{role:?}");
    }
}

fn nothing_links_body_and_notification(mails: &[Mail<'_>]) {
    let mut senders: Vec<Senders> = vec![BTreeSet::new(); SENDERS];
    for mail in mails {
        for role in LAST_HOPS {
            senders[mail.from].extend(mail.values(role).into_keys());
        }
    }
    let mut shared = 0;
    for mail in mails {
        let (body, inbox) = (mail.values(BodyAnonymizer), mail.values(InboxAnonymizer));
        shared += body.keys().filter(|value| inbox.contains_key(*value)).count();
        for a in [BodyAnonymizer, BodyVerifier] {
            for b in [InboxAnonymizer, InboxVerifier, CertificateAnonymizer] {
                let rare = tells_apart(mail, (a, b), &senders);
                assert_eq!(rare, BTreeSet::new(), "{a:?} and {b:?} share what few senders do");
            }
        }
        // Those who are told the same key share it, and are seen to.
        let rare = tells_apart(mail, (BodyAnonymizer, BodyVerifier), &senders);
        assert!(rare.iter().any(|label| label.ends_with(".key")), "the monitor is blind: {rare:?}");
    }
    println!("{shared} values shared by Z1 and Z2 in {} mails, none by few senders", mails.len());
}
