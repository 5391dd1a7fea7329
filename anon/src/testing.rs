//! One message of every kind, for whatever writes, reads or answers messages in a test or an audit. Nothing of this is
//! in a program unless the feature `testing` is on.

pub mod views;

use serde_bytes::ByteBuf;

use crate::{
    authorization::{Deletion, InboxOperation, InboxProof},
    certificate::{AddressCertificate, NodeCertificate, UnverifiedNodeCertificate},
    create::{BODY, Create, Created, HopName},
    id::NodeId,
    keeper::vote::VoteDigest,
    keys::{AddressSecret, AgreementKey, DeleteSecret, IdentitySecret, SigningSecret as _},
    mail::NOTIFICATION,
    network::Network,
    position::Key,
    receipt::{Receipt, ReceiptClaims, ReceiptKind},
    request::{
        Answer, Append, DeletePermission, InboxPage, InboxQuery, ObjectKind, ProxiedRequest,
        Request, Response, Store, Targets, view::ViewRequest,
    },
    roster::ShortDigest,
    time::{Epoch, Time},
    verification::{Statement, StatementClaims},
    view::{header::ViewId, statement::StatementDigest},
};

/// A list that goes on in the middle of an inbox.
pub const LIST: InboxQuery = InboxQuery::List { from: 300, count: 4_096 };
/// The digests that are listed, handed over and acknowledged.
pub const DIGESTS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];

/// Whose messages they are, and when.
#[derive(Clone, Copy, Debug)]
pub struct Cast<'a> {
    /// Their network.
    pub network: &'a Network,
    /// When it takes place.
    pub now: Time,
    /// Until when things are kept.
    pub expiry: Time,
    /// Three nodes.
    pub nodes: [(&'a IdentitySecret, &'a NodeCertificate); 3],
    /// The owners of two addresses.
    pub owners: [(&'a AddressSecret, &'a AddressCertificate); 2],
    /// Who may delete the object.
    pub delete: &'a DeleteSecret,
    /// The nonce of what is stored.
    pub nonce: [u8; 16],
    /// The nonce of proofs of ownership.
    pub proof_nonce: [u8; 16],
}

/// The key that all messages are about.
#[must_use]
pub fn key() -> Key {
    Key::of_identifier("an identifier")
}

/// The object that is stored.
#[must_use]
pub fn object() -> Vec<u8> {
    ramp(5_000, 251)
}

/// `length` bytes that count up and start again before `modulus`.
fn ramp(length: usize, modulus: u8) -> Vec<u8> {
    (0..modulus).cycle().take(length).collect()
}

