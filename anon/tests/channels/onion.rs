//! Paths made in one pass: what each hop sees of them, and what a hop can do about the rest.

use std::collections::BTreeSet;

use anon::{
    channel::{ChannelError, Passage},
    create::{Create, HopName, MAX_HOPS},
    handshake::{HandshakeError, Initiator},
    position::Key,
    request::{Request, Response, Targets},
};

use super::{
    by_hand::{ByHand, HEAD},
    honest::{KEY, nodes, store},
};
use crate::{
    line::backward,
    pass::{Pass, Taken, feed, start, take},
    world::{Node, network, rng},
};

type Path = Vec<(&'static Node, Option<Request>)>;

const FILLER: usize = 178;
const REFUSED: ChannelError = ChannelError::Handshake(HandshakeError::BadEarlyRequest);
const NOT_CONFIRMED: ChannelError = ChannelError::Handshake(HandshakeError::NotConfirmed);

fn closest(key: u8) -> Request {
    Request::Closest { key: Key([key; 32]), count: 1 }
}

/// As many hops, each asked something else, the second one nothing.
fn path(hops: u8) -> Path {
    let question = |at: u8| (at != 1).then(|| closest(at));
    nodes(hops).iter().zip((0..hops).map(question)).collect()
}

fn passed_on(taken: &Taken) -> Create {
    (*taken.early.onward.as_ref().expect("a go-between").create).clone()
}

fn create(bytes: &[u8]) -> Create {
    Create::from_padded(bytes).expect("of the right length")
}

/// The first message as its node can compute it from its own secret.
fn by_hand(node: &Node, create: &Create) -> ByHand {
    let (digest, channel) = (node.certificate.digest(), node.channel.expose_seed());
    ByHand::at(network().id, digest, channel, create.replay_tag())
}

#[test]
fn paths_of_one_to_five_hops_carry_requests_and_answers() {
    for hops in 1..=5 {
        let pass = Pass::through(&path(hops), &mut rng(1));
        for (at, (taken, (node, request))) in pass.hops.iter().zip(path(hops)).enumerate() {
            assert_eq!(taken.create.to_bytes().len(), Create::LENGTH);
            assert_eq!(taken.create.name(), HopName::Certificate(node.certificate.digest()));
            assert_eq!(taken.early.request, request);
            let next = taken.early.onward.as_ref().map(|onward| onward.next);
            assert_eq!(next, path(hops).get(at + 1).map(|(node, _)| node.id()));
        }
        let (mut line, back) = pass.finish(&Response::NotFound).unwrap();
        let asked = path(hops).iter().rev().skip(1).filter(|(_, q)| q.is_some()).count();
        assert_eq!(back.len(), usize::from(hops) - 1 + asked);
        assert_eq!(line.sender.hops(), usize::from(hops));
        assert_eq!(line.early, path(hops).pop().unwrap().1);
        let links = line.request(&store(10_000));
        assert_eq!(line.receive_requests(links.last().unwrap()), Ok(vec![store(10_000)]));
        let links = line.respond(&Response::Object(vec![7; 10_000]));
        assert_eq!(line.receive_responses(&links[0]).unwrap().len(), 1);
    }
}

#[test]
fn a_path_made_in_one_pass_can_be_extended() {
    let (mut rng, nodes) = (rng(1), nodes(3));
    let (line, _) = Pass::through(&path(2), &mut rng).finish(&Response::NotFound).unwrap();
    let mut line = line.extend(&nodes[2], Some(&closest(9)), &mut rng);
    assert_eq!(line.early, Some(closest(9)));
    let links = line.request(&store(100));
    assert_eq!(links.len(), 3);
    assert_eq!(line.receive_requests(&links[2]), Ok(vec![store(100)]));
}

#[test]
fn no_hop_sees_a_block_that_another_one_sees() {
    let (mut seen, mut all) = (BTreeSet::new(), 0);
    for hops in 1..=5 {
        for taken in Pass::through(&path(hops), &mut rng(hops.into())).hops {
            // In front are the version and the digest of the certificate of whom it is for.
            let bytes = taken.create.to_bytes();
            let windows = bytes[34..].windows(8).map(<[u8]>::to_vec);
            all += windows.len();
            seen.extend(windows);
        }
    }
    assert_eq!(seen.len(), all);
}

#[test]
fn what_a_last_hop_need_not_look_at_is_as_random_after_any_path() {
    for hops in 1..=5 {
        let pass = Pass::through(&path(hops), &mut rng(1));
        let (taken, (node, _)) = (pass.hops.last().unwrap(), path(hops).pop().unwrap());
        let plain = by_hand(node, &taken.create).open(&taken.create);
        assert_random(&plain[1 + 512..], hops);
    }
}

#[test]
fn what_a_go_between_passes_on_is_as_random_wherever_it_is() {
    for hops in 2..=5 {
        for (taken, (node, _)) in
            Pass::through(&path(hops), &mut rng(1)).hops.iter().zip(path(hops))
        {
            if taken.early.onward.is_some() {
                let plain = by_hand(node, &taken.create).open(&taken.create);
                assert_eq!(plain[0], 1);
                assert_random(&plain[1 + 64 + 32 + 33 + 32..], hops);
                assert_random(&passed_on(taken).to_bytes()[HEAD..], hops);
            }
        }
    }
}

/// Half of the bits are set, in the front, in the middle and at the end, and nothing repeats.
fn assert_random(bytes: &[u8], hops: u8) {
    for part in bytes.chunks(FILLER).filter(|part| part.len() == FILLER) {
        let set: u32 = part.iter().map(|byte| byte.count_ones()).sum();
        // 1,424 bits: six standard deviations are 113.
        assert!((712 - 113..=712 + 113).contains(&set), "{set} bits after {hops} hops");
    }
    let windows: BTreeSet<&[u8]> = bytes.windows(6).collect();
    assert_eq!(windows.len(), bytes.len() - 5, "something repeats after {hops} hops");
}

#[test]
fn the_free_part_of_the_last_hops_plaintext_is_the_senders_secret() {
    // The same last hop and request, and a hop that knows its own keys: nothing to compute it from.
    let node = &nodes(1)[0];
    let rest = |seed| {
        let (_, create) = start(&path(1), &mut rng(seed)).unwrap();
        by_hand(node, &create).open(&create)[1 + 512..].to_vec()
    };
    assert_eq!(rest(1).len(), (MAX_HOPS - 1) * FILLER);
    assert_ne!(rest(1), rest(2));
}

#[test]
fn a_go_between_that_changes_any_byte_of_what_it_passes_on_is_refused() {
    let mut onion = Pass::through(&path(3), &mut rng(1)).hops;
    let (second, node) = (onion.remove(1), &nodes(2)[1]);
    let bytes = second.create.to_bytes();
    // Version and kind of name are not its to choose: the next one would read them as something else, or not at all.
    for at in 2..Create::LENGTH {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 7);
        let refused = take(node, &create(&changed), &mut rng(2)).map(|_| ());
        assert_eq!(refused, Err(REFUSED), "byte {at}");
    }
    assert!(take(node, &second.create, &mut rng(2)).is_ok());
}

