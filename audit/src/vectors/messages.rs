//! The protocol's own answers: every request and response, made anew and read.

use anon::{
    keys::DeleteSecret,
    request::{Request, Response},
    time::Time,
    wire::{self, WireError},
};
use serde::Serialize;

use super::{
    Compared, Known,
    protocol::{Members, other_file},
};

/// Requests and responses, made and read.
pub(super) fn messages(known: Known<'_>, compared: &mut Compared) -> Option<()> {
    let members = Members::read()?;
    let storage = Known(other_file!("cutout-storage"));
    let delete = DeleteSecret::from_seed(&storage.array("/delete_seed")?);
    let cast = members.cast(
        &delete,
        storage.array("/nonce")?,
        storage.array("/proof_nonce")?,
        Time(storage.number("/expiry")?),
    )?;
    compare(known, "/requests", cast.requests(), Request::decode, compared)?;
    compare(known, "/responses", cast.responses(), Response::decode, compared)
}

/// The messages that the file does not have: it knows no handshake, and no time.
const OTHERS: [&str; 4] = ["time", "extend", "extended", "listed_to_the_end"];

fn compare<M: Serialize + PartialEq>(
    known: Known<'_>,
    path: &str,
    mut messages: Vec<(&'static str, M)>,
    decode: fn(&[u8]) -> Result<M, WireError>,
    compared: &mut Compared,
) -> Option<()> {
    for (name, bytes) in known.texts(path)? {
        let at = messages.iter().position(|(known, _)| *known == name)?;
        let (_, message) = messages.swap_remove(at);
        compared.same(name, wire::encode(&message) == bytes && decode(&bytes) == Ok(message));
    }
    messages.iter().all(|(name, _)| OTHERS.contains(name)).then_some(())
}
