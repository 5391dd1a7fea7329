//! Mails that are handed in, and a stage for tests of attempts at them.

use anon::network::Network;
use net::now;
use tempfile::TempDir;

use super::*;
use crate::{
    replica_client::made_up::parts,
    scheme::closed::Closed,
    vault::{KdfCost, Passphrase, Vault},
};

/// Alice, who can reach nobody.
pub(super) struct Stage {
    _directory: TempDir,
    pub(super) vault: Vault,
    pub(super) account: Account,
    bootstrap: Arc<Bootstrap>,
    evidence: Arc<EvidenceLog>,
    pub(super) scheme: Arc<Closed>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&directory.path().join("vault"), &passphrase, cost).unwrap();
        let ((bootstrap, evidence), scheme) = (parts(), Arc::default());
        let account = Account::self_certifying(&evidence.context().network, now());
        Self { _directory: directory, vault, account, bootstrap, evidence, scheme }
    }

    pub(super) fn context(&self) -> &Context {
        self.evidence.context()
    }

    pub(super) fn network(&self) -> &Network {
        &self.context().network
    }

    pub(super) fn stranger(&self) -> Account {
        Account::self_certifying(self.network(), now())
    }

    pub(super) fn sender(&self) -> Sender<'_> {
        Sender {
            bootstrap: &self.bootstrap,
            evidence: &self.evidence,
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
    let id = hand_in(&sender.outbox, &mail(&recipients), now()).unwrap();
    assert_eq!(sender.outbox.ids().unwrap(), std::slice::from_ref(&id));
    assert_eq!(sender.outbox.mail(&id).unwrap(), b"the genuine mail");
    let waiting: Vec<_> = sender.outbox.state(&id).unwrap().recipients.into_iter().collect();
    assert!(waiting.iter().all(|recipient| recipient.progress == Progress::Waiting));
    assert_eq!(waiting.into_iter().map(|r| r.address).collect::<Vec<_>>(), recipients);
    assert_eq!(stage.scheme.asked(), 0, "nothing is sent yet");
}
