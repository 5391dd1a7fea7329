//! The searches, and what they come to: each find is one that the table allows, or a leak; a line of the table under
//! which nothing was found, but must be, makes the search blind.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    LOG,
    expected::{EXPECTED, Medium, Part, allowed},
    needle::{Canaries, Find, Label, Needles},
    nodes::Process,
    wire::Capture,
    {disk, memory},
};
use crate::outcome::Outcome;

/// What allows it to an anonymizer that did not serve in the end.
const GIVEN_UP: &str = "who learns what: anonymizers, of an attempt that was given up";
/// What a node, and an agent, writes into its log when it logs all it can.
const NODES_TALK: &[u8] = b"DEBUG";
const AGENTS_TALK: &[u8] = b": channel through X ";
/// What stands at the beginning of every libp2p connection.
const GREETING: &[u8] = b"/noise";

/// Canaries of one kind, found in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hit {
    /// Whose process or directory.
    pub of: String,
    /// What it is to the mail.
    pub parts: BTreeSet<Part>,
    /// The region, file or connection.
    pub place: String,
    /// What was found.
    pub label: Label,
    /// In what form.
    pub form: String,
    /// How often.
    pub times: usize,
    /// What stands around one of them.
    pub context: String,
    /// Which statement allows it; `None`: it must not be there.
    pub allowed: Option<String>,
}

/// What searching one medium showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Searched {
    /// Why some of it was not searched.
    pub not_run: Option<String>,
    /// Places, and bytes in them.
    pub amount: (usize, u64),
    /// What was found.
    pub hits: Vec<Hit>,
    /// Places that show nothing of what always stands there.
    pub blind: Vec<String>,
}

impl Searched {
    fn fail(&mut self, what: &str, error: &io::Error, remedy: &str) {
        self.not_run.get_or_insert_with(|| format!("{what}: {error}; {remedy}"));
    }

    /// Adds what was found in one process or directory.
    fn add(
        &mut self,
        medium: Medium,
        of: &str,
        parts: &BTreeSet<Part>,
        found: Vec<(String, Find)>,
        bytes: u64,
    ) {
        self.amount = (self.amount.0 + 1, self.amount.1 + bytes);
        let mut together: BTreeMap<(String, Label, &str), Hit> = BTreeMap::new();
        for (place, Find { label, form, context }) in found {
            let new = || Hit {
                of: of.to_owned(),
                parts: parts.clone(),
                place: place.clone(),
                label,
                form: form.to_owned(),
                times: 0,
                context,
                allowed: allowed(medium, parts, label).map(|rule| rule.says.to_owned()),
            };
            together.entry((place.clone(), label, form)).or_insert_with(new).times += 1;
        }
        self.hits.extend(together.into_values());
    }

    /// What that says.
    pub(super) fn outcome(&self, check: &str, medium: Medium) -> Outcome {
        let show = |hit: &Hit| {
            let Hit { of, parts, place, label, form, times, context, .. } = hit;
            format!("{of} {parts:?}, {place}: {label} as {form}, {times} times: {context}")
        };
        let leaks: Vec<&Hit> = self.hits.iter().filter(|hit| hit.allowed.is_none()).collect();
        let details = leaks.iter().map(|hit| show(hit)).collect::<Vec<_>>();
        if let Some(first) = leaks.first() {
            let seen = format!("{} finds where nothing may be: {}", leaks.len(), show(first));
            return Outcome::of(check, false, seen).with_details(details);
        }
        if let Some(why) = &self.not_run {
            return Outcome::not_run(check, why);
        }
        if self.amount.0 == 0 {
            return Outcome::not_shown(check, "nothing was searched");
        }
        let blind: Vec<String> = EXPECTED
            .iter()
            .filter(|rule| rule.medium == medium && rule.must)
            .filter(|rule| {
                let fits = |hit: &Hit| hit.label == rule.label && hit.parts.contains(&rule.part);
                !self.hits.iter().any(fits)
            })
            .map(|rule| format!("{} with {:?} ({})", rule.label, rule.part, rule.says))
            .chain(self.blind.iter().cloned())
            .collect();
        let (places, megabytes) = (self.amount.0, self.amount.1 >> 20);
        let details = self.hits.iter().map(show).collect();
        if blind.is_empty() {
            let seen = format!(
                "in {places} places, {megabytes} MiB, {} finds, all where they are known to be",
                self.hits.len()
            );
            Outcome::of(check, true, seen).with_details(details)
        } else {
            let seen = format!("blind, not found: {}", blind.join("; "));
            Outcome::of(check, false, seen).with_details(details)
        }
    }
}

/// The searches so far.
#[derive(Debug, Default)]
pub(super) struct Scan {
    all: super::Findings,
    talks: bool,
}

