//! Coalitions: sets of roles that share what they were told. For each set of up to three it is decided whether the
//! sender and the recipient are connected through what its members share, and the sets that suffice and cannot be made
//! smaller are what a scheme hides nothing from.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;

use super::{
    label::{OF_ALICE, OF_BOB},
    observation::Observation,
};
use crate::role::{Coalition, Role, Strength};

/// The most roles of a coalition that is looked at.
const MOST_ROLES: usize = 3;

/// In how many senders' mails each value stood.
pub type Sharers = BTreeMap<Vec<u8>, BTreeSet<usize>>;

/// Counts who shares what.
pub fn count_sharers(sharers: &mut Sharers, sender: usize, seen: &[Observation]) {
    for value in seen.iter().flat_map(|observation| observation.values.keys()) {
        sharers.entry(value.clone()).or_default().insert(sender);
    }
}

/// What two observations share.
#[derive(Clone, Debug)]
enum Tie<'a> {
    Value(&'a [u8]),
    Node(&'a Role),
}

/// What one mail's observations have in common, pair by pair.
struct Ties<'a> {
    seen: &'a [Observation],
    by_role: BTreeMap<&'a Role, Vec<usize>>,
    /// For each observation, the ones that it is tied to, and what does it.
    tied: Vec<BTreeMap<usize, Tie<'a>>>,
}

impl<'a> Ties<'a> {
    fn of(seen: &'a [Observation], sharers: &Sharers, strength: Strength) -> Self {
        let mut by_role: BTreeMap<&Role, Vec<usize>> = BTreeMap::new();
        let mut values: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        let mut places: BTreeMap<&Role, Vec<usize>> = BTreeMap::new();
        for (number, observation) in seen.iter().enumerate() {
            by_role.entry(&observation.role).or_default().push(number);
            let alone =
                |value: &&Vec<u8>| sharers.get(*value).is_none_or(|senders| senders.len() == 1);
            for value in observation.values.keys().filter(alone) {
                values.entry(value).or_default().push(number);
            }
            for place in &observation.knows {
                places.entry(place).or_default().push(number);
            }
        }
        let mut tied = vec![BTreeMap::new(); seen.len()];
        let mut tie = |holders: &[usize], with: &Tie<'a>| {
            for (a, b) in holders.iter().flat_map(|a| holders.iter().map(move |b| (a, b))) {
                if a != b
                    && let Some(ties) = tied.get_mut(*a)
                {
                    // What ties more strongly came first.
                    let _: &mut Tie<'a> = ties.entry(*b).or_insert_with(|| with.clone());
                }
            }
        };
        for (value, holders) in values {
            tie(&holders, &Tie::Value(value));
        }
        if strength == Strength::Node {
            for (place, holders) in places {
                tie(&holders, &Tie::Node(place));
            }
        }
        Self { seen, by_role, tied }
    }

    /// The chain from an observation that names the sender to one that names the recipient, within these roles.
    fn chain(&self, roles: &[&Role]) -> Option<Vec<usize>> {
        let members: BTreeSet<usize> =
            roles.iter().filter_map(|role| self.by_role.get(*role)).flatten().copied().collect();
        let get = |number: &usize| self.seen.get(*number);
        let starts = members.iter().filter(|n| get(n).is_some_and(Observation::names_alice));
        let mut came_from: BTreeMap<usize, Option<usize>> = starts.map(|n| (*n, None)).collect();
        let mut open: std::collections::VecDeque<usize> = came_from.keys().copied().collect();
        while let Some(number) = open.pop_front() {
            if get(&number).is_some_and(Observation::names_bob) {
                let mut chain = vec![number];
                let mut at = number;
                while let Some(Some(before)) = came_from.get(&at) {
                    chain.insert(0, *before);
                    at = *before;
                }
                return Some(chain);
            }
            for next in self.tied.get(number).into_iter().flat_map(BTreeMap::keys) {
                if members.contains(next) && !came_from.contains_key(next) {
                    came_from.insert(*next, Some(number));
                    open.push_back(*next);
                }
            }
        }
        None
    }

    fn words(&self, chain: &[usize]) -> Vec<String> {
        let get = |number: usize| self.seen.get(number);
        let knows = |number: Option<&usize>, labels: &[&str]| {
            let observation = number.and_then(|number| get(*number))?;
            let known = observation.labels.iter().copied().filter(|label| labels.contains(label));
            Some(format!("{} knows {}", observation.role, known.collect::<Vec<_>>().join(", ")))
        };
        let shared = |a: usize, b: usize| {
            let (from, to) = (get(a)?, get(b)?);
            Some(match self.tied.get(a)?.get(&b)? {
                Tie::Node(place) => {
                    format!("{} and {} both know who is {place}", from.role, to.role)
                }
                Tie::Value(value) => {
                    let short = HEXLOWER.encode(value.get(value.len().saturating_sub(6)..)?);
                    let (here, there) = (from.values.get(*value)?, to.values.get(*value)?);
                    format!("{} and {} share …{short} ({here}; {there})", from.role, to.role)
                }
            })
        };
        let ends = [knows(chain.first(), &OF_ALICE), knows(chain.last(), &OF_BOB)];
        let [first, last] = ends;
        let between = chain.windows(2).map(|pair| match pair {
            [a, b] => shared(*a, *b),
            _ => None,
        });
        [first].into_iter().chain(between).chain([last]).flatten().collect()
    }
}

