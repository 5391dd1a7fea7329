//! Who had what before it in which role: a mail's lines, sorted by process and stream, and each stream given its role by
//! the truth about the mail.

use std::collections::{BTreeMap, BTreeSet};

use anon::{id::NodeId, position::Key, request::Request, selection::SampledKeys};
use testbed::record::{Record, What};
use ua::event::Purpose;

use super::{
    role::{anonymizers, asks_for},
    stage::{ChannelTruth, MailRun},
    value::{as_key, node_of},
};
use crate::role::Role;

/// The lines of one stream at one process.
type Stream<'a> = (NodeId, Vec<&'a Record>);

/// What one process had before it on one stream, in one role: lines of its record, not looked into yet.
#[derive(Clone, Debug)]
pub struct Sighting<'a> {
    /// The process.
    pub at: NodeId,
    /// In what role.
    pub role: Role,
    /// The anonymizer of the channel that it belongs to, if it belongs to one.
    pub end: Option<String>,
    /// The lines.
    pub lines: Vec<&'a Record>,
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
    let is_readers = |stream: &Stream<'_>| {
        stream.1.first().is_some_and(|line| bobs.contains(line.peer.as_str()))
    };
    for first in &streams {
        if handshake(first, What::Opened).is_some() {
            if is_user(first) {
                for (role, end, (at, lines)) in
                    roles(mail, &passed(first, &opened), is_readers(first))
                {
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
        if let Some(role) = proxied(mail, *at, line) {
            let end = end_of(&role);
            see(role, end, *at, &[line]);
        }
    }
    found
}

/// The identities of those that are neither nodes nor the sender: the reader's.
pub(super) fn bobs_peers<'a>(mail: &'a MailRun<'_>, nodes: &BTreeSet<NodeId>) -> BTreeSet<&'a str> {
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

/// Who was what along a channel of the reader's, or of the sender's: in a small network both may go the same way.
fn roles<'a, 'b>(
    mail: &MailRun<'_>,
    along: &[&'b Stream<'a>],
    is_readers: bool,
) -> Vec<(Role, String, &'b Stream<'a>)> {
    let nodes: Vec<NodeId> = along.iter().map(|(at, _)| *at).collect();
    let mut own = mail.channels();
    own.retain(|(end, _)| end.starts_with('R') == is_readers);
    let asked: Vec<Request> = along.last().map(|(_, lines)| requests(lines)).unwrap_or_default();
    let go_between = |end: &str| match mail.guarded && !end.starts_with('R') {
        true => Role::Guard,
        false => Role::GoBetween(end.to_owned()),
    };
    // Two channels of the paper's may have the same nodes, and one of them may have been given up: then what the anonymizer
    // was asked tells them apart.
    let places: BTreeSet<&str> = asked.iter().flat_map(|request| mail.places(request)).collect();
    let fits =
        |end: &str| places.is_empty() || places.iter().any(|place| asks_for(place).contains(&end));
    let is_it = |(end, (_, path, _)): &&(String, &ChannelTruth)| path.along() == nodes && fits(end);
    if let Some((end, _)) = own.iter().find(is_it) {
        let last = along.len().saturating_sub(1);
        let role = |place: usize| match place {
            0 => go_between(end),
            place if place == last => Role::Anonymizer(end.clone()),
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
        nodes == path.to_witness() && asked.iter().any(|request| asks(request, &keys.anonymizer))
    };
    if let Some((end, _)) = own.iter().find(confirms) {
        let middle = vec![Role::Middle(end.clone()); along.len().saturating_sub(2)];
        let roles = [go_between(end)].into_iter().chain(middle).chain([Role::Witness(end.clone())]);
        let along = roles.zip(along);
        return along.map(|(role, stream)| (role, end.clone(), *stream)).collect();
    }
    Vec::new()
}

fn requests(lines: &[&Record]) -> Vec<Request> {
    lines.iter().filter_map(|line| line.decoded()).collect()
}

fn asks(request: &Request, key: &Key) -> bool {
    matches!(request, Request::Closest { key: asked, .. } | Request::Lookup { key: asked, .. } if asked == key)
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
        Request::Lookup { key, .. } if bobs.contains(line.peer.as_str()) => {
            Role::Bootstrap(readers(mail.place(&key)?))
        }
        Request::Lookup { key, .. } | Request::Closest { key, .. } => {
            let of = |pick: fn(&SampledKeys) -> Key| {
                mail.sending.iter().find(|(_, _, keys)| pick(keys) == key)
            };
            if let Some((purpose, path, _)) = of(|keys| keys.anonymizer) {
                if path.witness != stream.0 {
                    return None;
                }
                Role::Witness(first_name(*purpose))
            } else {
                let (purpose, ..) =
                    of(|keys| keys.go_between).or_else(|| of(|keys| keys.witness))?;
                Role::Bootstrap(first_name(*purpose))
            }
        }
        _ => return None,
    };
    let end = end_of(&role);
    Some((role, end, stream))
}

/// The role of whoever was brought an answer.
fn proxied(mail: &MailRun<'_>, at: NodeId, line: &Record) -> Option<Role> {
    let bearer = mail.bearer(&line.decoded()?)?;
    let is_it = |(name, (_, path, _)): &(String, &ChannelTruth)| {
        name.as_str() == bearer && path.anonymizer == at
    };
    mail.channels().iter().any(is_it).then(|| Role::Anonymizer(bearer.to_owned()))
}

/// The role of those who were asked while a node looked a key up.
pub(super) fn looked_up(mail: &MailRun<'_>, at: NodeId, line: &Record) -> Option<Role> {
    let key = as_key(&line.request)?;
    for (purpose, _, keys) in &mail.sending {
        let end = first_name(*purpose);
        let names = [("keyX", keys.go_between), ("keyY", keys.witness), ("keyZ", keys.anonymizer)];
        if let Some((name, _)) = names.into_iter().find(|(_, sampled)| *sampled == key) {
            return Some(Role::PathNodes(name.to_owned(), end));
        }
    }
    let place = mail.place(&key)?;
    // What is looked up for the reader by a bootstrap node is the reader's.
    let end = mail.anonymizer_for(place, at).unwrap_or_else(|| readers(place));
    Some(Role::PathNodes(place.to_owned(), end))
}

fn first_name(purpose: Purpose) -> String {
    anonymizers(purpose).first().copied().unwrap_or_default().to_owned()
}

/// The reader's name for what is kept in a place.
fn readers(place: &str) -> String {
    asks_for(place).last().copied().unwrap_or_default().to_owned()
}

/// The channel that what is told to this role belongs to.
pub(super) fn end_of(role: &Role) -> Option<String> {
    match role {
        Role::Bootstrap(end)
        | Role::Anonymizer(end)
        | Role::Witness(end)
        | Role::PathNodes(_, end) => Some(end.clone()),
        _ => None,
    }
}
