//! The anonymous-sender protocol of *P2P E-Mail* (Kangasharju, Ross, Turner, 2002), without I/O.
//!
//! Bytes, times and randomness come in as arguments; bytes and decisions come out. This crate opens no
//! socket, file or thread and reads no clock, so an auditor can read here, in an afternoon, everything that
//! the promises of `THREATMODEL.md` rest on.
//!
//! | module | what it is | paper |
//! |---|---|---|
//! | [`position`] | the DHT space: keys, positions, distance, the k closest | 2.1 |
//! | [`id`] | who is who: nodes and networks | 2.1 |
//! | [`network`] | what all members share: name, authority, k, quorum | 2.1 |
//! | [`certificate`] | node and address certificates, unverified → verified at a time | 2.1, 4.1 |
//! | [`request`] | the five primitives, lookup and `Perform` as one enum pair | 2.2 |
//! | [`inbox`] | reading an inbox in two steps | 2.2 |
//! | [`authorization`] | who may delete, who may read an inbox | 2.2 |
//! | [`receipt`] | signed proofs of storage, and counting them | 4.2 |
//! | [`selection`] | sampling keyX, keyY, keyZ | 4.1 |
//! | [`roster`] | the nodes a member knows, so that nothing need be looked up | beyond it |
//! | [`view`] | the signed view of an epoch: descriptors, quorum, tree, differences, sampling | beyond it |
//! | [`keeper`] | how keepers make the view: schedule, broadcast of votes, what follows from them, signing | beyond it |
//! | [`verification`] | X against Y, Z against W | 4.1, 4.2 |
//! | [`create`], [`handshake`] | session keys with a node that must not learn who we are | 4.1 |
//! | [`cell`], [`channel`] | fixed cells, layers, and channels as typed states | 4.1 |
//! | [`mail`] | sealing bodies and notifications | 3.1 |
//! | [`wire`], [`padding`], [`secretbox`], [`keys`], [`labels`], [`limits`], [`time`] | what those are made of | |
//!
//! # Example
//!
//! A signature holds for one purpose in one network. Nobody can take it for another.
//!
//! ```
//! use anon::{id::NetworkId, keys::{DeleteSecret, SigningSecret as _}, labels};
//!
//! let network = NetworkId::derive("demo.alt", None);
//! let secret = DeleteSecret::from_seed(&[1; 32]);
//! let signature = secret.sign(labels::DELETE, &network, &"this object");
//! let key = secret.verify_key();
//! assert!(key.verify(labels::DELETE, &network, &"this object", &signature).is_ok());
//! assert!(key.verify(labels::ADMISSION, &network, &"this object", &signature).is_err());
//! ```

pub mod answers;
pub mod authorization;
pub mod cell;
pub mod certificate;
pub mod channel;
pub mod create;
pub mod handshake;
mod hex;
mod hop;
pub mod id;
pub mod inbox;
pub mod keeper;
pub mod keys;
pub mod labels;
pub mod limits;
pub mod mail;
pub mod network;
pub mod padding;
pub mod position;
pub mod receipt;
pub mod request;
pub mod roster;
pub mod secretbox;
pub mod selection;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod verification;
pub mod view;
pub mod wire;
