//! The `paper` scheme: section 4.1 to the letter.
//!
//! ```text
//! A ─► two known nodes    who is closest to keyX, to keyY?            (compared)
//! A ─► X  handshake, and with it: who is closest to keyZ?
//! A ─► Y  who is closest to keyZ?                                     (compared with X's answer)
//! A ─► X ─► Z  handshake, and with it the first request
//! ```
//! It leaks what `THREATMODEL.md` says it leaks. It is here to be measured, and to be bettered.

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    position::Key,
    request::{Request, Response, Targets},
    selection::SampledKeys,
    verification::{CrossVerified, Disagreement, ReplicaSet, cross_verify, verify_list},
};
use net::{Carrier, Channel, Links};

use super::{GuardedScheme, OpenChannel, Opening, Scheme, Told, listed};
use crate::{
    bootstrap::{Bootstrap, LOOKUP_TIMEOUT},
    context::Context,
    error::AgentError,
    event::{Event, Path, Purpose},
};

/// How often new keys are sampled before a channel is given up.
const ATTEMPTS: usize = 5;
/// How often a key is sampled again whose node has a part in the channel already. In a network of a dozen nodes
/// that is every third sample.
const RESAMPLES: usize = 16;
/// How long a handshake may take, hop by hop.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the anonymizer may take for the request that rides along.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Section 4.1 to the letter.
#[derive(Debug)]
pub(crate) struct PaperScheme {
    bootstrap: Arc<Bootstrap>,
}

impl PaperScheme {
    /// The scheme over what an agent knows of the network.
    #[must_use]
    pub(crate) const fn new(bootstrap: Arc<Bootstrap>) -> Self {
        Self { bootstrap }
    }

    fn context(&self) -> &Context {
        self.bootstrap.context()
    }

    async fn try_open(&self, purpose: Purpose, early: &Request) -> Result<OpenChannel, AgentError> {
        let (mut keys, go_between, witness) = self.first_two(purpose).await?;
        let (channel, anonymizer, key) =
            self.cross_verified_anonymizer(keys.anonymizer, &go_between, &witness).await?;
        keys.anonymizer = key;
        let path = Path {
            go_between: go_between.node(),
            middle: Vec::new(),
            witness: witness.node(),
            anonymizer: anonymizer.node(),
        };
        let mut channel = channel.extend(&anonymizer, Some(early), HANDSHAKE_TIMEOUT).await?;
        let answer = channel.response(ANSWER_TIMEOUT).await?;
        let met = [&go_between, &witness, &anonymizer];
        let certificates = met.into_iter().filter_map(CrossVerified::certificate);
        self.bootstrap.remember(&certificates.cloned().collect::<Vec<_>>());
        self.context().tell(&Event::Channel { purpose, path: path.clone(), keys });
        Ok(OpenChannel { channel, answer, path })
    }

    /// Samples until keyX and keyY name two nodes. In a small network they may name one, which could not confirm
    /// itself; where all nodes that an agent knows are hostile they may do so every time.
    async fn first_two(
        &self,
        purpose: Purpose,
    ) -> Result<(SampledKeys, CrossVerified, CrossVerified), AgentError> {
        for _ in 0..RESAMPLES {
            let sample = SampledKeys::fresh(&mut rand::rng());
            let (x, y) = tokio::try_join!(
                self.bootstrap.lookup(sample.go_between, purpose),
                self.bootstrap.lookup(sample.witness, purpose),
            )?;
            if x.node() != y.node() {
                return Ok((sample, x, y));
            }
        }
        Err(AgentError::TooFewNodes)
    }

    /// Asks X, on the way of the handshake, and Y for the node closest to keyZ, and compares. In a small
    /// network that may be X or Y itself: then they are asked for another key.
    async fn cross_verified_anonymizer(
        &self,
        mut key: Key,
        go_between: &CrossVerified,
        witness: &CrossVerified,
    ) -> Result<(Channel, CrossVerified, Key), AgentError> {
        let via_x = async {
            let links = self.context().disposable()?;
            let early = Request::Lookup { key, count: 1 };
            let mut channel =
                Channel::open(&links, go_between, Some(&early), HANDSHAKE_TIMEOUT).await?;
            let answer = channel.response(LOOKUP_TIMEOUT).await?;
            Ok::<_, AgentError>((channel, answer))
        };
        let links = self.context().disposable()?;
        let via_y = self.ask_witness(&links, witness, key);
        let ((mut channel, mut from_x), mut from_y) = tokio::try_join!(via_x, via_y)?;
        for _ in 0..RESAMPLES {
            let anonymizer =
                cross_verify(self.closest_of(from_x, key)?, self.closest_of(from_y, key)?)?;
            let node = anonymizer.node();
            if node != go_between.node() && node != witness.node() {
                return Ok((channel, anonymizer, key));
            }
            key = SampledKeys::fresh(&mut rand::rng()).anonymizer;
            let again = Request::Lookup { key, count: 1 };
            let via_x = async { Ok(channel.request(&again, LOOKUP_TIMEOUT).await?) };
            (from_x, from_y) = tokio::try_join!(via_x, self.ask_witness(&links, witness, key))?;
        }
        // Not final: another X and Y leave other nodes to be the anonymizer.
        Err(AgentError::TooFewNodes)
    }

    async fn ask_witness(
        &self,
        links: &Links,
        witness: &CrossVerified,
        key: Key,
    ) -> Result<Response, AgentError> {
        let lookup = Request::Lookup { key, count: 1 };
        let link = links.open_to(witness, Carrier::Request).await?;
        Ok(link.request(&lookup, LOOKUP_TIMEOUT).await?)
    }

    fn closest_of(&self, answer: Response, key: Key) -> Result<NodeCertificate, AgentError> {
        let Response::LookedUp(list) = answer else { return Err(AgentError::BadAnswer) };
        let list = verify_list(list, &key, 1, &self.context().network, self.context().now())?;
        list.into_iter().next().ok_or(AgentError::Disagreement(Disagreement::BadList))
    }
}

impl Scheme for PaperScheme {
    fn open<'a>(&'a self, purpose: Purpose, early: &'a Request) -> Opening<'a> {
        Box::pin(async move {
            let mut attempt = 1;
            loop {
                let error = match self.try_open(purpose, early).await {
                    Ok(open) => return Ok(open),
                    Err(error @ (AgentError::NoNode | AgentError::OneNode)) => return Err(error),
                    Err(error) if attempt == ATTEMPTS => return Err(error),
                    Err(error) => error,
                };
                attempt += 1;
                self.context().tell(&Event::failed(purpose, &error));
            }
        })
    }

    fn guarded(self: Arc<Self>) -> Option<Arc<GuardedScheme>> {
        None
    }

    fn list_replicas(&self, key: Key, k: u8) -> Request {
        Request::Lookup { key, count: k }
    }

    fn compare_replicas(&self, key: Key, z: Told, w: Told) -> Result<ReplicaSet, AgentError> {
        Ok(ReplicaSet::agree(key, self.candidates(key, z.1)?, self.candidates(key, w.1)?)?)
    }

    fn candidates(&self, key: Key, answer: Response) -> Result<Vec<NodeCertificate>, AgentError> {
        listed(key, answer, self.context())
    }

    fn near(&self, key: Key, count: u8) -> Targets {
        Targets::LookedUp { key, count }
    }
}
