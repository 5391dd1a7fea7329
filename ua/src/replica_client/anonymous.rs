//! The anonymous replica client (paper, 4.2): the anonymizer Z performs, the verifier W confirms where.

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    request::{Answer, Request, Response, Targets},
    verification::ReplicaSet,
};
use futures::{TryFutureExt as _, future::BoxFuture};
use net::Channel;

use super::ReplicaClient;
use crate::{
    context::Context,
    error::AgentError,
    event::{Event, Path, Purpose},
    evidence::{EvidenceLog, Violation},
    scheme::{GuardedScheme, OpenChannel, ReadyChannel, Scheme},
};

/// How often a new pair of channels is tried before the replica client gives up.
const ATTEMPTS: usize = 4;
/// How long an anonymizer may take to perform a request at all targets and bring back the answers.
const PERFORM_TIMEOUT: Duration = Duration::from_secs(60);

/// Goes through an anonymizer, confirmed by a verifier.
#[derive(derive_more::Debug)]
#[debug("AnonymousClient(..)")]
pub(crate) struct AnonymousClient {
    scheme: Arc<dyn Scheme>,
    evidence: Arc<EvidenceLog>,
    key: Key,
    purpose: Purpose,
    anonymizer: Option<Channel>,
    path: Option<Path>,
    fresh: Option<ReplicaSet>,
    ready: Option<(ReadyChannel, ReadyChannel)>,
}

impl AnonymousClient {
    /// A client to the replicas of `key`: over two channels that were built ahead, if there are, else over two new
    /// ones whose lists are compared now.
    ///
    /// # Errors
    /// [`AgentError`], [`AgentError::Disagreement`] if no pair of lists agreed.
    pub(crate) async fn open(
        scheme: Arc<dyn Scheme>,
        evidence: Arc<EvidenceLog>,
        key: Key,
        purpose: Purpose,
    ) -> Result<Self, AgentError> {
        let mut client = Self {
            scheme,
            evidence,
            key,
            purpose,
            anonymizer: None,
            path: None,
            fresh: None,
            ready: None,
        };
        if let Some(guarded) = client.guarded()
            && guarded.own_replicas(&key).is_some()
            && let Some(z) = guarded.take_ready(purpose, &key)
        {
            client.ready = guarded.take_ready(purpose.check(), &key).map(|w| (z, w));
        }
        if client.ready.is_none() {
            client.fresh = Some(client.find_replicas().await?);
        }
        Ok(client)
    }

    fn guarded(&self) -> Option<Arc<GuardedScheme>> {
        Arc::clone(&self.scheme).guarded()
    }

    fn context(&self) -> &Context {
        self.evidence.context()
    }

    fn question(&self) -> Request {
        let k = u8::try_from(self.context().network.k).unwrap_or(u8::MAX);
        self.scheme.list_replicas(self.key, k)
    }

    /// Over channels that stand: Z is asked for its list and, in the same breath, to perform at the replicas that
    /// the agent knows; W is asked for its list. Nothing counts unless both lists agree with the agent's roster.
    async fn ask_both(
        &self,
        (z, w): (ReadyChannel, ReadyChannel),
        replicas: Vec<NodeCertificate>,
        request: &Request,
    ) -> Result<(ReplicaSet, Vec<Answer>, Channel, Path), AgentError> {
        let (question, perform) = (self.question(), perform_at(&replicas, request));
        let (mut along, mut check) = (z.channel, w.channel);
        let anonymizer = async {
            along.send(&question).await?;
            along.send(&perform).await?;
            let list = along.response(PERFORM_TIMEOUT).await?;
            let performed = along.response(PERFORM_TIMEOUT).await;
            Ok::<_, AgentError>((list, performed))
        };
        let verifier =
            async { Ok::<_, AgentError>(check.request(&question, PERFORM_TIMEOUT).await?) };
        let anonymizer = anonymizer.inspect_err(|_| self.evidence.path_broke(&z.path.along()));
        let verifier = verifier.inspect_err(|_| self.evidence.path_broke(&w.path.along()));
        let ((from_z, performed), from_w) = tokio::try_join!(anonymizer, verifier)?;
        let (from_z, from_w) = ((z.path.anonymizer, from_z), (w.path.anonymizer, from_w));
        let set = self.scheme.compare_replicas(self.key, from_z, from_w)?;
        self.agreed(&set);
        let answers = match performed {
            Ok(Response::Performed { answers, .. }) if answers.len() == replicas.len() => answers,
            failed => {
                self.failed(&z.path, failed.is_ok());
                Vec::new()
            }
        };
        Ok((set, answers, along, z.path))
    }

    /// Holds a proxied request that was not done against the anonymizer if that said so, sealed; silence may be the doing
    /// of anybody on the path.
    fn failed(&self, path: &Path, answered: bool) {
        if answered {
            self.evidence.report(path.anonymizer, Violation::Dropped, Vec::new());
        } else {
            self.evidence.path_broke(&path.along());
        }
    }

    fn agreed(&self, set: &ReplicaSet) {
        let replicas = set.nodes().iter().map(NodeCertificate::node).collect();
        let agreed = Event::Agreed { purpose: self.purpose, replicas };
        self.context().tell(&agreed);
    }

