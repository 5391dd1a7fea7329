//! What to do about a node that does not start.

use net::LinkError;
use node::{ConfigError, IdentityError, NodeError, RecordError};

use super::store;
use crate::terminal::Failure;

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        #[cfg(feature = "tor")]
        let error = match error {
            NodeError::Tor(error) => return Self::from(error).of("the node does not start"),
            error => error,
        };
        let (code, remedy) = match &error {
            NodeError::Config(ConfigError::NoTor) => (
                78,
                "use a program built with the feature `tor`, which is there unless it was switched off",
            ),
            NodeError::Config(ConfigError::OnionOnly(_)) => {
                (78, "take `listen` and `advertise` out of node.toml, or set onion = \"beside\"")
            }
            NodeError::Config(ConfigError::BadAddress(_)) => {
                (78, "give IP address and TCP port with --listen or --advertise, or in node.toml")
            }
            NodeError::Config(_) => (78, "check the file node.toml in --dir DIR"),
            NodeError::Network(_) | NodeError::BadAdmission(_) => (78, "check the file"),
            NodeError::Identity(IdentityError::Exposed(path)) => {
                let remedy = format!(
                    "`chmod 600 {}`; if others may have read it, start a new node in an empty directory",
                    path.display()
                );
                return Self::new(78, "the node does not start", &error, &remedy);
            }
            NodeError::Identity(IdentityError::Damaged(_)) | NodeError::IdentityMissing(_) => (
                78,
                "restore identity.key from a copy; without one, start a new node in an empty directory",
            ),
            NodeError::Identity(IdentityError::Io { .. }) => {
                (74, "check the node's directory and its permissions")
            }
            NodeError::Identity(_) => (
                78,
                "check the node's directory; if the network wants admission, see `cutout node request`",
            ),
            NodeError::StoreMissing(_) => (
                74,
                "restore store.redb; if it is lost, `cutout node store repair --dir DIR` begins an empty one",
            ),
            NodeError::NotKeeper => (
                78,
                "have the authority name it: `cutout ca keeper add`, with the address that `cutout node run` prints",
            ),
            NodeError::Record(
                RecordError::Missing(_) | RecordError::Record { .. } | RecordError::Damaged(_),
            ) => (
                78,
                "put no older copy back, and see docs/operators.md, \"A keeper whose disk was lost\"",
            ),
            NodeError::Record(_) => (74, "check the directory, its permissions and the disk"),
            NodeError::Store(error) => return store::failure(*error).of("the node does not start"),
            NodeError::Io { .. } => (74, "check the directory, its permissions and the disk"),
            NodeError::Listen(LinkError::AddressInUse(_)) => {
                (69, "stop the other program, or give this node another port with --listen")
            }
            NodeError::Listen(_) | NodeError::NoAddress => {
                (69, "give a free address with --listen")
            }
            _ => (70, ""),
        };
        Self::new(code, "the node does not start", &error, remedy)
    }
}
