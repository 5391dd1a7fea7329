//! Mutants that only a network shows: the guarded scheme with one thing done as it must not be, over the same
//! processes. Each is made over the public interfaces of `ua`.

use std::{sync::Arc, time::Duration};

use anon::{
    certificate::NodeCertificate,
    id::NodeId,
    position::Key,
    request::{Request, Response, Targets},
    selection::SampledKeys,
    verification::{CrossVerified, ReplicaSet},
};
use clap::ValueEnum;
use cutout::terminal::Failure;
use net::{Channel, RosterKeeper, ask};
use parking_lot::Mutex;
use ua::{
    context::Context,
    error::AgentError,
    event::{Event, Path, Purpose},
    scheme::{GuardedPlan, GuardedScheme, OpenChannel, Opening, Scheme, Told},
    session::SchemeChoice,
};

use super::{
    Sharers, Stage,
    agent::{Agent, Heard},
    analyse,
    check::{coalitions, steps, views},
};
use crate::{
    claims::Claims,
    mutant::{self, MutantOutcome},
    outcome::{Outcome, Verdict},
};

/// How long a node may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Mails of each mutant, by as many senders: what only one of them has is then told from what all have.
const MAILS: usize = 3;

/// One thing done as it must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Weakness {
    /// The sender asks the witness itself, and so shows it its address.
    #[value(name = "witness-asked-directly")]
    DirectWitness,
    /// The sender fetches the recipient's certificate itself, and so names both to one node.
    #[value(name = "certificate-fetched-directly")]
    DirectCertificate,
    /// Keys are looked up while the mail is sent, and those near them see who asks.
    #[value(name = "lookups-at-sending-time")]
    Lookups,
    /// Nobody stands between the guard and the anonymizer.
    NoMiddle,
    /// One node carries the body and the notification, and so ties the mail to the recipient.
    #[value(name = "one-far-end-for-both-steps")]
    OneAnonymizer,
    /// Body and notification carry the same random number.
    #[value(name = "one-nonce-for-both-steps")]
    OneNonce,
}

impl Weakness {
    const fn attack(self) -> &'static str {
        match self {
            Self::DirectWitness => "3, witness leak",
            Self::DirectCertificate => "8, direct certificate fetch",
            Self::Lookups => "1, lookup leak",
            Self::NoMiddle => "the paper's {X, Z}",
            Self::OneAnonymizer | Self::OneNonce => "9, body and headers through one anonymizer",
        }
    }
}

/// Sends mails by each mutant and says which checks saw it. The same way of sending without a weakness is caught by
/// nothing, or all are taken for survivors: who cries at everything catches nobody.
///
/// # Errors
/// [`Failure`] if the network fails.
pub async fn mutants(
    stage: &Stage,
    claims: &Claims,
    step: impl Fn(&str),
) -> Result<Vec<MutantOutcome>, Failure> {
    let mut all = Vec::new();
    let control = run(stage, claims, None).await?;
    for weakness in Weakness::value_variants() {
        step(&format!("mutant: {}", mutant::name(weakness)));
        let fallen = run(stage, claims, Some(*weakness)).await?;
        let (caught_by, seen) = match (control.first(), fallen.first()) {
            (Some(control), _) => {
                (Vec::new(), format!("production is caught too: {}", first_line(control)))
            }
            (None, Some(first)) => {
                (fallen.iter().map(|outcome| outcome.check.clone()).collect(), first_line(first))
            }
            (None, None) => (Vec::new(), "every check held".to_owned()),
        };
        all.push(MutantOutcome::new(weakness, weakness.attack(), caught_by, seen));
    }
    Ok(all)
}

fn first_line(outcome: &Outcome) -> String {
    outcome.details.iter().find(|line| is_too_much(line)).unwrap_or(&outcome.seen).clone()
}

/// What is not there in so few mails is no finding here: only what is too much is.
fn is_too_much(line: &str) -> bool {
    !line.starts_with("not found") && !line.contains("did not learn")
}

/// The checks that see this weakness; `None` is production, which must not be caught.
async fn run(
    stage: &Stage,
    claims: &Claims,
    weakness: Option<Weakness>,
) -> Result<Vec<Outcome>, Failure> {
    let mut runs = Vec::new();
    for number in 0..MAILS.min(stage.senders.len()) {
        let Some(alice) = stage.senders.get(number) else { continue };
        // What they kept of an earlier mail would save them the fetch that one of the mutants does wrong.
        alice.forget_certificates()?;
        let to = stage.recipients.len() - 1 - number % stage.recipients.len();
        let marks = stage.begin(number, to)?;
        let scheme = Weak::over(alice, weakness).await?;
        let reading = match stage.recipients.get(to) {
            Some(bob) => Some(bob.agent.scheme(SchemeChoice::Guarded { middle: 1 }).await?),
            None => None,
        };
        let mail = stage.mail_by((number, to), Arc::new(scheme), reading, &marks, |alice, id| {
            if weakness == Some(Weakness::OneNonce) { share_nonce(alice, id) } else { Ok(()) }
        });
        runs.push(mail.await?);
    }
    let found = analyse(stage, "guarded", &runs, &mut Sharers::new());
    let seen = [views(&found, claims), coalitions(&found, claims), steps(&found)];
    let too_much = |outcome: &Outcome| {
        let lines = || outcome.details.iter().any(|line| is_too_much(line));
        outcome.verdict == Verdict::Fell && lines()
    };
    Ok(seen.into_iter().filter(too_much).collect())
}

