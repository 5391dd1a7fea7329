//! The rules of what keepers sign, one test each: promises, words that there is no view, quorums.

use anon::{
    keeper::{
        absence::{Absence, AbsenceError, MAX_ABSENCE, check_words},
        ballot::Ballot,
        collect::{CollectError, Collector},
        schedule::Moment,
        signing::{MAX_RECORD, Promises, Record, SigningError},
    },
    network::Epoch,
    view::{header::ViewHeader, quorum::UnverifiedSignedView},
};

use crate::town::{Town, ballot, keepers, secret};

fn header(count: u32) -> ViewHeader {
    let town = Town::new(1);
    ViewHeader { epoch: town.ballot.epoch(), count, ..*town.before.0.header() }
}

#[test]
fn a_keeper_signs_one_view_an_epoch_also_after_a_restart() {
    let (ballot, secret) = (ballot(4), secret(2));
    let mut promises = Promises::new(None);
    assert_eq!(promises.record(), None);
    let promised = promises.promise_view(header(1)).unwrap();
    assert_eq!(promises.record(), Some(promised.record()));
    let disk = promised.record().encode();
    assert!(disk.len() <= MAX_RECORD);
    let signature = promised.recorded(&ballot, &secret).unwrap();
    ballot.keepers().verify(&ballot.network(), &header(1).id(), &signature).unwrap();
    let another = SigningError::AnotherView { epoch: ballot.epoch(), signed: header(1).id() };
    assert_eq!(promises.promise_view(header(2)).unwrap_err(), another);
    // What was not recorded yet counts, too: it may have been written.
    let mut unrecorded = Promises::new(None);
    drop(unrecorded.promise_view(header(1)).unwrap());
    assert_eq!(unrecorded.promise_view(header(2)).unwrap_err(), another);
    let mut restarted = Promises::new(Some(Record::decode(&disk).unwrap()));
    assert_eq!(restarted.promise_view(header(2)).unwrap_err(), another);
    let again = restarted.promise_view(header(1)).unwrap().recorded(&ballot, &secret).unwrap();
    assert_eq!(again, signature);
    // The next epoch is free, and then this one is closed.
    let next = ViewHeader { epoch: Epoch(6), ..header(2) };
    assert!(restarted.promise_view(next).is_ok());
    assert_eq!(restarted.promise_view(header(1)).unwrap_err(), SigningError::Past(Epoch(6)));
}

#[test]
fn a_record_that_cannot_be_read_is_an_error() {
    let record = *Promises::new(None).promise_view(header(1)).unwrap().record();
    let bytes = record.encode();
    assert_eq!(Record::decode(&bytes), Ok(record));
    assert_eq!((record.epoch(), record.view()), (Epoch(5), Some(header(1).id())));
    for cut in 0..bytes.len() {
        assert!(matches!(Record::decode(&bytes[..cut]), Err(SigningError::Damaged(_))), "{cut}");
    }
    let newer = [&[7], &bytes[1..]].concat();
    assert_eq!(Record::decode(&newer), Err(SigningError::UnknownVersion(7)));
}

#[test]
fn who_said_that_there_is_no_view_signs_none() {
    let (ballot, secret) = (ballot(4), secret(2));
    let (epoch, said) = (ballot.epoch(), Moment(7));
    let mut promises = Promises::new(None);
    let promised = promises.promise_none(epoch, said).unwrap();
    let disk = promised.record().encode();
    assert_eq!(promised.recorded(&ballot, &secret).unwrap().keeper(), 2);
    let mut restarted = Promises::new(Some(Record::decode(&disk).unwrap()));
    assert_eq!(restarted.promise_view(header(1)).unwrap_err(), SigningError::SaidNone(epoch));
    // Who signed may say that it sees no quorum, and still signs nothing else.
    let mut signed = Promises::new(None);
    drop(signed.promise_view(header(1)).unwrap());
    assert!(signed.promise_none(epoch, said).unwrap().recorded(&ballot, &secret).is_some());
    assert!(matches!(signed.promise_view(header(2)), Err(SigningError::AnotherView { .. })));
    assert!(signed.promise_view(header(1)).is_ok());
    let past = signed.promise_none(Epoch(4), said).unwrap_err();
    assert_eq!(past, SigningError::Past(epoch));
    let other = Ballot::new(ballot.network(), Epoch(6), keepers(4), 9);
    assert_eq!(signed.promise_none(epoch, said).unwrap().recorded(&other, &secret), None);
}

fn word(ballot: &Ballot, keeper: usize, said: Moment) -> Absence {
    let mut promises = Promises::new(None);
    let promised = promises.promise_none(ballot.epoch(), said).unwrap();
    promised.recorded(ballot, &secret(keeper)).unwrap()
}

