//! What the demo says at its end.

use std::{sync::Arc, time::Duration};

use clap::ValueEnum as _;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use cutout::{
    command::scheme::SchemeName,
    terminal::{Failure, say, say_json, table},
};
use ua::{
    event::{Path, Purpose},
    send::Outcome,
};

use super::{
    Stage,
    view::{Views, channels},
};

/// What a send cost.
pub(super) struct Costs {
    pub(super) elapsed: Duration,
    pub(super) round_trip: Duration,
    pub(super) bytes: u64,
    pub(super) cpu: Option<Duration>,
    pub(super) lookups: u64,
    pub(super) kademlia_requests: u64,
}

impl Costs {
    /// Sequential link round trips: the time it took, in whole round trips of one link. What the processes
    /// compute is in it, so on a slow or busy machine it is more than the protocol's own.
    fn round_trips(&self) -> u128 {
        self.elapsed.as_millis() / self.round_trip.as_millis().max(1)
    }
}

/// One mail by one scheme.
pub(super) struct Run {
    pub(super) scheme: SchemeName,
    pub(super) stage: Arc<Stage>,
    pub(super) outcome: Outcome,
    pub(super) delivered: bool,
    pub(super) costs: Costs,
    pub(super) roles: Views,
}

impl Run {
    fn channels(&self) -> Vec<(Purpose, Path)> {
        channels(&self.stage.events.lock())
    }
}

/// What a scheme is called on the command line.
pub(super) fn name(scheme: SchemeName) -> String {
    let value = scheme.to_possible_value();
    value.as_ref().map_or("", |value| value.get_name()).to_owned()
}

/// Everything the demo found out.
pub(super) struct Report {
    pub(super) nodes: usize,
    pub(super) runs: Vec<Run>,
}

impl Report {
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json { self.print_json() } else { self.print_text() }
    }

    fn k(&self) -> usize {
        self.nodes.min(8)
    }

    fn print_json(&self) -> Result<(), Failure> {
        let runs: Vec<_> = self.runs.iter().map(describe).collect();
        say_json(&serde_json::json!({ "nodes": self.nodes, "k": self.k(), "runs": runs }))
    }

    fn print_text(&self) -> Result<(), Failure> {
        for run in &self.runs {
            say(format!("\nChannels by the `{}` scheme", name(run.scheme)))?;
            say(channel_table(run).to_string())?;
            say(format!(
                "\nWho learned what by the `{}` scheme (found in what the {} processes received)",
                name(run.scheme),
                self.nodes
            ))?;
            say(role_table(&run.roles).to_string())?;
        }
        say(if self.runs.len() > 1 { "\nSide by side" } else { "\nReceipts and cost" })?;
        say(self.costs().to_string())?;
        say(
            "Each receipt was signed by a replica and verified by Alice. A lookup also tells the nodes near its key what\nis looked up: the paper's scheme looks up as it sends, the guarded one asks rosters that were there before.\nTHREATMODEL.md says what follows from that.",
        )
    }

    /// What one mail cost, a scheme a column.
    fn costs(&self) -> Table {
        let mut table = table(UTF8_HORIZONTAL_ONLY);
        let header = ["".to_owned()].into_iter().chain(self.runs.iter().map(|r| name(r.scheme)));
        table.set_header(header);
        let mut row = |what: &str, cell: &dyn Fn(&Run) -> String| {
            let cells = [what.to_owned()].into_iter().chain(self.runs.iter().map(cell));
            table.add_row(cells);
        };
        let k = self.k();
        row("receipts for the body", &|r| format!("{} of {k}", r.outcome.body_receipts));
        row("receipts of the inbox", &|r| format!("{} of {k}", r.outcome.inbox_receipts));
        row("channels", &|r| r.channels().len().to_string());
        row("sequential link round trips", &|r| r.costs.round_trips().to_string());
        row("messages", &|r| r.roles.messages.to_string());
        row("bytes on the links", &|r| r.costs.bytes.to_string());
        row("CPU in all processes, ms", &|r| {
            r.costs.cpu.map_or_else(|| "?".to_owned(), |cpu| cpu.as_millis().to_string())
        });
        row("lookups", &|r| r.costs.lookups.to_string());
        row("Kademlia requests", &|r| r.costs.kademlia_requests.to_string());
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

fn describe(run: &Run) -> serde_json::Value {
    let roles: serde_json::Map<String, serde_json::Value> = run
        .roles
        .roles
        .iter()
        .map(|(role, seen)| ((*role).to_owned(), serde_json::json!(seen)))
        .collect();
    let paths = run.channels().into_iter().map(|(purpose, path)| {
        let middle: Vec<String> = path.middle.iter().map(|node| node.short()).collect();
        serde_json::json!({
            "for": purpose.to_string(), "x": path.go_between.short(), "m": middle,
            "y": path.witness.short(), "z": path.anonymizer.short(),
        })
    });
    serde_json::json!({
        "scheme": name(run.scheme),
        "delivered": run.delivered,
        "receipts": { "body": run.outcome.body_receipts, "inbox": run.outcome.inbox_receipts },
        "round_trips": run.costs.round_trips(),
        "messages": run.roles.messages,
        "bytes": run.costs.bytes,
        "cpu_ms": run.costs.cpu.map(|cpu| cpu.as_secs_f64() * 1e3),
        "lookups": run.costs.lookups,
        "kademlia_requests": run.costs.kademlia_requests,
        "channels": paths.collect::<Vec<_>>(),
        "roles": roles,
    })
}

/// The nodes of each channel, by short id.
fn channel_table(run: &Run) -> Table {
    let mut table = table(UTF8_HORIZONTAL_ONLY);
    table.set_header(["channel for", "X", "M", "Z or W", "Y"]);
    for (purpose, path) in run.channels() {
        let middle: Vec<String> = path.middle.iter().map(|node| node.short()).collect();
        let (x, y) = (path.go_between.short(), path.witness.short());
        let (middle, anonymizer) = (middle.join(" "), path.anonymizer.short());
        table.add_row([purpose.to_string(), x, middle, anonymizer, y]);
    }
    table
}

fn role_table(roles: &Views) -> Table {
    let mut table = table(UTF8_HORIZONTAL_ONLY);
    let header: Vec<&str> = ["role"].into_iter().chain(roles.labels.iter().copied()).collect();
    table.set_header(header);
    for (role, seen) in &roles.roles {
        let cells =
            roles.labels.iter().map(|label| if seen.contains(label) { "sees" } else { "·" });
        let row: Vec<&str> = [*role].into_iter().chain(cells).collect();
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Center);
    }
    table
}
