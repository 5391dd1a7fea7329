//! The options of every anonymous command: which scheme, how many hops, how long a delay, and whether over Tor.

use std::time::Duration;

use clap::{Args, ValueEnum};
use net::NetworkFile;
use ua::session::{Choices, SchemeChoice};

use crate::transport::TransportArgs;

/// How an anonymous command chooses its nodes.
#[derive(Clone, Copy, Debug, Args)]
pub struct SchemeArgs {
    /// How the nodes of a channel are chosen
    #[arg(long, value_enum, default_value = "guarded", env = "CUTOUT_SCHEME")]
    pub scheme: SchemeName,
    /// Go-betweens between the guard and the anonymizer, in the guarded scheme
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub hops: u8,
    /// The mean of the random delay between body and notification in the guarded scheme, seconds
    /// [default: what the network file suggests]
    #[arg(long, value_name = "SECONDS")]
    pub delay: Option<u64>,
    /// What its links go over.
    #[command(flatten)]
    pub transport: TransportArgs,
}

/// The schemes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemeName {
    /// A guard, a roster, longer paths; nothing is looked up
    Guarded,
    /// Section 4 of the paper, to the letter: to measure the other against
    Paper,
}

impl SchemeArgs {
    /// All that was chosen. The mean delay between body and notification is none in the paper's scheme.
    #[must_use]
    pub fn choices(&self, direct: bool, network: &NetworkFile) -> Choices {
        let (scheme, delay) = match self.scheme {
            SchemeName::Paper => (SchemeChoice::Paper, 0),
            SchemeName::Guarded => {
                let middle = usize::from(self.hops);
                let delay = self.delay.unwrap_or(network.delay_seconds);
                (SchemeChoice::Guarded { middle }, delay)
            }
        };
        Choices { scheme, delay: Duration::from_secs(delay), direct }
    }
}
