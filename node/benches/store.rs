//! Durable writes a second of the store, beside plain append and `fdatasync` of the same bytes to a file on the
//! same disk, a block of each in turn: disks are noisy neighbours, and only the ratio travels.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    time::{Duration, Instant},
};

use node::{
    Store, StoreLimits,
    store::{ObjectKind, StoredObject},
};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Blocks of each kind; the figures are medians over them.
const ROUNDS: usize = 9;
/// How long a block of plain appends takes, about.
const BLOCK: Duration = Duration::from_millis(120);
/// A sealed notification's length, bytes.
const NOTIFICATION: usize = anon::mail::NOTIFICATION;

/// One line of the table.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    inbox: bool,
    bytes: usize,
    writers: usize,
    /// Writes of the store in one block.
    writes: usize,
}

const CASES: [Case; 6] = [
    Case { name: "object, 1 KiB", inbox: false, bytes: 1 << 10, writers: 1, writes: 48 },
    Case { name: "object, 1 KiB", inbox: false, bytes: 1 << 10, writers: 64, writes: 1_024 },
    Case { name: "object, 64 KiB", inbox: false, bytes: 1 << 16, writers: 1, writes: 48 },
    Case { name: "object, 64 KiB", inbox: false, bytes: 1 << 16, writers: 64, writes: 256 },
    Case { name: "inbox append", inbox: true, bytes: NOTIFICATION, writers: 1, writes: 48 },
    Case { name: "inbox append", inbox: true, bytes: NOTIFICATION, writers: 64, writes: 1_024 },
];

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!(
        "\nDurable writes a second; {ROUNDS} blocks of each in turn, medians\n\n{:16} {:>8} {:>10} {:>18} {:>7} {:>13}",
        "what", "writers", "store", "append+fdatasync", "ratio", "ratios"
    );
    for case in CASES {
        runtime.block_on(run(case));
    }
}

async fn run(case: Case) {
    let directory = TempDir::new().unwrap();
    let mut plain =
        OpenOptions::new().create(true).append(true).open(directory.path().join("plain")).unwrap();
    let store = Store::create(directory.path().join("store.redb"), limits()).unwrap();
    let bytes: Vec<u8> = (0..case.bytes).map(|_| rand::random()).collect();
    // The first block of either grows the file and is not counted.
    let (mut of_store, mut of_plain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let appended = append_plainly(&mut plain, &bytes);
        let stored = write(&store, case, &bytes).await;
        if round > 0 {
            of_plain.push(appended);
            of_store.push(stored);
            ratios.push(stored / appended);
        }
    }
    store.close().await.unwrap();
    let ratio = median(&mut ratios);
    let (least, most) = (ratios.first().unwrap(), ratios.last().unwrap());
    println!(
        "{:16} {:>8} {:>10.0} {:>18.0} {ratio:>7.2} {:>13}",
        case.name,
        case.writers,
        median(&mut of_store),
        median(&mut of_plain),
        format!("{least:.2}-{most:.2}"),
    );
}

fn limits() -> StoreLimits {
    StoreLimits {
        max_bytes: 4 << 30,
        reserve: 0,
        extension: 0,
        max_object: anon::request::MAX_OBJECT,
        inbox_entries: u32::MAX,
        inbox_bytes: u64::MAX,
        queue: 256,
        group: 64,
    }
}

/// Appends and syncs one object at a time, for [`BLOCK`]: objects a second.
fn append_plainly(file: &mut File, bytes: &[u8]) -> f64 {
    let (start, mut appended) = (Instant::now(), 0);
    while start.elapsed() < BLOCK {
        file.write_all(bytes).unwrap();
        file.sync_data().unwrap();
        appended += 1;
    }
    f64::from(appended) / start.elapsed().as_secs_f64()
}

/// Writes one block with all the case's writers at once: writes a second.
async fn write(store: &Store, case: Case, bytes: &[u8]) -> f64 {
    let mut writers = JoinSet::new();
    let start = Instant::now();
    for writer in 0..case.writers {
        let (store, bytes) = (store.clone(), bytes.to_vec());
        writers.spawn(async move {
            for _ in 0..case.writes / case.writers {
                if case.inbox {
                    let inbox = [u8::try_from(writer).unwrap(); 32];
                    let digest = rand::random();
                    store.append_inbox(inbox, digest, bytes.clone(), u64::MAX).await.unwrap();
                } else {
                    let object = object(bytes.clone());
                    store.store(rand::random(), object, false).await.unwrap();
                }
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    f64::from(u32::try_from(case.writes).unwrap()) / start.elapsed().as_secs_f64()
}

fn object(bytes: Vec<u8>) -> StoredObject {
    let deleters = vec![vec![7; 32]];
    StoredObject { kind: ObjectKind::Body, digest: rand::random(), expiry: 1, deleters, bytes }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}
