//! The agent's own roster: kept sealed, compared with members of different operators, never at the moment when
//! a mail makes it necessary if it can be helped.

use std::sync::Arc;

use anon::{
    certificate::NodeCertificate,
    network::Epoch,
    request::{Request, Response},
    roster::{Operator, StoredEntry},
    wire,
};
use node::{Carrier, Links, RosterKeeper, now};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::{
    entrance::Entrance,
    error::AgentError,
    vault::{Vault, VaultError},
};

/// The sealed file.
const FILE: &str = "roster";
/// Its greatest length, bytes; the vault's own limit is lower for very large networks.
const MAX_FILE: usize = 64 << 20;
/// Members of different operators that a roster is compared with.
const MEMBERS: usize = 3;
/// How long a node may take to hand out its certificate.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    /// The last epoch in which the roster was compared with enough members.
    compared: Epoch,
    entries: Vec<StoredEntry>,
}

/// An agent's roster, and whether it is as good as it gets.
#[derive(Debug)]
pub struct AgentRoster {
    keeper: Arc<RosterKeeper>,
    compared: Epoch,
}

impl AgentRoster {
    /// The roster in the vault, or an empty one.
    ///
    /// # Errors
    /// [`AgentError::Vault`], [`AgentError::BadFile`].
    pub fn read(vault: &Vault, entrance: &Entrance) -> Result<Self, AgentError> {
        let stored: Stored = match vault.read(FILE) {
            Ok(bytes) => {
                wire::decode(&bytes, MAX_FILE).map_err(|_| AgentError::BadFile(FILE.to_owned()))?
            }
            Err(VaultError::NotFound) => Stored::default(),
            Err(error) => return Err(error.into()),
        };
        let keeper = Arc::new(RosterKeeper::open(Arc::clone(entrance.network()), None));
        let network = entrance.network();
        keeper.with(|roster| {
            *roster = anon::roster::Roster::restore(stored.entries, network, now());
        });
        Ok(Self { keeper, compared: stored.compared })
    }

    /// Writes it to the vault.
    ///
    /// # Errors
    /// [`AgentError::Vault`].
    pub fn write(&self, vault: &Vault) -> Result<(), AgentError> {
        let entries = self.keeper.with(|roster| roster.store());
        let stored = Stored { compared: self.compared, entries };
        Ok(vault.write(FILE, &wire::encode(&stored))?)
    }

    /// The roster, for whoever chooses nodes.
    #[must_use]
    pub const fn keeper(&self) -> &Arc<RosterKeeper> {
        &self.keeper
    }

    /// Compares the roster with members of different operators, unless that was done in this epoch. Who is
    /// asked learns that somebody at this address uses the network, and nothing of any mail.
    ///
    /// # Errors
    /// [`AgentError::NoNode`], [`AgentError::OneOperator`] if too few members answer.
    pub async fn keep_up(&mut self, entrance: &Entrance) -> Result<(), AgentError> {
        let network = Arc::clone(entrance.network());
        let epoch = network.epoch(now());
        let active = self.keeper.with(|roster| roster.active(epoch).count());
        if self.compared == epoch && active >= network.k {
            return Ok(());
        }
        self.keeper.with(|roster| roster.expire(&network, now()));
        let mut asked: Vec<Operator> = Vec::new();
        let mut members = self.members(entrance).await;
        members.shuffle(&mut rand::rng());
        for member in members {
            let operator = Operator::of(&member);
            if asked.len() >= MEMBERS || asked.iter().any(|o| o.overlaps(&operator)) {
                continue;
            }
            let links = Links::disposable(&network.name)?;
            if self.keeper.exchange(&links, &member).await.is_ok() {
                asked.push(operator);
            }
        }
        match asked.len() {
            0 => Err(AgentError::NoNode),
            1 => Err(AgentError::OneOperator),
            _ => {
                self.compared = epoch;
                Ok(())
            }
        }
    }

    /// Whom to compare with: nodes of the roster, and while there are too few, the entrances.
    async fn members(&self, entrance: &Entrance) -> Vec<NodeCertificate> {
        let epoch = entrance.network().epoch(now());
        let known: Vec<NodeCertificate> =
            self.keeper.with(|roster| roster.active(epoch).cloned().collect());
        if known.len() >= MEMBERS * 2 {
            return known;
        }
        let mut members = known;
        for (peer, addresses) in entrance.known() {
            let Ok(links) = Links::disposable(&entrance.network().name) else { continue };
            let Ok(link) = links.open_at(peer, addresses, Carrier::Request).await else { continue };
            if let Ok(Response::Certificate(certificate)) =
                link.request(&Request::Certificate, TIMEOUT).await
                && let Ok(certificate) = certificate.verify(entrance.network(), now())
            {
                members.push(certificate);
            }
        }
        members
    }
}