/// A set of roles that links within one mail, with how.
type Linking = BTreeMap<(Strength, Vec<Role>), (usize, Vec<String>)>;

/// The minimal coalitions over all mails of a scheme, in how many of them, and how: by value in any,
/// by a node in common in most.
#[must_use]
pub fn minimal(mails: &[Vec<Observation>], sharers: &Sharers) -> Vec<Coalition> {
    let mut linking = Linking::new();
    let mut present: BTreeMap<Vec<Role>, usize> = BTreeMap::new();
    for seen in mails {
        let mut strong: Vec<BTreeSet<Role>> = Vec::new();
        for strength in [Strength::Value, Strength::Node] {
            let ties = Ties::of(seen, sharers, strength);
            let roles: Vec<&Role> = ties.by_role.keys().copied().collect();
            for size in 1..=MOST_ROLES {
                let mut new = Vec::new();
                let sees = |role: &&&Role, names: fn(&Observation) -> bool| {
                    let numbers = ties.by_role.get(**role).into_iter().flatten();
                    numbers.filter_map(|number| seen.get(*number)).any(names)
                };
                let names_alice: BTreeSet<&Role> = roles
                    .iter()
                    .filter(|role| sees(role, Observation::names_alice))
                    .copied()
                    .collect();
                let names_bob: BTreeSet<&Role> = roles
                    .iter()
                    .filter(|role| sees(role, Observation::names_bob))
                    .copied()
                    .collect();
                let has_both = |set: &Vec<&Role>| {
                    set.iter().any(|role| names_alice.contains(role))
                        && set.iter().any(|role| names_bob.contains(role))
                };
                for set in subsets(&roles, size).into_iter().filter(has_both) {
                    let as_set: BTreeSet<Role> = set.iter().map(|role| (*role).clone()).collect();
                    if strong.iter().any(|less| less.is_subset(&as_set)) {
                        continue;
                    }
                    if let Some(chain) = ties.chain(&set) {
                        let names: Vec<Role> = set.iter().map(|role| (*role).clone()).collect();
                        let entry = linking.entry((strength, names));
                        entry.or_insert_with(|| (0, ties.words(&chain))).0 += 1;
                        new.push(as_set);
                    }
                }
                strong.extend(new);
            }
        }
    }
    let wanted: BTreeSet<&Vec<Role>> = linking.keys().map(|(_, roles)| roles).collect();
    for seen in mails {
        let roles: BTreeSet<&Role> = seen.iter().map(|observation| &observation.role).collect();
        for set in wanted.iter().filter(|set| set.iter().all(|role| roles.contains(role))) {
            *present.entry((**set).clone()).or_default() += 1;
        }
    }
    let mut all: Vec<Coalition> = linking
        .into_iter()
        .map(|((strength, roles), (times, chain))| {
            let mails = (times, present.get(&roles).copied().unwrap_or_default());
            Coalition { roles: roles.into_iter().collect(), strength, mails, chain }
        })
        // In a small network some nodes know of each other by chance: not in most mails.
        .filter(|found| found.strength == Strength::Value || found.mails.0 * 2 > found.mails.1)
        .collect();
    all.sort_by_key(|found| (found.roles.len(), found.strength));
    let mut kept: Vec<Coalition> = Vec::new();
    for found in all {
        let is_less = |less: &Coalition| {
            less.strength <= found.strength && less.roles.is_subset(&found.roles)
        };
        if !kept.iter().any(is_less) {
            kept.push(found);
        }
    }
    kept.sort_by_key(|found| (found.strength, found.roles.len(), found.roles.clone()));
    kept
}

