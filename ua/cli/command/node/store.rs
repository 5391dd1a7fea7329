//! `cutout node store`: checks or repairs the store of a node that does not run.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use node::{Checked, Node, NodeError, Repaired, StoreError};

use crate::terminal::{Failure, say};

/// The `node store` commands.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Verify every page and every account, and change nothing
    #[command(after_help = "Example:\n  cutout node store check --dir node1")]
    Check(StoreArgs),
    /// Save what can be read of a damaged store, and give back the space that a sound one does not need
    ///
    /// The damaged file is kept as store.damaged-DATE in the same directory; the identity is not touched. If there
    /// is no store.redb beside identity.key, an empty one is made.
    #[command(after_help = "Example:\n  cutout node store repair --dir node1")]
    Repair(StoreArgs),
}

/// Arguments of `cutout node store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The node's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Runs a `node store` command.
///
/// # Errors
/// [`Failure`]: 65 if the store is damaged, 66 if there is none, 74 if the disk fails, 75 if a node uses it.
pub fn run(command: StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Check(args) => check(&args),
        StoreCommand::Repair(args) => repair(&args),
    }
}

fn check(args: &StoreArgs) -> Result<(), Failure> {
    let failed = |error| {
        let mut failure = failure(error).of("the store is not well").at(&args.dir);
        if matches!(error, StoreError::Corrupt(_)) {
            failure.code = 65;
        }
        failure
    };
    let Checked { usage, file, .. } = Node::examine_store(&args.dir).map_err(failed)?;
    if args.json {
        let object = serde_json::json!({
            "state": "well",
            "objects": usage.objects,
            "notifications": usage.inbox_entries,
            "counted_bytes": usage.bytes,
            "file_bytes": file,
        });
        return say(object.to_string());
    }
    say("state          well")?;
    say(format!("objects        {}", usage.objects))?;
    say(format!("notifications  {}", usage.inbox_entries))?;
    say(format!("counted        {} bytes", usage.bytes))?;
    say(format!("file           {file} bytes"))
}

fn repair(args: &StoreArgs) -> Result<(), Failure> {
    let when = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let failed =
        |error: NodeError| Failure::from(error).of("the store is not repaired").at(&args.dir);
    let repaired = Node::repair_store(&args.dir, &when, net::now()).map_err(failed)?;
    let (what, object) = match repaired {
        Repaired::Begun => {
            let what =
                "There was no store. An empty one is made; what the old one held is lost here.";
            (what.to_owned(), serde_json::json!({ "done": "begun" }))
        }
        Repaired::Compacted { freed } => {
            let what = format!("The store is well. Its file is {freed} bytes smaller.");
            (what, serde_json::json!({ "done": "compacted", "freed_bytes": freed }))
        }
        Repaired::Salvaged { objects, inbox_entries, lost } => {
            let aside = format!("store.damaged-{when}");
            let what = format!(
                "The store was damaged. Saved: {objects} objects and {inbox_entries} notifications. Of {lost} more \
                 objects only a part was found.\nThe damaged file is kept as {}; delete it when you do not need it.",
                args.dir.join(&aside).display()
            );
            let object = serde_json::json!({
                "done": "salvaged",
                "objects": objects,
                "notifications": inbox_entries,
                "lost": lost,
                "kept": aside,
            });
            (what, object)
        }
        _ => return Ok(()),
    };
    say(if args.json { object.to_string() } else { what })
}

/// What a store's error means to whoever runs the node.
pub(super) fn failure(error: StoreError) -> Failure {
    let (code, remedy) = match error {
        StoreError::Locked => (75, "stop the other node that uses this directory"),
        StoreError::Missing => (66, "name the --dir that `cutout node run` was given"),
        StoreError::Corrupt(_) => (
            74,
            "`cutout node store repair --dir DIR` saves what can be read, and keeps the old file",
        ),
        StoreError::Version { .. } => (78, "use the version of cutout that wrote it"),
        StoreError::Exists => (73, "try again in a second"),
        StoreError::Io(std::io::ErrorKind::StorageFull) => (74, "free some space on the disk"),
        StoreError::Io(std::io::ErrorKind::PermissionDenied) => {
            (74, "give this user the right to read and write store.redb")
        }
        _ => (74, "check the disk"),
    };
    Failure::new(code, "the store cannot be used", error, remedy)
}