#[test]
fn words_of_f_plus_one_keepers_are_believed_for_a_while() {
    let (ballot, holds) = (ballot(7), 600_000);
    let said = Moment(10_000_000);
    let words: Vec<Absence> = [1, 2, 6].map(|keeper| word(&ballot, keeper, said)).into();
    let check = |words: &[Absence], now| check_words(&ballot, words, now, holds);
    assert_eq!(check(&words, said.after(holds)), Ok(()));
    let too_few = |said| Err(AbsenceError::TooFew { said, needed: 3 });
    assert_eq!(check(&words, said.after(holds + 1)), too_few(0));
    assert_eq!(check(&words, said.before(300_000)), Ok(()));
    assert_eq!(check(&words, said.before(300_001)), too_few(0));
    assert_eq!(check(&words[..2], said), too_few(2));
    let twice = [words[0].clone(), words[0].clone(), words[1].clone()];
    assert_eq!(check(&twice, said), too_few(2));
    assert_eq!(check(&vec![words[0].clone(); 17], said), Err(AbsenceError::TooMany));
    assert_eq!(check(&vec![words[0].clone(); 16], said), too_few(1));
    // Words of another epoch, or of another set of keepers, do not count.
    let next = Ballot::new(ballot.network(), Epoch(6), keepers(7), 9);
    assert_eq!(check_words(&next, &words, said, holds), too_few(0));
    let fewer = Ballot::new(ballot.network(), ballot.epoch(), keepers(8), 9);
    assert_eq!(check_words(&fewer, &words, said, holds), too_few(0));
}

#[test]
fn a_word_that_is_cut_or_changed_is_refused() {
    let ballot = ballot(1);
    let said = Moment(10_000_000);
    let word = word(&ballot, 0, said);
    assert_eq!((word.keeper(), word.said(), word.epoch()), (0, said, ballot.epoch()));
    let good = word.encode();
    assert!(good.len() <= MAX_ABSENCE);
    assert_eq!(Absence::decode(&good), Ok(word));
    for cut in 0..good.len() {
        assert!(Absence::decode(&good[..cut]).is_err(), "{cut}");
    }
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        let Ok(word) = Absence::decode(&changed) else { continue };
        assert!(check_words(&ballot, &[word], said, 1_000).is_err(), "{at}");
    }
    let newer = [&[4], &good[1..]].concat();
    assert_eq!(Absence::decode(&newer), Err(AbsenceError::UnknownVersion(4)));
}

fn signed(ballot: &Ballot, header: ViewHeader, signers: &[usize]) -> UnverifiedSignedView {
    let sign = |k: &usize| {
        let promised = Promises::new(None).promise_view(header).unwrap();
        promised.recorded(ballot, &secret(*k)).unwrap()
    };
    UnverifiedSignedView { header, signatures: signers.iter().map(sign).collect() }
}

#[test]
fn a_quorum_is_of_one_view_and_each_keeper_counts_once() {
    let ballot = ballot(4);
    let mut collector = Collector::new(ballot.clone());
    for (view, signers) in [(1, &[0][..]), (1, &[0, 1]), (2, &[2, 3])] {
        collector.handle_signatures(&signed(&ballot, header(view), signers)).unwrap();
        assert_eq!(collector.poll_quorum(), None);
    }
    assert_eq!(collector.signers(&header(1).id()), [0, 1].into());
    collector.handle_signatures(&signed(&ballot, header(1), &[3])).unwrap();
    assert_eq!(*collector.poll_quorum().unwrap().header(), header(1));
    // Keeper 3 signed two, and that is kept; a third is not taken.
    let evidence = collector.evidence();
    assert_eq!(evidence.keys().copied().collect::<Vec<u8>>(), [3]);
    for shown in &evidence[&3] {
        let [signature] = &shown.signatures[..] else { panic!("one") };
        ballot.keepers().verify(&ballot.network(), &shown.header.id(), signature).unwrap();
    }
    let third = collector.handle_signatures(&signed(&ballot, header(9), &[3]));
    assert_eq!(third, Err(CollectError::TooManyViews(3)));
    // More than f liars: both quorums are kept.
    collector.handle_signatures(&signed(&ballot, header(2), &[1])).unwrap();
    assert_eq!(collector.quorums().len(), 2);
}

#[test]
fn signatures_of_another_epoch_network_or_keeper_are_refused() {
    let ballot = ballot(4);
    let mut collector = Collector::new(ballot.clone());
    let next = ViewHeader { epoch: Epoch(6), ..header(1) };
    let result = collector.handle_signatures(&signed(&ballot, next, &[1]));
    assert_eq!(result, Err(CollectError::WrongEpoch(Epoch(6))));
    let foreign = ViewHeader { network: anon::id::NetworkId([1; 32]), ..header(1) };
    assert!(collector.handle_signatures(&signed(&ballot, foreign, &[1])).is_err());
    let mut forged = signed(&ballot, header(1), &[1]);
    forged.signatures[0].keeper = 2;
    assert!(collector.handle_signatures(&forged).is_err());
    forged.signatures[0].keeper = 4;
    assert!(collector.handle_signatures(&forged).is_err());
    assert!(collector.signers(&header(1).id()).is_empty());
}
