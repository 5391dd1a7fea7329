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

use self::family::Tried;
pub(crate) use self::world::{Node, Owner};
use crate::{mutant::MutantOutcome, outcome::Outcome};

/// Attacks the project's own code: an outcome for each check of this family. The same seed gives the same attacks.
#[must_use]
pub(crate) fn checks(seed: u64) -> Vec<Outcome> {
    of_each(|family| family.checks(seed))
}

/// Attacks the mutants with the same checks.
#[must_use]
pub(crate) fn mutants(seed: u64) -> Vec<MutantOutcome> {
    of_each(|family| family.mutants(seed))
}

/// Asks every family, in a thread apart: stores wait for a runtime of their own, wherever this is called from.
fn of_each<T: Send>(ask: impl Fn(&dyn Tried) -> Vec<T> + Sync) -> Vec<T> {
    let families = [
        channel::family,
        carrying::family,
        onion::family,
        sealing::family,
        counting::family,
        keys::family,
        door::family,
        keeping::family,
        belief::family,
        witness::family,
        decoding::family,
        printing::family,
    ];
    let all = || families.into_iter().flat_map(|family| ask(&*family())).collect();
    let asked = std::thread::scope(|scope| scope.spawn(all).join());
    asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{CHECKS, outcome::Verdict};

    #[test]
    fn the_projects_own_code_withstands_every_attack() {
        let outcomes = checks(1);
        let named: Vec<&str> = outcomes.iter().map(|o| o.check.as_str()).collect();
        let of_this_family = |check: &&str| check.starts_with("property.");
        let listed: BTreeSet<&str> = CHECKS.iter().copied().filter(of_this_family).collect();
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
        let mutants = mutants(1);
        assert!(
            mutants.iter().all(|mutant| !mutant.weakness.is_empty()),
            "one does not say its weakness"
        );
        let caught: Vec<(String, Vec<String>)> =
            mutants.into_iter().map(|m| (m.name, m.caught_by)).collect();
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
