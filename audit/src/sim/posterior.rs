//! How sure the operator is, where what it has in common is a node and not a channel.
//!
//! A node that A's path and Bob's path have in common serves others meanwhile. If others went through it, A is
//! one of so many. The posterior is the operator's best guess at A; the entropy is that of the senders it must
//! reckon with (Serjantov and Danezis, PET 2002), and over the log of all senders it is the degree of anonymity
//! (Díaz et al., PET 2002).

use super::{
    network::Network,
    view::{CHANNELS, Event, READING, RECIPIENT, SENDER, Values, View, W1, Z1},
};

/// Channels of a mail by which others go through a node.
const CHANNELS_A_MAIL: f64 = 5.0;
/// Bits of a set of values.
const BITS: usize = 128;

/// Whom else a mail could be from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd<'a> {
    /// The network, for how often a node is chosen.
    pub network: &'a Network,
    /// Mails that others send while nobody can tell by time which is which.
    pub mails: u32,
}

impl Crowd<'_> {
    /// How sure the operator is that A wrote to Bob, at a share of hostile nodes; 0 if it has nothing to go by.
    ///
    /// Along a chain the weights of weak values multiply; of several chains by one channel the best counts. What
    /// different channels say multiplies too: another sender must fit them all.
    #[must_use]
    pub(crate) fn posterior(&self, view: &View, share: f64) -> f64 {
        let crowd = f64::from(self.mails);
        let mut others = crowd;
        let mut is_linked = false;
        for route in 0..READING {
            let weight = self.weight(view, share, route);
            if weight > 0.0 {
                is_linked = true;
                others *= ((1.0 / weight - 1.0) / crowd.max(1.0)).min(1.0);
            }
        }
        if is_linked { 1.0 / (1.0 + others) } else { 0.0 }
    }

    /// The weight of the best chain from A to Bob by one channel.
    fn weight(&self, view: &View, share: f64, route: u32) -> f64 {
        let is_on = |event: &&Event| {
            let leads_on = (route == Z1 || route == W1) && event.channel == READING;
            event.mark < share && (event.channel == route || leads_on)
        };
        let seen = view.events.iter().filter(is_on);
        let all = seen.clone().fold(0, |all, event| all | event.values);
        if all & SENDER == 0 || all & RECIPIENT == 0 {
            return 0.0;
        }
        let mut best = [0.0_f64; BITS];
        put(&mut best, SENDER, 1.0);
        // A chain has at most two events a hop; each round adds one.
        for _ in 0..CHANNELS * 2 {
            let before = best;
            for event in seen.clone() {
                let from = bits(event.values).map(|bit| at(&best, bit)).fold(0.0, f64::max);
                if from > 0.0 {
                    for bit in bits(event.values) {
                        let weight = from * self.weak(view, 1 << bit);
                        put(&mut best, 1 << bit, weight);
                    }
                }
            }
            if before == best {
                break;
            }
        }
        at(&best, RECIPIENT.trailing_zeros())
    }

    /// What it is worth to have a value in common: E[1 / (1 + others)], the others being Poisson.
    fn weak(&self, view: &View, value: Values) -> f64 {
        let node = view.weak.iter().find(|(weak, _)| *weak == value);
        node.map_or(1.0, |(_, node)| {
            let others = f64::from(self.mails) * CHANNELS_A_MAIL * self.network.zone(*node);
            if others > 0.0 { -(-others).exp_m1() / others } else { 1.0 }
        })
    }

    /// The entropy of the senders the operator reckons with, bits, given its posterior of the likeliest.
    #[must_use]
    pub(crate) fn entropy(&self, posterior: f64) -> f64 {
        if posterior > 0.0 { (1.0 / posterior).log2() } else { f64::from(self.mails + 1).log2() }
    }
}

fn bits(mut values: Values) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = values.checked_ilog2()?;
        values &= !(1 << bit);
        Some(bit)
    })
}

fn at(best: &[f64; BITS], bit: u32) -> f64 {
    usize::try_from(bit).ok().and_then(|bit| best.get(bit)).copied().unwrap_or(0.0)
}

/// Raises what is known of a value.
fn put(best: &mut [f64; BITS], value: Values, weight: f64) {
    let bit = usize::try_from(value.trailing_zeros()).unwrap_or(BITS);
    if let Some(slot) = best.get_mut(bit) {
        *slot = slot.max(weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::view::{Party, Value, Z2};

    #[test]
    fn a_link_is_certain_and_a_node_is_one_of_so_many() {
        let network = Network::new(1_000, 1);
        let crowd = Crowd { network: &network, mails: 1_000 };
        let mut view = View::default();
        let (link, middle) = (Value::Link(0).of(Z2), Value::Middle(0).of(Z2));
        view.see(0.1, Party::X, Z2, SENDER | link);
        view.see(0.1, Party::Z, Z2, RECIPIENT | link);
        assert!((crowd.posterior(&view, 0.2) - 1.0).abs() < 1e-12);
        assert!(crowd.posterior(&view, 0.05).abs() < 1e-12);

        view.clear();
        view.is_node(middle, 5);
        view.see(0.1, Party::X, Z2, SENDER | middle);
        view.see(0.1, Party::Z, Z2, RECIPIENT | middle);
        let others = 5_000.0 * network.zone(5);
        let expected = (1.0 - (-others).exp()) / others;
        assert!((crowd.posterior(&view, 0.2) - expected).abs() < 1e-12);
        assert!((crowd.entropy(0.25) - 2.0).abs() < 1e-12);
    }
}
