//! Mails that are handed in, and a stage for tests of attempts at them.

use anon::network::Network;
use tempfile::TempDir;

use super::*;
use crate::{
    courier::made_up::entrance,
    scheme::closed::Closed,
    vault::{KdfCost, Passphrase, Vault},
};

/// Alice, who can reach nobody.
pub(super) struct Stage {
    _directory: TempDir,
    pub(super) vault: Vault,
    pub(super) account: Account,
    pub(super) entrance: Arc<Entrance>,
    pub(super) scheme: Arc<Closed>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&directory.path().join("vault"), &passphrase, cost).unwrap();
        let (entrance, scheme) = (Arc::new(entrance()), Arc::default());
        let account = Account::self_certifying(entrance.network(), now());
        Self { _directory: directory, vault, account, entrance, scheme }
    }

    pub(super) fn network(&self) -> &Network {
        self.entrance.network()
    }

    pub(super) fn stranger(&self) -> Account {
        Account::self_certifying(self.network(), now())
    }

    pub(super) fn sender(&self) -> Sender<'_> {
        Sender {
            entrance: Arc::clone(&self.entrance),
            scheme: Arc::<Closed>::clone(&self.scheme),
            outbox: Outbox::new(&self.vault),
            account: &self.account,
            delay: Duration::ZERO,
        }
    }
}

/// A mail to these, not signed, by channels.
pub(super) fn mail(recipients: &[Address]) -> Mail<'_> {
    let (bytes, subject) = (b"the genuine mail", "a subject");
    Mail { bytes, subject, recipients, signed: false, direct: false, reply_to: None }
}

#[test]
fn a_mail_that_is_handed_in_waits_in_the_outbox_for_each_recipient() {
    let stage = Stage::new();
    let recipients = [(); 2].map(|()| stage.stranger().address().clone());
    let sender = stage.sender();
    let id = sender.prepare(&mail(&recipients)).unwrap();
    assert_eq!(sender.outbox.ids().unwrap(), std::slice::from_ref(&id));
    assert_eq!(sender.outbox.mail(&id).unwrap(), b"the genuine mail");
    let waiting: Vec<_> = sender.outbox.state(&id).unwrap().recipients.into_iter().collect();
    assert!(waiting.iter().all(|recipient| recipient.progress == Progress::Waiting));
    assert_eq!(waiting.into_iter().map(|r| r.address).collect::<Vec<_>>(), recipients);
    assert_eq!(stage.scheme.asked(), 0, "nothing is sent yet");
}
