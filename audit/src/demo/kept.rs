//! `cutout demo --keep`: a network that stays when the command is over, with two users in it, and what to type next. Everything
//! in it is made by the commands that anybody types: `cutout node run`, `cutout init`.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use cutout::{
    command::{interruption::Interruption, write_file},
    terminal::{Failure, Progress, say, say_json, tell},
};
use net::NetworkFile;
use rustix::process::{Pid, Signal, kill_process};
use testbed::{
    cluster::{Cluster, ClusterOptions},
    programs,
};
use tokio::process::Command;

use super::{DemoArgs, EPOCH_SECONDS, failed};

/// Where a network is kept unless another directory is named.
pub(super) const DIRECTORY: &str = "cutout-demo";
/// The mean delay between a body and its notification, seconds: nobody else is there to hide among.
const DELAY_SECONDS: u64 = 1;
/// The file by which a kept network is known.
const NETWORK: &str = "network/network.toml";
/// The users.
const USERS: [&str; 2] = ["alice", "bob"];
/// The file with their passphrase.
const PASSPHRASE: &str = "passphrase";
/// How long nodes may take to stop, in steps of a tenth of a second.
const STOP_STEPS: u32 = 150;

/// Starts a network that stays, and two users.
///
/// # Errors
/// [`Failure`]; nothing stays then.
pub(super) async fn keep(args: &DemoArgs, directory: &Path) -> Result<(), Failure> {
    let interruption = Interruption::take_hold("run it again: nothing of it is kept")?;
    fs::DirBuilder::new().mode(0o700).create(directory).map_err(|error| {
        let remedy =
            format!("cutout demo --stop {}, or name another directory", directory.display());
        Failure::new(73, &format!("{} cannot be made", directory.display()), error, &remedy)
    })?;
    let progress = Progress::start(&format!("starting {} nodes", args.nodes), !args.json);
    let made = interruption.unless(make(args, directory, &progress)).await.and_then(|made| made);
    progress.finish();
    match made {
        Ok(cluster) => {
            cluster.leave();
            print(args, directory)
        }
        Err(failure) => {
            end(&running(directory)).await;
            let _ = fs::remove_dir_all(directory);
            Err(failure)
        }
    }
}

async fn make(args: &DemoArgs, directory: &Path, progress: &Progress) -> Result<Cluster, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(71, "this program cannot find itself", error, ""))?;
    let network = std::path::absolute(directory.join("network"));
    let network = network.map_err(|error| Failure::new(73, "no current directory", error, ""))?;
    let mut options = ClusterOptions::new(program.clone(), network, usize::from(args.nodes));
    options.kept = true;
    options.network.epoch_seconds = EPOCH_SECONDS;
    options.network.delay_seconds = DELAY_SECONDS;
    let all = args.nodes;
    let cluster = Cluster::start(options, |n| progress.step(&format!("{n} of {all} nodes are up")));
    let cluster = cluster.await.map_err(failed)?;
    progress.step("waiting for the nodes to know each other for an epoch");
    tokio::time::sleep(Duration::from_secs(EPOCH_SECONDS * 3)).await;

    let file = NetworkFile::read(&cluster.network_file()).map_err(ua::home::HomeError::from)?;
    let invitation = file.invitation();
    let invitation =
        invitation.map_err(|error| Failure::new(70, "no invitation", error, "report this"))?;
    write_file(&directory.join(PASSPHRASE), b"demo\n")?;
    for name in USERS {
        progress.step(&format!("{name} joins"));
        let address = join(&programs::cutout(&program), directory, name, &invitation).await?;
        write_file(&directory.join(format!("{name}.address")), address.as_bytes())?;
    }
    Ok(cluster)
}

