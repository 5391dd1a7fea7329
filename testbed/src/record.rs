//! What a node received, written down as it came, one JSON line each, with enough to rebuild the bytes; and what
//! a hostile one says that it did. The demo's nodes and the audit's write such records; `cutout node run` never does.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anon::{
    create::Create,
    id::NodeId,
    position::Key,
    request::{Request, Response},
    wire,
};
use data_encoding::BASE64;
use net::{Edge, Observer, Peer, Via};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
    /// A cell passed, towards the last hop.
    Forward,
    /// A cell passed, towards the sender.
    Backward,
    /// An answer came back from a proxied request.
    Answered,
    /// A key was looked up in the DHT.
    LookedUp,
    /// This node did something that an honest one does not.
    Lied,
}

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What kind of thing.
    pub what: What,
    /// When, by the machine's clock: microseconds since 1970.
    pub at: u64,
    /// The other end: its libp2p identity. Empty for `Answered` and `LookedUp`.
    pub peer: String,
    /// The other end's address, a multiaddr; empty where there is no peer, and for `Lied`.
    pub address: String,
    /// Which of the process's streams.
    pub stream: u64,
    /// The node that a channel was extended to, or that answered; for `LookedUp` those closest to the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeId>,
    /// The request, encoded as it came; for `Answered` the one that was answered; for `Opened` and `Extended` the
    /// handshake, by which both ends know the piece of a channel between them; for `LookedUp` the key.
    #[serde(with = "base64")]
    pub request: Vec<u8>,
    /// For `Answered`, the answer, encoded as it came.
    #[serde(with = "base64")]
    pub answer: Vec<u8>,
    /// For `Lied`, what was done, in the hostile node's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lied: String,
}

impl Record {
    fn new(what: What) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            what,
            at: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            peer: String::new(),
            address: String::new(),
            stream: 0,
            nodes: Vec::new(),
            request: Vec::new(),
            answer: Vec::new(),
            lied: String::new(),
        }
    }

    fn of(what: What, peer: &Peer) -> Self {
        Self { peer: peer.id.to_string(), address: peer.address.to_string(), ..Self::new(what) }
    }

    fn at(what: What, edge: Edge<'_>) -> Self {
        Self { stream: edge.stream, ..Self::of(what, edge.peer) }
    }

    /// The node of the line, if it has one.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.nodes.first().copied()
    }

    /// The request, if the line has one.
    #[must_use]
    pub fn decoded(&self) -> Option<Request> {
        let is_request = matches!(self.what, What::Direct | What::Channel | What::Answered);
        is_request.then(|| Request::decode(&self.request).ok()).flatten()
    }
}

/// A file of JSON, one value a line.
#[derive(Debug)]
pub(crate) struct JsonLines(Mutex<File>);

impl JsonLines {
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self(Mutex::new(File::create(path)?)))
    }

    pub(crate) fn write(&self, value: &impl Serialize) {
        if let Ok(mut line) = serde_json::to_vec(value) {
            line.push(b'\n');
            let _ = self.0.lock().write_all(&line);
        }
    }
}

/// Writes a record.
#[derive(Debug)]
pub(crate) struct Recorder(JsonLines);

impl Recorder {
    /// A new record in `path`.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self(JsonLines::create(path)?))
    }

    /// Notes something that an honest node would not have done.
    pub(crate) fn lied(&self, peer: &Peer, act: &str) {
        self.write(&Record { lied: act.to_owned(), ..Record::of(What::Lied, peer) });
    }

    fn write(&self, record: &Record) {
        self.0.write(record);
    }
}

impl Observer for Recorder {
    fn received(&self, at: Edge<'_>, via: Via, request: &Request) {
        let what = match via {
            Via::Direct => What::Direct,
            Via::Channel => What::Channel,
        };
        self.write(&Record { request: wire::encode(request), ..Record::at(what, at) });
    }

    fn channel_opened(&self, at: Edge<'_>, create: &Create) {
        self.write(&Record { request: create.to_bytes(), ..Record::at(What::Opened, at) });
    }

    fn extended(&self, at: Edge<'_>, next: &NodeId, create: &Create) {
        let (nodes, request) = (vec![*next], create.to_bytes());
        self.write(&Record { nodes, request, ..Record::at(What::Extended, at) });
    }

    fn forwarded(&self, at: Edge<'_>, forward: bool) {
        let what = if forward { What::Forward } else { What::Backward };
        self.write(&Record::at(what, at));
    }

    fn answered(&self, node: &NodeId, request: &Request, response: &Response) {
        let (request, answer) = (wire::encode(request), wire::encode(response));
        self.write(&Record { nodes: vec![*node], request, answer, ..Record::new(What::Answered) });
    }

    fn looked_up(&self, key: &Key, closest: &[NodeId]) {
        let (nodes, request) = (closest.to_vec(), key.0.to_vec());
        self.write(&Record { nodes, request, ..Record::new(What::LookedUp) });
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
        assert_eq!((first.len(), first[0].node()), (1, Some(node)));
        assert_eq!(first[0].decoded(), Some(Request::Certificate));
        recorder.0.0.lock().write_all(b"{\"what\":").unwrap();
        assert_eq!(read(&path, end).unwrap(), (Vec::new(), end));
        std::fs::remove_file(path).unwrap();
    }
}
