//! What a view costs: to read whole, to bring up to date, to search, to sample from; in time, in bytes, in memory.
//!
//! `cargo bench -p anon --bench view` measures at 10^5 nodes; with `-- --table` it prints a table from 10^3 to 10^6 nodes
//! instead, each line from a process of its own, so that its memory is its own.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "it prints a table")]
#![allow(clippy::indexing_slicing, reason = "what was read is as long as was said")]
#![allow(
    clippy::disallowed_methods,
    reason = "it measures time and reads files, which the crate does not"
)]
#![allow(
    clippy::disallowed_types,
    reason = "it measures time and reads files, which the crate does not"
)]

use std::{
    fs,
    hint::black_box,
    io::Read as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anon::{
    position::Key,
    testing::views::{Keepers, NETWORK, placeholders},
    view::{
        closest::Positions,
        difference::DifferenceDecoder,
        sample::{Caps, Sampler},
        signed::View,
        whole::WholeDecoder,
    },
};
use criterion::{Criterion, Throughput};
use rand::{SeedableRng as _, rngs::StdRng};

const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// One in so many nodes leaves from a view to the next, and as many join.
const CHURN: u32 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, step, count, folder, ..] = &arguments[..] {
        let (count, folder) = (count.parse().expect("a number of nodes"), Path::new(folder));
        match step.as_str() {
            "--write" => return write_files(count, folder),
            "--read" => return print_line(count, folder),
            _ => {}
        }
    }
    if arguments.iter().any(|one| one == "--table") {
        return print_table();
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(10)
        .without_plots()
        .configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
}

fn keepers() -> Keepers {
    Keepers::new(7)
}

/// The view of so many nodes, and the next one.
fn two_views(count: u32) -> (View, View) {
    let keepers = keepers();
    let base = keepers.view_of(1, None, 0..count);
    let after = keepers.view_of(2, Some(&base), count / CHURN..count + count / CHURN);
    (base, after)
}

fn read(bytes: &[u8]) -> View {
    let mut decoder = WholeDecoder::new(NETWORK, keepers().set);
    decoder.feed(bytes).expect("a good view");
    decoder.finish().expect("a whole view")
}

fn apply(base: &View, bytes: &[u8]) -> View {
    let mut decoder = DifferenceDecoder::new(base, keepers().set);
    decoder.feed(bytes).expect("a good difference");
    decoder.finish().expect("a whole difference")
}

fn measure(criterion: &mut Criterion) {
    let (base, after) = two_views(100_000);
    let whole: Vec<u8> = base.whole().flatten().collect();
    let difference: Vec<u8> = after.difference_from(&base).expect("the next").flatten().collect();
    let mut group = criterion.benchmark_group("view of 10^5 nodes");
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("read whole", |b| b.iter(|| read(black_box(&whole))));
    group.bench_function("apply difference", |b| {
        b.iter(|| apply(&base, black_box(&difference)));
    });
    group.bench_function("write difference", |b| {
        b.iter(|| {
            after.difference_from(&base).expect("the next").map(|piece| piece.len()).sum::<usize>()
        });
    });
    group.bench_function("positions", |b| b.iter(|| Positions::of(base.nodes())));
    group.bench_function("sampler", |b| {
        b.iter(|| Sampler::new(&after, Some(&base), Some(Caps::DEFAULT)).expect("the next"));
    });
    group.finish();
    let mut group = criterion.benchmark_group("in a view of 10^5 nodes");
    let (positions, mut key) = (Positions::of(base.nodes()), 0_u8);
    group.bench_function("20 closest", |b| {
        b.iter(|| {
            key = key.wrapping_add(1);
            positions.closest(base.nodes(), &Key([key; 32]), 20)
        });
    });
    let sampler = Sampler::new(&after, Some(&base), Some(Caps::DEFAULT)).expect("the next");
    let mut rng = StdRng::seed_from_u64(1);
    group.bench_function("path of 4", |b| {
        b.iter(|| sampler.path(&after, 4, &[], &mut rng, |_| true).expect("a path"));
    });
    let mut rank = 0;
    group.bench_function("proof and its check", |b| {
        b.iter(|| {
            rank = (rank + 7_919) % 100_000;
            let proof = base.nodes().prove(rank).expect("a proof");
            let entry = base.nodes().get(rank).expect("a node").encode();
            assert!(proof.proves(&base.nodes().root(), 100_000, &entry));
        });
    });
    group.finish();
}

