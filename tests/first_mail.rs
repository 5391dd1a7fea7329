//! A first mail in five minutes: the commands of README, typed as they stand there, in an empty directory.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::support::{program, room, text};

const TITLE: &str = "## A first mail in five minutes";
/// How many nodes a kept network has, unless it is told otherwise.
const NODES: usize = 24;
/// How long all of it may take on a machine that has other work; on an idle one it takes half a minute.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The commands that README has under this title: one block of them, for a shell.
fn commands() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let section = readme.split_once(TITLE).expect("README has a first mail").1;
    let section = section.split("\n## ").next().unwrap();
    let block = section.split_once("```sh\n").expect("commands").1.split("```").next().unwrap();
    block.lines().map(str::to_owned).collect()
}

async fn shell(directory: &Path, script: &str) -> (bool, String, String) {
    let programs = program().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [programs].into_iter().chain(std::env::split_paths(&path));
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", script]).current_dir(directory).stdin(Stdio::null());
    shell.env("PATH", std::env::join_paths(path).unwrap());
    for variable in ["CUTOUT_HOME", "CUTOUT_PASSPHRASE", "CUTOUT_PASSPHRASE_FILE", "CUTOUT_SCHEME"]
    {
        shell.env_remove(variable);
    }
    let output = tokio::time::timeout(TIMEOUT, shell.output()).await.expect("it ends").unwrap();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn readmes_first_mail_is_read_and_nothing_stays_behind() {
    let _room = room(NODES).await;
    let directory = tempfile::tempdir().unwrap();
    let mut commands = commands();
    assert!(commands[0].ends_with(" demo --keep"), "{commands:?}");
    let stop = commands.pop().unwrap();
    assert!(stop.contains("demo --stop"), "{stop}");
    let (done, said, told) = shell(directory.path(), &commands.join("\n")).await;
    // Whatever came of it, the network goes.
    let (stopped, _, last) = shell(directory.path(), &stop).await;
    assert!(done, "{told}");
    assert!(said.contains("Meet me at noon."), "{said}\n{told}");
    for command in &commands[1..] {
        assert!(
            said.contains(command.as_str()),
            "`demo --keep` does not print `{command}`:\n{said}"
        );
    }
    assert!(stopped && last.contains(&format!("{NODES} nodes are stopped")), "{last}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_there_is_not_taken_and_none_but_a_kept_network_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("cutout-demo")).unwrap();
    std::fs::write(directory.path().join("cutout-demo/letter"), "mine").unwrap();
    for (command, what) in
        [("cutout demo --keep", "cannot be made"), ("cutout demo --stop", "no network was kept")]
    {
        let (done, _, told) = shell(directory.path(), command).await;
        assert!(!done && told.contains(what) && told.contains("try:"), "{told}");
        assert!(directory.path().join("cutout-demo/letter").exists());
    }
    // Of a network that was kept, what is somebody's own stays.
    std::fs::write(directory.path().join("cutout-demo/kept-by-cutout-demo"), "").unwrap();
    let (done, _, told) = shell(directory.path(), "cutout demo --stop").await;
    assert!(!done && told.contains("is not removed") && told.contains("try:"), "{told}");
    assert!(directory.path().join("cutout-demo/letter").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_other_program_its_commands_say_what_is_missing() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::hard_link(program(), directory.path().join("cutout")).unwrap();
    for command in ["./cutout demo", "./cutout audit run --quick", "./cutout help audit"] {
        let (done, said, told) = shell(directory.path(), command).await;
        assert!(!done && said.is_empty(), "{said}");
        assert!(told.contains("cutout-lab cannot be started") && told.contains("try:"), "{told}");
    }
    let (done, said, _) = shell(directory.path(), "./cutout --version").await;
    assert!(done && said.starts_with("cutout "), "{said}");
}
