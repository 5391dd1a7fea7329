//! From announced mails to the Maildir: once each, in which order, and what is said of it.

use anon::mail::DeleteSeed;

use super::*;
use crate::{
    event::{Event, Listener},
    receive::{deliver::DELETED_AT_A_TIME, seen::Known},
};

/// How many of how many mails were tried, each time that a reader told it.
#[derive(Default)]
struct Told(Mutex<Vec<(usize, usize)>>);

impl Listener for Told {
    fn on(&self, event: &Event) {
        if let Event::Tried { tried, all } = event {
            self.0.lock().unwrap().push((*tried, *all));
        }
    }
}

/// What a reading fetches, and what it tells meanwhile.
async fn fetch_and_listen(stage: &Stage) -> (Fetched, Vec<(usize, usize)>) {
    let (told, mut fetched) = (Arc::new(Told::default()), Fetched::default());
    let certificate = stage.bob.certificate(&stage.network, now()).unwrap();
    let context = Context { listener: Arc::clone(&told) as _, ..stage.context() };
    let route = Box::new(stage.fake.clone());
    let (vault, account, maildir) = (&stage.vault, &stage.bob, &stage.maildir);
    let reader = Reader { context, route, vault, account, certificate, maildir };
    reader.fetch(&mut fetched).await.unwrap();
    let told = told.0.lock().unwrap().clone();
    (fetched, told)
}

#[tokio::test]
async fn a_crash_between_the_maildir_and_the_record_doubles_no_mail_and_loses_none() {
    for is_in_maildir in [true, false] {
        let stage = Stage::new();
        let headers = stage.headers(&stage.store(b"the genuine mail"), now());
        let notification = stage.seal(&headers);
        stage.world().append(&notification);
        // So far an earlier reading came.
        Seen::read(&stage.vault).unwrap().begin(&Known::of(&headers, None)).unwrap();
        stage.maildir.deliver(b"of the same size").unwrap();
        if is_in_maildir {
            stage.maildir.deliver(b"the genuine mail").unwrap();
        }
        assert_eq!(stage.fetch().await.delivered.len(), 1, "{is_in_maildir}");
        assert_eq!(stage.mails(), [b"of the same size", b"the genuine mail"], "{is_in_maildir}");
        assert_eq!(stage.left(), [0; NODES as usize]);
    }
}

#[tokio::test]
async fn a_second_announcement_of_a_mail_is_settled_though_its_body_is_out_of_reach() {
    let stage = Stage::new();
    let parts = stage.store(b"the genuine mail");
    for date in [now(), now().after(1)] {
        let (to, delete) = (stage.bob.address().clone(), DeleteSeed::from_bytes([1; 32]));
        let notification = stage.seal(&Headers::new(to, date, "twice", 1, &parts, Some(delete)));
        stage.world().append(&notification);
    }
    // Both are fetched before the first is delivered; the second one's nodes are silent.
    stage.world().parts_left = Some(1);
    let fetched = stage.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.repeated, fetched.waiting()), (1, 1, 0));
    assert_eq!(stage.left(), [0; NODES as usize]);
}

#[tokio::test]
async fn a_mail_in_somebody_elses_name_comes_as_anonymous_and_is_counted() {
    let stage = Stage::new();
    let [alice, mallory] = [(), ()].map(|()| Account::self_certifying(&stage.network, now()));
    let certificate = alice.certificate(&stage.network, now()).unwrap();
    let headers = stage.headers(&stage.store(b"signed: Alice"), now());
    let notification = stage.seal(&headers.signed(mallory.signing(), &certificate));
    stage.world().append(&notification);
    let fetched = stage.fetch().await;
    assert_eq!((fetched.delivered.len(), fetched.forged), (1, 1));
    assert_eq!(fetched.delivered[0].sender, None);
}

#[tokio::test]
async fn short_mails_come_before_long_ones_and_each_is_told_of() {
    let stage = Stage::new();
    let announce = |mail: &[u8], subject: &str| {
        let parts = stage.store(mail);
        let headers = Headers::new(stage.bob.address().clone(), now(), subject, 1, &parts, None);
        let notification = stage.seal(&headers);
        stage.world().append(&notification);
    };
    announce(&vec![b'.'; 3 << 20], "long");
    announce(b"short", "short");
    announce(&vec![b'.'; 2 << 20], "less long");
    announce(b"short, too", "short");
    let (fetched, told) = fetch_and_listen(&stage).await;
    let subjects: Vec<_> = fetched.delivered.iter().map(|mail| &*mail.subject).collect();
    assert_eq!(subjects, ["short", "short", "less long", "long"]);
    assert_eq!(told, [(1, 4), (2, 4), (3, 4), (4, 4)]);
    assert_eq!(fetched.tried, 4);
}

#[tokio::test]
async fn a_body_that_two_announce_is_read_by_both_and_goes_then() {
    let stage = Stage::new();
    let (_, parts, alice, _) = letter(&stage);
    let headers = || {
        let (to, delete) = (stage.bob.address().clone(), DeleteSeed::from_bytes([1; 32]));
        Headers::new(to, now(), "subject", 1, &parts, Some(delete))
    };
    let notification = stage.seal(&headers());
    stage.world().append(&notification);
    // Short mails come first. With the first of the two there are as many as are deleted at once.
    for number in 1..DELETED_AT_A_TIME {
        stage.announce(&stage.store(format!("mail {number}").as_bytes()));
    }
    let certificate = alice.certificate(&stage.network, now()).unwrap();
    let notification = stage.seal(&headers().signed(alice.signing(), &certificate));
    stage.world().append(&notification);
    let fetched = stage.fetch().await;
    let all = (DELETED_AT_A_TIME + 1, 0, 0);
    assert_eq!((fetched.delivered.len(), fetched.missing, fetched.unreached), all);
    assert!(stage.world().objects.is_empty(), "and goes then");
}

#[tokio::test]
async fn mails_that_are_known_already_count_as_tried() {
    let stage = Stage::new();
    let parts = stage.store(b"known");
    stage.announce(&parts);
    assert_eq!(stage.fetch().await.delivered.len(), 1);
    let again = stage.seal(&stage.headers(&parts, Time(7)));
    stage.world().append(&again);
    stage.announce(&stage.store(b"new"));
    let (fetched, told) = fetch_and_listen(&stage).await;
    assert_eq!(told, [(2, 2)]);
    assert_eq!((fetched.repeated, fetched.delivered.len()), (1, 1));
}

#[tokio::test]
async fn mails_that_were_not_tried_wait_as_new_ones() {
    let stage = Stage::new();
    for number in 0..3 {
        stage.announce(&stage.store(format!("mail {number}").as_bytes()));
    }
    stage.world().is_cut_off = true;
    let fetched = stage.fetch().await;
    assert!(fetched.is_cut_short);
    assert_eq!((fetched.delivered.len(), fetched.waiting()), (0, 3));
    stage.world().is_cut_off = false;
    assert_eq!(stage.fetch().await.delivered.len(), 3);
}
