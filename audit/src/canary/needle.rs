//! What is looked for, in every form in which a program may hold or write it: as it is, as hex, base64 and UTF-16. The
//! search knows nothing of the project's formats.

use std::net::SocketAddrV4;

use aho_corasick::{AhoCorasick, BuildError};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use derive_more::Display;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes shown on either side of a find.
const CONTEXT: usize = 16;

/// What a canary is.
#[derive(
    Clone, Copy, Debug, Display, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// The sender's e-mail address. It is published nowhere.
    #[display("the sender's e-mail address")]
    SenderAddress,
    /// The public keys that belong to it.
    #[display("the sender's public keys")]
    SenderKeys,
    /// The recipient's e-mail address.
    #[display("the recipient's e-mail address")]
    RecipientAddress,
    /// The mail's subject.
    #[display("the subject")]
    Subject,
    /// The mail's text.
    #[display("the text")]
    Body,
    /// The passphrases of both.
    #[display("a passphrase")]
    Passphrase,
    /// The sender's network address and port.
    #[display("the sender's network address")]
    SenderEndpoint,
    /// The recipient's.
    #[display("the recipient's network address")]
    RecipientEndpoint,
    /// What the audit itself sends or writes, to see that it would be found.
    #[display("the audit's own marker")]
    Marker,
}

/// Something found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Find {
    pub(super) label: Label,
    pub(super) form: &'static str,
    pub(super) context: String,
}

/// All that is looked for.
#[derive(Debug, Default)]
pub(super) struct Canaries(Vec<(Label, &'static str, Vec<u8>)>);

impl Canaries {
    /// Looks for these bytes, as they are, as hex and as base64.
    pub(super) fn bytes(&mut self, label: Label, bytes: &[u8]) {
        self.add(label, "raw", bytes);
        self.add(label, "hex", HEXLOWER.encode(bytes).as_bytes());
        self.add(label, "HEX", HEXUPPER.encode(bytes).as_bytes());
        // Where a longer text is encoded, it may begin at any of three places in a group.
        for lead in 0..3 {
            let (shifted, end) = ([&vec![0; lead], bytes].concat(), lead + bytes.len());
            for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
                let text = encoding.encode(&shifted);
                let whole = (lead * 8).div_ceil(6)..end * 8 / 6;
                self.add(label, "base64", text.get(whole).unwrap_or_default().as_bytes());
            }
        }
    }

    /// Looks for this text, also as UTF-16.
    pub(super) fn text(&mut self, label: Label, text: &str) {
        self.bytes(label, text.as_bytes());
        let units = || text.encode_utf16();
        self.add(label, "UTF-16LE", &units().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
        self.add(label, "UTF-16BE", &units().flat_map(u16::to_be_bytes).collect::<Vec<u8>>());
    }

    /// Looks for a network address and port: as texts, as a multiaddr, and as the system's `sockaddr_in`.
    pub(super) fn endpoint(&mut self, label: Label, endpoint: SocketAddrV4) {
        let (ip, port) = (endpoint.ip().octets(), endpoint.port().to_be_bytes());
        self.add(label, "text", endpoint.to_string().as_bytes());
        let multiaddr = format!("/ip4/{}/tcp/{}", endpoint.ip(), endpoint.port());
        self.text(label, &multiaddr);
        self.add(label, "multiaddr", &[&[4][..], &ip, &[6], &port].concat());
        self.add(label, "sockaddr", &[&2_u16.to_ne_bytes()[..], &port, &ip].concat());
    }

    fn add(&mut self, label: Label, form: &'static str, bytes: &[u8]) {
        // A port alone, or less, is everywhere.
        if bytes.len() >= 8 {
            self.0.push((label, form, bytes.to_vec()));
        }
    }

    /// Ready to search.
    pub(super) fn needles(&self) -> Result<Needles<'_>, BuildError> {
        let automaton = AhoCorasick::new(self.0.iter().map(|(_, _, bytes)| bytes))?;
        let longest = self.0.iter().map(|(_, _, bytes)| bytes.len()).max().unwrap_or(0);
        Ok(Needles { of: self, automaton, longest })
    }
}

/// Searches bytes for all canaries at once.
#[derive(Debug)]
pub(super) struct Needles<'a> {
    of: &'a Canaries,
    automaton: AhoCorasick,
    longest: usize,
}

impl Needles<'_> {
    /// How many bytes two pieces that are searched one after the other must share.
    pub(super) const fn overlap(&self) -> usize {
        self.longest
    }

    /// What is in these bytes.
    pub(super) fn search(&self, bytes: &[u8]) -> Vec<Find> {
        let finds = self.automaton.find_iter(bytes).filter_map(|at| {
            let (label, form, _) = self.of.0.get(at.pattern().as_usize())?;
            let end = (at.end() + CONTEXT).min(bytes.len());
            let around = bytes.get(at.start().saturating_sub(CONTEXT)..end)?;
            let shown = |byte: &u8| match byte {
                b' '..=b'~' => char::from(*byte),
                _ => '.',
            };
            let context = around.iter().map(shown).collect();
            Some(Find { label: *label, form, context })
        });
        finds.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let mut canaries = Canaries::default();
        canaries.text(Label::Subject, "a canary of mine");
        let needles = canaries.needles().unwrap();
        for lead in 0..7 {
            let text = format!("{}a canary of mine, and more", "x".repeat(lead));
            let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            for (form, held) in [
                ("raw", text.clone().into_bytes()),
                ("hex", HEXLOWER.encode(text.as_bytes()).into_bytes()),
                ("base64", BASE64_NOPAD.encode(text.as_bytes()).into_bytes()),
                ("UTF-16BE", wide),
            ] {
                let found = needles.search(&held);
                assert!(found.iter().any(|find| find.form == form), "{form} after {lead}");
            }
        }
        assert!(needles.search(b"a canary of yours").is_empty());
    }

    #[test]
    fn an_endpoint_is_found_as_a_multiaddr_and_as_a_socket() {
        let mut canaries = Canaries::default();
        canaries.endpoint(Label::SenderEndpoint, "127.0.0.1:40001".parse().unwrap());
        let needles = canaries.needles().unwrap();
        let multiaddr: libp2p::Multiaddr = "/ip4/127.0.0.1/tcp/40001".parse().unwrap();
        assert_eq!(needles.search(&multiaddr.to_vec())[0].form, "multiaddr");
        assert_eq!(needles.search(b"peer=127.0.0.1:40001 gone")[0].form, "text");
        assert!(needles.search(b"127.0.0.1:40002").is_empty());
    }
}
