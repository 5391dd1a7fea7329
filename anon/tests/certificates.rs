//! Node and address certificates, admissions and signing requests: each check, at its exact edge.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

#[path = "certificates/address.rs"]
mod address;
#[path = "certificates/admission.rs"]
mod admission;
#[path = "certificates/node.rs"]
mod node;
#[path = "certificates/signing_request.rs"]
mod signing_request;

use anon::{
    certificate::CertificateError,
    time::{Time, Validity},
};
use world::{NOW, TODAY};

/// Moments around [`TODAY`], and what a certificate that holds today says at them.
fn edges() -> Vec<(Time, Result<(), CertificateError>)> {
    let Validity { not_before, not_after } = TODAY;
    vec![
        (not_before.before(301), Err(CertificateError::NotYetValid)),
        (not_before.before(300), Ok(())),
        (NOW, Ok(())),
        (not_after.after(300), Ok(())),
        (not_after.after(301), Err(CertificateError::Expired)),
        (Time(0), Err(CertificateError::NotYetValid)),
        (Time(u64::MAX), Err(CertificateError::Expired)),
    ]
}
