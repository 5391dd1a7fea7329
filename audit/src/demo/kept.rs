//! `cutout demo --keep`: a network that stays when the command is over, with two users in it, and what to type next.
//! Everything in it is made by the commands that anybody types: `cutout node run`, `cutout init`.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{ffi::OsStrExt as _, fs::DirBuilderExt as _},
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
use testbed::{cluster::Cluster, programs};
use tokio::process::Command;

use super::{DemoArgs, EPOCH_SECONDS, start, this_program};

/// Where a network is kept unless another directory is named.
pub(super) const DIRECTORY: &str = "cutout-demo";
/// The mean delay between a body and its notification, seconds: nobody else is there to hide among.
const DELAY_SECONDS: u64 = 1;
/// The directory of the nodes, in the network's.
const NODES: &str = "network";
/// The empty file by which a kept network is known.
const MARK: &str = "kept-by-cutout-demo";
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
    let refused = |error: std::io::Error| {
        let remedy = match error.kind() {
            ErrorKind::AlreadyExists => {
                "name another directory, or stop the network that is kept there with `cutout demo --stop`"
            }
            _ => "name a directory that can be made",
        };
        Failure::new(73, &format!("{} cannot be made", directory.display()), error, remedy)
    };
    fs::DirBuilder::new().mode(0o700).create(directory).map_err(refused)?;
    write_file(&directory.join(MARK), b"")?;
    let progress = Progress::start(&format!("starting {} nodes", args.nodes), !args.json);
    let made = interruption.unless(make(args, directory, &progress)).await.and_then(|made| made);
    progress.finish();
    match made {
        Ok(cluster) => {
            cluster.leave();
            print(args, directory)
        }
        Err(failure) => {
            end(directory).await;
            let _ = remove(directory);
            Err(failure)
        }
    }
}

async fn make(args: &DemoArgs, directory: &Path, progress: &Progress) -> Result<Cluster, Failure> {
    let cluster = start(args, nodes_of(directory), progress, |options| {
        options.kept = true;
        options.network.delay_seconds = DELAY_SECONDS;
    });
    let cluster = cluster.await?;
    progress.step("waiting for the nodes to know each other for an epoch");
    tokio::time::sleep(Duration::from_secs(EPOCH_SECONDS * 3)).await;

    let file =
        NetworkFile::read(&cluster.network_file()).map_err(ua::profile::ProfileError::from)?;
    let invitation = file.invitation();
    let invitation =
        invitation.map_err(|error| Failure::new(70, "no invitation", error, "report this"))?;
    write_file(&directory.join(PASSPHRASE), b"demo\n")?;
    let program = programs::cutout(&this_program()?);
    for name in USERS {
        progress.step(&format!("{name} joins"));
        let address = join(&program, directory, name, &invitation).await?;
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
    let (cutout, at) = (name_of_cutout(), quoted(directory));
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
    if found.is_some_and(same) { "cutout".to_owned() } else { quoted(&program) }
}

/// A path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+".contains(char);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn print(args: &DemoArgs, directory: &Path) -> Result<(), Failure> {
    let commands = commands(directory);
    let stop = format!("{} demo --stop {}", name_of_cutout(), quoted(directory));
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

/// Stops a network that was kept, and removes what was made for it.
///
/// # Errors
/// [`Failure`] if there is none, or if something else lies in its directory.
pub(super) async fn stop(directory: &Path) -> Result<(), Failure> {
    if !directory.join(MARK).is_file() {
        let what = format!("no network was kept in {}", directory.display());
        let remedy = "name the directory that `cutout demo --keep` printed";
        return Err(Failure::new(66, &what, "", remedy));
    }
    let stopped = end(directory).await;
    tell(format!("{stopped} nodes are stopped."));
    remove(directory).map_err(|error| {
        let what = format!("{} is not removed", directory.display());
        Failure::new(73, &what, error, "see what else lies in it, and remove it yourself")
    })
}

/// Removes what was made here, and the directory if nothing else is in it.
fn remove(directory: &Path) -> std::io::Result<()> {
    let is_missing = |error: &std::io::Error| error.kind() == ErrorKind::NotFound;
    let gone = |removed: std::io::Result<()>| {
        removed.or_else(|error| if is_missing(&error) { Ok(()) } else { Err(error) })
    };
    for folder in USERS.iter().chain([&NODES]) {
        gone(fs::remove_dir_all(directory.join(folder)))?;
    }
    let addresses = USERS.iter().map(|name| format!("{name}.address"));
    for file in addresses.chain([PASSPHRASE.to_owned(), MARK.to_owned()]) {
        gone(fs::remove_file(directory.join(file)))?;
    }
    fs::remove_dir(directory)
}

/// Ends the nodes in this directory, first with a word and then without: how many there were.
async fn end(directory: &Path) -> usize {
    let nodes = running(directory);
    for pid in &nodes {
        let _ = kill_process(*pid, Signal::TERM);
    }
    for _ in 0..STOP_STEPS {
        if running(directory).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for pid in running(directory) {
        let _ = kill_process(pid, Signal::KILL);
    }
    nodes.len()
}

/// The nodes that run in this directory: processes that were started as nodes of its network file, and no others that
/// name it.
fn running(directory: &Path) -> Vec<Pid> {
    let file = nodes_of(directory).join("network.toml");
    let is_node = |pid: &Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).skip(1).collect();
        words.starts_with(&[b"node", b"run"]) && words.contains(&file.as_os_str().as_bytes())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter_map(Pid::from_raw).filter(is_node).collect()
}

/// Where the nodes are, by the one name that a directory has however it was typed.
fn nodes_of(directory: &Path) -> PathBuf {
    directory.canonicalize().unwrap_or_else(|_| directory.to_owned()).join(NODES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell_and_plain_where_it_can_be() {
        for path in ["cutout-demo", "/tmp/a b", "it's", "$HOME/`x`", "-"] {
            let script = format!("printf %s {}", quoted(Path::new(path)));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), path);
        }
        assert_eq!(quoted(Path::new("cutout-demo")), "cutout-demo");
    }
}