#[test]
fn each_hops_filler_is_covered_by_the_next_hops_tag() {
    for hops in 2..=5 {
        let onion = Pass::through(&path(hops), &mut rng(1)).hops;
        for (at, taken) in onion.iter().enumerate().skip(1) {
            let bytes = taken.create.to_bytes();
            let (kept, filler) = bytes.split_at(Create::LENGTH - FILLER);
            let others = onion[at - 1].create.to_bytes()[Create::LENGTH - FILLER..].to_vec();
            for wrong in [vec![0; FILLER], others, filler.iter().rev().copied().collect()] {
                let node = &nodes(hops)[at];
                let refused = take(node, &create(&[kept, &wrong].concat()), &mut rng(2));
                assert_eq!(refused.map(|_| ()), Err(REFUSED), "hop {at} of {hops}");
            }
        }
    }
}

/// What the sender says if the second hop was given this instead of what the sender made.
fn given_instead(hops: u8, other: &Create) -> Result<(), ChannelError> {
    let mut pass = Pass::through(&path(hops), &mut rng(1));
    pass.hops[1] = take(&nodes(2)[1], other, &mut rng(3)).expect("it is well made");
    pass.finish(&Response::NotFound).map(|_| ())
}

#[test]
fn an_onion_of_the_go_betweens_own_making_is_not_confirmed() {
    for hops in 2..=5 {
        // The same nodes are asked the same, only by the go-between.
        let (_, own) = start(&path(hops)[1..], &mut rng(9)).unwrap();
        assert_eq!(given_instead(hops, &own), Err(NOT_CONFIRMED));
    }
}

