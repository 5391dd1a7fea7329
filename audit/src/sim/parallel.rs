//! Trials in chunks: each has a generator of its own, so that the result does not depend on who computes it.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rand::{SeedableRng as _, rngs::ChaCha8Rng};

use super::{
    network::mix,
    number::{node_of, real},
};

/// Chunks of one experiment.
const CHUNKS: usize = 64;

/// Who computes, and who hears how far it is.
#[derive(derive_more::Debug)]
#[debug("Work(..)")]
pub(super) struct Work<'a> {
    threads: usize,
    seed: u64,
    progress: &'a (dyn Fn(f64) + Sync),
    /// Trials, weighted by their cost, that are done and that there are.
    done: Mutex<f64>,
    total: f64,
}

/// What chunks are gathered in.
pub(super) trait Gather: Send + Sized {
    /// Adds what another chunk gathered.
    fn add(&mut self, other: Self);
}

impl<'a> Work<'a> {
    /// So many threads for experiments of `total` units.
    pub(super) fn new(
        threads: usize,
        seed: u64,
        total: f64,
        progress: &'a (dyn Fn(f64) + Sync),
    ) -> Self {
        Self { threads: threads.max(1), seed, progress, done: Mutex::new(0.0), total }
    }

    /// Runs `trials` trials, of `units` units together: `chunk` is given how many to run, and a generator.
    pub(super) fn run<T: Gather + Default>(
        &self,
        name: &str,
        trials: usize,
        units: f64,
        chunk: impl Fn(usize, &mut ChaCha8Rng) -> T + Sync,
    ) -> T {
        let chunks = CHUNKS.min(trials.max(1));
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
        let named = name.bytes().fold(mix(self.seed), |hash, byte| mix(hash ^ u64::from(byte)));
        let work = || loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= chunks {
                return;
            }
            let seed = mix(named ^ u64::from(node_of(number)));
            let size = trials / chunks + usize::from(number < trials % chunks);
            let gathered = chunk(size, &mut ChaCha8Rng::seed_from_u64(seed));
            results.lock().push((number, gathered));
            let mut done = self.done.lock();
            *done += units / real(chunks);
            (self.progress)((*done / self.total).min(1.0));
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(work);
            }
            work();
        });
        let mut results = results.into_inner();
        results.sort_by_key(|(number, _)| *number);
        let mut all = T::default();
        for (_, gathered) in results {
            all.add(gathered);
        }
        all
    }
}
