//! Nodes and agents that die at the worst moment: mail is read all the same, or waits, and never comes twice.

mod agents;
mod disk;
mod maildir;
mod nodes;

use testbed::cluster::Cluster;

async fn kill_all(cluster: &mut Cluster) {
    for index in 0..cluster.nodes().len() {
        cluster.kill(index).await.unwrap();
    }
}

async fn restart_all(cluster: &mut Cluster) {
    for index in 0..cluster.nodes().len() {
        cluster.restart(index).await.unwrap();
    }
}
