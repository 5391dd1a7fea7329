//! A key that leaked: what the recipient's keys open of what the nodes wrote down, long after.

use anon::{
    mail::{Headers, NOTIFICATION, open_notification},
    position::Key,
    wire,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    agent::Agent,
    label::{Needles, OF_ALICE},
    observation::Observation,
    stage::MailRun,
};

/// What somebody's keys opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeakFindings {
    /// Mails looked at.
    pub mails: usize,
    /// Notifications that the recipient's keys opened, at most one a mail.
    pub notifications: usize,
    /// Mails that could then be read, byte for byte, with what body nodes hold.
    pub read: usize,
    /// Notifications that another user's keys opened.
    pub by_another: usize,
    /// Mails in which something that was opened names the sender, who signs none.
    pub naming_sender: usize,
}

impl LeakFindings {
    /// Adds one mail, as its nodes saw it.
    pub(super) fn add(
        &mut self,
        mail: &MailRun<'_>,
        seen: &[Observation],
        another: &Agent,
        needles: &Needles,
    ) {
        self.mails += 1;
        self.by_another += usize::from(opened(another, seen).is_some());
        let Some(headers) = opened(mail.bob, seen) else { return };
        let values: Vec<&Vec<u8>> = seen.iter().flat_map(|o| o.values.keys()).collect();
        self.notifications += 1;
        let whole: Option<Vec<Vec<u8>>> = headers
            .parts
            .iter()
            .map(|part| values.iter().find_map(|value| part.open(value).ok()))
            .collect();
        let message = whole.unwrap_or_default().concat();
        let labels = needles.in_bytes(&[wire::encode(&headers), message.clone()]);
        self.naming_sender += usize::from(labels.iter().any(|label| OF_ALICE.contains(label)));
        self.read += usize::from(message == mail.message);
    }
}

/// What an agent's keys open of all that was written down.
fn opened(agent: &Agent, seen: &[Observation]) -> Option<Headers> {
    let values = seen.iter().flat_map(|observation| observation.values.keys());
    let sealed = values.filter(|value| value.len() == NOTIFICATION);
    let (secret, certificate) = (agent.account.sealing(), &agent.certificate);
    sealed.filter_map(|value| open_notification(value, secret, certificate).ok()).next()
}

/// The same mail before somebody who has the recipient's keys: whoever knows where its body lies knows whose it is.
#[must_use]
pub(super) fn with_keys(mail: &MailRun<'_>, seen: &[Observation]) -> Vec<Observation> {
    let network = &mail.bob.network().name;
    let headers = opened(mail.bob, seen);
    let parts = headers.iter().flat_map(|headers| &headers.parts);
    let keys: Vec<Key> = parts.map(|part| part.message_id.key(network)).collect();
    let mut seen = seen.to_vec();
    for observation in &mut seen {
        if keys.iter().any(|key| observation.values.contains_key(&key.0[..])) {
            observation.labels.insert("Bob's DHT keys");
        }
    }
    seen
}
