//! What a mail becomes (paper, 3.1): sealed bodies, one for all recipients, and a sealed notification for each.

mod body;
mod message_id;
mod notification;

pub use body::{BODY_MAX, BodyKey, MailError, Part, SealedPart, seal_body};
pub use message_id::MessageId;
pub use notification::{
    DeleteSeed, Headers, MAX_PARTS, NOTIFICATION, SenderProof, open_notification, seal_notification,
};