#[test]
fn the_answer_is_to_the_whole_body() {
    // With the next node's own secret, which no go-between has: the same ephemeral key, one byte else.
    let mut onion = Pass::through(&path(2), &mut rng(1)).hops;
    let (sent, node) = (onion.remove(1).create, &nodes(2)[1]);
    let hand = by_hand(node, &sent);
    let mut plain = hand.open(&sent);
    let same = hand.create_plain(&plain);
    assert_eq!(same, sent);
    assert_eq!(given_instead(2, &same), Ok(()));
    for at in [1 + 512, plain.len() - 1] {
        plain[at] ^= 1;
        let other = hand.create_plain(&plain);
        assert_eq!(given_instead(2, &other), Err(NOT_CONFIRMED), "byte {at}");
        plain[at] ^= 1;
    }
}

#[test]
fn an_answer_of_another_hop_is_not_confirmed() {
    for (hops, at, other) in [(3, 1, 2), (3, 2, 1), (4, 3, 0)] {
        let mut pass = Pass::through(&path(hops), &mut rng(1));
        pass.hops[at].created = pass.hops[other].created.clone();
        assert_eq!(pass.finish(&Response::NotFound).map(|_| ()), Err(NOT_CONFIRMED));
    }
}

#[test]
fn a_hop_that_does_not_go_on_ends_the_path() {
    for refusal in [Response::Refused, Response::NotFound, Response::Object(vec![1; 64])] {
        let mut pass = Pass::through(&path(3), &mut rng(1));
        let first = &mut pass.hops[0];
        let mut passage = pass.opening.finish(&anon::cell::Cell::created(&first.created)).unwrap();
        let answer = first.last_hop.respond(&refusal).unwrap();
        passage = match feed(passage, &backward(&mut [], answer)[0]).unwrap() {
            // To the question it may say what it likes.
            Passage::Answered { hop: 0, answer, path } if answer == refusal => {
                Passage::Underway(path)
            }
            other => panic!("{other:?}"),
        };
        let cells = first.last_hop.respond(&refusal).unwrap();
        assert_eq!(feed(passage, &cells).map(|_| ()), Err(ChannelError::NotExtended));
    }
}

#[test]
fn a_replay_asks_for_the_same_next_handshake_which_that_node_remembers() {
    let onion = Pass::through(&path(4), &mut rng(1)).hops;
    for (taken, node) in onion.iter().zip(nodes(4)) {
        let again = take(node, &taken.create, &mut rng(5)).unwrap();
        assert_ne!(again.created, taken.created, "other keys");
        assert_eq!(again.early, taken.early);
    }
    // No two hops share what they are recognised by.
    let tags: BTreeSet<_> = onion.iter().map(|taken| taken.create.replay_tag()).collect();
    assert_eq!(tags.len(), onion.len());
}

