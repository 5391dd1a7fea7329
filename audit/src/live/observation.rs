//! What one process was told on one stream, in one role: the atom of the analysis. A process with two roles, or with
//! two streams in one role, has two observations, and nothing but what they share ties them together.

use std::collections::{BTreeMap, BTreeSet};

use anon::{id::NodeId, position::Key};
use testbed::record::{Record, What};

use super::{
    label::{Needles, OF_ALICE, OF_BOB},
    sighting::{Sighting, bobs_peers, end_of, looked_up, sightings},
    stage::MailRun,
    value::{Values, close_under_hashing, neighbours, values},
};
use crate::role::Role;

/// One observation.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The process.
    pub at: NodeId,
    /// In what role.
    pub role: Role,
    /// What could tie it to others by itself, and where it stood.
    pub values: BTreeMap<Vec<u8>, String>,
    /// Which nodes of its channels it knows, by their places: what ties it to others that know them.
    pub knows: BTreeSet<Role>,
    /// Names of what the mail's participants know at birth and this process was told.
    pub labels: BTreeSet<&'static str>,
}

impl Observation {
    /// Whether it names the sender.
    #[must_use]
    pub(crate) fn names_alice(&self) -> bool {
        OF_ALICE.iter().any(|label| self.labels.contains(label))
    }

    /// Whether it names the recipient.
    #[must_use]
    pub(crate) fn names_bob(&self) -> bool {
        OF_BOB.iter().any(|label| self.labels.contains(label))
    }
}

/// Which nodes had which places in the mail's channels, and which keys chose them.
struct Places(Vec<(String, Role, NodeId, Option<Key>)>);

impl Places {
    fn of(mail: &MailRun<'_>) -> Self {
        let mut all = Vec::new();
        for (end, (purpose, path, keys)) in mail.channels() {
            let mut place = |role, node, key| all.push((end.clone(), role, node, key));
            let is_mine = !end.starts_with('R');
            let x =
                if mail.guarded && is_mine { Role::Guard } else { Role::GoBetween(end.clone()) };
            // In a guarded path the first key chose the first node behind the guard.
            let (first, behind) = if mail.guarded {
                (None, Some(keys.go_between))
            } else {
                (Some(keys.go_between), None)
            };
            place(x, path.go_between, first);
            for (number, node) in path.middle.iter().enumerate() {
                place(Role::Middle(end.clone()), *node, behind.filter(|_| number == 0));
            }
            place(Role::Witness(end.clone()), path.witness, Some(keys.witness));
            place(Role::Anonymizer(end.clone()), path.anonymizer, Some(keys.anonymizer));
            let _ = purpose;
        }
        Self(all)
    }

    /// The places whose nodes somebody in this role knows: its neighbours' in its own channel, and those that anyone can
    /// find who has the key. That a node has another place as well, in another channel by chance or in another one of
    /// the same name, is not known: a reader has two to a body, to fetch and to delete it.
    fn known(
        &self,
        role: &Role,
        channel: Option<&str>,
        near: &BTreeSet<NodeId>,
        values: &Values,
    ) -> BTreeSet<Role> {
        let told = |(end, place, node, key): &&(String, Role, NodeId, Option<Key>)| {
            let is_near = may_adjoin(role, place) && near.contains(node);
            channel == Some(end.as_str()) && (place == role || is_near)
                || key.is_some_and(|key| values.contains_key(&key.0[..]))
        };
        self.0.iter().filter(told).map(|(_, place, ..)| place.clone()).collect()
    }
}

/// Whether somebody in this role may have somebody in that place beside it.
const fn may_adjoin(role: &Role, place: &Role) -> bool {
    match role {
        Role::Replicas(_) => matches!(place, Role::Anonymizer(_)),
        Role::Anonymizer(_) | Role::Witness(_) => {
            matches!(place, Role::Guard | Role::GoBetween(_) | Role::Middle(_))
        }
        _ => true,
    }
}

fn who(place: &Role) -> Option<&'static str> {
    match place {
        Role::Guard | Role::GoBetween(_) => Some("who is X"),
        Role::Middle(_) => Some("who is M"),
        Role::Witness(_) => Some("who is Y"),
        Role::Anonymizer(_) => Some("who is Z"),
        _ => None,
    }
}

/// The observations of a mail, in no order; streams that have no part in it are left out.
#[must_use]
pub fn observations(mail: &MailRun<'_>, nodes: &BTreeSet<NodeId>) -> Vec<Observation> {
    let bobs = bobs_peers(mail, nodes);
    let (needles, places) = (Needles::of(mail, &bobs), Places::of(mail));
    let see = |Sighting { at, role, end, lines }: Sighting<'_>| {
        let mut all: Values = lines.iter().flat_map(|line| values(line, nodes)).collect();
        all.retain(|value, _| !needles.is_nobodys(value));
        close_under_hashing(&mut all);
        let mut labels = needles.in_lines(&lines);
        let near: BTreeSet<NodeId> =
            lines.iter().flat_map(|line| neighbours(line, nodes)).collect();
        let knows = places.known(&role, end.as_deref(), &near, &all);
        labels.extend(knows.iter().filter(|place| **place != role).filter_map(who));
        Observation { at, role, values: all, knows, labels }
    };
    let mut found: Vec<Observation> = sightings(mail, nodes).into_iter().map(see).collect();
    for (at, line) in mail.lines.iter().filter(|(_, line)| line.what == What::LookedUp) {
        let Some(role) = looked_up(mail, *at, line) else { continue };
        // Whoever was asked knows the key and who asked.
        let asked = Record { nodes: vec![*at], ..line.clone() };
        for node in line.nodes.iter().filter(|node| *node != at) {
            let (role, end, lines) = (role.clone(), end_of(&role), vec![&asked]);
            found.push(see(Sighting { at: *node, role, end, lines }));
        }
    }
    found
}
