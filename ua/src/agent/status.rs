//! What a user's agent knows and keeps.

use anon::{certificate::Address, network::Epoch, roster::Completeness};

use super::Agent;
use crate::{
    account::Account,
    error::AgentError,
    evidence::{self, Evidence},
    guard::{Guard, Guards},
    outbox::Found,
    roster::AgentRoster,
};

/// What `cutout status` shows.
#[derive(Debug)]
pub struct Status {
    /// The user's own address.
    pub address: Address,
    /// The epoch now.
    pub epoch: Epoch,
    /// Nodes in the roster.
    pub known: usize,
    /// Those of them that may be chosen.
    pub active: usize,
    /// Whether the roster is known to be incomplete.
    pub completeness: Completeness,
    /// The guard in use, and the others.
    pub guards: Vec<Guard>,
    /// What nodes did, oldest first.
    pub evidence: Vec<Evidence>,
    /// What the outbox holds.
    pub outbox: Found,
}

impl Agent {
    /// What this agent knows and keeps. Nobody is asked for it.
    ///
    /// # Errors
    /// [`AgentError`] if a sealed file cannot be used.
    pub fn status(&self) -> Result<Status, AgentError> {
        let vault = self.profile.vault();
        let address = Account::read(vault)?.address().clone();
        let (roster, epoch) = (AgentRoster::read(vault, &self.context)?, self.context.epoch());
        let (known, active) =
            roster.keeper().with(|roster| (roster.len(), roster.active(epoch).count()));
        Ok(Status {
            address,
            epoch,
            known,
            active,
            completeness: roster.completeness(epoch),
            guards: Guards::read(vault)?.all().to_vec(),
            evidence: evidence::read(vault)?,
            outbox: self.outbox().look()?,
        })
    }
}