    /// Opens Z and W and compares their lists, again with others until two agree.
    async fn find_replicas(&mut self) -> Result<ReplicaSet, AgentError> {
        let question = self.question();
        let mut attempt = 1;
        loop {
            match self.compare_once(&question).await {
                Ok(set) => {
                    self.agreed(&set);
                    return Ok(set);
                }
                Err(AgentError::Disagreement(disagreement)) if attempt < ATTEMPTS => {
                    let event = Event::Disagreed { purpose: self.purpose, disagreement };
                    self.context().tell(&event);
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn compare_once(&mut self, question: &Request) -> Result<ReplicaSet, AgentError> {
        let (z, w) = tokio::try_join!(
            self.scheme.open(self.purpose, question),
            self.scheme.open(self.purpose.check(), question),
        )?;
        // "Another random node W" (4.2): in a small network the dice may fall on the same one.
        let w = if w.path.anonymizer == z.path.anonymizer {
            self.another_verifier(question, &z).await?
        } else {
            w
        };
        let (from_z, from_w) = ((z.path.anonymizer, z.answer), (w.path.anonymizer, w.answer));
        let set = self.scheme.compare_replicas(self.key, from_z, from_w)?;
        self.path = Some(z.path);
        self.anonymizer = Some(z.channel);
        Ok(set)
    }

    async fn another_verifier(
        &self,
        question: &Request,
        z: &OpenChannel,
    ) -> Result<OpenChannel, AgentError> {
        for _ in 0..ATTEMPTS * 4 {
            let w = self.scheme.open(self.purpose.check(), question).await?;
            if w.path.anonymizer != z.path.anonymizer {
                return Ok(w);
            }
        }
        Err(AgentError::TooFewNodes)
    }
}

impl ReplicaClient for AnonymousClient {
    fn replicas(&mut self) -> BoxFuture<'_, Result<ReplicaSet, AgentError>> {
        Box::pin(async move {
            match self.fresh.take() {
                Some(set) => Ok(set),
                None => self.find_replicas().await,
            }
        })
    }

    fn at_once<'a>(
        &'a mut self,
        request: &'a Request,
    ) -> BoxFuture<'a, Option<(ReplicaSet, Vec<Answer>)>> {
        Box::pin(async move {
            let channels = self.ready.take()?;
            let replicas = self.guarded()?.own_replicas(&self.key)?;
            match self.ask_both(channels, replicas, request).await {
                Ok((set, answers, channel, path)) => {
                    (self.anonymizer, self.path) = (Some(channel), Some(path));
                    Some((set, answers))
                }
                // The replicas that did perform it recognise it when it comes again, another way.
                Err(error) => {
                    self.context().tell(&Event::failed(self.purpose, &error));
                    None
                }
            }
        })
    }

    fn perform<'a>(
        &'a mut self,
        targets: &'a [NodeCertificate],
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<Answer>, AgentError>> {
        Box::pin(async move {
            let Some(channel) = &mut self.anonymizer else { return Err(AgentError::BadAnswer) };
            match channel.request(&perform_at(targets, request), PERFORM_TIMEOUT).await {
                Ok(Response::Performed { answers, .. }) if answers.len() == targets.len() => {
                    Ok(answers)
                }
                // A dead or unwilling anonymizer: the next round opens a new pair and repeats the request,
                // which the replicas that did perform it recognise.
                failed => {
                    if let Some(path) = &self.path {
                        self.failed(path, failed.is_ok());
                    }
                    self.anonymizer = None;
                    Ok(Vec::new())
                }
            }
        })
    }

    fn performer(&self) -> Option<NodeId> {
        self.path.as_ref().map(|path| path.anonymizer)
    }

    fn purpose(&self) -> Purpose {
        self.purpose
    }
}

fn perform_at(targets: &[NodeCertificate], request: &Request) -> Request {
    let nodes = targets.iter().map(NodeCertificate::node).collect();
    Request::Perform { targets: Targets::Nodes(nodes), request: Box::new(request.clone()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        event::Listener,
        replica_client::made_up::{KEY, certificate, network, node},
        scheme::closed::Closed,
    };

    /// The replicas that were agreed on.
    #[derive(Default)]
    struct Agreed(Mutex<Vec<(Purpose, Vec<NodeId>)>>);

    impl Listener for Agreed {
        fn on(&self, event: &Event) {
            if let Event::Agreed { purpose, replicas } = event {
                self.0.lock().unwrap().push((*purpose, replicas.clone()));
            }
        }
    }

    fn client(listener: Arc<Agreed>) -> AnonymousClient {
        AnonymousClient {
            scheme: Arc::new(Closed::default()),
            evidence: Arc::new(EvidenceLog::new(Context { listener, ..Context::quiet(network()) })),
            key: KEY,
            purpose: Purpose::Inbox,
            anonymizer: None,
            path: None,
            fresh: None,
            ready: None,
        }
    }

    #[test]
    fn an_anonymizer_answers_for_what_it_refuses_and_a_whole_path_for_silence() {
        let path = Path {
            go_between: node(1),
            middle: vec![node(2)],
            witness: node(3),
            anonymizer: node(4),
        };
        for (answered, expected) in [
            (true, vec![(node(4), Violation::Dropped)]),
            (false, [1, 2, 4].map(|seed| (node(seed), Violation::OnBrokenPath)).to_vec()),
        ] {
            let client = client(Arc::default());
            client.failed(&path, answered);
            let evidence: Vec<_> =
                client.evidence.all().iter().map(|e| (e.node, e.violation)).collect();
            assert_eq!(evidence, expected);
        }
    }

    #[test]
    fn whoever_listens_hears_which_replicas_were_agreed_on() {
        let listener = Arc::new(Agreed::default());
        let nodes = vec![certificate(1), certificate(2)];
        let set = ReplicaSet::agree(KEY, nodes.clone(), nodes).unwrap();
        client(Arc::clone(&listener)).agreed(&set);
        let replicas = set.nodes().iter().map(NodeCertificate::node).collect();
        assert_eq!(*listener.0.lock().unwrap(), [(Purpose::Inbox, replicas)]);
    }
}
