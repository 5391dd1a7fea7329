//! Copies of a mail's announcement, made by others who know its parts.

use super::*;

#[tokio::test]
async fn a_co_recipient_cannot_take_the_place_of_a_mail() {
    for stripped_first in [true, false] {
        let stage = Stage::new();
        let (mail, parts, alice, carol) = letter(&stage);
        let certificate = alice.certificate(&stage.network, now()).unwrap();
        let genuine = stage
            .headers(&parts, now())
            .answered_at(Some(alice.address().clone()))
            .signed(alice.signing(), &certificate);
        let reply = Some(carol.address().clone());
        let copies = [
            stage.headers(&parts[..1], Time(0)).answered_at(reply.clone()),
            stage.headers(&parts, Time(0)).answered_at(reply),
            stage.headers(&parts, Time(1)),
        ];
        let [genuine, copies] =
            [vec![stage.seal(&genuine)], copies.iter().map(|h| stage.seal(h)).collect()];
        let order = if stripped_first { [copies, genuine] } else { [genuine, copies] };
        let mut delivered = Vec::new();
        for some in order {
            some.iter().for_each(|notification| stage.world().append(notification));
            delivered.extend(stage.fetch().await.delivered);
        }
        let is_genuine = |mail: &&Delivered| {
            mail.sender.as_ref() == Some(alice.address())
                && mail.reply_to.as_ref() == Some(alice.address())
        };
        assert_eq!(delivered.iter().filter(is_genuine).count(), 1, "{stripped_first}");
        assert!(stage.mails().contains(&mail));
        assert_eq!(stage.left(), [0; NODES as usize]);
        // The same again is a repetition, and a copy that says nothing new as well.
        let again = stage.headers(&parts, Time(7));
        stage.world().append(&stage.seal(&again));
        let fetched = stage.fetch().await;
        assert_eq!((fetched.delivered.len(), fetched.repeated), (0, 1));
    }
}
