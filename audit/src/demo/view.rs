//! What each role saw: secrets searched as bytes in what the processes wrote down. Nothing here knows which
//! role *should* see what.

use std::collections::{BTreeMap, BTreeSet};

use anon::{id::NodeId, position::Key, request::Request, selection::SampledKeys};
use cutout::terminal::Failure;
use testbed::{
    cluster::Cluster,
    record::{Record, What},
};
use ua::{
    compose::Message,
    event::{Event, Path, Purpose},
};

use super::{Person, Stage};

/// How much of the message's end is looked for in what nodes received, bytes.
const CANARY: usize = 24;

/// What is looked for.
pub(super) struct Secrets {
    /// The identities that Alice used.
    identities: BTreeSet<String>,
    /// Label and bytes.
    needles: Vec<(&'static str, Vec<Vec<u8>>)>,
    /// Keys by which a request's role is told.
    bootstrap: BTreeSet<Key>,
    anonymizer: BTreeSet<Key>,
    body_paths: BTreeSet<Key>,
    inbox: Key,
    certificate: Key,
    channels: Vec<(Path, SampledKeys)>,
}

const BODY_ANONYMIZER: &str = "Z1, W1  body anonymizer, verifier";
const INBOX_ANONYMIZER: &str = "Z2, W2  inbox anonymizer, verifier";
const CERTIFICATE_ANONYMIZER: &str = "Z3  certificate anonymizer";

/// The label of Alice's identities.
const ALICE: &str = "Alice's link";

/// For each role, what its processes received.
pub(super) struct Views {
    /// Role, then the labels of what was seen.
    pub(super) roles: BTreeMap<&'static str, BTreeSet<&'static str>>,
    /// All labels, in the order of the table.
    pub(super) labels: Vec<&'static str>,
    /// Requests, answers and cells that nodes received.
    pub(super) messages: usize,
}

impl Secrets {
    /// Everything that the demo knows about who wrote to whom.
    pub(super) fn of(stage: &Stage, bob: &Person, message: &Message) -> Self {
        let events = stage.events.lock();
        let mut identities = BTreeSet::new();
        let (mut bootstrap, mut anonymizer) = (BTreeSet::new(), BTreeSet::new());
        let mut channels = Vec::new();
        for event in events.iter() {
            match event {
                Event::Identity(peer) => {
                    identities.insert(peer.to_string());
                }
                Event::Channel { path, keys, .. } => {
                    channels.push((path.clone(), *keys));
                    bootstrap.extend([keys.go_between, keys.witness]);
                    anonymizer.insert(keys.anonymizer);
                }
                _ => {}
            }
        }
        let address = bob.address();
        let tail = message.bytes.len().saturating_sub(CANARY);
        let body = message.bytes.get(tail..).unwrap_or_default().to_vec();
        let needles = vec![
            ("keyZ", anonymizer.iter().map(|key| key.0.to_vec()).collect()),
            ("Bob's DHT keys", vec![address.inbox().0.to_vec(), address.certificate().0.to_vec()]),
            ("Bob's address", vec![address.to_string().into_bytes()]),
            ("the text", vec![message.subject.clone().into_bytes(), body]),
        ];
        let (inbox, certificate) = (address.inbox(), address.certificate());
        Self {
            identities,
            needles,
            bootstrap,
            anonymizer,
            body_paths: BTreeSet::new(),
            inbox,
            certificate,
            channels,
        }
    }

    /// Which role a request makes its receiver; `None` for what is not part of the scheme.
    fn role(&self, at: NodeId, what: What, request: &Request) -> Option<&'static str> {
        let direct = what == What::Direct;
        if what == What::Answered {
            return self.proxied_role(request);
        }
        Some(match request {
            Request::Closest { key, .. } if *key == self.inbox => INBOX_ANONYMIZER,
            Request::Closest { key, .. } if self.body_paths.contains(key) => BODY_ANONYMIZER,
            Request::Closest { key, .. } => return self.guarded_role(at, key),
            Request::Lookup { key, .. } if self.bootstrap.contains(key) => {
                "entrance (asked for X, Y)"
            }
            Request::Lookup { key, .. } if self.anonymizer.contains(key) && direct => "Y  witness",
            Request::Lookup { key, .. } if self.anonymizer.contains(key) => "X  go-between",
            Request::Lookup { key, .. } if *key == self.inbox => INBOX_ANONYMIZER,
            Request::Lookup { key, .. } if self.body_paths.contains(key) => BODY_ANONYMIZER,
            Request::Perform { request, .. } => return self.proxied_role(request),
            Request::Store(store) if self.body_paths.contains(&store.key) => "body nodes",
            Request::AppendInbox(append) if append.inbox == self.inbox => "inbox nodes",
            Request::Fetch { key } if *key == self.certificate => "certificate nodes",
            _ => return None,
        })
    }

