//! Which role a process had in one mail: told by the truth about the mail, never by a process itself.

use std::collections::BTreeSet;

use anon::{
    id::NodeId,
    position::Key,
    request::{Request, Targets},
};
use net::peer_id;
use testbed::record::{Record, What};
use ua::event::{Path, Purpose};

use super::stage::{ChannelTruth, MailRun};
use crate::role::{BODY, CERTIFICATE, INBOX, Role};

/// The names that the anonymizer of a channel for this may have, the first one where nothing tells them apart.
pub(super) const fn anonymizers(purpose: Purpose) -> &'static [&'static str] {
    match purpose {
        Purpose::Body => &["Z1"],
        Purpose::BodyCheck => &["W1"],
        Purpose::Inbox => &["Z2"],
        Purpose::InboxCheck => &["W2"],
        Purpose::Certificate => &["Z3"],
        Purpose::Reading | Purpose::Ahead => &["R2", "R1"],
    }
}

/// The names of anonymizers that ask who keeps what belongs in a place.
pub(super) fn asks_for(place: &str) -> &'static [&'static str] {
    match place {
        BODY => &["Z1", "W1", "R1"],
        INBOX => &["Z2", "W2", "R2"],
        _ => &["Z3"],
    }
}

impl MailRun<'_> {
    /// The name of the anonymizer that brings this to where it is kept, or fetches it from there.
    #[must_use]
    pub(crate) fn bearer(&self, request: &Request) -> Option<&'static str> {
        let Role::Replicas(place) = self.replica(request)? else { return None };
        let is_read = !matches!(request, Request::Store(_) | Request::AppendInbox(_));
        Some(match place.as_str() {
            BODY if is_read => "R1",
            BODY => "Z1",
            INBOX if is_read => "R2",
            INBOX => "Z2",
            _ => "Z3",
        })
    }

    /// What this key is the key of, if it belongs to where the mail goes.
    #[must_use]
    pub(crate) fn place(&self, key: &Key) -> Option<&'static str> {
        let address = self.bob.address();
        if *key == self.key {
            Some(BODY)
        } else if *key == address.inbox() {
            Some(INBOX)
        } else if *key == address.certificate() {
            Some(CERTIFICATE)
        } else {
            None
        }
    }

    /// The role of whoever gets this request from a node, or from the reader, for itself.
    #[must_use]
    pub(crate) fn replica(&self, request: &Request) -> Option<Role> {
        self.kept(request).map(|place| Role::Replicas(place.to_owned()))
    }

    /// Where what a request is about is kept.
    fn kept(&self, request: &Request) -> Option<&'static str> {
        let key = match request {
            Request::Store(store) => store.key,
            Request::Fetch { key } => *key,
            Request::Delete(deletion) => deletion.key(),
            Request::AppendInbox(append) => append.inbox,
            Request::ReadInbox { .. } | Request::Acknowledge { .. } => self.bob.address().inbox(),
            _ => return None,
        };
        self.place(&key)
    }

    /// Which places a request to an anonymizer is about: whom to ask, what to bring there, what to fetch.
    #[must_use]
    pub(super) fn places(&self, request: &Request) -> BTreeSet<&'static str> {
        match request {
            Request::Closest { key, .. } | Request::Lookup { key, .. } => {
                self.place(key).into_iter().collect()
            }
            Request::Perform { targets, request } => {
                let mut places = self.places(request);
                if let Targets::LookedUp { key, .. } | Targets::Closest { key, .. } = targets {
                    places.extend(self.place(key));
                }
                places
            }
            Request::PerformEach(proxied_requests) => {
                proxied_requests.iter().flat_map(|proxied| self.places(&proxied.request)).collect()
            }
            other => self.kept(other).into_iter().collect(),
        }
    }

    /// All channels, each with its name: the reader's by what its anonymizer was asked for.
    #[must_use]
    pub fn channels(&self) -> Vec<(String, &ChannelTruth)> {
        let for_body = |(purpose, path, _): &ChannelTruth| {
            matches!(purpose, Purpose::Body | Purpose::BodyCheck).then(|| last_piece(path))
        };
        let senders: Vec<Piece> = self.sending.iter().filter_map(for_body).collect();
        let pieces: Vec<Piece> = self.reading.iter().map(|(_, path, _)| last_piece(path)).collect();
        let are_bodies = bodies(&pieces, |piece| {
            // The sender may have come the same way, for the same body.
            let theirs = senders.iter().filter(|sender| *sender == piece).count();
            self.asked_for_body(piece).saturating_sub(theirs)
        });
        let sending = self.sending.iter().map(|channel| (channel, false));
        let all = sending.chain(self.reading.iter().zip(are_bodies));
        let named = |(channel, is_body): (_, bool)| {
            let (purpose, ..): &ChannelTruth = channel;
            let names = anonymizers(*purpose);
            let name = if is_body { names.last() } else { names.first() };
            (name.copied().unwrap_or_default().to_owned(), channel)
        };
        all.map(named).collect()
    }

    /// How many channels with this end were about the body.
    fn asked_for_body(&self, (before, anonymizer): &Piece) -> usize {
        let asks = |(at, line): &&(NodeId, Record)| {
            at == anonymizer
                && before.as_ref() == Some(&line.peer)
                && line.what == What::Channel
                && line.decoded().is_some_and(|request| self.places(&request).contains(BODY))
        };
        let streams = self.lines.iter().filter(asks).map(|(_, line)| line.stream);
        streams.collect::<BTreeSet<_>>().len()
    }

    /// The channel for what is kept in a place whose anonymizer this node was.
    #[must_use]
    pub(crate) fn anonymizer_for(&self, place: &str, node: NodeId) -> Option<String> {
        let fits = |(name, (_, path, _)): &(String, &ChannelTruth)| {
            path.anonymizer == node && asks_for(place).contains(&name.as_str())
        };
        self.channels().into_iter().find(fits).map(|(name, _)| name)
    }
}

/// The end of a channel, as its anonymizer sees it: who called, and who it is.
type Piece = (Option<String>, NodeId);

fn last_piece(path: &Path) -> Piece {
    let before = path.along().into_iter().rev().nth(1);
    (before.and_then(|node| peer_id(&node).ok()).map(|peer| peer.to_string()), path.anonymizer)
}

/// Which of the reader's channels were for bodies. Where several have one end, only so many as asked for a body there,
/// and the last ones: the inbox is read first.
fn bodies(pieces: &[Piece], asked: impl Fn(&Piece) -> usize) -> Vec<bool> {
    let of = |(index, piece): (usize, &Piece)| {
        let alike = |pieces: &[Piece]| pieces.iter().filter(|other| *other == piece).count();
        let after = alike(pieces.get(index..).unwrap_or_default());
        after <= asked(piece)
    };
    pieces.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_channels_with_one_end_only_those_that_asked_for_a_body_are_named_so() {
        let piece = |before: &str, far: u8| (Some(before.to_owned()), NodeId([far; 32]));
        let pieces = [piece("M", 1), piece("M", 1), piece("N", 1), piece("M", 2)];
        let asked = |count: usize| {
            bodies(&pieces, move |piece| if piece.1 == NodeId([1; 32]) { count } else { 0 })
        };
        assert_eq!(asked(0), [false; 4]);
        assert_eq!(asked(1), [false, true, true, false]);
        assert_eq!(asked(2), [true, true, true, false]);
    }
}
