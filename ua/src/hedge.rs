//! Asking one after another without waiting for the silent: whoever does not answer soon is not given up, but the next
//! one is asked beside it. A node that is dead refuses at once; one that is stopped, or hostile, says nothing for as long
//! as it is let.

use std::time::Duration;

use futures::{StreamExt as _, stream::FuturesUnordered};

/// How long an answer over TCP may be waited for before somebody else is asked as well.
pub(crate) const GAP: Duration = Duration::from_secs(2);
/// The most that are asked at once.
pub(crate) const MOST: usize = 6;

/// Runs what `next` hands out, `width` at a time, and one more whenever `gap` passes without an end, up to [`MOST`]; until
/// `take`, which gets each result as it comes, says that it is enough, or there is nothing left to run. What still runs
/// then is dropped.
pub(crate) async fn hedge<F: Future>(
    mut next: impl FnMut() -> Option<F>,
    width: usize,
    gap: Duration,
    mut take: impl FnMut(F::Output) -> bool,
) {
    let mut running = FuturesUnordered::new();
    let mut places = width;
    loop {
        while running.len() < places {
            match next() {
                Some(task) => running.push(task),
                None => break,
            }
        }
        if running.is_empty() {
            return;
        }
        tokio::select! {
            Some(ended) = running.next() => if take(ended) { return },
            () = tokio::time::sleep(gap), if places < MOST => places += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    /// Answers at once, or never.
    async fn ask(is_silent: bool) -> bool {
        if is_silent {
            std::future::pending::<()>().await;
        }
        is_silent
    }

    #[tokio::test]
    async fn silent_ones_are_passed_by_and_nobody_is_asked_without_need() {
        let mut asked = 0;
        let mut silent = [true, true, true, false, false, false].into_iter();
        let mut answers = 0;
        let start = Instant::now();
        let next = || {
            let task = silent.next().map(ask);
            asked += usize::from(task.is_some());
            task
        };
        let asking = hedge(next, 2, SHORT, |_| {
            answers += 1;
            answers == 2
        });
        tokio::time::timeout(SHORT * 1_000, asking).await.expect("the silent are waited for");
        assert_eq!((answers, asked), (2, 5));
        assert!(start.elapsed() >= SHORT * 2, "the silent ones were given no time at all");
    }

    #[tokio::test]
    async fn it_ends_when_there_is_nobody_left() {
        let mut quick = [false, false].into_iter();
        let mut answers = 0;
        hedge(
            || quick.next().map(ask),
            1,
            SHORT,
            |_| {
                answers += 1;
                false
            },
        )
        .await;
        assert_eq!(answers, 2);
    }
}