    /// Who carries out this for somebody.
    fn proxied_role(&self, request: &Request) -> Option<&'static str> {
        match request {
            Request::Store(store) if self.body_paths.contains(&store.key) => Some(BODY_ANONYMIZER),
            Request::AppendInbox(_) => Some(INBOX_ANONYMIZER),
            Request::Fetch { key } if *key == self.certificate => Some(CERTIFICATE_ANONYMIZER),
            _ => None,
        }
    }

    /// The role of a node of a guarded path, by what it was asked.
    fn guarded_role(&self, at: NodeId, key: &Key) -> Option<&'static str> {
        self.channels.iter().find_map(|(path, keys)| {
            if path.go_between == at && *key == keys.go_between {
                Some("X  guard")
            } else if path.middle.contains(&at) && *key == keys.anonymizer {
                Some("M  middle go-between")
            } else if path.witness == at && *key == keys.anonymizer {
                Some("Y  witness")
            } else {
                None
            }
        })
    }
}

/// Who recorded, the record, the bytes in it that tell something, and the request that they are or answer.
type Read<'a> = (NodeId, &'a Record, Vec<u8>, Option<Request>);

fn read((at, record): &(NodeId, Record)) -> Read<'_> {
    let bytes = match record.what {
        What::Extended => record.nodes.iter().flat_map(|node| node.0).collect(),
        What::Answered => record.answer.clone(),
        _ => record.request.clone(),
    };
    (*at, record, bytes, record.decoded())
}

/// Draws what each role saw.
///
/// # Errors
/// [`Failure`] if a record cannot be read.
pub(super) fn draw(
    cluster: &Cluster,
    mut secrets: Secrets,
    marks: &[u64],
) -> Result<Views, Failure> {
    let fail = |error| Failure::new(74, "the records cannot be read", error, "");
    let records = cluster.records(marks).map_err(fail)?;
    let requests: Vec<Read<'_>> = records.iter().map(read).collect();
    secrets.body_paths = stored_keys(&requests);
    let keys = secrets.body_paths.iter().map(|key| key.0.to_vec()).collect();
    secrets.needles.insert(1, ("Message-ID's key", keys));

    let labels: Vec<&'static str> =
        [ALICE].into_iter().chain(secrets.needles.iter().map(|(label, _)| *label)).collect();
    let mut roles: BTreeMap<&'static str, BTreeSet<&'static str>> = BTreeMap::new();
    let mut messages = 0;
    for (at, record, bytes, request) in &requests {
        messages += match record.what {
            What::Direct | What::Channel | What::Opened => 2,
            What::Forward | What::Backward => 1,
            What::Extended | What::Answered | What::LookedUp | What::Lied => 0,
        };
        let Some(role) = request.as_ref().and_then(|r| secrets.role(*at, record.what, r)) else {
            continue;
        };
        let seen = roles.entry(role).or_default();
        if secrets.identities.contains(&record.peer) {
            seen.insert(ALICE);
        }
        for (label, needles) in &secrets.needles {
            if needles.iter().any(|needle| holds(bytes, needle)) {
                seen.insert(label);
            }
        }
    }
    Ok(Views { roles, labels, messages })
}

/// The keys under which bodies were stored: the Message-IDs' keys.
fn stored_keys(requests: &[Read<'_>]) -> BTreeSet<Key> {
    let key = |request: &Request| match request {
        Request::Store(store) if store.kind == anon::request::ObjectKind::Body => Some(store.key),
        _ => None,
    };
    requests.iter().filter_map(|(_, _, _, request)| key(request.as_ref()?)).collect()
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && bytes.windows(needle.len()).any(|window| window == needle)
}

/// The channels of a mail, for the report.
pub(super) fn channels(events: &[Event]) -> Vec<(Purpose, Path)> {
    let channel = |event: &Event| match event {
        Event::Channel { purpose, path, .. } => Some((*purpose, path.clone())),
        _ => None,
    };
    let mut channels: Vec<_> = events.iter().filter_map(channel).collect();
    channels.sort_by_key(|(purpose, _)| *purpose);
    channels
}