/// Gives the notification the nonce of the body.
fn share_nonce(alice: &Agent, id: &str) -> Result<(), Failure> {
    let outbox = alice.agent.outbox();
    let (mut state, parts) = (outbox.state(id)?, outbox.parts(id)?);
    for recipient in &mut state.recipients {
        recipient.nonce = parts.first().map_or([0; 16], |part| part.nonce);
    }
    Ok(outbox.update(id, &state)?)
}

/// The guarded scheme with a weakness.
struct Weak {
    inner: Arc<GuardedScheme>,
    roster: Arc<RosterKeeper>,
    context: Context,
    heard: Arc<Heard>,
    weakness: Option<Weakness>,
    body: Mutex<Option<(Path, SampledKeys)>>,
}

impl Weak {
    /// Prepares it as the agent prepares the honest one.
    async fn over(agent: &Agent, weakness: Option<Weakness>) -> Result<Self, Failure> {
        let middle = usize::from(weakness != Some(Weakness::NoMiddle));
        let plan = agent.agent.plan(middle).await?;
        let (roster, context) = (Arc::clone(&plan.roster), agent.agent.context().clone());
        let plan = GuardedPlan { complete: weakness != Some(Weakness::Lookups), ..plan };
        let inner = Arc::new(GuardedScheme::new(Arc::clone(agent.agent.evidence()), plan));
        let (heard, body) = (agent.heard(), Mutex::default());
        Ok(Self { inner, roster, context, heard, weakness, body })
    }

    async fn ask_directly(&self, node: &NodeId, request: &Request) -> Result<(), AgentError> {
        let certificate = self.roster.with(|roster| roster.certificate(node).cloned());
        let certificate = certificate.ok_or(AgentError::BadAnswer)?;
        ask(&self.context.disposable()?, &certificate, request, TIMEOUT).await?;
        Ok(())
    }

    /// A channel along the nodes that carried the body.
    async fn same_again(
        &self,
        (path, keys): (Path, SampledKeys),
        purpose: Purpose,
        early: &Request,
    ) -> Result<OpenChannel, AgentError> {
        let epoch = self.context.epoch();
        let token = |node: &NodeId| {
            let token = self.roster.with(|roster| CrossVerified::active(roster, node, epoch));
            token.ok_or(AgentError::RosterTooSmall)
        };
        let nodes = path.along().iter().map(token).collect::<Result<Vec<_>, _>>()?;
        let Some(([first, between @ ..], last)) =
            nodes.split_last().map(|(last, rest)| (rest, last))
        else {
            return Err(AgentError::RosterTooSmall);
        };
        let links = self.context.disposable()?;
        let mut channel = Channel::open(&links, first, None, TIMEOUT).await?;
        for node in between {
            channel = channel.extend(node, None, TIMEOUT).await?;
        }
        let mut channel = channel.extend(last, Some(early), TIMEOUT).await?;
        let answer = channel.response(TIMEOUT).await?;
        self.context.tell(&Event::Channel { purpose, path: path.clone(), keys });
        Ok(OpenChannel { channel, answer, path })
    }
}

impl Scheme for Weak {
    fn open<'a>(&'a self, purpose: Purpose, early: &'a Request) -> Opening<'a> {
        Box::pin(async move {
            if self.weakness == Some(Weakness::DirectCertificate)
                && purpose == Purpose::Certificate
                && let Request::Perform { request, .. } = early
                && let Request::Fetch { key } = &**request
            {
                let near = self.inner.own_replicas(key).unwrap_or_default();
                if let Some(node) = near.first() {
                    self.ask_directly(&node.node(), &Request::Fetch { key: *key }).await?;
                }
            }
            // Bodies and inboxes are opened at once: the inbox waits until the body's path is known.
            if self.weakness == Some(Weakness::OneAnonymizer) && purpose == Purpose::Inbox {
                for _ in 0..200 {
                    let body = self.body.lock().clone();
                    if let Some(body) = body {
                        return self.same_again(body, purpose, early).await;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            let open = self.inner.open(purpose, early).await?;
            let Some(keys) = self.heard.keys_of(&open.path) else { return Ok(open) };
            if self.weakness == Some(Weakness::DirectWitness) {
                let question = Request::Closest { key: keys.anonymizer, count: 1 };
                self.ask_directly(&open.path.witness, &question).await?;
            }
            if purpose == Purpose::Body {
                let body = Some((open.path.clone(), keys));
                *self.body.lock() = body;
            }
            Ok(open)
        })
    }

    fn guarded(self: Arc<Self>) -> Option<Arc<GuardedScheme>> {
        Some(Arc::clone(&self.inner))
    }

    fn list_replicas(&self, key: Key, k: u8) -> Request {
        self.inner.list_replicas(key, k)
    }

    fn compare_replicas(&self, key: Key, z: Told, w: Told) -> Result<ReplicaSet, AgentError> {
        self.inner.compare_replicas(key, z, w)
    }

    fn candidates(&self, key: Key, answer: Response) -> Result<Vec<NodeCertificate>, AgentError> {
        self.inner.candidates(key, answer)
    }

    fn near(&self, key: Key, count: u8) -> Targets {
        self.inner.near(key, count)
    }
}
