//! What a node received, written down as it came, one JSON line each, with enough to rebuild the bytes; and what
//! a hostile one did, so that acts can be compared with evidence.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use anon::{
    certificate::NodeId,
    request::{Request, Response},
    wire,
};
use data_encoding::BASE64;
use node::{Observer, Peer, Via};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hostile::behaviour::Act;

/// Kinds of things a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A request came over a link of its own.
    Direct,
    /// A request came through a channel.
    Channel,
    /// A channel was opened.
    Opened,
    /// A channel was extended to another node.
    Extended,
    /// A cell passed, towards the far end.
    Forward,
    /// A cell passed, towards the sender.
    Backward,
    /// An answer came back from an errand.
    Answered,
    /// This node did something that an honest one does not.
    Lied,
}

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What kind of thing.
    pub what: What,
    /// The other end: its libp2p identity. Empty for `Answered`, where the asked node is in `node`.
    pub peer: String,
    /// The other end's address, a multiaddr; empty for `Answered` and `Lied`.
    pub address: String,
    /// The node that a channel was extended to, or that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The request, encoded as it came; for `Answered` the one that was answered.
    #[serde(with = "base64")]
    pub request: Vec<u8>,
    /// For `Answered`, the answer, encoded as it came.
    #[serde(with = "base64")]
    pub answer: Vec<u8>,
    /// For `Lied`, what was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lied: Option<Act>,
}

impl Record {
    fn of(what: What, peer: &Peer) -> Self {
        let (peer, address) = (peer.id.to_string(), peer.address.to_string());
        let (request, answer) = (Vec::new(), Vec::new());
        Self { what, peer, address, node: None, request, answer, lied: None }
    }

    /// The request, if the line has one.
    #[must_use]
    pub fn decoded(&self) -> Option<Request> {
        Request::decode(&self.request).ok()
    }
}

/// Writes a record.
#[derive(Debug)]
pub struct Recorder(Mutex<File>);

impl Recorder {
    /// A new record in `path`.
    ///
    /// # Errors
    /// The disk's.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self(Mutex::new(File::create(path)?)))
    }

    /// Notes something that an honest node would not have done.
    pub fn lied(&self, peer: &Peer, act: Act) {
        self.write(&Record { lied: Some(act), ..Record::of(What::Lied, peer) });
    }

    fn write(&self, record: &Record) {
        if let Ok(mut line) = serde_json::to_vec(record) {
            line.push(b'\n');
            let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
        }
    }
}

impl Observer for Recorder {
    fn received(&self, peer: &Peer, via: Via, request: &Request) {
        let what = match via {
            Via::Direct => What::Direct,
            Via::Channel => What::Channel,
        };
        self.write(&Record { request: wire::encode(request), ..Record::of(what, peer) });
    }

    fn channel_opened(&self, peer: &Peer) {
        self.write(&Record::of(What::Opened, peer));
    }

    fn extended(&self, peer: &Peer, next: &NodeId) {
        self.write(&Record { node: Some(*next), ..Record::of(What::Extended, peer) });
    }

    fn forwarded(&self, peer: &Peer, forward: bool) {
        let what = if forward { What::Forward } else { What::Backward };
        self.write(&Record::of(what, peer));
    }

    fn answered(&self, node: &NodeId, request: &Request, response: &Response) {
        self.write(&Record {
            what: What::Answered,
            peer: String::new(),
            address: String::new(),
            node: Some(*node),
            request: wire::encode(request),
            answer: wire::encode(response),
            lied: None,
        });
    }
}

/// The lines of a record from byte `from` on, and where it ends now. A line that is being written is left for the
/// next time.
///
/// # Errors
/// The disk's.
pub fn read(path: &Path, from: u64) -> std::io::Result<(Vec<Record>, u64)> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let lines = bytes.split(|byte| *byte == b'\n');
    let records = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    Ok((records, from + u64::try_from(whole).unwrap_or(0)))
}

mod base64 {
    //! Bytes as base 64.
    use super::{BASE64, Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_being_written_is_left_for_the_next_time() {
        let path = std::env::temp_dir().join(format!("record-{}", rand::random::<u64>()));
        let recorder = Recorder::create(&path).unwrap();
        let node = NodeId([7; 32]);
        recorder.answered(&node, &Request::Certificate, &Response::NotFound);
        let (first, end) = read(&path, 0).unwrap();
        assert_eq!((first.len(), first[0].node), (1, Some(node)));
        assert_eq!(first[0].decoded(), Some(Request::Certificate));
        recorder.0.lock().unwrap().write_all(b"{\"what\":").unwrap();
        assert_eq!(read(&path, end).unwrap(), (Vec::new(), end));
        std::fs::remove_file(path).unwrap();
    }
}
