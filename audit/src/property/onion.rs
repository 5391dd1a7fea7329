//! The first message on its way through a path: no hop may tell from what it receives how many others there are.

use anon::secretbox;
use rand::{Rng as _, rngs::StdRng};
use x25519_dalek::{PublicKey, StaticSecret};

use super::{
    family::{Check, Family, Mutant, Seen},
    path::Path,
    world::{Node, nodes},
};

/// How a path's first message is made.
pub(super) trait Onions {
    /// What each hop of a path over these nodes receives first.
    fn received(&self, path: &[Node], rng: &mut StdRng) -> Option<Vec<Vec<u8>>>;
}

/// The project's own.
struct Real;

impl Onions for Real {
    fn received(&self, path: &[Node], rng: &mut StdRng) -> Option<Vec<Vec<u8>>> {
        Some(Path::over(path, rng)?.creates)
    }
}

/// A request as long as the project's own leave room for.
const REQUEST: usize = 512;
/// The length of the project's own first message.
const ROOM: usize = 1_301;

/// One layer around another: an ephemeral key and a box for each hop.
struct Nested {
    /// Whether each hop fills up with zeros what it has taken off.
    filled: bool,
}

impl Onions for Nested {
    fn received(&self, path: &[Node], rng: &mut StdRng) -> Option<Vec<Vec<u8>>> {
        let mut message = vec![0; REQUEST];
        let mut received = Vec::new();
        for hop in path.iter().rev() {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            let ephemeral = StaticSecret::from(seed);
            let key = PublicKey::from(hop.certificate.claims().channel_key.0);
            let shared = ephemeral.diffie_hellman(&key).to_bytes();
            let sealed = secretbox::seal(&shared, &[0; 24], &message);
            message = [PublicKey::from(&ephemeral).as_bytes(), &sealed[..]].concat();
            let mut form = message.clone();
            if self.filled {
                form.resize(form.len().max(ROOM), 0);
            }
            received.push(form);
        }
        received.reverse();
        Some(received)
    }
}

fn first_message(onions: &(dyn Onions + 'static), rng: &mut StdRng) -> Seen {
    let nodes = nodes(5, rng)?;
    let (mut sizes, mut longest, mut count) = (Vec::new(), 0, 0);
    for hops in 1..=nodes.len() {
        let received = onions.received(nodes.get(..hops)?, rng)?;
        if received.len() != hops {
            return None;
        }
        count += received.len();
        longest = longest.max(received.iter().map(|message| longest_run(message)).max()?);
        sizes.extend(received.iter().map(Vec::len));
    }
    sizes.sort_unstable();
    sizes.dedup();
    let seen = format!(
        "{count} first messages on paths of 1 to 5 hops: sizes {sizes:?}, at most {longest} equal bytes in a row"
    );
    // Five equal bytes in a row come by chance once in a million messages.
    Some((sizes.len() == 1 && longest < 5, seen))
}

fn longest_run(bytes: &[u8]) -> usize {
    bytes.chunk_by(|a, b| a == b).map(<[u8]>::len).max().unwrap_or(0)
}

/// First messages, and mutants of them.
pub(super) fn family() -> Family<dyn Onions> {
    Family {
        checks: vec![Check { name: "property.first-message", attack: first_message }],
        real: Box::new(Real),
        mutants: vec![
            Mutant {
                name: "first message that grows with the path",
                weakness: "Each hop takes off its layer and passes on less, so that the size tells a hop its place.",
                attack: "Claim C-41: a hop's place on the path",
                subject: Box::new(Nested { filled: false }),
            },
            Mutant {
                name: "first message filled up with zeros",
                weakness: "Each hop fills up with zeros what it took off, so that their number tells a hop its place.",
                attack: "Claim C-41: a hop's place on the path",
                subject: Box::new(Nested { filled: true }),
            },
        ],
    }
}