fn print_table() {
    println!(
        "nodes | whole, MB | with signatures | difference (5 % churn) | from disk, ms | with signatures | \
         difference, ms | positions, ms | sampler, ms | view, MiB | peak above it | positions and sampler, MiB"
    );
    let program = std::env::current_exe().expect("this program");
    let folder = std::env::temp_dir().join(format!("views-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder");
    for count in SIZES {
        for step in ["--write", "--read"] {
            let mut child = Command::new(&program);
            child.args([step, &count.to_string()]).arg(&folder);
            assert!(child.status().expect("it runs").success(), "{step} {count}");
        }
    }
    fs::remove_dir_all(&folder).expect("ours");
}

/// A field of this process's status, KiB.
fn memory(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().ok());
    number.expect("a number")
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let made = what();
    (made, start.elapsed().as_secs_f64() * 1_000.0)
}

/// Reads a view from a file as a node does when it starts.
fn read_file(path: &Path) -> View {
    let mut file = fs::File::open(path).expect("the file");
    let mut decoder = WholeDecoder::new(NETWORK, keepers().set);
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).expect("readable") {
            0 => return decoder.finish().expect("a whole view"),
            length => decoder.feed(&piece[..length]).expect("a good view"),
        }
    }
}

/// Applies a difference from a file.
fn apply_file(base: &View, path: &Path) -> View {
    let mut file = fs::File::open(path).expect("the file");
    let mut decoder = DifferenceDecoder::new(base, keepers().set);
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).expect("readable") {
            0 => return decoder.finish().expect("a whole difference"),
            length => decoder.feed(&piece[..length]).expect("a good difference"),
        }
    }
}

const FILES: [&str; 3] = ["whole", "signed", "difference"];

fn write_files(count: u32, folder: &Path) {
    let (base, after) = two_views(count);
    let write = |name, pieces: &mut dyn Iterator<Item = Vec<u8>>| {
        fs::write(folder.join(name), pieces.flatten().collect::<Vec<u8>>()).expect("room");
    };
    let [whole, signed, difference] = FILES;
    write(whole, &mut base.whole());
    let list = Some(placeholders(count));
    write(signed, &mut keepers().view(1, None, base.nodes().clone(), list).whole());
    write(difference, &mut after.difference_from(&base).expect("the next"));
}

fn print_line(count: u32, folder: &Path) {
    let [whole, signed, difference] = FILES.map(|name| folder.join(name));
    let megabytes = |path: &Path| fs::metadata(path).expect("a file").len() as f64 / 1e6;
    let start = memory("VmRSS");
    let (view, from_disk) = timed(|| read_file(&whole));
    let (held, peak) = (memory("VmRSS") - start, memory("VmHWM") - start);
    let (after, applied) = timed(|| apply_file(&view, &difference));
    let start = memory("VmRSS");
    let (positions, searching) = timed(|| Positions::of(after.nodes()));
    let (sampler, sampling) =
        timed(|| Sampler::new(&after, Some(&view), Some(Caps::DEFAULT)).expect("the next"));
    let beside = memory("VmRSS") - start;
    black_box((positions, sampler));
    let (_, with_signatures) = timed(|| read_file(&signed));
    println!(
        "{count} | {:.2} | {:.2} | {:.2} | {from_disk:.1} | {with_signatures:.1} | {applied:.1} | {searching:.1} | \
         {sampling:.1} | {:.1} | {:.1} | {:.1}",
        megabytes(&whole),
        megabytes(&signed),
        megabytes(&difference),
        held / 1_024.0,
        (peak - held) / 1_024.0,
        beside / 1_024.0
    );
}