impl Cast<'_> {
    /// Stores the object.
    #[must_use]
    pub fn store(&self) -> Store {
        let [(_, alice), _] = self.owners;
        let deleters = vec![
            DeletePermission::OneTimeKey(self.delete.verify_key()),
            DeletePermission::Certificate(Box::new(alice.to_unverified())),
        ];
        let (key, kind, object, nonce) = (key(), ObjectKind::Body, object(), self.nonce);
        Store { key, kind, object, deleters, nonce }
    }

    /// Tells the second owner.
    #[must_use]
    pub fn append(&self) -> Append {
        let [_, (_, bob)] = self.owners;
        let (inbox, notification) = (bob.address().inbox(), ramp(NOTIFICATION, 241));
        Append { inbox, notification, nonce: self.nonce }
    }

    /// What the first node signs for the object, and the second one for the notification.
    #[must_use]
    pub fn receipts(&self) -> [Receipt; 2] {
        let ([(first, a), (second, b), _], store, append) =
            (self.nodes, self.store(), self.append());
        let stored = ReceiptClaims {
            network: self.network.id,
            kind: ReceiptKind::Stored,
            key: key(),
            digest: store.digest(),
            size: 5_000,
            expiry: self.expiry,
            node: a.node(),
            nonce: self.nonce,
        };
        let (digest, node) = (append.digest(), b.node());
        let (kind, key, size) = (ReceiptKind::Appended, append.inbox, 4_144);
        let appended = ReceiptClaims { kind, key, digest, size, node, ..stored };
        [Receipt::issue(first, stored), Receipt::issue(second, appended)]
    }

    /// Permission to delete the object at the third node.
    #[must_use]
    pub fn deletion(&self) -> Deletion {
        let [.., (_, c)] = self.nodes;
        Deletion::sign(self.delete, &self.network.id, key(), c.node(), self.now)
    }

    /// The second owner's proof for a question to the first node.
    #[must_use]
    pub fn proof(&self, query: &InboxQuery) -> InboxProof {
        let ([(_, a), ..], [_, (bob, certificate)]) = (self.nodes, self.owners);
        let operation = InboxOperation::Read(query);
        InboxProof::sign(bob, certificate, operation, a.node(), self.now, self.proof_nonce)
    }

    /// The first owner's proof for an acknowledgement to the second node.
    #[must_use]
    pub fn acknowledgement(&self) -> InboxProof {
        let ([_, (_, b), _], [(alice, certificate), _]) = (self.nodes, self.owners);
        let operation = InboxOperation::Acknowledge(&DIGESTS);
        InboxProof::sign(alice, certificate, operation, b.node(), self.now, self.proof_nonce)
    }

    /// A question for the second owner's inbox.
    #[must_use]
    pub fn read(&self, query: InboxQuery) -> Request {
        Request::ReadInbox { proof: self.proof(&query), query }
    }

    fn ids(&self) -> [NodeId; 3] {
        self.nodes.map(|(_, certificate)| certificate.node())
    }

    fn certificates(&self) -> [UnverifiedNodeCertificate; 3] {
        self.nodes.map(|(_, certificate)| certificate.to_unverified())
    }

    /// A request of every kind, each with a name.
    #[must_use]
    pub fn requests(&self) -> Vec<(&'static str, Request)> {
        let (key, [a, b, _], [.., next]) = (key(), self.ids(), self.certificates());
        let fetch = || Box::new(Request::Fetch { key });
        let perform = |targets| Request::Perform { targets, request: fetch() };
        let proxied = |target, request| ProxiedRequest { target, request };
        let pieces = (0..=255).map(|piece| ShortDigest([piece; 8])).collect();
        let each = vec![proxied(a, *fetch()), proxied(b, Request::Certificate)];
        let (proof, digests) = (self.acknowledgement(), DIGESTS.to_vec());
        vec![
            ("store", Request::Store(self.store())),
            ("fetch", *fetch()),
            ("delete", Request::Delete(self.deletion())),
            ("append", Request::AppendInbox(self.append())),
            ("list", self.read(LIST)),
            ("hand_over", self.read(InboxQuery::HandOver(DIGESTS.to_vec()))),
            ("acknowledge", Request::Acknowledge { proof, digests }),
            ("closest", Request::Lookup { key, count: 20 }),
            ("certificate", Request::Certificate),
            ("time", Request::Time),
            ("perform_nodes", perform(Targets::Nodes(vec![a, b]))),
            ("perform_closest", perform(Targets::LookedUp { key, count: 8 })),
            ("perform_nearest", perform(Targets::Closest { key, count: 8 })),
            ("extend", Request::Extend { next: Box::new(next), create: Box::new(create()) }),
            ("nearest", Request::Closest { key, count: 5 }),
            ("roster", Request::Roster { pieces }),
            ("roster_entries", Request::RosterEntries { wanted: vec![ShortDigest([5; 8])] }),
            ("perform_each", Request::PerformEach(each)),
        ]
        .into_iter()
        .chain(view_requests().map(|(name, request)| (name, Request::View(request))))
        .collect()
    }

    /// A response of every kind, each with a name.
    #[must_use]
    pub fn responses(&self) -> Vec<(&'static str, Response)> {
        let ([a, b, c], [_, second, third]) = (self.ids(), self.certificates());
        let [stored, appended] = self.receipts().map(|r| Response::Receipt(Box::new(r)));
        let answers =
            vec![Answer { node: a, response: Some(stored) }, Answer { node: b, response: None }];
        let claims = StatementClaims {
            network: self.network.id,
            node: a,
            epoch: self.network.epoch(self.now),
            key: key(),
            closest: vec![b, c],
        };
        let [(first, _), ..] = self.nodes;
        let statement = Box::new(Statement::issue(first, claims));
        let listed = |digests, next| Response::Inbox(InboxPage::List { digests, next });
        let notifications = vec![ByteBuf::from(self.append().notification)];
        let created = Created { ephemeral: AgreementKey([3; 32]), confirmation: [4; 32] };
        vec![
            ("receipt", appended),
            ("object", Response::Object(object())),
            ("deleted", Response::Deleted),
            ("listed", listed(DIGESTS.to_vec(), Some(300))),
            ("listed_to_the_end", listed(Vec::new(), None)),
            ("handed_over", Response::Inbox(InboxPage::HandedOver(notifications))),
            ("acknowledged", Response::Acknowledged(300)),
            ("closest", Response::LookedUp(vec![third.clone()])),
            ("certificate", Response::Certificate(Box::new(third.clone()))),
            ("performed", Response::Performed { nodes: vec![second], answers }),
            ("extended", Response::Extended(Box::new(created))),
            ("not_found", Response::NotFound),
            ("full", Response::Full),
            ("refused", Response::Refused),
            ("nearest", Response::Closest(statement)),
            ("roster", Response::Roster { alike: [0x55; 32], listed: vec![ShortDigest([6; 8])] }),
            ("roster_entries", Response::RosterEntries(vec![third])),
            ("time", Response::Time(self.now)),
            ("view", Response::View(object())),
        ]
    }
}

/// What is asked for the sake of the view, one of each kind; what keepers and nodes sign in it is noise.
fn view_requests() -> [(&'static str, ViewRequest); 10] {
    let (epoch, from, noise) = (Epoch(7), 300, ramp(40, 251));
    [
        ("view_state", ViewRequest::State(noise.clone())),
        ("view_statements", ViewRequest::Statements(vec![StatementDigest([8; 32]); 2])),
        ("view_vote", ViewRequest::Vote { epoch, digest: VoteDigest([9; 32]), from }),
        ("view_chain", ViewRequest::Chain(noise.clone())),
        ("view_signatures", ViewRequest::Signatures(noise.clone())),
        ("view_word", ViewRequest::Word(noise)),
        ("view_words", ViewRequest::Words(epoch)),
        ("view_latest", ViewRequest::Latest),
        ("view_whole", ViewRequest::View { id: ViewId([10; 32]), from }),
        ("view_revocations", ViewRequest::Revocations { digest: [11; 32], from }),
    ]
}

/// A first message that nobody can open.
fn create() -> Create {
    let ephemeral = AgreementKey([2; 32]);
    Create { name: HopName::Certificate([1; 32]), ephemeral, body: [0xAB; BODY] }
}
