//! What one process was told on one stream, in one role: the atom of the analysis. A process with two roles, or with
//! two streams in one role, has two observations, and nothing but what they share ties them together.

use std::collections::{BTreeMap, BTreeSet};

use anon::{certificate::NodeId, position::Key, request::Request};
use ua::record::{Record, What};

use super::{
    role::{Role, asks_for, far_ends},
    stage::{ChannelTruth, MailRun},
    value::{Values, as_key, close_under_hashing, named, node_of, values},
};

/// One observation.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The process.
    pub at: NodeId,
    /// In what role.
    pub role: Role,
    /// What could tie it to others by itself, and where it stood.
    pub values: BTreeMap<Vec<u8>, String>,
    /// Which nodes of its channels it knows, by their places: what ties it to others that know them.
    pub knows: BTreeSet<Role>,
    /// Names of what the mail's participants know at birth and this process was told.
    pub labels: BTreeSet<&'static str>,
}

/// Every label that there is.
pub const LABELS: [&str; 19] = [
    "A's address",
    "A's identity",
    "A's name",
    "A's keys",
    "Bob's address",
    "Bob's identity",
    "Bob's name",
    "Bob's keys",
    "Message-ID's key",
    "sealed body",
    "subject",
    "text",
    "keyX",
    "keyY",
    "keyZ",
    "who is X",
    "who is M",
    "who is Y",
    "who is Z",
];
/// Labels that say who wrote.
pub(super) const OF_ALICE: [&str; 4] = ["A's address", "A's identity", "A's name", "A's keys"];
/// Labels that say who was written to.
pub(super) const OF_BOB: [&str; 4] =
    ["Bob's address", "Bob's identity", "Bob's name", "Bob's keys"];

impl Observation {
    /// Whether it names the sender.
    #[must_use]
    pub fn names_alice(&self) -> bool {
        OF_ALICE.iter().any(|label| self.labels.contains(label))
    }

    /// Whether it names the recipient.
    #[must_use]
    pub fn names_bob(&self) -> bool {
        OF_BOB.iter().any(|label| self.labels.contains(label))
    }
}

/// The lines of one stream at one process.
type Stream<'a> = (NodeId, Vec<&'a Record>);

