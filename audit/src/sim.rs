//! Selection at scale: Monte Carlo of both schemes on networks of 10^3 to 10^6 nodes of which a share is hostile.
//!
//! | module | what it is |
//! |---|---|
//! | [`options`], [`mod@run`], [`findings`], [`check`] | what is simulated, all of it, what came out, whether it is as claimed |
//! | [`network`], [`lookup`] | positions and hostile nodes; Kademlia lookups |
//! | [`paper`], [`guarded`] | who sees what of a mail, sampled by [`anon::selection`] |
//! | [`view`], [`posterior`] | what the operator makes of it |
//! | [`table`], [`mails`], [`ever`], [`grinding`] | the experiments |
//! | [`closed`], [`estimate`] | formulas beside them, and standard errors |
//! | [`mutant`] | selections that are weak on purpose |
//!
//! Equal seeds give equal findings, on any number of threads.

pub(crate) mod check;
pub(crate) mod closed;
mod cost;
pub(crate) mod estimate;
pub(crate) mod ever;
pub(crate) mod findings;
pub(crate) mod grinding;
pub(crate) mod guarded;
pub(crate) mod lookup;
pub(crate) mod mails;
pub(crate) mod mutant;
pub(crate) mod network;
mod number;
pub(crate) mod options;
pub(crate) mod paper;
mod parallel;
pub(crate) mod posterior;
pub(crate) mod run;
pub(crate) mod table;
mod tally;
pub(crate) mod view;

pub(crate) use check::outcomes;
pub(crate) use findings::Findings;
pub(crate) use mutant::mutants;
pub(crate) use options::Options;
pub(crate) use run::run;

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Options {
        Options { nodes: 2_000, draws: 300, mails: 10, crowd: 100, ..Options::quick() }
    }

    fn bytes(threads: usize) -> String {
        let options = Options { threads, ..small() };
        let mut findings = run(&options, &|_| ());
        findings.options.threads = 0;
        serde_json::to_string(&findings).unwrap()
    }

    #[test]
    fn equal_seeds_give_equal_bytes_on_one_thread_and_on_two() {
        assert_eq!(bytes(1), bytes(2));
    }

    #[test]
    fn where_no_node_is_hostile_nothing_links_and_where_all_are_everything() {
        let options = Options { shares: vec![0.0, 1.0], ..small() };
        let findings = run(&options, &|_| ());
        let cells = findings.table.iter().map(|cell| (&cell.row, cell.share, cell.simulated.value));
        let points = findings.per_mail.iter().chain(&findings.ever);
        let points = points.filter(|point| point.measure != mails::Measure::Entropy);
        let points = points.map(|point| (&point.scheme, point.share, point.simulated.value));
        for (name, share, value) in cells.chain(points) {
            let is_claim = name.starts_with("guarded");
            assert!(
                (value - share).abs() < 1e-9 || is_claim && value <= share,
                "{name} {share}: {value}"
            );
        }
    }
}
