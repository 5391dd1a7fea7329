//! What lies on the nodes' disks, seen without asking the nodes.
//!
//! A node is stopped (SIGSTOP) while its `store.redb` is copied, and the copy is opened as the node itself would
//! after a crash. So this is what a node holds, not what it says it holds.

use std::collections::BTreeMap;

use node::{Limits, Store, StoreError, store::ObjectKind};
use rustix::process::{Pid, Signal, kill_process};
use testbed::cluster::{Cluster, ClusterNode};

type StoreKey = [u8; 32];

/// One key of one store.
#[derive(Debug)]
pub struct Held {
    pub key: StoreKey,
    /// The object's kind and how many permissions to delete it are left, if there is one.
    pub object: Option<(ObjectKind, usize)>,
    /// Notifications in the inbox.
    pub entries: usize,
}

/// What every node of a cluster holds, by its index.
#[derive(Debug)]
pub struct Holdings(Vec<Vec<Held>>);

impl Holdings {
    pub async fn of(cluster: &Cluster) -> Self {
        let mut all = Vec::new();
        for node in cluster.nodes() {
            all.push(on_disk(node).await);
        }
        Self(all)
    }

    /// The nodes that hold each body, and how many may still delete it there.
    pub fn bodies(&self) -> BTreeMap<StoreKey, Vec<(usize, usize)>> {
        self.objects(ObjectKind::Body)
    }

    /// The nodes that hold each certificate.
    pub fn certificates(&self) -> BTreeMap<StoreKey, Vec<(usize, usize)>> {
        self.objects(ObjectKind::Certificate)
    }

    fn objects(&self, wanted: ObjectKind) -> BTreeMap<StoreKey, Vec<(usize, usize)>> {
        self.by_key(|held| held.object.filter(|(kind, _)| *kind == wanted).map(|(_, left)| left))
    }

    /// The nodes that hold a notification in each inbox, and how many.
    pub fn inboxes(&self) -> BTreeMap<StoreKey, Vec<(usize, usize)>> {
        self.by_key(|held| (held.entries > 0).then_some(held.entries))
    }

    fn by_key<T>(&self, look: impl Fn(&Held) -> Option<T>) -> BTreeMap<StoreKey, Vec<(usize, T)>> {
        let mut found: BTreeMap<StoreKey, Vec<(usize, T)>> = BTreeMap::new();
        for (index, node) in self.0.iter().enumerate() {
            for held in node {
                if let Some(value) = look(held) {
                    found.entry(held.key).or_default().push((index, value));
                }
            }
        }
        found
    }
}

/// Opens the store of a node that does not run.
pub async fn open(node: &ClusterNode) -> Store {
    for _ in 0..100 {
        match Store::open(node.directory.join("store.redb"), Limits::default().store()) {
            // The killed process's lock may outlive it for a moment.
            Err(StoreError::Locked) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            opened => return opened.unwrap(),
        }
    }
    panic!("the store stays locked");
}

async fn on_disk(node: &ClusterNode) -> Vec<Held> {
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("store.redb");
    let process = node.pid().and_then(|pid| Pid::from_raw(pid.try_into().unwrap()));
    if let Some(process) = process {
        kill_process(process, Signal::STOP).unwrap();
    }
    let copied = std::fs::copy(node.directory.join("store.redb"), &path);
    if let Some(process) = process {
        kill_process(process, Signal::CONT).unwrap();
    }
    copied.unwrap();
    let store = Store::open(&path, Limits::default().store()).unwrap();
    let mut all = Vec::new();
    for usage in store.keys(None, node::store::Direction::Ascending, 10_000).await.unwrap() {
        let key = usage.key;
        let object = store.fetch(key).await.unwrap().map(|o| (o.kind, o.deleters.len()));
        let entries = store.list_inbox(key, 0, usize::MAX).await.unwrap().digests.len();
        all.push(Held { key, object, entries });
    }
    store.close().await.unwrap();
    all
}
