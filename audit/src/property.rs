//! Properties: what must hold of sealing, channels, receipts, stores and rosters, attacked from outside, and
//! mutants, which are the same things with one weakness each.
//!
//! A check is handed a *subject*, of which it knows no more than its interface, and attacks it. The project's
//! own code must withstand, and each mutant must fall. A subject that does not even do its honest work counts
//! for neither.
//!
//! | module | what is attacked |
//! |---|---|
//! | `channel` | a handshake and the cells behind it |
//! | `carrying` | what a go-between does to cells |
//! | `onion` | the first message on its way through a path |
//! | `sealing` | what a mail becomes |
//! | `counting` | which receipts count |
//! | `keys` | forged signatures, weak keys |
//! | `door` | who may read an inbox |
//! | `keeping` | what a storage node keeps |
//! | `belief` | which nodes a roster believes in |
//! | `witness` | whether two answers are compared |
//! | `decoding` | bytes from strangers |
//! | `printing` | what a log shows |

mod belief;
mod carrying;
mod channel;
mod counting;
mod decoding;
mod door;
mod family;
mod keeping;
mod keys;
mod onion;
mod path;
mod printing;
mod sealing;
mod witness;
mod world;

use crate::{mutant::MutantOutcome, outcome::Outcome};

/// A check, and what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// The check's name.
    pub check: &'static str,
    /// The claims of THREATMODEL.md that rest on it.
    pub claims: &'static [&'static str],
    /// What must hold, in one sentence.
    pub holds: &'static str,
}

/// All checks of this family, in the order in which they run.
pub const PROPERTIES: &[Property] = &[
    Property {
        check: "property.directions",
        claims: &["C-04"],
        holds: "What one side of a channel sends is never taken for the other side's answer.",
    },
    Property {
        check: "property.integrity",
        claims: &["C-04"],
        holds: "A changed cell ends the channel, and nothing tells which change it was.",
    },
    Property {
        check: "property.counting",
        claims: &["C-04"],
        holds: "Cells that are dropped, repeated, swapped, invented or taken from elsewhere end the channel.",
    },
    Property {
        check: "property.replay",
        claims: &["C-04", "C-15"],
        holds: "A recorded channel that is played to the node again makes it do nothing again.",
    },
    Property {
        check: "property.transcript",
        claims: &["C-04", "C-16"],
        holds: "A channel comes about only if both sides have the same network, certificate and messages.",
    },
    Property {
        check: "property.forward-secrecy",
        claims: &["C-15"],
        holds: "A node's channel key, taken later, opens no recorded cell.",
    },
    Property {
        check: "property.bitwise-unlinkability",
        claims: &["C-03"],
        holds: "The bytes of cells that enter a go-between have nothing in common with those that leave it.",
    },
    Property {
        check: "property.first-message",
        claims: &["C-41"],
        holds: "No byte of a first message, nor of what a hop opens of it, tells the hop its place better than chance.",
    },
    Property {
        check: "property.sizes",
        claims: &["C-19"],
        holds: "Notifications have one size, bodies few sizes, and padding adds at most 12 %.",
    },
    Property {
        check: "property.recipient-blind",
        claims: &["C-13", "C-33"],
        holds: "Nothing that is stored for a mail is derived from its recipient, or shared by two mails or parts.",
    },
    Property {
        check: "property.headers",
        claims: &["C-01"],
        holds: "Subject, Message-ID and text show in nothing that is stored; the recipient reads them.",
    },
    Property {
        check: "property.receipts",
        claims: &["C-07"],
        holds: "Only one receipt a node counts, and only if it is for this operation, lasts, and is signed.",
    },
    Property {
        check: "property.strict-signatures",
        claims: &["C-16"],
        holds: "No signature is accepted that was made without the key, whatever the key is.",
    },
    Property {
        check: "property.weak-agreement",
        claims: &["C-16"],
        holds: "No key is agreed on with a public key that makes the result known to all.",
    },
    Property {
        check: "property.ownership",
        claims: &["C-11"],
        holds: "A proof of ownership works once, at one node, for five minutes, for its owner.",
    },
    Property {
        check: "property.acknowledge",
        claims: &["C-12"],
        holds: "A notification stays until its owner says that the mail is safe.",
    },
    Property {
        check: "property.receipt-after-commit",
        claims: &["C-08"],
        holds: "What was acknowledged is in the file at the moment of the acknowledgement.",
    },
    Property {
        check: "property.never-empty",
        claims: &["C-08", "C-23"],
        holds: "A store that is lost or damaged does not open as if nothing had been promised.",
    },
    Property {
        check: "property.grinding",
        claims: &["C-32"],
        holds: "A node that was made after a key was drawn is never the one that is chosen.",
    },
    Property {
        check: "property.two-sources",
        claims: &["C-39"],
        holds: "A node that one operator alone vouches for is never chosen, under however many names.",
    },
    Property {
        check: "property.witness",
        claims: &["C-05"],
        holds: "A go-between's word for the far end counts only if the witness says the same.",
    },
    Property {
        check: "property.replica-lists",
        claims: &["C-06"],
        holds: "An anonymizer's list of storage nodes counts only if the verifier has the same.",
    },
    Property {
        check: "property.bad-bytes",
        claims: &["C-18"],
        holds: "Bytes that nobody's encoder would write are refused.",
    },
    Property {
        check: "property.logs",
        claims: &["C-26"],
        holds: "What is meant for a log shows nothing of a peer, an address or a secret.",
    },
];

