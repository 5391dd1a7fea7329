//! What a mail becomes: objects with delete permissions for the body nodes, a notification for each inbox.

mod attacks;

use anon::{
    keys::{AgreementKey, DeleteSecret, EphemeralSecret, SigningSecret as _},
    mail::{
        DeleteSeed, Headers, Part, SealedPart, open_notification, seal_body, seal_notification,
    },
    padding::{self, PREFIX},
    request::{DeletePermission, ObjectKind, Store},
    secretbox::{self, TAG},
    wire,
};
use clap::ValueEnum;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use x25519_dalek::x25519;

use super::{
    family::{Check, Family, Tried},
    world::{NOW, Owner, network},
};

/// A mail that is to be sent.
pub(super) struct Mail<'a> {
    pub(super) subject: &'a str,
    pub(super) content: &'a [u8],
    pub(super) recipients: &'a [Owner],
}

/// What leaves the sender's machine for it.
pub(super) struct Sealed {
    pub(super) stores: Vec<Store>,
    /// One for each recipient, in their order.
    pub(super) notifications: Vec<Vec<u8>>,
}

/// How mails are sealed.
pub(super) trait Sealing {
    /// Seals one.
    fn seal(&self, mail: &Mail<'_>, rng: &mut StdRng) -> Option<Sealed>;
    /// What a recipient reads in it: the subject, the text.
    fn read(&self, sealed: &Sealed, notification: &[u8], by: &Owner) -> Option<(String, Vec<u8>)>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Flaw {
    /// A notification is as long as its subject and the number of parts make it.
    #[value(name = "notification without padding")]
    UnpaddedNotification,
    /// A stored body is exactly as long as the mail, so that the two can be matched by size.
    #[value(name = "body without padding")]
    UnpaddedBody,
    /// A stored body says who may delete it by name, so that whoever keeps it knows for whom it is.
    #[value(name = "recipients' certificates on bodies")]
    RecipientCertificates,
    /// All parts of a mail carry the same key, so that whoever keeps two of them sees that they belong together.
    #[value(name = "one delete key for all parts")]
    OneDeleteKey,
    /// The same text is sealed to the same bytes, so that two mails with one text are seen to have one.
    #[value(name = "body key made from the content")]
    KeyFromContent,
    /// The subject stands in front of the notification for every inbox node to read.
    #[value(name = "subject in clear")]
    SubjectInClear,
    /// The notification names its body, so that inbox nodes and body nodes can tell what belongs together.
    #[value(name = "Message-ID in clear")]
    MessageIdInClear,
}

/// Sealing as an agent does it over the project's own functions, or with a flaw.
struct Composed(Option<Flaw>);

/// What stands in clear in front of a notification that has something in clear.
const CLEAR: usize = 256;

impl Sealing for Composed {
    fn seal(&self, mail: &Mail<'_>, rng: &mut StdRng) -> Option<Sealed> {
        let parts = self.parts(mail, rng)?;
        let seeds: Vec<[u8; 32]> = mail.recipients.iter().map(|_| rng.random()).collect();
        let name = network().name;
        let stores = parts.iter().map(|sealed| Store {
            key: sealed.part.message_id.key(&name),
            kind: ObjectKind::Body,
            object: sealed.object.clone(),
            deleters: self.deleters(mail, &seeds, &sealed.part),
            nonce: rng.random(),
        });
        let stores = stores.collect();
        let notify =
            |(owner, seed): (&Owner, &[u8; 32])| self.notify(mail, owner, &parts, *seed, rng);
        let notifications =
            mail.recipients.iter().zip(&seeds).map(notify).collect::<Option<_>>()?;
        Some(Sealed { stores, notifications })
    }

    fn read(&self, sealed: &Sealed, notification: &[u8], by: &Owner) -> Option<(String, Vec<u8>)> {
        let headers: Headers = match self.0 {
            Some(Flaw::UnpaddedNotification) => {
                let (public, sealed) = notification.split_first_chunk::<32>()?;
                let key = notification_key(x25519(by.sealing.expose_seed(), *public));
                wire::decode(&secretbox::open(&key, &[0; 24], sealed).ok()?, CLEAR << 4).ok()?
            }
            Some(Flaw::SubjectInClear | Flaw::MessageIdInClear) => {
                let notification = notification.get(CLEAR..)?;
                open_notification(notification, &by.sealing, &by.certificate).ok()?
            }
            _ => open_notification(notification, &by.sealing, &by.certificate).ok()?,
        };
        let name = network().name;
        let mut content = Vec::new();
        for part in &headers.parts {
            let store = sealed.stores.iter().find(|s| s.key == part.message_id.key(&name))?;
            content.extend(part.open(&store.object).ok()?);
        }
        Some((headers.subject, content))
    }
}

impl Composed {
    fn parts(&self, mail: &Mail<'_>, rng: &mut StdRng) -> Option<Vec<SealedPart>> {
        match self.0 {
            Some(Flaw::UnpaddedBody) => {
                let sealed = seal_body(mail.content, rng).ok()?;
                let [SealedPart { part, .. }] = &sealed[..] else { return Some(sealed) };
                let padded = padding::pad(mail.content, mail.content.len() + PREFIX).ok()?;
                Some(vec![by_hand(part, &padded)?])
            }
            Some(Flaw::KeyFromContent) => {
                let mut same = StdRng::from_seed(Sha256::digest(mail.content).into());
                seal_body(mail.content, &mut same).ok()
            }
            _ => seal_body(mail.content, rng).ok(),
        }
    }

    fn deleters(&self, mail: &Mail<'_>, seeds: &[[u8; 32]], part: &Part) -> Vec<DeletePermission> {
        let one_time = |secret: DeleteSecret| DeletePermission::OneTimeKey(secret.verify_key());
        let permissions = mail.recipients.iter().zip(seeds).map(|(owner, seed)| match self.0 {
            Some(Flaw::RecipientCertificates) => {
                DeletePermission::Certificate(Box::new(owner.certificate.to_unverified()))
            }
            Some(Flaw::OneDeleteKey) => one_time(DeleteSecret::from_seed(seed)),
            _ => one_time(DeleteSeed::from_bytes(*seed).secret(&part.message_id)),
        });
        permissions.collect()
    }

    fn notify(
        &self,
        mail: &Mail<'_>,
        owner: &Owner,
        parts: &[SealedPart],
        seed: [u8; 32],
        rng: &mut StdRng,
    ) -> Option<Vec<u8>> {
        let described: Vec<Part> = parts.iter().map(|sealed| sealed.part.duplicate()).collect();
        let (to, size) = (owner.certificate.address().clone(), mail.content.len());
        let seed = Some(DeleteSeed::from_bytes(seed));
        let headers =
            Headers::new(to, NOW, mail.subject, u64::try_from(size).ok()?, &described, seed);
        let filling: [u8; CLEAR] = rng.random();
        let clear = |text: &[u8], sealed: Vec<u8>| {
            let front = text.iter().chain(filling.iter().skip(text.len()));
            front.chain(&sealed).copied().collect::<Vec<u8>>()
        };
        match self.0 {
            Some(Flaw::UnpaddedNotification) => {
                let ephemeral = EphemeralSecret::generate(rng);
                let AgreementKey(theirs) = owner.sealing.agreement_key();
                let key = notification_key(x25519(ephemeral.expose_seed(), theirs));
                let sealed = secretbox::seal(&key, &[0; 24], &wire::encode(&headers));
                Some([&ephemeral.agreement_key().0[..], &sealed].concat())
            }
            Some(Flaw::SubjectInClear) => {
                let sealed = seal_notification(&headers, &owner.certificate, rng).ok()?;
                Some(clear(headers.subject.as_bytes(), sealed))
            }
            Some(Flaw::MessageIdInClear) => {
                let sealed = seal_notification(&headers, &owner.certificate, rng).ok()?;
                Some(clear(&headers.parts.first()?.message_id.0, sealed))
            }
            _ => seal_notification(&headers, &owner.certificate, rng).ok(),
        }
    }
}

fn notification_key(shared: [u8; 32]) -> [u8; 32] {
    Sha256::digest(shared).into()
}

/// A part, as it travels.
#[derive(Serialize, Deserialize)]
struct BarePart {
    message_id: [u8; 20],
    digest: [u8; 32],
    key: [u8; 32],
}

/// The same part, with these bytes in its object.
fn by_hand(part: &Part, padded: &[u8]) -> Option<SealedPart> {
    let bare: BarePart = recode(part)?;
    let object = secretbox::seal(&bare.key, &[0; 24], padded);
    let part = recode(&BarePart { digest: Sha256::digest(&object).into(), ..bare })?;
    Some(SealedPart { part, object })
}

/// The same bytes as another type.
fn recode<A: Serialize, B: Serialize + DeserializeOwned>(value: &A) -> Option<B> {
    wire::decode(&wire::encode(value), usize::MAX).ok()
}

/// How much longer an object is than what it was padded to.
const OBJECT: usize = TAG + PREFIX;

/// The values from which somebody could recognise a recipient: all that the certificate holds, and hashes of it.
fn marks(owner: &Owner) -> Vec<Vec<u8>> {
    let (claims, address) = (owner.certificate.claims(), owner.certificate.address());
    let encoded = owner.certificate.encode();
    let text = address.to_string().into_bytes();
    let mut marks = vec![
        text.clone(),
        address.inbox().0.to_vec(),
        address.certificate().0.to_vec(),
        address.inbox().position().0.to_vec(),
        claims.verify_key.0.to_vec(),
        claims.sealing_key.0.to_vec(),
    ];
    let hashed = [&encoded, &text, &claims.verify_key.0.to_vec(), &claims.sealing_key.0.to_vec()];
    marks.extend(hashed.map(|value| Sha256::digest(value).to_vec()));
    marks.push(encoded);
    marks
}

/// Sealing, and mutants of it.
pub(super) fn family() -> Box<dyn Tried> {
    Box::new(Family::<dyn Sealing, Flaw> {
        checks: vec![
            Check { name: "property.sizes", attack: attacks::sizes },
            Check { name: "property.recipient-blind", attack: attacks::recipient_blind },
            Check { name: "property.headers", attack: attacks::headers },
        ],
        real: Box::new(Composed(None)),
        mutant: |flaw| Box::new(Composed(Some(flaw))),
        attack: |flaw| match flaw {
            Flaw::UnpaddedNotification | Flaw::UnpaddedBody => "15. Timing and volume",
            Flaw::RecipientCertificates | Flaw::OneDeleteKey | Flaw::KeyFromContent => {
                "7. Recipient certificates on bodies"
            }
            Flaw::SubjectInClear => "Claim C-01: reading what is not addressed to one",
            Flaw::MessageIdInClear => "9. Body and headers linked",
        },
    })
}