/// What the participants know at birth, as bytes to be looked for.
struct Needles(Vec<(&'static str, Vec<u8>)>);

impl Needles {
    fn of(mail: &MailRun<'_>, bobs_peers: &BTreeSet<&str>) -> Self {
        let mut needles: Vec<(&'static str, Vec<u8>)> = Vec::new();
        let alices_peers = mail.alice.identities();
        for (_, line) in &mail.lines {
            let address = line.address.clone().into_bytes();
            if alices_peers.contains(&line.peer) {
                needles.push(("A's address", address));
            } else if bobs_peers.contains(line.peer.as_str()) {
                needles.push(("Bob's address", address));
            }
        }
        needles.extend(alices_peers.iter().map(|peer| ("A's identity", peer.clone().into_bytes())));
        needles.extend(bobs_peers.iter().map(|peer| ("Bob's identity", peer.as_bytes().to_vec())));
        for (name, keys, person) in
            [("A's name", "A's keys", mail.alice), ("Bob's name", "Bob's keys", mail.bob)]
        {
            let (address, claims) = (person.address(), person.certificate.claims());
            needles.push((name, address.to_string().into_bytes()));
            needles.push((keys, address.inbox().0.to_vec()));
            needles.push((keys, address.certificate().0.to_vec()));
            needles.push((keys, claims.verify_key.0.to_vec()));
            needles.push((keys, claims.sealing_key.0.to_vec()));
        }
        let middle = mail.object.len() / 2;
        needles.push(("Message-ID's key", mail.key.0.to_vec()));
        for start in [0, middle] {
            let piece = mail.object.get(start..start + 32).unwrap_or_default();
            needles.push(("sealed body", piece.to_vec()));
        }
        needles.push(("subject", mail.subject.clone().into_bytes()));
        needles.push(("text", mail.message.clone()));
        for (_, _, keys) in &mail.sending {
            needles.push(("keyX", keys.go_between.0.to_vec()));
            needles.push(("keyY", keys.witness.0.to_vec()));
            needles.push(("keyZ", keys.far_end.0.to_vec()));
        }
        needles.sort();
        needles.dedup();
        needles.retain(|(_, bytes)| bytes.len() >= 8);
        Self(needles)
    }

    fn in_lines(&self, lines: &[&Record]) -> BTreeSet<&'static str> {
        let raw: Vec<Vec<u8>> = lines.iter().map(|line| raw(line)).collect();
        let holds = |needle: &[u8]| raw.iter().any(|bytes| contains(bytes, needle));
        self.0.iter().filter(|(_, needle)| holds(needle)).map(|(label, _)| *label).collect()
    }
}

/// Which nodes had which places in the mail's channels, and which keys chose them.
struct Places(Vec<(String, Role, NodeId, Option<Key>)>);

impl Places {
    fn of(mail: &MailRun<'_>) -> Self {
        let mut all = Vec::new();
        for (end, (purpose, path, keys)) in mail.channels() {
            let mut place = |role, node, key| all.push((end.clone(), role, node, key));
            let is_mine = !end.starts_with('R');
            let x =
                if mail.guarded && is_mine { Role::Guard } else { Role::GoBetween(end.clone()) };
            // In a guarded path the first key chose the first node behind the guard.
            let (first, behind) = if mail.guarded {
                (None, Some(keys.go_between))
            } else {
                (Some(keys.go_between), None)
            };
            place(x, path.go_between, first);
            for (number, node) in path.middle.iter().enumerate() {
                place(Role::Middle(end.clone()), *node, behind.filter(|_| number == 0));
            }
            place(Role::Witness(end.clone()), path.witness, Some(keys.witness));
            place(Role::FarEnd(end.clone()), path.far_end, Some(keys.far_end));
            let _ = purpose;
        }
        Self(all)
    }

    /// The places whose nodes somebody in this role knows: those of its own channels that it was told of, and those
    /// that anyone can find who has the key. That a node has another place in another channel by chance is not known.
    fn known(
        &self,
        role: &Role,
        channel: Option<&str>,
        named: &BTreeSet<NodeId>,
        values: &Values,
    ) -> BTreeSet<Role> {
        let told = |(end, place, node, key): &&(String, Role, NodeId, Option<Key>)| {
            channel == Some(end.as_str()) && (place == role || named.contains(node))
                || key.is_some_and(|key| values.contains_key(&key.0[..]))
        };
        self.0.iter().filter(told).map(|(_, place, ..)| place.clone()).collect()
    }
}

fn who(place: &Role) -> Option<&'static str> {
    match place {
        Role::Guard | Role::GoBetween(_) => Some("who is X"),
        Role::Middle(_) => Some("who is M"),
        Role::Witness(_) => Some("who is Y"),
        Role::FarEnd(_) => Some("who is Z"),
        _ => None,
    }
}

/// Everything in a line, as bytes.
#[must_use]
pub(super) fn raw(line: &Record) -> Vec<u8> {
    let nodes: Vec<u8> = line.nodes.iter().flat_map(|node| node.0).collect();
    let caller: libp2p::PeerId = line.peer.parse().unwrap_or_else(|_| libp2p::PeerId::random());
    let caller = NodeId::from_peer_id(&caller.to_bytes()).map(|node| node.0).unwrap_or_default();
    let (peer, address) = (line.peer.as_bytes(), line.address.as_bytes());
    [peer, b"\n", address, b"\n", &caller, b"\n", &nodes, b"\n", &line.request, b"\n", &line.answer]
        .concat()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.into_iter().any(|(start, _)| bytes.get(start..start + needle.len()) == Some(needle))
}

/// What one process had before it on one stream, in one role: lines of its record, not looked into yet.
#[derive(Clone, Debug)]
pub struct Sighting<'a> {
    /// The process.
    pub at: NodeId,
    /// In what role.
    pub role: Role,
    /// The far end of the channel that it belongs to, if it belongs to one.
    pub end: Option<String>,
    /// The lines.
    pub lines: Vec<&'a Record>,
}

/// The observations of a mail, in no order; streams that have no part in it are left out.
#[must_use]
pub fn observations(mail: &MailRun<'_>, nodes: &BTreeSet<NodeId>) -> Vec<Observation> {
    let bobs = bobs_peers(mail, nodes);
    let (needles, places) = (Needles::of(mail, &bobs), Places::of(mail));
    let see = |Sighting { at, role, end, lines }: Sighting<'_>| {
        let mut all: Values = lines.iter().flat_map(|line| values(line, nodes)).collect();
        close_under_hashing(&mut all);
        let mut labels = needles.in_lines(&lines);
        let mut named: BTreeSet<NodeId> =
            lines.iter().flat_map(|line| named(line, nodes)).collect();
        // What a node is itself it knows by its role alone.
        named.remove(&at);
        let knows = places.known(&role, end.as_deref(), &named, &all);
        labels.extend(knows.iter().filter(|place| **place != role).filter_map(who));
        Observation { at, role, values: all, knows, labels }
    };
    let mut found: Vec<Observation> = sightings(mail, nodes).into_iter().map(see).collect();
    for (at, line) in mail.lines.iter().filter(|(_, line)| line.what == What::LookedUp) {
        let Some(role) = looked_up(mail, *at, line) else { continue };
        // Whoever was asked knows the key and who asked.
        let asked = Record { nodes: vec![*at], ..line.clone() };
        for node in line.nodes.iter().filter(|node| *node != at) {
            let (role, end, lines) = (role.clone(), end_of(&role), vec![&asked]);
            found.push(see(Sighting { at: *node, role, end, lines }));
        }
    }
    found
}

