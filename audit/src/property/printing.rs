//! What a log shows: nothing of a peer, an address or a secret.

use anon::{
    keys::{AddressSecret, ChannelSecret, DeleteSecret},
    mail::{DeleteSeed, MessageId},
};
use clap::ValueEnum;
use net::Sensitive;
use rand::{RngExt as _, rngs::StdRng};

use super::{
    family::{Check, Family, Seen, Tried},
    world::{Node, Owner, shared_windows},
};

/// What somebody might write into a log.
pub(super) struct Told {
    peer: String,
    multiaddr: String,
    owner: Owner,
    message_id: MessageId,
    secret: [u8; 32],
}

/// How it is written.
pub(super) trait Printing {
    /// The log's text.
    fn print(&self, told: &Told) -> String;
}

/// The project's own way: what names a peer is wrapped, the types of the protocol print no more than their name.
struct Real;

impl Printing for Real {
    fn print(&self, told: &Told) -> String {
        let (peer, multiaddr) = (Sensitive(&told.peer), Sensitive(&told.multiaddr));
        let address = told.owner.certificate.address();
        let secrets = (
            AddressSecret::from_seed(&told.secret),
            ChannelSecret::from_seed(&told.secret),
            DeleteSecret::from_seed(&told.secret),
            DeleteSeed::from_bytes(told.secret),
        );
        format!(
            "{peer} {peer:?} {multiaddr} {multiaddr:?} {} {address:?} {:?} {secrets:?}",
            Sensitive(address),
            told.message_id
        )
    }
}

/// How a careless log is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Careless {
    /// Whoever takes a node's log learns who came and for which address.
    #[value(name = "log that names peers")]
    Plain,
    /// The first digits of an identity, which are enough to recognise it, stand in the log.
    #[value(name = "log that shortens peers")]
    Short,
    /// A secret is printed byte by byte.
    #[value(name = "log that shows secrets")]
    Secrets,
}

impl Printing for Careless {
    fn print(&self, told: &Told) -> String {
        let scrubbed = Real.print(told);
        match self {
            Self::Plain => format!("{scrubbed} {} {}", told.peer, told.owner.certificate.address()),
            Self::Short => {
                let short: String = told.peer.chars().take(12).collect();
                format!("{scrubbed} {short}…")
            }
            Self::Secrets => format!("{scrubbed} {:?}", told.secret),
        }
    }
}

/// Characters in a row that show enough to recognise something.
const ENOUGH: usize = 8;

fn logs(printing: &(dyn Printing + 'static), rng: &mut StdRng) -> Seen {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let (mut searched, mut found) = (0, 0);
    for round in 0..20 {
        let node = Node::new(round, rng)?;
        let told = Told {
            peer: hex(&node.id().0),
            multiaddr: format!("/ip4/198.51.100.{round}/tcp/{}", rng.random_range(10_000..60_000)),
            owner: Owner::named(&format!("recognisable{round}"), rng)?,
            message_id: MessageId(rng.random()),
            secret: rng.random(),
        };
        let log = printing.print(&told);
        if log.is_empty() {
            return None;
        }
        let listed = format!("{:?}", told.secret);
        let canaries = [
            told.peer.clone(),
            told.multiaddr.clone(),
            told.owner.certificate.address().to_string(),
            told.message_id.to_text("audit.alt"),
            hex(&told.message_id.0),
            hex(&told.secret),
            listed.trim_matches(['[', ']']).to_owned(),
        ];
        for canary in canaries {
            searched += 1;
            found += usize::from(shared_windows(canary.as_bytes(), log.as_bytes(), ENOUGH) > 0);
        }
    }
    let seen = format!("{searched} peers, addresses, Message-IDs and secrets logged: {found} show");
    Some((found == 0, seen))
}

/// Logs, and mutants of them.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Printing, Careless> {
        checks: vec![Check { name: "property.logs", attack: logs }],
        real: Box::new(Real),
        mutant: |careless| Box::new(careless),
        attack: |_| "Claim C-26: logs that name peers",
    })
}
