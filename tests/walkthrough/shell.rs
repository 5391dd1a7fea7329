//! A shell in which a page's commands are typed, and the page's blocks of commands.

use std::{
    path::Path,
    process::{Command as Now, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::program;

/// What the shell says when a command has ended.
const ENDED: &str = "[ended]";
/// How long one line may take, waits for nodes and random delays included.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The blocks marked `sh` in the section with this heading.
pub fn blocks(page: &str, heading: &str) -> Vec<String> {
    let (_, after) = page.split_once(&format!("\n{heading}\n")).expect("the section is there");
    let section = after.split("\n## ").next().unwrap_or(after);
    let blocks = section.split("\n```sh\n").skip(1);
    blocks.map(|rest| rest.split_once("\n```").expect("a block ends").0.to_owned()).collect()
}

/// A shell in a directory of its own, with the program on its path. Dropping it ends all that it has started.
pub struct Shell {
    child: Child,
    stdin: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    pub async fn start(directory: &Path) -> Self {
        let programs = program().parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("bash")
            .current_dir(directory)
            .env("PATH", format!("{programs}:{path}"))
            .env("CUTOUT_PASSPHRASE", "correct horse")
            .env("HOME", directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        // What goes to stderr is what a person would see as well.
        stdin.write_all(b"exec 2>&1\n").await.unwrap();
        Self { child, stdin, said }
    }

    /// Runs a block line by line, each of which must succeed: all that was said.
    pub async fn run(&mut self, block: &str) -> String {
        let mut all = String::new();
        for line in block.lines() {
            let (said, code) = self.line(line).await;
            println!("$ {line}\n{said}");
            assert_eq!(code, "0", "{line}: {said}");
            all.push_str(&said);
        }
        all
    }

    async fn line(&mut self, line: &str) -> (String, String) {
        // What reads its standard input must not get the lines that follow.
        let typed = format!("{{ {line}\n}} < /dev/null; echo \"{ENDED}$?\"\n");
        self.stdin.write_all(typed.as_bytes()).await.unwrap();
        let mut all = String::new();
        let ended = async {
            while let Some(said) = self.said.next_line().await.unwrap() {
                if let Some(code) = said.strip_prefix(ENDED) {
                    return code.to_owned();
                }
                all.push_str(&said);
                all.push('\n');
            }
            panic!("the shell ended");
        };
        let code = tokio::time::timeout(TIMEOUT, ended).await;
        (all.clone(), code.unwrap_or_else(|_| panic!("{line} does not end: {all}")))
    }

    /// The process of the node that was started with this number: jobs are numbered as they are started.
    pub async fn node(&mut self, number: usize) -> u32 {
        let (said, _) = self.line("jobs -p").await;
        let pids: Vec<u32> = said.lines().filter_map(|line| line.trim().parse().ok()).collect();
        pids[number - 1]
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(leader) = self.child.id() {
            let group = format!("-{leader}");
            // Stopped ones hear it when they go on.
            for signal in ["-KILL", "-CONT"] {
                let _ = Now::new("kill").args([signal, "--", &group]).status();
            }
        }
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let sent = Now::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success());
}
