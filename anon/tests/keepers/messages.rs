//! What goes between nodes and keepers in lists, and which answers may be long.

use anon::{
    keeper::{
        absence::{Absence, MAX_ABSENCE},
        schedule::Moment,
        signing::Promises,
        vote::VoteDigest,
    },
    network::Epoch,
    request::view::{
        MAX_STATEMENTS_ASKED, ViewRequest, decode_statements, decode_words, encode_statements,
        encode_words,
    },
    view::{
        header::ViewId,
        quorum::MAX_KEEPERS,
        statement::{MAX_STATEMENT, StatementDigest, UnverifiedNodeStatement},
    },
    wire::WireError,
};

use crate::town::{ballot, secret, statement, tcp};

fn statements(count: u8) -> Vec<UnverifiedNodeStatement> {
    let at = |number| anon::view::descriptor::Addresses::Tcp(tcp([10, 0, 0, number]));
    (0..count).map(|number| statement(number, number, at(number)).to_unverified()).collect()
}

fn word(keeper: usize) -> Absence {
    let ballot = ballot(4);
    let promised = Promises::new(None).promise_none(ballot.epoch(), Moment(7)).unwrap();
    promised.recorded(&ballot, &secret(keeper)).unwrap()
}

#[test]
fn a_list_that_was_encoded_decodes() {
    for count in [0, 1, 3] {
        let list = statements(count);
        assert_eq!(decode_statements(&encode_statements(&list)), Ok(list));
    }
    let words = [word(1), word(3)];
    assert_eq!(decode_words(&encode_words(&words)), Ok(words.to_vec()));
}

#[test]
fn a_list_has_as_many_as_can_be_asked_for_and_no_more() {
    let one = statements(1);
    let full = vec![one[0].clone(); MAX_STATEMENTS_ASKED];
    assert_eq!(decode_statements(&encode_statements(&full)), Ok(full.clone()));
    let more = encode_statements(&[full, one].concat());
    assert_eq!(decode_statements(&more), Err(WireError::Malformed));
    let full = vec![word(0); MAX_KEEPERS];
    assert_eq!(decode_words(&encode_words(&full)), Ok(full.clone()));
    let more = encode_words(&[full, vec![word(0)]].concat());
    assert_eq!(decode_words(&more), Err(WireError::Malformed));
}

#[test]
fn a_list_longer_than_its_longest_is_refused_unread() {
    let limit = 8 + MAX_KEEPERS * MAX_ABSENCE;
    assert_eq!(decode_words(&vec![0; limit + 1]), Err(WireError::TooLong { limit }));
    assert_eq!(decode_words(&vec![0; limit]), Err(WireError::Malformed));
    let limit = 8 + MAX_STATEMENTS_ASKED * MAX_STATEMENT;
    assert_eq!(decode_statements(&vec![0; limit + 1]), Err(WireError::TooLong { limit }));
    assert_eq!(decode_statements(&vec![0; limit]), Err(WireError::Malformed));
}

#[test]
fn what_may_be_longer_than_a_message_has_a_long_answer() {
    let (epoch, digest) = (Epoch(5), [1; 32]);
    let long = [
        ViewRequest::Statements(vec![StatementDigest(digest)]),
        ViewRequest::Vote { epoch, digest: VoteDigest(digest), from: 0 },
        ViewRequest::View { id: ViewId(digest), from: 0 },
        ViewRequest::Revocations { digest, from: 0 },
        ViewRequest::Difference { base: ViewId(digest), id: ViewId(digest), from: 0 },
    ];
    assert!(long.iter().all(ViewRequest::has_long_answer));
    let short = [ViewRequest::Latest, ViewRequest::Words(epoch), ViewRequest::State(vec![1])];
    assert!(!short.iter().any(ViewRequest::has_long_answer));
}
