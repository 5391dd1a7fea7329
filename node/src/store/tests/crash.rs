//! Kill -9 at any moment: what was acknowledged is there afterwards.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::*;

const PATH: &str = "CUTOUT_TEST_CRASH_STORE";
const ROUND: &str = "CUTOUT_TEST_CRASH_ROUND";
const ROUNDS: u64 = 10;

/// What the child writes under a number: sizes from nothing to several chunks.
fn bytes(number: u64) -> Vec<u8> {
    let size = usize::try_from(number * 7919 % 20_000).unwrap();
    vec![
        u8::try_from(number % 251).unwrap();
        if number.is_multiple_of(16) { 3 * size } else { size / 8 }
    ]
}

/// Not a test: the child process of the one below, which kills it. Appends, stores and deletes, and
/// prints each number once its write is acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(path), Ok(round)) = (std::env::var(PATH), std::env::var(ROUND)) else {
        return;
    };
    let roomy = StoreLimits { inbox_entries: u32::MAX, inbox_bytes: u64::MAX, ..limits() };
    let store = Store::open(path, roomy).unwrap();
    let base = round.parse::<u64>().unwrap() << 32;
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            for step in 0.. {
                let number = base + step * 16 + task;
                let kept = if number % 3 == 0 {
                    let object = StoredObject { bytes: bytes(number), ..object(1, 0, &[b"x"]) };
                    store.store(digest(number), object, false).await.unwrap();
                    number % 2 == 0 || store.delete(digest(number), b"x").await.is_err()
                } else {
                    let key = [u8::try_from(task).unwrap(); 32];
                    store.append_inbox(key, digest(number), bytes(number), 1).await.unwrap();
                    true
                };
                writeln!(std::io::stdout().lock(), "\n{number} {kept}").unwrap();
            }
        });
    }
    tasks.join_all().await;
}

/// Runs a child for `life` and kills it; returns what it acknowledged.
fn run(path: &Path, round: u64, life: Duration) -> Vec<(u64, bool)> {
    let name = format!("{}::child", module_path!().split_once("::").unwrap().1);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([&name, "--exact", "--nocapture", "--test-threads=1"]);
    child.env(PATH, path).env(ROUND, round.to_string()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let parse = |line: String| {
            let (number, kept) = line.split_once(' ')?;
            Some((number.parse().ok()?, kept.parse().ok()?))
        };
        lines.map_while(Result::ok).filter_map(parse).collect()
    });
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill() {
    let (folder, store) = temporary(limits());
    store.close().await.unwrap();
    let path = folder.path().join("store");
    let mut acknowledged = Vec::new();
    for round in 1..=ROUNDS {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let life = Duration::from_millis(150 + u64::from(now.subsec_micros() % 250));
        acknowledged.extend(run(&path, round, life));
        let store = Store::open(&path, limits()).unwrap();
        let mut inboxes = std::collections::BTreeMap::new();
        for task in 0..16 {
            inboxes.extend(held(&store, task).await.unwrap());
        }
        for (number, kept) in &acknowledged {
            let (key, bytes) = (digest(*number), bytes(*number));
            if number % 3 == 0 {
                let object = store.fetch(key).await.unwrap();
                assert_eq!(object.map(|object| object.bytes), kept.then_some(bytes), "{number}");
            } else {
                assert_eq!(inboxes.get(&key), Some(&bytes), "{number}");
            }
        }
        store.verify().await.unwrap();
        store.close().await.unwrap();
    }
    assert!(acknowledged.len() > 100, "{} writes were acknowledged", acknowledged.len());
}
