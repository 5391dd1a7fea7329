//! Where a canary may be, and where it must be or the search is blind; each with the statement of THREATMODEL.md that says
//! so. Whatever is not in the table must not be there.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::needle::Label;

/// Where is searched.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// The memory of running processes.
    Memory,
    /// Directories.
    Disk,
    /// What processes write to standard error, at their most talkative.
    Logs,
    /// What passes between processes.
    Wire,
}

/// Who has it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The sender's process or profile.
    Sender,
    /// The recipient's, before anything was read.
    RecipientBefore,
    /// The recipient's.
    Recipient,
    /// Any node.
    Node,
    /// A node that the sender called: its guard, and members that it compared its roster with.
    CalledBySender,
    /// A node that the recipient called.
    CalledByRecipient,
    /// A node near the recipient's certificate.
    CertificateNode,
    /// A node near the recipient's inbox, or a little further, where readers look too.
    InboxNode,
    /// The anonymizer of a channel that fetched or published the recipient's certificate, or by which the recipient read.
    #[serde(rename = "far-end")]
    Anonymizer,
    /// The audit.
    Audit,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) medium: Medium,
    pub(super) part: Part,
    pub(super) label: Label,
    /// Whether the search is blind if nothing is there.
    pub(super) must: bool,
    /// Which statement allows it.
    pub(super) says: &'static str,
}

const fn may(medium: Medium, part: Part, label: Label, says: &'static str) -> Rule {
    Rule { medium, part, label, must: false, says }
}

const fn must(medium: Medium, part: Part, label: Label, says: &'static str) -> Rule {
    Rule { medium, part, label, must: true, says }
}

const OWN: &str = "non-goals: a machine that is taken over";
const TABLE_CERTIFICATE: &str = "who learns what: certificate nodes";
const TABLE_INBOX: &str = "who learns what: inbox nodes";
const TABLE_ANONYMIZER: &str = "who learns what: Z3, and anonymizers of Bob's";
const TABLE_GUARD: &str = "who learns what: guard X, sync peers; L-39";

/// The table.
pub(super) const EXPECTED: &[Rule] = &[
    // Wiped with the account, once the mail is handed in; that addresses are found is shown by the recipient's.
    may(Medium::Memory, Part::Sender, Label::SenderAddress, OWN),
    may(Medium::Memory, Part::Sender, Label::SenderKeys, OWN),
    must(Medium::Memory, Part::Sender, Label::RecipientAddress, OWN),
    may(Medium::Memory, Part::Sender, Label::SenderEndpoint, OWN),
    may(Medium::Memory, Part::Recipient, Label::RecipientAddress, OWN),
    must(Medium::Memory, Part::Recipient, Label::Subject, OWN),
    may(Medium::Memory, Part::Recipient, Label::Body, OWN),
    may(Medium::Memory, Part::Recipient, Label::RecipientEndpoint, OWN),
    must(Medium::Memory, Part::CalledBySender, Label::SenderEndpoint, TABLE_GUARD),
    must(Medium::Memory, Part::CalledByRecipient, Label::RecipientEndpoint, TABLE_GUARD),
    must(Medium::Memory, Part::CertificateNode, Label::RecipientAddress, TABLE_CERTIFICATE),
    may(Medium::Memory, Part::InboxNode, Label::RecipientAddress, TABLE_INBOX),
    may(Medium::Memory, Part::Anonymizer, Label::RecipientAddress, TABLE_ANONYMIZER),
    must(Medium::Disk, Part::CertificateNode, Label::RecipientAddress, TABLE_CERTIFICATE),
    must(Medium::Disk, Part::Recipient, Label::Subject, "L-18"),
    must(Medium::Disk, Part::Recipient, Label::Body, "L-18"),
    must(Medium::Logs, Part::Audit, Label::Marker, "the audit's own"),
    must(Medium::Wire, Part::Audit, Label::Marker, "the audit's own"),
];

/// The line that allows it, for whoever has all these parts.
pub(super) fn allowed(
    medium: Medium,
    parts: &BTreeSet<Part>,
    label: Label,
) -> Option<&'static Rule> {
    EXPECTED
        .iter()
        .find(|rule| rule.medium == medium && rule.label == label && parts.contains(&rule.part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_allowed_with_its_reader_alone() {
        for part in [Part::Sender, Part::RecipientBefore, Part::Node, Part::CalledBySender] {
            for medium in [Medium::Memory, Medium::Disk, Medium::Logs, Medium::Wire] {
                assert!(allowed(medium, &[part].into(), Label::Body).is_none());
            }
        }
        assert!(allowed(Medium::Disk, &[Part::Recipient].into(), Label::Body).is_some());
        assert!(EXPECTED.iter().all(|rule| rule.label != Label::Passphrase));
    }
}
