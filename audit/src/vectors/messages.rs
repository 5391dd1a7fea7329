//! The protocol's own answers: every request and response, made from what the other files hold.

use anon::{
    authorization::{Deletion, InboxProof},
    certificate::UnverifiedNodeCertificate,
    keys::{DeleteSecret, SigningSecret as _},
    position::Key,
    receipt::Receipt,
    request::{
        Answer, Append, DeletePermission, Errand, InboxPage, InboxQuery, ObjectKind, Request,
        Response, Store, Targets,
    },
    roster::ShortDigest,
    verification::{Statement, StatementClaims},
    wire,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use super::{
    Compared, Known,
    protocol::{Members, other_file},
};

/// `length` bytes that count up and start again before `modulus`.
fn ramp(length: usize, modulus: u8) -> Vec<u8> {
    (0..modulus).cycle().take(length).collect()
}

fn key() -> Key {
    Key::of_identifier("an identifier")
}

/// Requests and responses, made and read.
pub(super) fn messages(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let members = Members::read()?;
    let storage = Known(other_file!("cutout-storage"));
    let mut requests = requests(&members, storage)?;
    for (name, bytes) in known.texts("/requests")? {
        let request = requests.iter().position(|(known, _)| *known == name)?;
        let (_, request) = requests.swap_remove(request);
        let same = wire::encode(&request) == bytes && Request::decode(&bytes) == Ok(request);
        compared.same(name, same);
    }
    let mut responses = responses(&members, storage)?;
    for (name, bytes) in known.texts("/responses")? {
        let response = responses.iter().position(|(known, _)| *known == name)?;
        let (_, response) = responses.swap_remove(response);
        let same = wire::encode(&response) == bytes && Response::decode(&bytes) == Ok(response);
        compared.same(name, same);
    }
    (requests.is_empty() && responses.is_empty()).then_some(())
}

fn read<T: Serialize + DeserializeOwned>(known: Known<'_>, path: &str) -> Option<T> {
    wire::decode(&known.bytes(path)?, 1_024).ok()
}

fn requests(members: &Members, storage: Known<'_>) -> Option<Vec<(&'static str, Request)>> {
    let nonce = storage.array("/nonce")?;
    let delete = DeleteSecret::from_seed(&storage.array("/delete_seed")?);
    let [alice, bob] = [members.certificate(0)?, members.certificate(1)?];
    let store = Store {
        key: key(),
        kind: ObjectKind::Body,
        object: ramp(5_000, 251),
        deleters: vec![
            DeletePermission::OneTimeKey(delete.verify_key()),
            DeletePermission::Certificate(Box::new(alice.to_unverified())),
        ],
        nonce,
    };
    let inbox = bob.address().inbox();
    let append = Append { inbox, notification: ramp(4_144, 241), nonce };
    let deletion: Deletion = read(storage, "/deletion")?;
    let proof: InboxProof = read(storage, "/acknowledge")?;
    let digests: Vec<[u8; 32]> =
        storage.list("/digests")?.map(|d| d.array("")).collect::<Option<_>>()?;
    let reading = |name, query| Some(Request::ReadInbox { proof: read(storage, name)?, query });
    let fetch = || Box::new(Request::Fetch { key: key() });
    let [a, b] = [members.node(0)?, members.node(1)?];
    let perform = |targets| Request::Perform { targets, request: fetch() };
    let each = vec![
        Errand { target: a, request: *fetch() },
        Errand { target: b, request: Request::Certificate },
    ];
    Some(vec![
        ("store", Request::Store(store)),
        ("fetch", *fetch()),
        ("delete", Request::Delete(deletion)),
        ("append", Request::AppendInbox(append)),
        ("list", reading("/list", InboxQuery::List { from: 300, count: 4_096 })?),
        ("hand_over", reading("/hand_over", InboxQuery::HandOver(digests.clone()))?),
        ("acknowledge", Request::Acknowledge { proof, digests }),
        ("closest", Request::Closest { key: key(), count: 20 }),
        ("certificate", Request::Certificate),
        ("perform_nodes", perform(Targets::Nodes(vec![a, b]))),
        ("perform_closest", perform(Targets::Closest { key: key(), count: 8 })),
        ("perform_nearest", perform(Targets::Nearest { key: key(), count: 8 })),
        ("nearest", Request::Nearest { key: key(), count: 5 }),
        ("roster", Request::Roster { pieces: (0..=255).map(|i| ShortDigest([i; 8])).collect() }),
        ("roster_entries", Request::RosterEntries { wanted: vec![ShortDigest([5; 8])] }),
        ("perform_each", Request::PerformEach(each)),
    ])
}

fn responses(members: &Members, storage: Known<'_>) -> Option<Vec<(&'static str, Response)>> {
    let certificate = |at: usize| -> Option<UnverifiedNodeCertificate> {
        Some(members.nodes.get(at)?.certificate.to_unverified())
    };
    let receipt = |at: usize| {
        let receipt: Receipt = read(storage, &format!("/receipts/{at}"))?;
        Some(Response::Receipt(Box::new(receipt)))
    };
    let [a, b, c] = [members.node(0)?, members.node(1)?, members.node(2)?];
    let answers =
        vec![Answer { node: a, response: Some(receipt(0)?) }, Answer { node: b, response: None }];
    let claims = StatementClaims {
        network: members.network.id,
        node: a,
        epoch: members.network.epoch(members.now),
        key: key(),
        nearest: vec![b, c],
    };
    let statement = Statement::issue(&members.nodes.first()?.identity, claims);
    let listed = InboxPage::List { digests: vec![[1; 32], [2; 32], [3; 32]], next: Some(300) };
    let page = InboxPage::HandedOver(vec![ByteBuf::from(ramp(4_144, 241))]);
    Some(vec![
        ("receipt", receipt(1)?),
        ("object", Response::Object(ramp(5_000, 251))),
        ("deleted", Response::Deleted),
        ("listed", Response::Inbox(listed)),
        ("handed_over", Response::Inbox(page)),
        ("acknowledged", Response::Acknowledged(300)),
        ("closest", Response::Closest(vec![certificate(2)?])),
        ("certificate", Response::Certificate(Box::new(certificate(2)?))),
        ("performed", Response::Performed { nodes: vec![certificate(1)?], answers }),
        ("not_found", Response::NotFound),
        ("full", Response::Full),
        ("refused", Response::Refused),
        ("nearest", Response::Nearest(Box::new(statement))),
        ("roster", Response::Roster { alike: [0x55; 32], listed: vec![ShortDigest([6; 8])] }),
        ("roster_entries", Response::RosterEntries(vec![certificate(2)?])),
    ])
}