impl Scan {
    /// Searches the memory of processes, some at once.
    pub(super) fn memory(&mut self, processes: &[Process], canaries: &Canaries) {
        let into = &mut self.all.memory;
        let needles = match canaries.needles() {
            Ok(needles) => needles,
            Err(error) => return into.fail("no search", &io::Error::other(error), "report this"),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let results = std::thread::scope(|scope| {
            let share = processes.len().div_ceil(threads).max(1);
            let workers: Vec<_> = processes
                .chunks(share)
                .map(|some| scope.spawn(|| some.iter().map(|one| look(one, &needles)).collect()))
                .collect();
            let done = workers.into_iter().map(|worker| worker.join().unwrap_or_default());
            done.flat_map(|some: Vec<Looked>| some).collect::<Vec<Looked>>()
        });
        for ((name, parts, _), result) in processes.iter().zip(results) {
            match result {
                Ok((found, bytes)) => into.add(Medium::Memory, name, parts, found, bytes),
                Err(error) => into.fail(
                    &format!("{name}'s memory cannot be read"),
                    &error,
                    "allow ptrace of one's own processes (kernel.yama.ptrace_scope 0, or run as root)",
                ),
            }
        }
    }

    /// Allows the recipient's address to so many nodes more: the anonymizers of attempts that were given up know it as
    /// those do that served, but nobody says which nodes they were.
    pub(super) fn forgive(&mut self, attempts: usize) {
        let hits = &mut self.all.memory.hits;
        let is_one = |hit: &Hit| {
            let label = hit.label == Label::RecipientAddress;
            label && hit.allowed.is_none() && hit.parts.contains(&Part::Node)
        };
        let nodes: BTreeSet<String> =
            hits.iter().filter(|hit| is_one(hit)).map(|hit| hit.of.clone()).collect();
        if nodes.len() <= attempts {
            for hit in hits.iter_mut().filter(|hit| is_one(hit)) {
                hit.allowed = Some(GIVEN_UP.to_owned());
            }
        }
    }

    /// Searches a node's directory, and its log.
    pub(super) fn node_disk(
        &mut self,
        index: usize,
        parts: &BTreeSet<Part>,
        directory: &Path,
        canaries: &Canaries,
    ) {
        let of = format!("node {index}");
        self.disk(&of, parts, directory, &[LOG], canaries);
        self.log(&of, parts, &directory.join(LOG), canaries);
    }

    /// Searches a directory.
    pub(super) fn disk(
        &mut self,
        of: &str,
        parts: &BTreeSet<Part>,
        directory: &Path,
        except: &[&str],
        canaries: &Canaries,
    ) {
        let searched = canaries.needles().map_err(io::Error::other);
        match searched.and_then(|needles| disk::search(directory, except, &needles)) {
            Ok((found, bytes)) => self.all.disk.add(Medium::Disk, of, parts, found, bytes),
            Err(error) => self.all.disk.fail(of, &error, "report this"),
        }
    }

    /// Searches a log.
    pub(super) fn log(
        &mut self,
        of: &str,
        parts: &BTreeSet<Part>,
        path: &Path,
        canaries: &Canaries,
    ) {
        let searched = canaries.needles().map_err(io::Error::other);
        let into = &mut self.all.logs;
        match searched.and_then(|needles| Ok((needles.search(&std::fs::read(path)?), path))) {
            Ok((found, path)) => {
                let bytes = std::fs::read(path).unwrap_or_default();
                let has = |talk: &[u8]| bytes.windows(talk.len()).any(|piece| piece == talk);
                let is_agents = parts.contains(&Part::Sender) || parts.contains(&Part::Recipient);
                self.talks |= !is_agents && has(NODES_TALK);
                if is_agents && !has(AGENTS_TALK) {
                    into.blind.push(format!("anything in the log of the {of}"));
                }
                let length = u64::try_from(bytes.len()).unwrap_or(0);
                let found = found.into_iter().map(|find| (LOG.to_owned(), find)).collect();
                into.add(Medium::Logs, of, parts, found, length);
            }
            Err(error) => into.fail(of, &error, "report this"),
        }
    }

    /// Searches what passed.
    pub(super) fn wire(&mut self, capture: Capture, canaries: &Canaries) {
        let (streams, gaps) = capture.end();
        let into = &mut self.all.wire;
        let Ok(needles) = canaries.needles() else { return };
        let greets = |bytes: &Vec<u8>| bytes.windows(GREETING.len()).any(|piece| piece == GREETING);
        if !streams.iter().any(greets) {
            into.blind.push("the beginning of any connection between nodes".to_owned());
        }
        if gaps > 0 {
            into.not_run = Some(format!("{gaps} pieces of connections were not caught"));
        }
        for (number, bytes) in streams.iter().enumerate() {
            let found = needles.search(bytes);
            let is_own = found.iter().any(|find| find.label == Label::Marker);
            let part = if is_own { Part::Audit } else { Part::Node };
            let found = found.into_iter().map(|find| ("payload".to_owned(), find)).collect();
            let length = u64::try_from(bytes.len()).unwrap_or(0);
            into.add(Medium::Wire, &format!("connection {number}"), &[part].into(), found, length);
        }
    }

    /// Notes that nothing could be heard.
    pub(super) fn wire_not_run(&mut self, error: &io::Error) {
        let remedy = "run as root, or give the program CAP_NET_RAW";
        self.all.wire.fail("packets on loopback cannot be seen", error, remedy);
    }

    /// What all that came to.
    pub(super) fn findings(mut self) -> super::Findings {
        if !self.talks {
            self.all.logs.blind.push("anything in the log of any node".to_owned());
        }
        self.all
    }
}

type Looked = io::Result<(Vec<(String, Find)>, u64)>;

fn look((name, _, pid): &Process, needles: &Needles<'_>) -> Looked {
    let gone = || io::Error::other(format!("{name} is gone"));
    memory::search(pid.ok_or_else(gone)?, needles)
}
