//! Replicas of a body that are silent, or have none.

use super::*;

#[tokio::test]
async fn a_silent_node_is_not_asked_for_every_body() {
    let stage = Stage::new();
    stage.world().silent = vec![0];
    for number in 0..40 {
        stage.announce(&stage.store(format!("mail {number}").as_bytes()));
    }
    let fetched = stage.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.waiting()), (40, 0));
    // Three silences in a row are enough; eight mails at once may have asked by then.
    let asked = stage.world().fetches[&0];
    assert!((3..=3 + 8).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_node_whose_copy_does_not_fit_a_shared_answer_is_asked_alone() {
    let stage = Stage::new();
    // The closest has none, nor have the others but one.
    stage.world().empty = vec![0, 1, 2, 4];
    stage.world().silent_in_company = vec![3];
    stage.announce(&stage.store(b"the genuine mail"));
    assert_eq!(stage.fetch().await.delivered.len(), 1);
    assert_eq!(stage.mails(), [b"the genuine mail"]);
    assert_eq!(stage.world().fetches[&3], 2);
}

#[tokio::test]
async fn a_mail_is_missing_if_more_than_half_of_the_nodes_say_so() {
    for (empty, missing, unreached) in [(2, 0, 1), (3, 1, 0)] {
        let stage = Stage::new();
        stage.announce(&stage.store(b"the genuine mail"));
        stage.world().empty = (0..empty).collect();
        stage.world().silent = (empty..NODES.into()).collect();
        let fetched = stage.fetch().await;
        assert_eq!(
            (fetched.missing, fetched.unreached),
            (missing, unreached),
            "{empty} of {NODES}"
        );
        assert_eq!(stage.left(), [1; NODES as usize]);
    }
}

#[tokio::test]
async fn a_node_that_says_alone_that_it_has_none_counts_as_well() {
    let stage = Stage::new();
    stage.announce(&stage.store(b"the genuine mail"));
    let all: Vec<_> = (0..NODES.into()).collect();
    stage.world().empty = all.clone();
    stage.world().silent_in_company = all;
    let fetched = stage.fetch().await;
    assert_eq!((fetched.missing, fetched.unreached), (1, 0));
}