#[test]
fn paths_that_are_none_too_long_or_loops_are_not_started() {
    let refused = |path: &Path| start(path, &mut rng(1)).map(|_| ()).err();
    let bad = Some(HandshakeError::BadPath);
    assert_eq!(refused(&path(5)), None);
    assert_eq!(refused(&path(6)), bad);
    assert_eq!(refused(&Vec::new()), bad);
    let [a, b, c] = [0, 1, 2].map(|at| (&nodes(3)[at], None));
    for looped in [vec![a.clone(), a.clone()], vec![a.clone(), b, a], vec![c.clone(), c]] {
        assert_eq!(refused(&looped), bad);
    }
}

#[test]
fn a_loop_that_a_sender_insists_on_is_two_handshakes_like_any_others() {
    // A node cannot know that it is on a path twice; that it is not its own next hop, the server sees to.
    let (mut rng, [a, b]) = (rng(1), [0, 1].map(|at| &nodes(2)[at]));
    let hops = [a, b, a].map(|node| (node.hop(), None));
    let (.., create) = Initiator::start_path(&hops, &mut rng).unwrap();
    let first = take(a, &create, &mut rng).unwrap();
    let second = take(b, &passed_on(&first), &mut rng).unwrap();
    let third = take(a, &passed_on(&second), &mut rng).unwrap();
    assert_ne!(first.create.replay_tag(), third.create.replay_tag());
    let (.., create) = Initiator::start_path(&hops[..1].repeat(2), &mut rng).unwrap();
    assert_eq!(take(a, &create, &mut rng).unwrap().early.onward.unwrap().next, a.id());
}

#[test]
fn questions_are_short_and_change_nothing_wherever_they_are_asked() {
    let long = Request::Perform {
        targets: Targets::Closest { key: KEY, count: 1 },
        request: Box::new(Request::Fetch { key: KEY }),
    };
    let much = Request::Perform {
        targets: Targets::Nodes(vec![nodes(1)[0].id(); 20]),
        request: Box::new(Request::Certificate),
    };
    for at in 0..3 {
        let refused = |question: &Request| {
            let mut path = path(3);
            path[at].1 = Some(question.clone());
            start(&path, &mut rng(1)).map(|_| ()).err()
        };
        assert_eq!(refused(&store(1)), Some(HandshakeError::BadEarlyRequest));
        assert_eq!(refused(&much), Some(HandshakeError::EarlyRequestTooLong));
        // Only the last hop has room for a proxied request.
        assert_eq!(refused(&long), (at < 2).then_some(HandshakeError::EarlyRequestTooLong));
    }
}

#[test]
fn a_go_between_is_asked_nothing_that_changes_state_and_nothing_malformed() {
    let (node, next) = (&nodes(2)[0], &nodes(2)[1]);
    let (_, sent) = start(&path(2), &mut rng(1)).unwrap();
    let hand = by_hand(node, &sent);
    let plain = hand.open(&sent);
    let given = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut plain = plain.clone();
        change(&mut plain);
        let create = hand.create_plain(&plain);
        take(node, &create, &mut rng(2)).map(|taken| taken.early)
    };
    let early = given(&|_| ()).unwrap();
    assert_eq!(early.request, Some(closest(0)));
    assert_eq!(early.onward.unwrap().next, next.id());
    // Another form, a length beyond the question, padding that is not zero, and a request that is none.
    for (at, byte) in [(0, 2), (0, 255), (1, 61), (4, 1), (64, 1), (5, 200), (1, 33)] {
        assert_eq!(given(&|plain| plain[at] = byte).map(|_| ()), Err(REFUSED), "{at}: {byte}");
    }
    // A store that fits: of an empty object. The variant, the key, the kind, no object, nobody, a nonce.
    let fill = |plain: &mut Vec<u8>| {
        let encoded = anon::wire::encode(&store(0));
        let padded = anon::padding::pad(&encoded, 64).unwrap();
        plain[1..65].copy_from_slice(&padded);
    };
    assert_eq!(given(&fill).map(|_| ()), Err(REFUSED));
}
