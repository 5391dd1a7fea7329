//! The next node of a channel: only one of this network, and never this node itself.

use anon::{
    cell::Cell,
    certificate::UnverifiedNodeCertificate,
    channel::ChannelError,
    create::{Create, Created, HopName},
    handshake::Onward,
    id::NodeId,
};
use libp2p::Multiaddr;
use net::{
    certified_addresses,
    link::{Carrier, CellReader, CellWriter, LinkError, peer_id},
    stated_addresses,
};

use super::{ChannelContext, HANDSHAKE_TIMEOUT};

/// The next piece of a channel.
pub(super) struct Next {
    pub(super) node: NodeId,
    pub(super) create: Create,
    pub(super) created: Created,
    pub(super) cells: (CellReader, CellWriter),
}

/// Opens the next piece of a channel, to the node of a certificate, if the handshake is for one of its certificates too.
pub(super) async fn certified(
    context: &ChannelContext,
    next: &UnverifiedNodeCertificate,
    create: &Create,
) -> Option<Next> {
    let HopName::Certificate(_) = create.name() else { return None };
    let next = next.clone().verify(&context.network, context.clock.now()).ok()?;
    open(context, next.node(), certified_addresses(&next), create).await
}

/// As [`certified`], to a node that this node knows by itself: by the roster if the handshake names a certificate, and by
/// the view that it names otherwise. Who asks cannot have a channel made to what only they know.
pub(super) async fn known(context: &ChannelContext, onward: &Onward) -> Option<Next> {
    let Onward { next, create } = onward;
    match create.name() {
        HopName::Certificate(_) => {
            let known = context.roster.with(|roster| roster.certificate(next).cloned())?;
            certified(context, &known.to_unverified(), create).await
        }
        HopName::View(epoch) => {
            let descriptor = context.keys.in_view(epoch, next)?;
            open(context, *next, stated_addresses(descriptor.addresses()), create).await
        }
    }
}

async fn open(
    context: &ChannelContext,
    node: NodeId,
    addresses: Vec<Multiaddr>,
    create: &Create,
) -> Option<Next> {
    if node == context.keys.node {
        return None;
    }
    let open = async {
        let link = context.links.open_at(peer_id(&node)?, addresses, Carrier::Channel).await?;
        let (mut reader, mut writer) = link.into_cells();
        writer.write(&[Cell::create(create)]).await?;
        let created = reader.read().await?.to_created().map_err(ChannelError::Cell)?;
        let create = create.clone();
        Ok::<_, LinkError>(Next { node, create, created, cells: (reader, writer) })
    };
    let timeout = context.links.timeout(HANDSHAKE_TIMEOUT);
    tokio::time::timeout(timeout, open).await.ok()?.ok()
}
