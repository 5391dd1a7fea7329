//! A node as a sender knows it that makes a path over it: by its certificate, or by the view in which it stands.

use crate::{
    certificate::NodeCertificate,
    create::HopName,
    id::{NetworkId, NodeId},
    keys::AgreementKey,
    view::{descriptor::Descriptor, header::ViewHeader},
};

/// A node as a handshake with it needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    pub(crate) network: NetworkId,
    pub(crate) node: NodeId,
    pub(crate) name: HopName,
    pub(crate) channel_key: AgreementKey,
}

impl Hop {
    /// The node of a certificate, named by it.
    #[must_use]
    pub fn certified(certificate: &NodeCertificate) -> Self {
        let claims = certificate.claims();
        let name = HopName::Certificate(certificate.digest());
        let (network, node, channel_key) = (claims.network, claims.identity, claims.channel_key);
        Self { network, node, name, channel_key }
    }

    /// A node of the view with this header.
    pub(crate) const fn described(header: &ViewHeader, descriptor: &Descriptor) -> Self {
        let (network, name) = (header.network, HopName::View(header.epoch));
        Self { network, node: descriptor.node(), name, channel_key: descriptor.channel_key() }
    }

    /// Which node it is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Whether both are named by certificates, or in the view of one epoch, in one network.
    pub(crate) fn is_named_like(&self, other: &Self) -> bool {
        (self.network, self.name.epoch()) == (other.network, other.name.epoch())
    }
}
