//! Our own known answers: a sealed body and a sealed, signed notification.

use anon::{
    answers::AnswerSeed,
    mail::{DeleteSeed, Headers, MessageId, open_notification, seal_body, seal_notification},
    time::Time,
    wire,
};

use super::names::Members;
use crate::{
    tape::Tape,
    vector::{Vector, known_answers},
};

#[test]
fn a_body_and_its_notification() {
    let file = known_answers!("cutout-mail");
    let expected = Vector(&file);
    let members = Members::read();
    let (alice, bob) = (&members.owners[0], &members.owners[1]);

    let mut tape = Tape::new(&[&expected.bytes("/body_key"), &expected.bytes("/message_id")]);
    let sealed = seal_body(&expected.bytes("/content"), &mut tape).unwrap().remove(0);
    assert!(tape.is_used_up());
    assert_eq!(sealed.object, expected.bytes("/object"));
    assert_eq!(sealed.part.message_id, MessageId(expected.array("/message_id")));

    let delete = Some(DeleteSeed::from_bytes(expected.array("/delete_seed")));
    let date = Time(expected.number("/date"));
    let to = bob.certificate.address().clone();
    let headers = Headers::new(to, date, expected.text("/subject"), 1_000, &[sealed.part], delete)
        .signed(&alice.secret, &alice.certificate);
    assert_eq!(wire::encode(&headers), expected.bytes("/headers"));
    let mut tape = Tape::new(&[&expected.bytes("/ephemeral")]);
    let notification = seal_notification(&headers, &bob.certificate, &mut tape).unwrap();
    assert_eq!(notification, expected.bytes("/notification"));
}

#[test]
fn the_recipient_opens_them() {
    let file = known_answers!("cutout-mail");
    let expected = Vector(&file);
    let members = Members::read();
    let (alice, bob) = (&members.owners[0], &members.owners[1]);
    let notification = expected.bytes("/notification");
    let headers = open_notification(&notification, &bob.sealing, &bob.certificate).unwrap();
    assert_eq!(wire::encode(&headers), expected.bytes("/headers"));
    assert_eq!(headers.subject, "Grüße");
    let secret = headers.delete_secret(&headers.parts[0]).unwrap();
    assert_eq!(secret.expose_seed(), expected.array("/delete_secret"));
    let content = headers.parts[0].open(&expected.bytes("/object"));
    assert_eq!(content, Ok(expected.bytes("/content")));
    let sender = headers.verified_sender(&members.network, members.now);
    assert_eq!(sender.as_ref(), Ok(&Some(alice.certificate.address().clone())));
}

#[test]
fn the_secrets_of_addresses_for_answers() {
    let file = known_answers!("cutout-mail");
    let expected = Vector(&file);
    let seed = AnswerSeed::from_bytes([0x84; 32]);
    for answer in expected.list("/answers") {
        let number = u32::try_from(answer.number("/number")).unwrap();
        let (signing, sealing) = seed.secrets(&Members::read().network.id, number);
        assert_eq!(signing.expose_seed(), answer.array("/signing"));
        assert_eq!(sealing.expose_seed(), answer.array("/sealing"));
    }
}