/// Attacks the project's own code: an outcome for each of [`PROPERTIES`]. The same seed gives the same attacks.
#[must_use]
pub fn checks(seed: u64) -> Vec<Outcome> {
    [
        channel::family().checks(seed),
        carrying::family().checks(seed),
        onion::family().checks(seed),
        sealing::family().checks(seed),
        counting::family().checks(seed),
        keys::family().checks(seed),
        door::family().checks(seed),
        apart(|| keeping::family().checks(seed)),
        belief::family().checks(seed),
        witness::family().checks(seed),
        decoding::family().checks(seed),
        printing::family().checks(seed),
    ]
    .concat()
}

/// Attacks the mutants with the same checks.
#[must_use]
pub fn mutants(seed: u64) -> Vec<MutantOutcome> {
    [
        channel::family().mutants(seed),
        carrying::family().mutants(seed),
        onion::family().mutants(seed),
        sealing::family().mutants(seed),
        counting::family().mutants(seed),
        keys::family().mutants(seed),
        door::family().mutants(seed),
        apart(|| keeping::family().mutants(seed)),
        belief::family().mutants(seed),
        witness::family().mutants(seed),
        decoding::family().mutants(seed),
        printing::family().mutants(seed),
    ]
    .concat()
}

/// Does work that waits for a runtime of its own, wherever this is called from.
fn apart<T: Default + Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::outcome::Verdict;

    #[test]
    fn the_projects_own_code_withstands_every_attack() {
        let outcomes = checks(1);
        let named: Vec<&str> = outcomes.iter().map(|o| o.check.as_str()).collect();
        let listed: BTreeSet<&str> = PROPERTIES.iter().map(|p| p.check).collect();
        assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), listed);
        assert_eq!(named.len(), listed.len(), "a check ran twice");
        for outcome in outcomes {
            assert_eq!(outcome.verdict, Verdict::Holds, "{outcome:?}");
        }
    }

    #[test]
    fn every_mutant_is_caught_by_the_check_that_is_made_for_it_and_by_no_other() {
        let expected = [
            ("one key both ways", &["directions"][..]),
            ("session key sealed to the node's key", &["replay", "forward-secrecy"]),
            ("cells without a tag", &["integrity"]),
            ("cells without a counter", &["counting"]),
            ("handshake without a transcript", &["transcript"]),
            ("refusal that says why", &["integrity"]),
            ("go-between that passes bytes on as they came", &["bitwise-unlinkability"]),
            ("go-between with one stream for all cells", &["bitwise-unlinkability"]),
            ("go-between that changes only a header", &["bitwise-unlinkability"]),
            ("first message that grows with the path", &["first-message"]),
            ("first message filled up with zeros", &["first-message"]),
            ("first message that counts the hops inside", &["first-message"]),
            ("first message with zeros before the fillers", &["first-message"]),
            ("notification without padding", &["sizes"]),
            ("body without padding", &["sizes"]),
            ("recipients' certificates on bodies", &["recipient-blind"]),
            ("one delete key for all parts", &["recipient-blind"]),
            ("body key made from the content", &["recipient-blind"]),
            ("subject in clear", &["headers"]),
            ("Message-ID in clear", &["recipient-blind", "headers"]),
            ("count of copies", &["receipts"]),
            ("count without the set", &["receipts"]),
            ("count without the digest", &["receipts"]),
            ("count without signatures", &["receipts"]),
            ("count without expiry", &["receipts"]),
            ("count without the nonce", &["receipts"]),
            ("plain verification", &["strict-signatures"]),
            ("keys in any encoding", &["strict-signatures"]),
            ("agreement with any key", &["weak-agreement"]),
            ("proof without the node", &["ownership"]),
            ("proof without the time", &["ownership"]),
            ("no memory of proofs", &["ownership"]),
            ("proof without a signature", &["ownership"]),
            ("reading proof that deletes", &["ownership"]),
            ("read and delete", &["acknowledge"]),
            ("receipt before the commit", &["receipt-after-commit"]),
            ("lost store begun anew", &["never-empty"]),
            ("draw over what is known now", &["grinding"]),
            ("roster that believes one source", &["two-sources"]),
            ("roster that counts names", &["two-sources"]),
            ("go-between believed without a witness", &["witness"]),
            ("anonymizer believed without a verifier", &["replica-lists"]),
            ("both lists put together", &["replica-lists"]),
            ("decoder that accepts trailing bytes", &["bad-bytes"]),
            ("decoder that fills up what is missing", &["bad-bytes"]),
            ("decoder that accepts long numbers", &["bad-bytes"]),
            ("log that names peers", &["logs"]),
            ("log that shortens peers", &["logs"]),
            ("log that shows secrets", &["logs"]),
        ];
        let caught: Vec<(String, Vec<String>)> =
            mutants(1).into_iter().map(|m| (m.name, m.caught_by)).collect();
        let expected: Vec<(String, Vec<String>)> = expected
            .iter()
            .map(|(name, checks)| {
                let checks = checks.iter().map(|check| format!("property.{check}")).collect();
                ((*name).to_owned(), checks)
            })
            .collect();
        assert_eq!(caught, expected);
    }
}
