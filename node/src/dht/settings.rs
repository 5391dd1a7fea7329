//! How many connections a node has, and the settings of its Kademlia (ARCHITECTURE.md says where they are from).

use std::{num::NonZeroUsize, time::Duration};

use libp2p::{PeerId, StreamProtocol, connection_limits::ConnectionLimits, kad};

use crate::config::Limits;

/// How long one node may take to answer a lookup's question, over TCP.
const STEP_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long a whole lookup may take, over TCP.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections others may make.
pub(super) const fn inbound_connections(limits: &Limits) -> u32 {
    limits.connections / 4 * 3
}

/// Those that are coming in are [`Strangers`]'.
pub(super) fn connection_limits(limits: &Limits) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_outgoing(Some(limits.pending_connections))
        .with_max_established_incoming(Some(inbound_connections(limits)))
        .with_max_established(Some(limits.connections))
        .with_max_established_per_peer(Some(limits.connections_per_peer))
}

/// How long one node may take to answer, and how long a whole lookup, where all takes `pace` times as long as over TCP.
fn timeouts(pace: u32) -> (Duration, Duration) {
    (STEP_TIMEOUT * pace, LOOKUP_TIMEOUT * pace)
}

pub(super) fn kademlia(
    local: PeerId,
    protocol: StreamProtocol,
    pace: u32,
) -> kad::Behaviour<kad::store::MemoryStore> {
    let (step, lookup) = timeouts(pace);
    let mut config = kad::Config::new(protocol);
    config
        .set_parallelism(NonZeroUsize::new(10).unwrap_or(NonZeroUsize::MIN))
        .set_substreams_timeout(step)
        .set_query_timeout(lookup)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_caching(kad::Caching::Disabled);
    let store = kad::store::MemoryStore::with_config(
        local,
        kad::store::MemoryStoreConfig {
            max_records: 0,
            max_provided_keys: 0,
            ..Default::default()
        },
    );
    let mut behaviour = kad::Behaviour::with_config(local, store, config);
    behaviour.set_mode(Some(kad::Mode::Server));
    behaviour
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_has_its_time_as_often_as_what_carries_it_is_slower() {
        let seconds = |pace| {
            let (step, lookup) = timeouts(pace);
            (step.as_secs_f64(), lookup.as_secs_f64())
        };
        assert_eq!([1, 2, 6].map(seconds), [(1.5, 10.0), (3.0, 20.0), (9.0, 60.0)]);
    }

    #[test]
    fn kademlia_keeps_nothing_for_anybody() {
        use kad::store::{Error, RecordStore as _};

        let protocol = StreamProtocol::new("/cutout/kad/1");
        let mut kademlia = kademlia(PeerId::random(), protocol, 1);
        let record = kad::Record::new(vec![7], vec![7]);
        let provider = kad::ProviderRecord::new(vec![7], PeerId::random(), Vec::new());
        assert!(matches!(kademlia.store_mut().put(record), Err(Error::MaxRecords)));
        let provided = kademlia.store_mut().add_provider(provider);
        assert!(matches!(provided, Err(Error::MaxProvidedKeys)));
    }

    #[test]
    fn a_quarter_of_the_connections_is_for_those_that_a_node_makes_itself() {
        let inbound =
            |connections| inbound_connections(&Limits { connections, ..Limits::default() });
        assert_eq!([4, 8, 1_024].map(inbound), [3, 6, 768]);
    }
}