/// Lets somebody join by the command that anybody types: the address.
async fn join(cutout: &Path, dir: &Path, name: &str, invitation: &str) -> Result<String, Failure> {
    let mut command = Command::new(cutout);
    command.args(["init", invitation, "--home"]).arg(dir.join(name));
    command.arg("--passphrase-file").arg(dir.join(PASSPHRASE)).stdin(Stdio::null());
    let output = command.kill_on_drop(true).output().await;
    let failed = |cause: String| {
        Failure::new(
            70,
            &format!("{name} could not join"),
            cause,
            "run it again; report it if it fails again",
        )
    };
    let output = output.map_err(|error| failed(error.to_string()))?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // Published at once, or the demo's user could not be written to.
    if !output.status.success() || !told.contains("is published") {
        return Err(failed(told));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What to type next: a line each.
fn commands(directory: &Path) -> Vec<String> {
    let (cutout, at) = (name_of_cutout(), directory.display());
    vec![
        format!("export CUTOUT_PASSPHRASE_FILE={at}/{PASSPHRASE}"),
        format!(
            "echo 'Meet me at noon.' | {cutout} send --home {at}/alice --to \"$(cat {at}/bob.address)\" -s Spring"
        ),
        format!("{cutout} fetch --home {at}/bob"),
        format!("{cutout} read 1 --home {at}/bob"),
    ]
}

/// How one calls the other program: by its name, where a shell finds it, and else by where it is.
fn name_of_cutout() -> String {
    let Ok(here) = std::env::current_exe() else { return "cutout".to_owned() };
    let program = programs::cutout(&here);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join("cutout")).find(|p| p.is_file());
    let same = |found: PathBuf| found.canonicalize().ok() == program.canonicalize().ok();
    if found.is_some_and(same) { "cutout".to_owned() } else { program.display().to_string() }
}

fn print(args: &DemoArgs, directory: &Path) -> Result<(), Failure> {
    let commands = commands(directory);
    let stop = format!("{} demo --stop {}", name_of_cutout(), directory.display());
    if args.json {
        return say_json(&serde_json::json!({
            "directory": directory, "nodes": args.nodes, "users": USERS, "commands": commands, "stop": stop,
        }));
    }
    tell(format!(
        "A network of {} nodes runs in {}, with two users: alice and bob. Type these, one after another:\n",
        args.nodes,
        directory.display()
    ));
    for command in &commands {
        say(format!("  {command}"))?;
    }
    tell("\nThe network stays until you stop it, which also removes its directory:\n");
    say(format!("  {stop}"))
}

/// Stops a network that was kept, and removes its directory.
///
/// # Errors
/// [`Failure`] if there is none.
pub(super) async fn stop(directory: &Path) -> Result<(), Failure> {
    if !directory.join(NETWORK).is_file() {
        let what = format!("no network was kept in {}", directory.display());
        return Err(Failure::new(
            66,
            &what,
            "",
            "name the directory that `cutout demo --keep` printed",
        ));
    }
    let nodes = running(directory);
    end(&nodes).await;
    fs::remove_dir_all(directory).map_err(|error| {
        let what = format!("{} cannot be removed", directory.display());
        Failure::new(73, &what, error, "remove it yourself")
    })?;
    tell(format!("{} nodes are stopped, and {} is removed.", nodes.len(), directory.display()));
    Ok(())
}

/// Ends processes: first with a word, then without.
async fn end(nodes: &[Pid]) {
    for pid in nodes {
        let _ = kill_process(*pid, Signal::TERM);
    }
    let is_left = |pid: &Pid| Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists();
    for _ in 0..STOP_STEPS {
        if !nodes.iter().any(is_left) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for pid in nodes.iter().filter(|pid| is_left(pid)) {
        let _ = kill_process(*pid, Signal::KILL);
    }
}

/// The nodes that run in this directory: processes of a command line that names it.
fn running(directory: &Path) -> Vec<Pid> {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let names = |pid: &Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        words.any(|word| Path::new(&*word).starts_with(directory.join("network")))
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter_map(Pid::from_raw).filter(names).collect()
}
