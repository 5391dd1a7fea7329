//! Every label that separates one use of a key from another, each used in one place.
//!
//! A signature covers `label ‖ 0x00 ‖ network id (32 bytes) ‖ encoded content`; a key derivation binds the
//! label and the network's id in its `info` or `salt`. No label is a prefix of another one plus `0x00`.

/// What a signature or a derived key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(&'static str);

impl Label {
    /// The label's bytes, without terminator.
    #[must_use]
    pub const fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }
}

/// Hash: a network's id from its name and its authority.
pub const NETWORK_ID: Label = Label("cutout/1 network id");
/// Signature: a node over its own certificate.
pub const NODE_CERTIFICATE: Label = Label("cutout/1 node certificate");
/// Signature: the authority over a node's admission.
pub const ADMISSION: Label = Label("cutout/1 node admission");
/// Signature: the authority, or the address's own key, over an address certificate.
pub const ADDRESS_CERTIFICATE: Label = Label("cutout/1 address certificate");
/// Hash: the local part of a self-certifying address from its two keys.
pub const FINGERPRINT: Label = Label("cutout/1 address fingerprint");
/// Signature: the authority over the list of revoked nodes and addresses.
pub const REVOCATION_LIST: Label = Label("cutout/1 revocation list");
/// Hash: a revocation list, by which keepers name it.
pub const REVOCATIONS_DIGEST: Label = Label("cutout/1 revocations digest");
/// Signature: the applicant over what it asks the authority to sign.
pub const SIGNING_REQUEST: Label = Label("cutout/1 signing request");
/// Hash: what a storage node acknowledges when it stored an object.
pub const STORE_DIGEST: Label = Label("cutout/1 store digest");
/// Hash: what a storage node acknowledges when it appended to an inbox.
pub const APPEND_DIGEST: Label = Label("cutout/1 append digest");
/// Signature: a storage node over a receipt.
pub const RECEIPT: Label = Label("cutout/1 receipt");
/// Signature: the holder of a delete permission over one deletion at one node.
pub const DELETE: Label = Label("cutout/1 delete");
/// Key: the one-time delete key of one part of a mail, from its recipient's seed.
pub const DELETE_KEY: Label = Label("cutout/1 delete key");
/// Signature: an inbox's owner over one read at one node.
pub const READ_INBOX: Label = Label("cutout/1 read inbox");
/// Signature: an inbox's owner over one acknowledgement at one node.
pub const ACKNOWLEDGE: Label = Label("cutout/1 acknowledge inbox");
/// Signature: a sender, inside the seal, over the mail it signs.
pub const MAIL_SIGNATURE: Label = Label("cutout/1 mail signature");
/// Hash: the handshake's prologue.
pub const HANDSHAKE: Label = Label("cutout/1 handshake");
/// Hash: the same for a node that is named by the view in which it stands.
pub const HANDSHAKE_VIEW: Label = Label("cutout/1 handshake in a view");
/// Key: early data that rides in the handshake's first message.
pub const HANDSHAKE_EARLY: Label = Label("cutout/1 handshake early data");
/// Key: the filler that a go-between puts on an onion.
pub const HANDSHAKE_FILLER: Label = Label("cutout/1 handshake onion filler");
/// Key: chaining from the first to the second Diffie-Hellman.
pub const HANDSHAKE_CHAIN: Label = Label("cutout/1 handshake chain");
/// Key: the responder's confirmation.
pub const HANDSHAKE_CONFIRM: Label = Label("cutout/1 handshake confirmation");
/// Key: cells from the sender to the last hop.
pub const CELL_FORWARD: Label = Label("cutout/1 cell forward");
/// Key: cells from the last hop to the sender.
pub const CELL_BACKWARD: Label = Label("cutout/1 cell backward");
/// Key: the layer a go-between strips from cells going forward.
pub const LAYER_FORWARD: Label = Label("cutout/1 layer forward");
/// Key: the layer a go-between adds to cells going backward.
pub const LAYER_BACKWARD: Label = Label("cutout/1 layer backward");
/// Key: a notification sealed to its recipient.
pub const NOTIFICATION: Label = Label("cutout/1 notification");
/// Hash: what a mail's parts are together, by which a reader knows it again.
pub const MAIL_PARTS: Label = Label("cutout/1 mail parts");
/// Key: the secrets of an address for answers, from its owner's seed and its number.
pub const REPLY_ADDRESS: Label = Label("cutout/1 reply address");
/// Signature: a node over what its roster says is closest to a key.
pub const STATEMENT: Label = Label("cutout/1 nearest statement");
/// Hash: the short name of a family in a descriptor, from its key.
pub const FAMILY_TAG: Label = Label("cutout/1 family tag");
/// Signature: a family over the id of a node of its own.
pub const FAMILY_MEMBERSHIP: Label = Label("cutout/1 family membership");
/// Signature: a node over its descriptor for the view of one epoch.
pub const DESCRIPTOR: Label = Label("cutout/1 node descriptor");
/// Hash: a node's whole statement, by which keepers vote for it.
pub const STATEMENT_DIGEST: Label = Label("cutout/1 node statement digest");
/// Hash: a view's id from its header.
pub const VIEW_ID: Label = Label("cutout/1 view id");
/// Signature: a keeper over a view's id.
pub const VIEW: Label = Label("cutout/1 view");
/// Hash: a network's keepers, so that what one set of them signs counts for no other.
pub const KEEPER_SET: Label = Label("cutout/1 keeper set");
/// Hash: a keeper's vote, which is what keepers broadcast.
pub const VOTE_DIGEST: Label = Label("cutout/1 keeper vote");
/// Signature: a keeper over the digest of a vote, its own or one that it relays.
pub const KEEPER_CHAIN: Label = Label("cutout/1 keeper chain");
/// Key: what seals a node's channel keys for views on its disk, from its identity.
pub const VIEW_KEYS: Label = Label("cutout/1 view keys");
/// Signature: a keeper's word that it knows of no view.
pub const NO_VIEW: Label = Label("cutout/1 no view");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_with_its_terminator_begins_another() {
        // Every constant of this file: the count says when one was added here and not below.
        let all = [
            NETWORK_ID,
            NODE_CERTIFICATE,
            ADMISSION,
            ADDRESS_CERTIFICATE,
            FINGERPRINT,
            REVOCATION_LIST,
            REVOCATIONS_DIGEST,
            SIGNING_REQUEST,
            STORE_DIGEST,
            APPEND_DIGEST,
            RECEIPT,
            DELETE,
            READ_INBOX,
            ACKNOWLEDGE,
            MAIL_SIGNATURE,
            HANDSHAKE,
            HANDSHAKE_VIEW,
            HANDSHAKE_EARLY,
            HANDSHAKE_FILLER,
            HANDSHAKE_CHAIN,
            HANDSHAKE_CONFIRM,
            CELL_FORWARD,
            CELL_BACKWARD,
            LAYER_FORWARD,
            LAYER_BACKWARD,
            NOTIFICATION,
            DELETE_KEY,
            STATEMENT,
            MAIL_PARTS,
            REPLY_ADDRESS,
            FAMILY_TAG,
            FAMILY_MEMBERSHIP,
            DESCRIPTOR,
            STATEMENT_DIGEST,
            VIEW_ID,
            VIEW,
            KEEPER_SET,
            VOTE_DIGEST,
            KEEPER_CHAIN,
            VIEW_KEYS,
            NO_VIEW,
        ];
        assert_eq!(include_str!("labels.rs").matches("\npub const ").count(), all.len());
        let terminated = |label: Label| [label.as_bytes(), &[0]].concat();
        for (i, one) in all.iter().enumerate() {
            assert!(!one.as_bytes().contains(&0));
            for other in all.iter().skip(i + 1) {
                let (one, other) = (terminated(*one), terminated(*other));
                assert!(!one.starts_with(&other) && !other.starts_with(&one), "{one:?}");
            }
        }
    }
}
