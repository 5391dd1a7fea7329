//! What somebody who keeps a part of a mail, or sees it pass, could make of it.

use std::collections::BTreeSet;

use anon::wire;
use rand::{Rng as _, RngExt as _, rngs::StdRng};

use super::{Mail, OBJECT, Sealed, Sealing, marks};
use crate::property::{
    family::Seen,
    world::{Owner, shared_windows},
};

/// Bytes in a row that two unrelated sealed things never have in common.
const WINDOW: usize = 12;

fn junk(length: usize, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Seals a mail, and makes sure that its recipients can read it.
fn seal(sealing: &dyn Sealing, mail: &Mail<'_>, rng: &mut StdRng) -> Option<Sealed> {
    let sealed = sealing.seal(mail, rng)?;
    for (owner, notification) in mail.recipients.iter().zip(&sealed.notifications) {
        let (subject, content) = sealing.read(&sealed, notification, owner)?;
        if subject != mail.subject || content != mail.content {
            return None;
        }
    }
    (sealed.notifications.len() == mail.recipients.len()).then_some(sealed)
}

/// Bodies of different lengths.
const BODIES: usize = 60;

/// Looks at lengths.
pub(super) fn sizes(sealing: &(dyn Sealing + 'static), rng: &mut StdRng) -> Seen {
    let recipients = [Owner::named("bob", rng)?];
    let (mut notifications, mut bodies, mut most) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut wasteful = 0;
    for round in 0..BODIES {
        let length = rng.random_range(5_000..10_000);
        let (content, subject) = (junk(length, rng), "s".repeat(2 * round + 1));
        let mail = Mail { subject: &subject, content: &content, recipients: &recipients };
        let sealed = seal(sealing, &mail, rng)?;
        notifications.extend(sealed.notifications.iter().map(Vec::len));
        let size: usize = sealed.stores.iter().map(|store| store.object.len()).sum();
        bodies.insert(size);
        let more = size.saturating_sub(OBJECT + length);
        most = most.max(more);
        wasteful += usize::from(more * 100 > length * 12);
    }
    let seen = format!(
        "{} sizes of {BODIES} notifications; {} sizes of {BODIES} bodies of 5,000 to 10,000 bytes, {wasteful} of them padded by more than 12 % (at most {most} bytes)",
        notifications.len(),
        bodies.len()
    );
    Some((notifications.len() == 1 && bodies.len() <= 20 && wasteful == 0, seen))
}

/// Looks for the recipients in what the body nodes keep, and for anything that two things have in common.
pub(super) fn recipient_blind(sealing: &(dyn Sealing + 'static), rng: &mut StdRng) -> Seen {
    let recipients = [Owner::named("bob", rng)?, Owner::named("carol", rng)?];
    let content = junk(1_050_000, rng);
    let short = junk(5_000, rng);
    let mut stored: Vec<Vec<u8>> = Vec::new();
    let mut notifications: Vec<Vec<u8>> = Vec::new();
    // Two parts to one recipient, and one text twice to two.
    for (content, recipients) in
        [(&content, recipients.get(..1)?), (&short, &recipients), (&short, &recipients)]
    {
        let mail = Mail { subject: "noon", content, recipients };
        let sealed = seal(sealing, &mail, rng)?;
        stored.extend(sealed.stores.iter().map(|store| {
            // What a node keeps of it that is not the body, and the body's ends.
            let mut all = wire::encode(&(&store.key, &store.deleters, store.nonce));
            let body = store.object.chunks(4_096);
            all.extend(body.clone().take(1).chain(body.rev().take(1)).flatten());
            all
        }));
        notifications.extend(sealed.notifications);
    }
    let marks: Vec<Vec<u8>> = recipients.iter().flat_map(marks).collect();
    let named: usize =
        stored.iter().map(|kept| marks.iter().filter(|mark| contains(kept, mark)).count()).sum();
    let (mut pairs, mut shared) = (0, 0);
    for kept in [&stored, &notifications] {
        for (at, one) in kept.iter().enumerate() {
            for other in kept.iter().skip(at + 1) {
                pairs += 1;
                shared += usize::from(shared_windows(one, other, WINDOW) > 0);
            }
        }
    }
    let seen = format!(
        "{} stored objects: {named} marks of a recipient found; {pairs} pairs of objects or notifications: {shared} have anything in common",
        stored.len()
    );
    Some((named == 0 && shared == 0, seen))
}

/// Looks for what the mail says in what is stored.
pub(super) fn headers(sealing: &(dyn Sealing + 'static), rng: &mut StdRng) -> Seen {
    let recipients = [Owner::named("bob", rng)?];
    let stranger = Owner::named("mallory", rng)?;
    let (mut searched, mut found, mut opened) = (0, 0, 0);
    for round in 0..5 {
        let subject = format!("canary {}", data_encoding::HEXLOWER.encode(&junk(16, rng)));
        let content = [b"a secret text: ", &junk(600 + round, rng)[..]].concat();
        let mail = Mail { subject: &subject, content: &content, recipients: &recipients };
        let sealed = seal(sealing, &mail, rng)?;
        let identifiers = sealed.stores.iter().map(|store| store.key.0.to_vec());
        let canaries: Vec<Vec<u8>> =
            identifiers.chain([subject.clone().into_bytes(), content.clone()]).collect();
        for notification in &sealed.notifications {
            searched += 1;
            found += canaries.iter().filter(|canary| shows(notification, canary)).count();
            // A Message-ID is found by what it hashes to, at every place it could stand.
            found += windows_hashing_to(notification, &sealed);
            opened += usize::from(sealing.read(&sealed, notification, &stranger).is_some());
        }
        for store in &sealed.stores {
            searched += 1;
            found += usize::from(
                shows(&store.object, &content) || shows(&store.object, subject.as_bytes()),
            );
        }
    }
    let seen = format!(
        "{searched} stored things: subject, text or Message-ID found {found} times; opened {opened} times by somebody else"
    );
    Some((found == 0 && opened == 0, seen))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Whether a good part of a canary is in clear somewhere.
fn shows(haystack: &[u8], canary: &[u8]) -> bool {
    shared_windows(canary, haystack, WINDOW) > 0
}

/// How many windows are a Message-ID of the mail.
fn windows_hashing_to(bytes: &[u8], sealed: &Sealed) -> usize {
    let name = crate::property::world::network().name;
    let keys: BTreeSet<[u8; 32]> = sealed.stores.iter().map(|store| store.key.0).collect();
    let ids = bytes.windows(20).filter_map(|window| window.try_into().ok());
    ids.filter(|id| keys.contains(&anon::mail::MessageId(*id).key(&name).0)).count()
}
