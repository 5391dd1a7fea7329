//! This node's certificate: new keys now and then, and in between new certificates for them, which are signs of life
//! for the rosters.

use std::sync::Arc;

use anon::network::Network;
use net::{clock::Clock, roster::RosterKeeper};

use crate::identity::{ChannelKeys, Identity, IdentityError};

/// Certifies a node's keys, and puts each certificate into its own roster.
pub(super) struct Certifier {
    pub(super) keys: Arc<ChannelKeys>,
    pub(super) identity: Arc<Identity>,
    pub(super) network: Arc<Network>,
    pub(super) roster: Arc<RosterKeeper>,
    pub(super) clock: Clock,
    pub(super) addresses: Vec<String>,
}

impl Certifier {
    /// Makes a new key, and a certificate for it.
    pub(super) fn rotate(&self) -> Result<(), IdentityError> {
        let (addresses, now) = (self.addresses.clone(), self.clock.now());
        self.keys.rotate(&self.identity, &self.network, addresses, now)?;
        self.show();
        Ok(())
    }

    /// Makes a new certificate for the current key.
    pub(super) fn renew(&self) -> Result<(), IdentityError> {
        self.keys.renew(&self.identity, &self.network, self.clock.now())?;
        self.show();
        Ok(())
    }

    /// Puts the certificate into the roster.
    pub(super) fn show(&self) {
        self.keys.certificate().into_iter().for_each(|own| self.roster.met(own));
    }

    /// Begins anew if what a wrong clock certified does not hold now: it would be in the way of what does.
    pub(super) fn mend(&self) -> Result<(), IdentityError> {
        let holds =
            |own: anon::certificate::NodeCertificate| own.holds(&self.network, self.clock.now());
        if self.keys.certificate().is_some_and(holds) {
            return Ok(());
        }
        self.roster.with(|roster| roster.forget(&self.identity.node()));
        self.rotate()
    }
}
