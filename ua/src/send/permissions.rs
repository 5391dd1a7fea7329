//! Who may delete the bodies of a mail: one-time keys, or the recipients' certificates as the paper has it.

use anon::{
    keys::SigningSecret as _,
    mail::{DeleteSeed, MessageId},
    request::DeletePermission,
};

use crate::outbox::OutgoingRecipient;

/// Who may delete the bodies of a mail.
pub(super) enum Permissions {
    /// These recipients, by one-time keys: whoever stores a body learns nothing of them.
    OneTime(Vec<OutgoingRecipient>),
    /// Whoever holds these certificates.
    Certificates(Vec<DeletePermission>),
}

impl Permissions {
    pub(super) fn for_part(&self, part: &MessageId) -> Vec<DeletePermission> {
        match self {
            Self::OneTime(recipients) => recipients
                .iter()
                .map(|recipient| {
                    let secret = DeleteSeed::from_bytes(recipient.delete_seed).secret(part);
                    DeletePermission::OneTimeKey(secret.verify_key())
                })
                .collect(),
            Self::Certificates(certificates) => certificates.clone(),
        }
    }
}
