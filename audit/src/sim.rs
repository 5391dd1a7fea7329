//! Selection at scale.

pub mod closed;
mod cost;
pub mod estimate;
pub mod ever;
pub mod guarded;
pub mod lookup;
pub mod mails;
pub mod mutant;
pub mod network;
mod number;
pub mod options;
pub mod paper;
pub mod parallel;
pub mod posterior;
pub mod table;
mod tally;
pub mod view;

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn try_table() {
        let mut options = options::Options::quick();
        options.draws = std::env::var("D").ok().map_or(2000, |d| d.parse().unwrap());
        options.nodes = std::env::var("N").ok().map_or(10000, |d| d.parse().unwrap());
        let t = std::time::Instant::now();
        let network = network::Network::new(options.nodes, 1);
        println!("{:?}", t.elapsed());
        let work = parallel::Work::new(2, 1, 1.0, &|_| ());
        let (cells, asked) = table::make(&options, &network, &work);
        println!("asked {asked} {:?}", t.elapsed());
        for c in cells {
            println!(
                "{:40} {:5} sim {:8.3} se {:.3} pub {:?} closed {:?} {:?} {:?}",
                c.row,
                c.share,
                c.simulated.value * 100.,
                c.simulated.standard_error * 100.,
                c.published.map(|p| p * 100.),
                c.closed_form.map(|p| (p * 1e5).round() / 1e3),
                c.agrees,
                c.agrees_with_published
            );
        }
    }
}
