//! A service before the honest one: it answers falsely where its behaviour says so, and honestly everywhere else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anon::{
    id::NodeId,
    position::Key,
    receipt::{Receipt, ReceiptKind},
    request::{
        Answer, InboxPage, MAX_OBJECT, ObjectKind, Request, Response, Store, Targets,
        view::ViewRequest,
    },
    verification::Statement,
};
use futures::future::BoxFuture;
use net::{Peer, Via, now};
use node::{Service, StandardService};
use parking_lot::Mutex;

use crate::hostile::{
    behaviour::{Act, Behaviour, Hostile, Ledger},
    keeper::Means,
    marking::Marking,
};

/// How long silence lasts: longer than any agent waits.
const SILENCE: Duration = Duration::from_secs(120);
/// One proxied request in so many is answered with silence: it costs whoever waits a minute.
const RARELY: usize = 6;
/// How long a brief receipt promises to keep what it is for, seconds.
const BRIEFLY: u64 = 60;

pub(crate) struct Liar {
    pub(crate) standard: Arc<StandardService>,
    pub(crate) behaviours: BTreeSet<Behaviour>,
    pub(crate) hostile: Hostile,
    pub(crate) ledger: Arc<Ledger>,
    /// Receipts that passed through, to be brought again.
    pub(crate) kept: Mutex<BTreeMap<NodeId, Receipt>>,
    /// Versions of accomplices' certificates, for one agent each.
    pub(crate) marking: Marking,
    /// What it lies with as a keeper.
    pub(crate) keeper: Option<Means>,
}

impl Service for Liar {
    fn handle<'a>(&'a self, peer: &'a Peer, via: Via, request: Request) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            if self.hostile.includes(&self.id()) {
                self.lie(peer, via, request).await
            } else {
                self.standard.handle(peer, via, request).await
            }
        })
    }
}

impl Liar {
    async fn lie(&self, peer: &Peer, via: Via, request: Request) -> Response {
        let is = |behaviour| {
            self.behaviours.contains(&behaviour) && self.hostile.has(&self.id(), behaviour)
        };
        match (&request, via) {
            (Request::Closest { key, count: 1 }, Via::Channel) if is(Behaviour::LyingGoBetween) => {
                self.name_another(peer, *key).await
            }
            (Request::Lookup { key, count: 1 }, _) if is(Behaviour::LyingGoBetween) => {
                self.hand_out_another(peer, via, *key).await
            }
            (Request::Closest { key, count: 2.. }, Via::Channel) if is(Behaviour::LyingList) => {
                self.list_others(peer, *key, request).await
            }
            (Request::Perform { targets: Targets::Nodes(nodes), request: proxied }, _)
                if via == Via::Channel && is_deposit(proxied) =>
            {
                if is(Behaviour::Dropping) {
                    self.drop_proxied(peer, nodes.clone()).await
                } else if is(Behaviour::Forging) {
                    self.forge_all(peer, via, request).await
                } else {
                    self.standard.handle(peer, via, request).await
                }
            }
            (
                Request::Store(Store { kind: ObjectKind::Body, .. }) | Request::AppendInbox(_),
                Via::Direct,
            ) if is(Behaviour::Forging) => self.sign_falsely(peer, via, request).await,
            (Request::Roster { .. } | Request::RosterEntries { .. }, Via::Direct)
                if is(Behaviour::Marking) =>
            {
                self.marking.answer(&self.standard, peer, request).await
            }
            (Request::Fetch { .. } | Request::ReadInbox { .. }, Via::Direct)
                if is(Behaviour::AnsweringAtLength) =>
            {
                self.ledger.write(peer, Act::AnsweredAtLength);
                Response::Object(vec![b'x'; MAX_OBJECT])
            }
            (Request::Fetch { .. }, Via::Direct) if is(Behaviour::HoldingBack) => {
                self.ledger.write(peer, Act::HeldBack);
                Response::NotFound
            }
            (Request::ReadInbox { .. }, Via::Direct) if is(Behaviour::HoldingBack) => {
                self.ledger.write(peer, Act::HeldBack);
                Response::Inbox(InboxPage::List { digests: Vec::new(), next: None })
            }
            (Request::View(_), Via::Direct) if is(Behaviour::SilentKeeper) => Response::Refused,
            (Request::View(ViewRequest::Vote { digest, from, .. }), Via::Direct) => {
                let other = self.keeper.as_ref().and_then(|means| means.hand_out(digest, *from));
                match other {
                    Some(vote) => Response::View(vote),
                    None => self.standard.handle(peer, via, request).await,
                }
            }
            _ => self.standard.handle(peer, via, request).await,
        }
    }

    fn id(&self) -> NodeId {
        self.standard.identity().node()
    }

    /// Names an accomplice, or where that would be the truth, or every other time, somebody nobody knows.
    async fn name_another(&self, peer: &Peer, key: Key) -> Response {
        let request = Request::Closest { key, count: 1 };
        let honest = self.standard.handle(peer, Via::Channel, request).await;
        let Response::Closest(honest) = honest else { return honest };
        let accomplice = self.hostile.accomplices(&self.id(), &key).first().copied();
        let accomplice = accomplice.filter(|node| {
            self.ledger.turn().is_multiple_of(2) && !honest.claims.closest.contains(node)
        });
        let act = match accomplice {
            Some(_) => Act::NamedAccomplice,
            None => Act::NamedStranger,
        };
        self.ledger.write(peer, act);
        self.state(*honest, |closest| *closest = vec![accomplice.unwrap_or_else(stranger)])
    }

