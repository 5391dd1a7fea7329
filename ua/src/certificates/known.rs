//! Recipients' certificates that were fetched before, sealed: whoever is written to often is not asked for anew
//! each time, and nobody learns that another mail is about to go there.

use anon::{
    certificate::{Address, AddressCertificate, UnverifiedAddressCertificate},
    time::Time,
};
use serde::{Deserialize, Serialize};

use crate::{context::Context, error::AgentError, sealed, vault::Vault};

/// The sealed file.
const FILE: &str = "certificates";
/// Its greatest length, bytes.
const MAX_FILE: usize = 1 << 20;
/// The most certificates kept; the oldest goes first.
const KEPT: usize = 512;
/// How long one is used before it is fetched anew, seconds: a week. A revocation list counts at once.
const FRESH: u64 = 7 * 86_400;

#[derive(Serialize, Deserialize)]
struct Entry {
    certificate: UnverifiedAddressCertificate,
    fetched: Time,
}

/// The certificate of `address` in the vault, if it is fresh and valid.
///
/// # Errors
/// [`AgentError::Vault`] if the file cannot be read; one that is lost counts as empty, and is said to be.
pub(crate) fn read(
    vault: &Vault,
    context: &Context,
    address: &Address,
) -> Result<Option<AddressCertificate>, AgentError> {
    let (network, current) = (&context.network, context.now());
    let fresh = |entry: &Entry| entry.fetched.after(FRESH) > current && entry.fetched <= current;
    let entries = entries(vault)?.into_iter().filter(fresh);
    let mut verified = entries.filter_map(|entry| entry.certificate.verify(network, current).ok());
    Ok(verified.find(|certificate| certificate.address() == address))
}

/// Keeps a certificate that was fetched now. Where that fails it is said, and fetched again the next time.
pub(crate) fn add(vault: &Vault, context: &Context, certificate: &AddressCertificate) {
    let (network, current) = (&context.network, context.now());
    let locked = vault.lock().map_err(AgentError::from);
    let (_writing, mut kept) = match locked.and_then(|writing| Ok((writing, entries(vault)?))) {
        Ok(locked) => locked,
        Err(error) => return vault.notice(error.to_string()),
    };
    kept.retain(|entry| {
        let known = entry.certificate.clone().verify(network, current);
        known.is_ok_and(|known| known.address() != certificate.address())
    });
    kept.push(Entry { certificate: certificate.to_unverified(), fetched: current });
    let surplus = kept.len().saturating_sub(KEPT);
    kept.drain(..surplus);
    sealed::keep(vault, FILE, &kept);
}

fn entries(vault: &Vault) -> Result<Vec<Entry>, AgentError> {
    let costs = "recipients' certificates are fetched once more, each when it is written to";
    Ok(sealed::read_or_new(vault, FILE, MAX_FILE, costs)?)
}

#[cfg(test)]
mod tests {
    use anon::wire;
    use net::now;

    use super::*;
    use crate::{
        account::Account,
        vault::{KdfCost, Passphrase},
    };

    fn stage() -> (tempfile::TempDir, Vault, Context) {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("x".to_owned()).unwrap();
        let cost = KdfCost::new(8, 1).unwrap();
        let vault = Vault::create(&directory.path().join("vault"), &passphrase, cost).unwrap();
        let file = net::NetworkFile::parse("name = 'demo.alt'").unwrap();
        (directory, vault, Context::quiet(file.network().unwrap()))
    }

    #[test]
    fn a_certificate_is_found_again_and_only_its_own() {
        let (_directory, vault, context) = stage();
        let [bob, eve] = [(), ()].map(|()| Account::self_certifying(&context.network, now()));
        let certificate = bob.certificate(&context.network, now()).unwrap();
        assert!(read(&vault, &context, bob.address()).unwrap().is_none());
        add(&vault, &context, &certificate);
        add(&vault, &context, &certificate);
        assert_eq!(entries(&vault).unwrap().len(), 1);
        assert_eq!(read(&vault, &context, bob.address()).unwrap(), Some(certificate));
        assert!(read(&vault, &context, eve.address()).unwrap().is_none());
    }

    #[test]
    fn a_stale_one_is_fetched_anew() {
        let (_directory, vault, context) = stage();
        let bob = Account::self_certifying(&context.network, now());
        let certificate = bob.certificate(&context.network, now()).unwrap().to_unverified();
        let fetched = Time(now().0 - FRESH);
        vault.write(FILE, &wire::encode(&vec![Entry { certificate, fetched }])).unwrap();
        assert!(read(&vault, &context, bob.address()).unwrap().is_none());
    }
}
