//! What the demo says at its end.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use clap::ValueEnum as _;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::{
    Stage,
    view::{Views, channels},
};
use crate::{
    cluster::Cluster,
    command::scheme::SchemeName,
    event::Purpose,
    send::Outcome,
    terminal::{Failure, say},
};

/// What a send cost.
pub(super) struct Costs {
    pub(super) elapsed: Duration,
    pub(super) round_trip: Duration,
    pub(super) bytes: u64,
    pub(super) cpu: Option<Duration>,
}

impl Costs {
    /// Sequential link round trips: the time it took, in whole round trips of one link. What the processes
    /// compute is in it, so on a slow or busy machine it is more than the protocol's own.
    fn round_trips(&self) -> u128 {
        self.elapsed.as_millis() / self.round_trip.as_millis().max(1)
    }
}

/// Everything the demo found out.
pub(super) struct Report<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) stage: &'a Arc<Stage>,
    pub(super) outcome: Outcome,
    pub(super) delivered: bool,
    pub(super) costs: Costs,
    pub(super) roles: Views,
}

impl Report<'_> {
    pub(super) fn print(&self, scheme: SchemeName, json: bool) -> Result<(), Failure> {
        let scheme = scheme.to_possible_value();
        let scheme = scheme.as_ref().map_or("", |value| value.get_name());
        if json { self.print_json(scheme) } else { self.print_text(scheme) }
    }

    fn k(&self) -> usize {
        self.cluster.nodes().len().min(8)
    }

    fn print_json(&self, scheme: &str) -> Result<(), Failure> {
        let roles: serde_json::Map<String, serde_json::Value> = self
            .roles
            .roles
            .iter()
            .map(|(role, seen)| ((*role).to_owned(), serde_json::json!(seen)))
            .collect();
        let events = self.stage.events.lock().unwrap_or_else(PoisonError::into_inner);
        let paths: Vec<_> = channels(&events)
            .into_iter()
            .map(|(purpose, path)| {
                serde_json::json!({
                    "for": purpose.words(), "x": path.go_between.short(),
                    "y": path.witness.short(), "z": path.far_end.short(),
                })
            })
            .collect();
        say(serde_json::json!({
            "scheme": scheme,
            "nodes": self.cluster.nodes().len(),
            "k": self.k(),
            "delivered": self.delivered,
            "receipts": { "body": self.outcome.body_receipts, "inbox": self.outcome.inbox_receipts },
            "round_trips": self.costs.round_trips(),
            "messages": self.roles.messages,
            "bytes": self.costs.bytes,
            "cpu_ms": self.costs.cpu.map(|cpu| cpu.as_secs_f64() * 1e3),
            "channels": paths,
            "roles": roles,
        })
        .to_string())
    }

    /// X, Y and Z or W of each channel, by short id.
    fn channels(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["channel for", "X", "Y", "Z", "W"]);
        let events = self.stage.events.lock().unwrap_or_else(PoisonError::into_inner);
        for (purpose, path) in channels(&events) {
            let far_end = path.far_end.short();
            let (z, w) = if purpose == purpose.check() && purpose != Purpose::Certificate {
                (String::new(), far_end)
            } else {
                (far_end, String::new())
            };
            let (x, y) = (path.go_between.short(), path.witness.short());
            table.add_row([purpose.words(), &x, &y, &z, &w]);
        }
        table
    }

    fn print_text(&self, scheme: &str) -> Result<(), Failure> {
        let (body, inbox, k) = (self.outcome.body_receipts, self.outcome.inbox_receipts, self.k());
        if self.delivered {
            say("    the mail is in Bob's Maildir, byte for byte")?;
        }
        say(
            "\nChannels    X took A to Z; Y, asked on its own, named the same Z; W, behind a channel of its own, named the same replicas as Z",
        )?;
        say(self.channels().to_string())?;
        say(format!(
            "\nReceipts    body {body} of {k}, inbox {inbox} of {k}, each signed by a replica and verified by Alice"
        ))?;
        say(format!(
            "Cost        {} sequential link round trips ({} ms over links of {} ms), {} messages, {} bytes on the links{}",
            self.costs.round_trips(),
            self.costs.elapsed.as_millis(),
            self.costs.round_trip.as_millis(),
            self.roles.messages,
            self.costs.bytes,
            self.costs
                .cpu
                .map(|cpu| format!(", {} ms CPU in all processes", cpu.as_millis()))
                .unwrap_or_default(),
        ))?;
        say(format!(
            "\nWho learned what in the `{scheme}` scheme (found in what the {} processes received):",
            self.cluster.nodes().len()
        ))?;
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        let header: Vec<&str> =
            ["role"].into_iter().chain(self.roles.labels.iter().copied()).collect();
        table.set_header(header);
        for (role, seen) in &self.roles.roles {
            let cells = self
                .roles
                .labels
                .iter()
                .map(|label| if seen.contains(label) { "sees" } else { "·" });
            let row: Vec<&str> = [*role].into_iter().chain(cells).collect();
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Center);
        }
        say(table.to_string())?;
        if scheme == "guarded" {
            return say(
                "Nothing was looked up: every node answered from a roster that it had before the mail was written.",
            );
        }
        if scheme == "guarded" {
            return say(
                "Nothing was looked up: every node answered from a roster that it had before the mail was written.",
            );
        }
        say(
            "A lookup also tells the nodes near its key what is looked up; the paper's scheme looks up as it sends.\nTHREATMODEL.md says what follows from that.",
        )
    }
}
