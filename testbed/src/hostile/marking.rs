//! A member that marks agents. It hands to each one that compares rosters with it versions of its accomplices' certificates
//! that nobody else has. They are newer than the public ones, so that the agent takes them over, and from then on
//! names them in the first message to each of these nodes, which thereby knows who comes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anon::{
    certificate::{NodeCertificate, UnverifiedNodeCertificate},
    request::{Request, Response},
    roster::{PIECES, ShortDigest},
};
use net::{Peer, Via, now};
use node::{Identity, Service as _, StandardService};
use parking_lot::Mutex;

use super::{
    behaviour::{Act, Behaviour, Hostile, Ledger},
    note::Note,
};

/// By how many seconds a mark seems newer than it is: less than clocks may differ, and more than a public version gains on
/// it while the audit runs.
const AHEAD: u64 = 240;

/// What a marking member keeps.
#[derive(Debug, Default)]
pub(crate) struct Marking {
    /// Where the operator's nodes have their directories, with the keys in them.
    operators: PathBuf,
    hostile: Hostile,
    ledger: Arc<Ledger>,
    /// What was listed and may be asked for.
    handed: Mutex<BTreeMap<ShortDigest, UnverifiedNodeCertificate>>,
}

impl Marking {
    pub(crate) fn new(operators: PathBuf, hostile: Hostile, ledger: Arc<Ledger>) -> Self {
        Self { operators, hostile, ledger, handed: Mutex::default() }
    }

    /// Answers one who compares rosters: nodes honestly, agents with marks.
    pub(crate) async fn answer(
        &self,
        standard: &StandardService,
        peer: &Peer,
        request: Request,
    ) -> Response {
        let is_node = |node| standard.roster().with(|roster| roster.certificate(&node).is_some());
        if peer.node().is_some_and(is_node) {
            return standard.handle(peer, Via::Direct, request).await;
        }
        match request {
            Request::Roster { .. } => self.list(standard, peer).await,
            Request::RosterEntries { wanted } => {
                let (marked, rest) = self.taken(wanted);
                let rest =
                    standard.handle(peer, Via::Direct, Request::RosterEntries { wanted: rest });
                let Response::RosterEntries(public) = rest.await else { return Response::Refused };
                Response::RosterEntries(marked.into_iter().chain(public).collect())
            }
            other => standard.handle(peer, Via::Direct, other).await,
        }
    }

    /// Lists everything, and a fresh version of each accomplice's certificate besides.
    async fn list(&self, standard: &StandardService, peer: &Peer) -> Response {
        let nobodys = Request::Roster { pieces: vec![ShortDigest([0xff; 8]); PIECES] };
        let answer = standard.handle(peer, Via::Direct, nobodys).await;
        let Response::Roster { alike, mut listed } = answer else { return answer };
        for (identity, public) in self.accomplices(standard) {
            let Some((digest, marked)) = mark(standard, &identity, &public) else { continue };
            self.ledger.note(&Note::new(Act::HandedMark, peer, &[&digest]));
            let Some(short) = digest.first_chunk().copied().map(ShortDigest) else { continue };
            listed.push(short);
            self.handed.lock().insert(short, marked);
        }
        Response::Roster { alike, listed }
    }

    /// The marks among what is wanted, and the rest.
    fn taken(
        &self,
        wanted: Vec<ShortDigest>,
    ) -> (Vec<UnverifiedNodeCertificate>, Vec<ShortDigest>) {
        let handed = self.handed.lock();
        let (marks, rest): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|digest| handed.contains_key(digest));
        (marks.iter().filter_map(|digest| handed.get(digest).cloned()).collect(), rest)
    }

    /// The operator's nodes that know marks, with their keys and their public certificates.
    fn accomplices(&self, standard: &StandardService) -> Vec<(Identity, NodeCertificate)> {
        let directories = std::fs::read_dir(&self.operators).into_iter().flatten().flatten();
        let identities =
            directories.filter_map(|entry| Identity::read(&entry.path()).ok().flatten());
        let known = |identity: Identity| {
            let node = identity.node();
            let public = standard.roster().with(|roster| roster.certificate(&node).cloned());
            self.hostile
                .has(&node, Behaviour::Marking)
                .then(|| public.map(|public| (identity, public)))?
        };
        identities.filter_map(known).collect()
    }
}

/// A version of a certificate that nobody else has: of the same node and channel key, with one more address.
fn mark(
    standard: &StandardService,
    identity: &Identity,
    public: &NodeCertificate,
) -> Option<([u8; 32], UnverifiedNodeCertificate)> {
    let mut claims = public.claims().clone();
    claims.validity.not_before = now().after(AHEAD);
    let (host, _) = claims.addresses.first()?.split_once("/tcp/")?;
    let port = rand::random_range(1..=u16::MAX);
    let address = format!("{host}/tcp/{port}");
    claims.addresses.push(address);
    let marked = NodeCertificate::issue(identity.secret(), claims);
    let digest = marked.clone().verify(standard.network(), now()).ok()?.digest();
    Some((digest, marked))
}