fn subsets<'a>(roles: &[&'a Role], size: usize) -> Vec<Vec<&'a Role>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (place, role) in roles.iter().enumerate() {
        for mut rest in subsets(roles.get(place + 1..).unwrap_or_default(), size - 1) {
            rest.insert(0, role);
            all.push(rest);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use anon::id::NodeId;

    fn role(name: &str) -> Role {
        Role::try_from(name.to_owned()).unwrap()
    }

    /// What somebody in a role holds: values, places of nodes, and labels.
    fn seen(name: &str, values: &[u8], knows: &[&str], labels: &[&'static str]) -> Observation {
        Observation {
            at: NodeId([0; 32]),
            role: role(name),
            values: values.iter().map(|value| (vec![*value; 8], "a field".to_owned())).collect(),
            knows: knows.iter().map(|name| role(name)).collect(),
            labels: labels.iter().copied().collect(),
        }
    }

    fn found(mails: &[Vec<Observation>]) -> Vec<(Strength, Vec<String>)> {
        let mut sharers = Sharers::new();
        for (sender, mail) in mails.iter().enumerate() {
            count_sharers(&mut sharers, sender, mail);
        }
        let names = |c: Coalition| (c.strength, c.roles.iter().map(ToString::to_string).collect());
        minimal(mails, &sharers).into_iter().map(names).collect()
    }

    fn path(unique: u8, common: u8) -> Vec<Observation> {
        vec![
            seen("X", &[unique, common], &["M(Z2)"], &["A's address"]),
            seen("M(Z2)", &[unique, unique + 1], &["M(Z2)", "Z2"], &[]),
            seen("Z2", &[unique + 1, common], &["M(Z2)"], &["Bob's DHT keys"]),
            seen("inbox nodes", &[common], &["Z2"], &["Bob's DHT keys"]),
        ]
    }

    fn set(strength: Strength, roles: &[&str]) -> (Strength, Vec<String>) {
        (strength, roles.iter().map(|role| (*role).to_owned()).collect())
    }

    #[test]
    fn what_links_is_found_at_its_smallest_and_what_all_share_links_nobody() {
        assert_eq!(
            found(&[path(10, 99), path(20, 99)]),
            [
                set(Strength::Value, &["X", "M(Z2)", "Z2"]),
                set(Strength::Node, &["X", "Z2"]),
                set(Strength::Node, &["X", "M(Z2)", "inbox nodes"]),
            ]
        );
        // The same value in one sender's mail only ties all that hold it.
        let leaky = found(&[path(10, 98), path(20, 99)]);
        assert!(leaky.contains(&set(Strength::Value, &["X", "Z2"])), "{leaky:?}");
        assert!(leaky.contains(&set(Strength::Value, &["X", "inbox nodes"])), "{leaky:?}");
    }

    #[test]
    fn who_is_told_both_needs_no_accomplice_and_who_shares_nothing_has_none() {
        let both = seen("Z3", &[1], &[], &["A's identity", "Bob's name"]);
        assert_eq!(found(&[vec![both]]), [set(Strength::Value, &["Z3"])]);
        let apart =
            [seen("X", &[1], &[], &["A's DHT keys"]), seen("Z2", &[2], &[], &["Bob's DHT keys"])];
        assert!(found(&[apart.to_vec()]).is_empty());
    }

    #[test]
    fn what_nodes_know_by_chance_in_a_few_mails_is_no_coalition() {
        let chance = |knows: &[&str]| {
            vec![
                seen("X", &[1], knows, &["A's address"]),
                seen("Z2", &[2], &["M(Z2)"], &["Bob's DHT keys"]),
            ]
        };
        let mails = [chance(&["M(Z2)"]), chance(&[]), chance(&[])];
        assert!(found(&mails).is_empty());
        let mails = [chance(&["M(Z2)"]), chance(&["M(Z2)"]), chance(&[])];
        assert_eq!(found(&mails), [set(Strength::Node, &["X", "Z2"])]);
    }
}
