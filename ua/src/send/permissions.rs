//! Who may delete the bodies of a mail: one-time keys, or the recipients' certificates as the paper has it.
//!
//! Nodes that hold a body take no other permissions for it. So whoever may delete is decided once, before anything is
//! stored, and each attempt names the same keys, whatever certificates it finds.

use anon::{
    certificate::{AddressCertificate, UnverifiedAddressCertificate},
    keys::{SigningSecret as _, VerifyKey},
    mail::{DeleteSeed, MessageId},
    request::DeletePermission,
};

use crate::outbox::State;

/// Who may delete the bodies of a mail.
pub(super) struct Permissions(Vec<Deleter>);

/// How one recipient deletes them.
enum Deleter {
    /// By one-time keys from this seed: whoever stores a body learns nothing of the recipient.
    OneTime([u8; 32]),
    /// By the key of this certificate.
    Certificate(Box<UnverifiedAddressCertificate>),
    /// By the key of a certificate that was not found this time, or is not the recipient's any more.
    Key(VerifyKey),
}

impl Permissions {
    /// As the state says; `found` has the certificates that are at hand, by their recipients.
    pub(super) fn of(state: &State, found: impl Fn(usize) -> Option<AddressCertificate>) -> Self {
        let deleters = state.recipients.iter().enumerate().map(|(index, recipient)| {
            let Some(key) = state.delete_key(index) else {
                return Deleter::OneTime(recipient.delete_seed);
            };
            match found(index).filter(|found| found.claims().verify_key == key) {
                Some(certificate) => Deleter::Certificate(Box::new(certificate.to_unverified())),
                None => Deleter::Key(key),
            }
        });
        Self(deleters.collect())
    }

    pub(super) fn for_part(&self, part: &MessageId) -> Vec<DeletePermission> {
        let permission = |deleter: &Deleter| match deleter {
            Deleter::OneTime(seed) => {
                let secret = DeleteSeed::from_bytes(*seed).secret(part);
                DeletePermission::OneTimeKey(secret.verify_key())
            }
            Deleter::Certificate(certificate) => DeletePermission::Certificate(certificate.clone()),
            // To a node a permission is a key, whatever it came in.
            Deleter::Key(key) => DeletePermission::OneTimeKey(*key),
        };
        self.0.iter().map(permission).collect()
    }
}
