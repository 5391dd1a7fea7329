//! What a reading did, for whoever asked for it.

use anon::certificate::Address;

/// A mail that was delivered.
#[derive(Debug)]
pub struct Delivered {
    /// The subject in its headers.
    pub subject: String,
    /// Who signed it; `None`: the sender is anonymous.
    pub sender: Option<Address>,
    /// Its length, bytes.
    pub size: u64,
    /// Where an answer reaches the sender, if the sender says.
    pub reply_to: Option<Address>,
}

/// What a fetch did.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Mails delivered now.
    pub delivered: Vec<Delivered>,
    /// Mails that had been delivered before.
    pub repeated: usize,
    /// Notifications that certainly announce nothing to this address; they are dropped.
    pub junk: usize,
    /// Notifications that do not open with this key, though the address may have another, and were not seen before; they
    /// stay in the inbox.
    pub unopened: usize,
    /// Mails in the inbox with a part that most nodes near it say they do not have.
    pub missing: usize,
    /// Mails in the inbox with a part that could not be reached, or that this reading left for the next.
    pub unreached: usize,
    /// Mails that were missing for too long, and are dropped.
    pub given_up: usize,
    /// Mails that say somebody signed them who did not; delivered as anonymous.
    pub forged: usize,
    /// Announced mails that were tried, whatever came of it.
    pub(crate) tried: usize,
    /// Inbox nodes that answered.
    pub inboxes: usize,
    /// Whether the user's own inbox was read to its end.
    pub has_read_own: bool,
    /// Whether no more paths could be made at the end: the agent has to catch up with the network, and read on.
    pub(crate) is_cut_short: bool,
}

impl Fetched {
    /// Mails that were announced and could not be had yet; they stay in the inbox.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.missing.saturating_add(self.unreached)
    }

    /// Adds what the same account's next reading did.
    pub(crate) fn go_on(&mut self, next: Self) {
        (self.missing, self.unreached, self.inboxes) = (0, 0, self.inboxes.max(next.inboxes));
        self.is_cut_short = next.is_cut_short;
        self.merge(Self { inboxes: 0, ..next });
    }

    /// Adds what another account's fetch did.
    pub(crate) fn merge(&mut self, other: Self) {
        self.delivered.extend(other.delivered);
        self.repeated += other.repeated;
        self.junk += other.junk;
        self.unopened += other.unopened;
        self.missing += other.missing;
        self.unreached += other.unreached;
        self.given_up += other.given_up;
        self.forged += other.forged;
        self.tried += other.tried;
        self.inboxes += other.inboxes;
        self.has_read_own |= other.has_read_own;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One in which each count is another one.
    fn fetched(step: usize) -> Fetched {
        let mail = || Delivered { subject: String::new(), sender: None, size: 1, reply_to: None };
        Fetched {
            delivered: (0..step).map(|_| mail()).collect(),
            repeated: 2 * step,
            junk: 3 * step,
            unopened: 4 * step,
            missing: 5 * step,
            unreached: 6 * step,
            given_up: 7 * step,
            forged: 8 * step,
            tried: 9 * step,
            inboxes: 10 * step,
            has_read_own: false,
            is_cut_short: false,
        }
    }

    fn counts(fetched: &Fetched) -> [usize; 10] {
        [
            fetched.delivered.len(),
            fetched.repeated,
            fetched.junk,
            fetched.unopened,
            fetched.missing,
            fetched.unreached,
            fetched.given_up,
            fetched.forged,
            fetched.tried,
            fetched.inboxes,
        ]
    }

    #[test]
    fn what_two_accounts_fetched_is_added_up() {
        let mut all = fetched(10);
        all.merge(fetched(3));
        assert_eq!(counts(&all), counts(&fetched(13)));
        all.merge(Fetched::default());
        assert_eq!(counts(&all), counts(&fetched(13)));
    }

    #[test]
    fn of_one_accounts_readings_the_last_says_what_waits() {
        let mut all = Fetched { is_cut_short: true, ..fetched(10) };
        all.go_on(fetched(3));
        assert_eq!(counts(&all), [13, 26, 39, 52, 15, 18, 91, 104, 117, 100]);
        assert!(!all.is_cut_short);
        all.go_on(Fetched { inboxes: 101, is_cut_short: true, ..Fetched::default() });
        assert_eq!(counts(&all), [13, 26, 39, 52, 0, 0, 91, 104, 117, 101]);
        assert!(all.is_cut_short);
    }
}