    /// Hands out the certificate of the accomplice closest to the key: all liars name the same one.
    async fn hand_out_another(&self, peer: &Peer, via: Via, key: Key) -> Response {
        let accomplice = self.hostile.accomplices(&self.id(), &key).first().copied();
        let certificate =
            |node: &NodeId| self.standard.roster().with(|roster| roster.certificate(node).cloned());
        match accomplice.as_ref().and_then(certificate) {
            Some(certificate) => {
                self.ledger.write(peer, Act::NamedAccomplice);
                Response::LookedUp(vec![certificate.to_unverified()])
            }
            None => self.standard.handle(peer, via, Request::Lookup { key, count: 1 }).await,
        }
    }

    async fn list_others(&self, peer: &Peer, key: Key, request: Request) -> Response {
        let honest = self.standard.handle(peer, Via::Channel, request).await;
        let Response::Closest(honest) = honest else { return honest };
        self.ledger.write(peer, Act::ListedOthers);
        let accomplices = self.hostile.accomplices(&self.id(), &key);
        self.state(*honest, |closest| {
            let count = closest.len();
            *closest = accomplices.into_iter().take(count).collect();
            closest.resize_with(count, stranger);
        })
    }

    /// Signs an honest statement anew, with other nodes in it.
    fn state(&self, honest: Statement, change: impl FnOnce(&mut Vec<NodeId>)) -> Response {
        let mut claims = honest.claims;
        change(&mut claims.closest);
        Response::Closest(Box::new(Statement::issue(self.standard.identity().secret(), claims)))
    }

    async fn drop_proxied(&self, peer: &Peer, targets: Vec<NodeId>) -> Response {
        let turn = self.ledger.turn();
        if turn % RARELY == RARELY / 2 {
            self.ledger.write(peer, Act::StayedSilent);
            tokio::time::sleep(SILENCE).await;
            return Response::Refused;
        }
        if turn.is_multiple_of(2) {
            self.ledger.write(peer, Act::RefusedProxied);
            return Response::Refused;
        }
        self.ledger.write(peer, Act::ClaimedSilence);
        let answers = targets.into_iter().map(|node| Answer { node, response: None }).collect();
        Response::Performed { nodes: Vec::new(), answers }
    }

    /// Carries out the request, and brings back other receipts than it got.
    async fn forge_all(&self, peer: &Peer, via: Via, request: Request) -> Response {
        let mut response = self.standard.handle(peer, via, request).await;
        if let Response::Performed { answers, .. } = &mut response {
            let act = match self.ledger.turn() % 4 {
                0 => Act::ForgedDigest,
                1 => Act::ForgedSignature,
                2 => Act::OwnReceipts,
                _ => Act::ReplayedReceipts,
            };
            let mut forged = false;
            for answer in answers {
                if let Some(Response::Receipt(receipt)) = &mut answer.response {
                    forged |= self.forge(act, receipt);
                }
            }
            if forged {
                self.ledger.write(peer, act);
            }
        }
        response
    }

    fn forge(&self, act: Act, receipt: &mut Receipt) -> bool {
        let own = self.standard.identity().secret();
        let mut kept = self.kept.lock();
        let honest = receipt.clone();
        let old = kept.insert(honest.claims.node, honest.clone());
        let mut claims = honest.claims;
        match (act, old) {
            (Act::ReplayedReceipts, Some(old)) => {
                *receipt = old;
                return true;
            }
            (Act::OwnReceipts, _) => claims.node = self.id(),
            (Act::ForgedSignature, _) => {}
            _ => flip(&mut claims.digest),
        }
        *receipt = Receipt::issue(own, claims);
        true
    }

    /// As replica: keeps what it is given and signs for something else.
    async fn sign_falsely(&self, peer: &Peer, via: Via, request: Request) -> Response {
        let honest = self.standard.handle(peer, via, request).await;
        let Response::Receipt(receipt) = honest else { return honest };
        let mut claims = receipt.claims;
        let act = match self.ledger.turn() % 3 {
            0 => Act::SignedOtherDigest,
            1 => Act::SignedBriefReceipt,
            _ => Act::SignedOtherKind,
        };
        match act {
            Act::SignedBriefReceipt => claims.expiry = now().after(BRIEFLY),
            Act::SignedOtherKind => {
                claims.kind = match claims.kind {
                    ReceiptKind::Stored => ReceiptKind::Appended,
                    ReceiptKind::Appended => ReceiptKind::Stored,
                };
            }
            _ => flip(&mut claims.digest),
        }
        self.ledger.write(peer, act);
        Response::Receipt(Box::new(Receipt::issue(self.standard.identity().secret(), claims)))
    }
}

fn is_deposit(request: &Request) -> bool {
    match request {
        Request::Store(store) => store.kind == ObjectKind::Body,
        other => matches!(other, Request::AppendInbox(_)),
    }
}

fn stranger() -> NodeId {
    NodeId(rand::random())
}

fn flip(digest: &mut [u8; 32]) {
    if let Some(first) = digest.first_mut() {
        *first ^= 1;
    }
}