/// Who had what before it in which role, in no order; what was asked on lookups is left out.
#[must_use]
pub fn sightings<'a>(mail: &'a MailRun<'_>, nodes: &BTreeSet<NodeId>) -> Vec<Sighting<'a>> {
    let bobs = bobs_peers(mail, nodes);
    let mut found = Vec::new();
    let mut see = |role: Role, end: Option<String>, at: NodeId, lines: &[&'a Record]| {
        found.push(Sighting { at, role, end, lines: lines.to_vec() });
    };
    let streams = streams(&mail.lines);
    let opened: BTreeMap<&[u8], &Stream<'_>> = streams
        .iter()
        .filter_map(|stream| Some((handshake(stream, What::Opened)?, stream)))
        .collect();
    let is_user = |stream: &Stream<'_>| {
        stream.1.first().is_some_and(|line| node_of(&line.peer, nodes).is_none())
    };
    for first in &streams {
        if handshake(first, What::Opened).is_some() {
            if is_user(first) {
                for (role, end, (at, lines)) in roles(mail, &passed(first, &opened)) {
                    see(role, Some(end), *at, lines);
                }
            }
        } else if let Some((role, end, (at, lines))) =
            direct_role(mail, first, is_user(first), &bobs)
        {
            see(role, end, *at, lines);
        }
    }
    for (at, line) in mail.lines.iter().filter(|(_, line)| line.what == What::Answered) {
        if let Some(role) = errand(mail, *at, line) {
            let end = end_of(&role);
            see(role, end, *at, &[line]);
        }
    }
    found
}

/// The identities of those that are neither nodes nor the sender: the reader's.
fn bobs_peers<'a>(mail: &'a MailRun<'_>, nodes: &BTreeSet<NodeId>) -> BTreeSet<&'a str> {
    let alices = mail.alice.identities();
    let strangers = mail.lines.iter().map(|(_, line)| line.peer.as_str());
    let strangers = strangers.filter(|peer| !peer.is_empty() && node_of(peer, nodes).is_none());
    strangers.filter(|peer| !alices.contains(*peer)).collect()
}

fn streams(lines: &[(NodeId, Record)]) -> Vec<Stream<'_>> {
    let mut streams: BTreeMap<(NodeId, u64), Vec<&Record>> = BTreeMap::new();
    let of_a_stream = lines
        .iter()
        .filter(|(_, line)| !matches!(line.what, What::Answered | What::LookedUp | What::Lied));
    for (at, line) in of_a_stream {
        streams.entry((*at, line.stream)).or_default().push(line);
    }
    streams.into_iter().map(|((at, _), lines)| (at, lines)).collect()
}

fn handshake<'a>(stream: &Stream<'a>, what: What) -> Option<&'a [u8]> {
    let line = stream.1.iter().find(|line| line.what == what)?;
    Some(&line.request)
}

/// The streams of a channel, from the user's end on: both ends of a piece know its handshake.
fn passed<'a, 'b>(
    first: &'b Stream<'a>,
    opened: &BTreeMap<&'a [u8], &'b Stream<'a>>,
) -> Vec<&'b Stream<'a>> {
    let mut all = vec![first];
    let mut last = first;
    while let Some(next) = handshake(last, What::Extended).and_then(|piece| opened.get(piece)) {
        // No path is longer; a loop cannot be made of handshakes.
        if all.len() > 8 {
            break;
        }
        all.push(next);
        last = next;
    }
    all
}

/// Who was what along a channel.
fn roles<'a, 'b>(
    mail: &MailRun<'_>,
    along: &[&'b Stream<'a>],
) -> Vec<(Role, String, &'b Stream<'a>)> {
    let nodes: Vec<NodeId> = along.iter().map(|(at, _)| *at).collect();
    let both = mail.channels();
    let asked: Vec<Key> =
        along.last().into_iter().flat_map(|(_, lines)| asked_keys(lines)).collect();
    let go_between = |end: &str| match mail.guarded && !end.starts_with('R') {
        true => Role::Guard,
        false => Role::GoBetween(end.to_owned()),
    };
    // Two channels of the paper's may have the same nodes: then what the far end was asked tells them apart.
    let fits = |end: &str| {
        let mut places = asked.iter().filter_map(|key| mail.place(key));
        places.any(|place| asks_for(place).contains(&end))
    };
    let along_them = both.iter().filter(|(_, (_, path, _))| path.along() == nodes);
    if let Some((end, _)) = along_them.max_by_key(|(end, _)| fits(end)) {
        let last = along.len().saturating_sub(1);
        let role = |place: usize| match place {
            0 => go_between(end),
            place if place == last => Role::FarEnd(end.clone()),
            _ => Role::Middle(end.clone()),
        };
        return along
            .iter()
            .enumerate()
            .map(|(place, stream)| (role(place), end.clone(), *stream))
            .collect();
    }
    // The question to the witness goes through guard and middle.
    let confirms = |(_, (_, path, keys)): &&(String, &ChannelTruth)| {
        nodes == path.to_witness() && asked.contains(&keys.far_end)
    };
    if let Some((end, _)) = both.iter().find(confirms) {
        let middle = vec![Role::Middle(end.clone()); along.len().saturating_sub(2)];
        let roles = [go_between(end)].into_iter().chain(middle).chain([Role::Witness(end.clone())]);
        let along = roles.zip(along);
        return along.map(|(role, stream)| (role, end.clone(), *stream)).collect();
    }
    Vec::new()
}

