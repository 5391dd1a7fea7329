//! Keepers, nodes, statements and a view before, all from fixed seeds.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anon::{
    id::{NetworkId, NodeId},
    keeper::{
        ballot::Ballot,
        schedule::{Deadlines, Schedule},
        vote::{Reached, Rules, Vote},
    },
    keys::{ChannelSecret, IdentitySecret, KeeperSecret, SigningSecret as _},
    network::Epoch,
    view::{
        descriptor::{Addresses, Descriptor, OnionAddress, TcpAddress},
        header::ViewHeader,
        list::{NodeList, SignatureList},
        quorum::{KeeperSet, KeeperSignature, SignedView, UnverifiedSignedView},
        statement::{NodeStatement, StatementDigest, UnverifiedNodeStatement},
    },
};

pub(crate) const NET: NetworkId = NetworkId([7; 32]);
/// The epoch whose view is made.
pub(crate) const EPOCH: Epoch = Epoch(5);
/// One round, milliseconds; the delay and the skew are a quarter of it.
pub(crate) const ROUND: u64 = 1_000;
pub(crate) const RULES: Rules =
    Rules { network_serial: 3, revocations_number: 2, revocations: [9; 32] };

/// What a statement of a town is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every honest keeper reaches it.
    Honest,
    /// Some do.
    Flaky,
    /// Only hostile keepers know it.
    Private,
    /// The first and the second statement of a node that has two.
    TwoFaced,
}

pub(crate) struct Stated {
    pub(crate) kind: Kind,
    pub(crate) statement: NodeStatement,
}

/// Keepers and nodes.
pub(crate) struct Town {
    pub(crate) secrets: Vec<KeeperSecret>,
    pub(crate) ballot: Ballot,
    pub(crate) schedule: Schedule,
    pub(crate) deadlines: Deadlines,
    pub(crate) stated: Vec<Stated>,
    pub(crate) before: (SignedView, NodeList),
}

pub(crate) fn secret(keeper: usize) -> KeeperSecret {
    KeeperSecret::from_seed(&[u8::try_from(keeper).unwrap() + 1; 32])
}

pub(crate) fn keepers(n: usize) -> KeeperSet {
    KeeperSet::new((0..n).map(|k| secret(k).verify_key()).collect()).unwrap()
}

pub(crate) fn ballot(n: usize) -> Ballot {
    Ballot::new(NET, EPOCH, keepers(n), 100)
}

pub(crate) fn tcp(ip: [u8; 4]) -> TcpAddress {
    TcpAddress::new(Ipv4Addr::from(ip).into(), 4_000).unwrap()
}

pub(crate) fn onion(number: u8) -> OnionAddress {
    OnionAddress::new([number; 32], 80).unwrap()
}

pub(crate) fn identity(number: u8) -> IdentitySecret {
    IdentitySecret::from_seed(&[number; 32])
}

pub(crate) fn node(number: u8) -> NodeId {
    NodeId(identity(number).verify_key().0)
}

/// A node's statement for [`EPOCH`], with the channel key of this number.
pub(crate) fn statement(number: u8, channel: u8, addresses: Addresses) -> NodeStatement {
    statement_for(EPOCH, number, channel, addresses)
}

/// The same for another epoch.
pub(crate) fn statement_for(
    epoch: Epoch,
    number: u8,
    channel: u8,
    addresses: Addresses,
) -> NodeStatement {
    let key = ChannelSecret::from_seed(&[channel; 32]).agreement_key();
    let descriptor = Descriptor::new(node(number), key, addresses, None).unwrap();
    let stated = UnverifiedNodeStatement::issue(&identity(number), &NET, epoch, descriptor, None);
    stated.verify(&NET, epoch).unwrap()
}

/// The view before [`EPOCH`]'s, with these nodes, under a quorum of `n` keepers.
pub(crate) fn view_before(n: usize, nodes: &[Descriptor]) -> (SignedView, NodeList) {
    let mut nodes = nodes.to_vec();
    nodes.sort_by_key(Descriptor::node);
    let nodes = NodeList::new(nodes).unwrap();
    let header = ViewHeader {
        network: NET,
        epoch: EPOCH.before(),
        before: None,
        count: nodes.len(),
        descriptors: nodes.root(),
        signatures: SignatureList::default().root(),
        network_serial: 2,
        revocations: [8; 32],
    };
    let keepers = keepers(n);
    let sign = |keeper| KeeperSignature::sign(&keepers, &secret(keeper), &header).unwrap();
    let signatures = (0..keepers.threshold()).map(sign).collect();
    let view = UnverifiedSignedView { header, signatures };
    (view.verify(&NET, &keepers).unwrap(), nodes)
}

impl Town {
    pub(crate) fn new(n: usize) -> Self {
        let ballot = ballot(n);
        let schedule = Schedule::new(3_600, ROUND, ballot.keepers().faults()).unwrap();
        let at = |number| Addresses::Tcp(tcp([10, number, 0, 1]));
        let kinds = [
            (1, 1, Kind::Honest),
            (2, 2, Kind::Honest),
            (3, 3, Kind::Flaky),
            (4, 4, Kind::Flaky),
            (5, 5, Kind::Private),
            (6, 6, Kind::TwoFaced),
            (6, 7, Kind::TwoFaced),
        ];
        let stated: Vec<Stated> = kinds
            .map(|(number, channel, kind)| Stated {
                kind,
                statement: statement(number, channel, at(number)),
            })
            .into();
        let known: Vec<Descriptor> =
            [0, 2].iter().map(|i: &usize| *stated[*i].statement.descriptor()).collect();
        Self {
            secrets: (0..n).map(secret).collect(),
            deadlines: schedule.deadlines(EPOCH).unwrap(),
            ballot,
            schedule,
            stated,
            before: view_before(n, &known),
        }
    }

    pub(crate) fn len(&self) -> u8 {
        u8::try_from(self.secrets.len()).unwrap()
    }

    /// A vote for the statements that are chosen, the last one of each node.
    pub(crate) fn vote(&self, has_before: bool, chosen: impl Fn(usize, Kind) -> bool) -> Vote {
        let chosen = self.stated.iter().enumerate().filter(|(i, stated)| chosen(*i, stated.kind));
        let before = has_before.then(|| self.before.0.to_unverified());
        vote(before, chosen.map(|(_, stated)| (&stated.statement, Reached::Tcp)))
    }

    pub(crate) fn statements(
        &self,
        known: impl Fn(usize, Kind) -> bool,
    ) -> BTreeMap<StatementDigest, NodeStatement> {
        let known = self.stated.iter().enumerate().filter(|(i, stated)| known(*i, stated.kind));
        known.map(|(_, stated)| (stated.statement.digest(), stated.statement.clone())).collect()
    }
}

pub(crate) fn vote<'a>(
    before: Option<UnverifiedSignedView>,
    reached: impl IntoIterator<Item = (&'a NodeStatement, Reached)>,
) -> Vote {
    let nodes = reached
        .into_iter()
        .map(|(statement, reached)| (statement.descriptor().node(), (statement.digest(), reached)));
    Vote { rules: RULES, before, nodes: nodes.collect() }
}
