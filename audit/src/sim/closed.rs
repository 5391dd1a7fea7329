//! What can be written down: the probability that a coalition links, for independent hostile nodes with share f.
//! It leaves out that a node may have two parts in one mail, which in N nodes happens about once in N.

use super::{
    guarded::{Recipients, Witness},
    number::power,
};

/// X and Z, which is what the paper admits.
#[must_use]
pub(crate) fn two(f: f64) -> f64 {
    f * f
}

/// At least two of X, Y and Z.
#[must_use]
pub(crate) fn two_of_three(f: f64) -> f64 {
    f * f * (3.0 - 2.0 * f)
}

/// At least one of so many.
#[must_use]
pub(crate) fn any(f: f64, count: usize) -> f64 {
    1.0 - (1.0 - f).powi(power(count))
}

/// X, and one of the anonymizer and `k` storage nodes.
#[must_use]
pub(crate) fn with_bobs_side(f: f64, k: usize) -> f64 {
    f * any(f, k + 1)
}

/// A guarded path, as far as the formulas know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guarded {
    /// The hostile share.
    pub f: f64,
    /// Replicas.
    pub k: usize,
    /// Middle go-betweens.
    pub hops: usize,
    /// By whom the witness is asked.
    pub witness: Witness,
}

impl Guarded {
    /// That a hostile guard knows the anonymizer of one channel: all middles say so, or the witness.
    fn knows_anonymizer(&self) -> f64 {
        let all_middles = self.f.powi(power(self.hops));
        match self.witness {
            _ if self.hops == 0 => 1.0,
            // The last middle knows what it asks the witness for.
            Witness::None | Witness::Middle => all_middles,
            Witness::Guard => 1.0 - (1.0 - all_middles) * (1.0 - self.f),
        }
    }

    /// A mail behind a hostile guard: Z2, W2, and Z3 unless the certificate is kept.
    #[must_use]
    pub(crate) fn mail_behind_guard(&self, recipients: Recipients) -> f64 {
        let a = self.knows_anonymizer();
        let with_stores = 1.0 - a * any(self.f, self.k + 1);
        let certificate = if recipients == Recipients::Different { with_stores } else { 1.0 };
        1.0 - with_stores * (1.0 - a * self.f) * certificate
    }

    /// A sender's first mail.
    #[must_use]
    pub(crate) fn mail(&self) -> f64 {
        self.f * self.mail_behind_guard(Recipients::Different)
    }

    /// A mail whose channels show their sender to hostile middles and anonymizers: a hostile anonymizer links; an honest
    /// one does if all middles are hostile, who know it, and a storage node is. One of the three has no storage node to go
    /// to.
    fn shown(&self) -> f64 {
        let used = 1.0 - (1.0 - self.f) * (1.0 - self.knows_anonymizer() * any(self.f, self.k));
        1.0 - (1.0 - used) * (1.0 - used) * (1.0 - self.f)
    }

    /// A sender's first mail, if a hostile guard can tell a hostile anonymizer of its own which channel is whose.
    #[must_use]
    pub(crate) fn tagged(&self) -> f64 {
        self.f * self.shown()
    }

    /// A sender's first mail of an epoch, if one of three members marks the certificates of its accomplices; by one middle.
    #[must_use]
    pub(crate) fn marked(&self) -> f64 {
        let member = any(self.f, 3);
        member * self.shown() + (1.0 - member) * self.mail()
    }

    /// The same, if guards write into cells as well.
    #[must_use]
    pub(crate) fn marked_and_tagged(&self) -> f64 {
        any(self.f, 4) * self.shown()
    }

    /// By time alone, where members count that see the sender compare its roster just before: the guard or one of
    /// three members, and one of Z2, W2, Z3 and the replicas of inbox and certificate.
    #[must_use]
    pub(crate) fn timing_with_members(&self) -> f64 {
        any(self.f, 4) * any(self.f, 3 + 2 * self.k)
    }

    /// By time alone: the guard, and one of Z2, W2, Z3 and the replicas of inbox and certificate.
    #[must_use]
    pub(crate) fn timing(&self) -> f64 {
        self.f * any(self.f, 3 + 2 * self.k)
    }

    /// At least once in `mails` mails to different recipients, with one guard and a spare. The spare serves where the
    /// guard is one of the `k` of `nodes` nodes near a key.
    #[must_use]
    pub(crate) fn ever(&self, mails: usize, nodes: f64) -> f64 {
        let by_guard =
            1.0 - (1.0 - self.mail_behind_guard(Recipients::Different)).powi(power(mails));
        let near = f64::from(u32::try_from(self.k).unwrap_or(u32::MAX)) / nodes;
        let a = self.knows_anonymizer();
        let with_stores = a * any(self.f, self.k + 1);
        // One guard near the key of the inbox serves for neither Z2 nor W2.
        let inbox = 1.0 - (1.0 - with_stores) * (1.0 - a * self.f);
        let by_spare = 1.0 - (1.0 - near * inbox) * (1.0 - near * with_stores);
        let by_spare = 1.0 - (1.0 - by_spare).powi(power(mails));
        1.0 - (1.0 - self.f * by_guard) * (1.0 - self.f * by_spare)
    }
}