fn asked_keys(lines: &[&Record]) -> Vec<Key> {
    let key = |line: &&Record| match line.decoded()? {
        Request::Nearest { key, .. } | Request::Closest { key, .. } => Some(key),
        _ => None,
    };
    lines.iter().filter_map(key).collect()
}

/// The role of whoever got a request over a link of its own.
fn direct_role<'a, 'b>(
    mail: &MailRun<'_>,
    stream: &'b Stream<'a>,
    is_user: bool,
    bobs: &BTreeSet<&str>,
) -> Option<(Role, Option<String>, &'b Stream<'a>)> {
    let line = stream.1.iter().find(|line| line.what == What::Direct)?;
    let request = line.decoded()?;
    if let Some(role) = mail.replica(&request) {
        return Some((role, mail.bearer(&request).map(str::to_owned), stream));
    }
    let role = match request {
        _ if !is_user => return None,
        Request::Roster { .. } | Request::RosterEntries { .. } => {
            let is_bob = bobs.contains(line.peer.as_str());
            Role::Member(if is_bob { "R" } else { "" }.to_owned())
        }
        Request::Closest { key, .. } if bobs.contains(line.peer.as_str()) => {
            Role::Entrance(readers(mail.place(&key)?))
        }
        Request::Closest { key, .. } | Request::Nearest { key, .. } => {
            let of = |pick: fn(&anon::selection::Draw) -> Key| {
                mail.sending.iter().find(|(_, _, keys)| pick(keys) == key)
            };
            if let Some((purpose, path, _)) = of(|keys| keys.far_end) {
                if path.witness != stream.0 {
                    return None;
                }
                Role::Witness(first_name(*purpose))
            } else {
                let (purpose, ..) =
                    of(|keys| keys.go_between).or_else(|| of(|keys| keys.witness))?;
                Role::Entrance(first_name(*purpose))
            }
        }
        _ => return None,
    };
    let end = end_of(&role);
    Some((role, end, stream))
}

/// The role of whoever was brought an answer.
fn errand(mail: &MailRun<'_>, at: NodeId, line: &Record) -> Option<Role> {
    let bearer = mail.bearer(&line.decoded()?)?;
    let is_it = |(name, (_, path, _)): &(String, &ChannelTruth)| {
        name.as_str() == bearer && path.far_end == at
    };
    mail.channels().iter().any(is_it).then(|| Role::FarEnd(bearer.to_owned()))
}

/// The role of those who were asked while a node looked a key up.
fn looked_up(mail: &MailRun<'_>, at: NodeId, line: &Record) -> Option<Role> {
    let key = as_key(&line.request)?;
    for (purpose, _, keys) in &mail.sending {
        let end = first_name(*purpose);
        let names = [("keyX", keys.go_between), ("keyY", keys.witness), ("keyZ", keys.far_end)];
        if let Some((name, _)) = names.into_iter().find(|(_, drawn)| *drawn == key) {
            return Some(Role::PathNodes(name.to_owned(), end));
        }
    }
    let place = mail.place(&key)?;
    // What is looked up for the reader by an entrance is the reader's.
    let end = mail.far_end_for(place, at).unwrap_or_else(|| readers(place));
    Some(Role::PathNodes(place.to_owned(), end))
}

fn first_name(purpose: ua::event::Purpose) -> String {
    far_ends(purpose).first().copied().unwrap_or_default().to_owned()
}

/// The reader's name for what is kept in a place.
fn readers(place: &str) -> String {
    asks_for(place).last().copied().unwrap_or_default().to_owned()
}

/// The channel that what is told to this role belongs to.
fn end_of(role: &Role) -> Option<String> {
    match role {
        Role::Entrance(end) | Role::FarEnd(end) | Role::Witness(end) | Role::PathNodes(_, end) => {
            Some(end.clone())
        }
        _ => None,
    }
}
